//! The election, and the coordinator if that is this node.

use super::*;

impl TestRun {
    pub(super) fn react(&mut self, now: Time, change: Option<Change>, fx: &mut Effects) {
        match change {
            Some(Change::Won { term }) => self.become_coordinator(now, term, fx),
            Some(Change::Lost { term }) => {
                self.stop_coordinating();
                self.end_tenure(now, term);
            }
            Some(Change::Leader { .. }) | None => {}
        }
        if self.election.leading().is_none()
            && let Some((term, node)) = self.election.leader().cloned()
            && self.observed.tenures.last().is_none_or(|r| r.term < term)
        {
            self.stop_coordinating();
            if self.start_tenure(now, term, &node) {
                fx.outputs.push(Output::Led(self.id(), node.clone()));
            }
            self.follow(now, term, &node, fx);
        }
    }

    pub(super) fn follow(&mut self, now: Time, term: u64, node: &NodeId, fx: &mut Effects) {
        if let Some(worker) = &mut self.worker {
            worker.follow(now, term, node, fx);
        }
    }

    pub(super) fn become_coordinator(&mut self, now: Time, term: u64, fx: &mut Effects) {
        let Some(spec) = self.spec.clone() else {
            return;
        };
        let replicated = self.election.replicated().clone();
        let stop = self.stop.request.as_ref().map(|(s, _)| s.clone());
        let init = CoordinatorInit {
            test: self.id(),
            me: self.local.node.clone(),
            keys: self.keys.clone(),
            term,
            won_at: now,
            spec,
            digest: self.announcement.digest,
            earlier_lease: replicated.share_lease,
            start_by: self.start_by().unwrap_or(Time::MAX),
            start: self.start(),
            leased_until: replicated.leased_until,
            free: replicated.free.map(|f| f.numbers),
            stop: stop.or(replicated.stop),
            log: replicated.log.entries.to_vec(),
            events: self.observed.events.clone(),
        };
        self.coordinator = Some(Coordinator::new(init, self.timings.clone(), fx));
        let me = self.local.node.clone();
        self.start_tenure(now, term, &me);
    }

    pub(super) fn stop_coordinating(&mut self) {
        if let Some(coordinator) = self.coordinator.take() {
            self.observed.events = coordinator.events();
        }
    }

    pub(super) fn beat_body(&self, now: Time) -> BeatBody {
        let Some(c) = &self.coordinator else {
            return BeatBody::default();
        };
        BeatBody {
            share_lease: c.target_share_lease(),
            since_start: c.start().map(|s| now.signed_since(s)),
            ends_within: self.ends_by().map(|at| at.since(now)),
            state: c.state(),
            log: c.log().into(),
            events: c.recent_events(now),
            allocation: c.allocations().newest().map(|(name, _)| *name),
            leased_until: c.leased_until(),
            free: c
                .free_numbers()
                .map(|(free, generation)| (free.clone(), generation)),
        }
    }

    /// Passes on what a majority has acknowledged: shares are assigned only once that includes
    /// the start.
    pub(super) fn update_acknowledged(&mut self) {
        let acknowledged = self.election.acknowledged();
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.acknowledged(acknowledged);
        }
    }

    /// Acts on entries that this coordinator has committed, and publishes that at once.
    pub(super) fn commit_own(&mut self, now: Time, fx: &mut Effects) {
        let coordinator = self.coordinator.as_ref();
        let committed = coordinator.map_or(&[][..], Coordinator::committed);
        if committed.len() > self.observed.committed.len() {
            let committed = committed.to_vec();
            self.commit(&committed, fx);
            self.election.beat_now(now);
        }
    }

    /// Ends the test because of a failed threshold, if this node is the coordinator.
    pub fn abort(&mut self, now: Time, order: StopOrder, why: String, fx: &mut Effects) {
        let coordinator = self.coordinator.as_mut();
        if coordinator.is_some_and(|c| c.threshold_failed(now, why, fx)) {
            self.request_stop(now, order, fx);
        }
    }

    /// Whether `tick` needs the live nodes that could take part.
    pub fn needs_able_nodes(&self) -> bool {
        self.coordinator.is_some()
    }

    /// On the coordinator: workers of earlier terms that have not registered in time and are not
    /// recorded as lost. Returns them once.
    pub fn missing_workers(&mut self, now: Time) -> Vec<NodeId> {
        if !self.election.has_authority(now) {
            return Vec::new();
        }
        let coordinator = self.coordinator.as_mut();
        if !coordinator.is_some_and(|c| c.report_deadline_passed(now)) {
            return Vec::new();
        }
        let (recorded, coordinator) = (self.lost(), self.coordinator.as_ref());
        let registered = |n: &NodeId| coordinator.is_some_and(|c| c.has_worker(n));
        let workers = self.merge.workers().iter();
        let loaded = workers.filter(|(_, m)| m.had_load() && !m.is_final);
        let missing = loaded.filter(|(n, _)| !recorded.contains_key(n) && !registered(n));
        missing.map(|(n, _)| n.clone()).collect()
    }

    /// A worker of an earlier term is lost.
    pub fn mark_missing(&mut self, now: Time, worker: &NodeId, name: &str, fx: &mut Effects) {
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.mark_missing(now, worker, name, fx);
        }
    }
}
