//! Stopping and ending the test, and fetching missing parts of its result.

use super::super::merge::WorkerMetrics;
use super::super::messages::RosterEntry;
use super::*;

/// Time after an end in which nodes that meet again compare it.
const ENDS_EXCHANGED: Duration = Duration::from_secs(600);

impl TestRun {
    /// Requests a stop, and repeats the request until the test ends.
    pub fn request_stop(&mut self, now: Time, order: StopOrder, fx: &mut Effects) {
        if self.end.ended.is_some() {
            return;
        }
        self.stop.requested_here = true;
        let order = StopOrder {
            graceful: order.graceful && !planted(Bug::StopAtOnce),
            ..order
        };
        let stop = SignedStop::new(self.id(), order, &self.local.node, &*self.keys);
        self.publish_stop(now, stop, fx);
    }

    /// Publishes a request of this node.
    pub(super) fn publish_stop(&mut self, now: Time, stop: SignedStop, fx: &mut Effects) {
        if self.end.ended.is_none() {
            self.stop.next_repeat = now + REPEAT;
        }
        let test = self.id();
        fx.publish(TestMessage::Stop { test, stop });
    }

    /// A request to stop the test arrived, by any route. It counts if its author signed it.
    pub(super) fn receive_stop(&mut self, now: Time, stop: &SignedStop, fx: &mut Effects) {
        let harder = |(known, _): &(SignedStop, Time)| known.order.graceful && !stop.order.graceful;
        let is_new = self.stop.request.as_ref().is_none_or(harder);
        if self.end.ended.is_some() || !is_new {
            return;
        }
        if !stop.is_signed(self.id(), &*self.keys) && !planted(Bug::StopUnsigned) {
            return;
        }
        let at = self.stop.request.as_ref().map_or(now, |(_, at)| *at);
        self.stop.request = Some((stop.clone(), at));
        self.election.record_stop(stop);
        if let Some(worker) = &mut self.worker {
            worker.stop_test(stop, fx);
        }
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.stop(now, stop, fx);
        }
    }

    pub(super) fn on_ended(&mut self, now: Time, ended: &Ended, concluded: bool, fx: &mut Effects) {
        if !concluded && !self.may_end(ended) {
            return;
        }
        // An end that most nodes missed, because its coordinator died with it, does not count: they
        // continued under a later term, and that term's end counts.
        let superseded = self.end.ended.as_ref().is_none_or(|e| e.term < ended.term);
        if self.end.ended.is_some() && !self.end.concluded && !superseded {
            self.update_roster(now, ended, fx);
            return;
        }
        let is_first = self.end.ended.is_none();
        self.end.concluded = concluded;
        self.stop_coordinating();
        self.stop.next_repeat = Time::MAX;
        self.next_announce = Time::MAX;
        self.end.next_repeat = Time::MAX;
        // The last coordinator may have disappeared before.
        let absent = concluded.then(|| self.no_coordinator_since(now)).flatten();
        if let Some(last) = self.observed.tenures.last_mut() {
            last.to.get_or_insert(absent.unwrap_or(now).max(last.from));
        }
        if ended.coordinator == self.local.node && !concluded {
            self.end.next_repeat = now + REPEAT;
        }
        self.end.ended = Some(ended.clone());
        self.commit(&ended.log, fx);
        self.end.complete = false;
        if is_first {
            self.end.at = now;
            if let Some(worker) = &mut self.worker {
                worker.end(fx);
            }
            fx.outputs.push(Output::Ended(self.id()));
        }
        if is_first && !concluded && self.observed.last_beat.is_none() {
            self.confirm_end(fx);
        }
        if let Some(worker) = self.worker.as_mut().filter(|_| !concluded) {
            worker.report_to(now, ended.term, &ended.coordinator);
        }
        self.end.fetches = 0;
        self.grant(now, ended.roster.iter().map(|e| &e.worker), fx);
        self.check_complete(now, fx);
    }

    /// A node that did not follow the test may have received an end that a later coordinator's end has
    /// replaced: it asks the electors.
    fn confirm_end(&self, fx: &mut Effects) {
        let others = self.announcement.electorate.iter();
        for elector in others.filter(|n| n.peer != self.local.node.peer) {
            fx.send(
                &self.local.node,
                &elector.peer,
                Request::FetchEnd(self.id()),
            );
        }
    }

    /// Whether this end counts: its author is a certified coordinator, and while the test runs, this
    /// node has seen no beat of a later coordinator, which decides instead.
    fn may_end(&mut self, ended: &Ended) -> bool {
        let (term, coordinator) = (ended.term, &ended.coordinator);
        let has_ended = self.end.ended.is_some();
        let certified = match has_ended {
            true => self
                .election
                .is_certified(term, coordinator, &ended.certificate),
            false => self.election.certify(term, coordinator, &ended.certificate),
        };
        certified && (has_ended || ended.term >= self.election.term_of_beats())
    }

    /// The coordinator repeats its end with later snapshots in the roster.
    fn update_roster(&mut self, now: Time, again: &Ended, fx: &mut Effects) {
        let Some(ended) = self.end.ended.as_mut() else {
            return;
        };
        if (again.term, &again.coordinator) != (ended.term, &ended.coordinator) {
            return;
        }
        for entry in &again.roster {
            if let Some(worker) = &mut self.worker
                && entry.worker == self.local.node
                && entry.last_snapshot < Some(self.own.snapshots)
            {
                worker.report_to(now, again.term, &again.coordinator);
            }
        }
        // Entries only gain snapshots, so a copy with a newer one is the newer copy.
        let is_newer = |entry: &RosterEntry| {
            let known = ended.roster.iter().find(|e| e.worker == entry.worker);
            known.is_none_or(|known| known.last_snapshot < entry.last_snapshot)
        };
        let changed = again.roster.iter().any(is_newer);
        if changed {
            *ended = again.clone();
            self.end.complete = false;
            self.end.fetches = 0;
            self.grant(now, again.roster.iter().map(|e| &e.worker), fx);
            self.check_complete(now, fx);
        }
    }

    /// After the end, a later snapshot of a worker arrived at the coordinator that ended the test:
    /// it repeats the end, so that every node fetches the snapshot.
    pub(super) fn amend_end(&mut self, now: Time, worker: &NodeId) {
        if self.end.ended.is_none() {
            return;
        }
        let metrics = self.merge.workers().get(worker);
        let metrics = metrics.filter(|m| m.is_complete() && !self.end.concluded);
        let (Some(ended), Some(metrics)) = (self.end.ended.as_mut(), metrics) else {
            return;
        };
        if ended.coordinator != self.local.node {
            return;
        }
        let mut roster = ended.roster.iter_mut();
        match roster.find(|e| e.worker == *worker) {
            Some(entry) if entry.last_snapshot >= Some(metrics.number) => return,
            Some(entry) => {
                entry.last_snapshot = Some(metrics.number);
                entry.is_final = metrics.is_final;
                if metrics.is_final {
                    entry.lost_at = None;
                }
            }
            None if !metrics.had_load() => return,
            None => ended.roster.push(unregistered(worker, metrics)),
        }
        ended.sign(&*self.keys);
        self.end.repeats = 0;
        self.end.next_repeat = self.end.next_repeat.min(now + REPEAT);
    }

    /// The end as its coordinator signed it, for another node.
    pub fn signed_end(&self) -> Option<&Ended> {
        self.end.ended.as_ref().filter(|_| !self.end.concluded)
    }

    /// The end arrived from another node than its coordinator.
    pub fn relayed_end(&mut self, now: Time, ended: &Ended, fx: &mut Effects) {
        if ended.is_signed(&*self.keys) || planted(Bug::RelayedUnsigned) {
            self.on_ended(now, ended, false, fx);
        }
    }

    /// Another node considers the test running: the node that ended it repeats the end, and the
    /// node that requested a stop repeats that.
    pub fn repeat_end_soon(&mut self, now: Time) {
        let other_node = |e: &Ended| e.coordinator != self.local.node;
        let not_own_end = self.end.concluded || self.end.ended.as_ref().is_some_and(other_node);
        if not_own_end && self.stop.requested_here && self.stop.next_repeat == Time::MAX {
            self.stop.next_repeat = now + REPEAT;
        }
        if self
            .end
            .ended
            .as_ref()
            .is_some_and(|e| e.coordinator == self.local.node)
            && !self.end.concluded
        {
            self.end.repeats = self.end.repeats.min(END_REPEATS - 1);
            self.end.next_repeat = self.end.next_repeat.min(now + REPEAT);
        }
    }

    /// A node rejoined. It may know another end of the test, and if a final snapshot was missing at
    /// the end, it may have that.
    pub fn node_rejoined(&mut self, now: Time, peer: &Peer, fx: &mut Effects) {
        let Some(ended) = &self.end.ended else {
            return;
        };
        let workers = ended.roster.iter().map(|e| &e.worker);
        let mut involved = workers.chain(&self.announcement.electorate);
        if now.since(self.end.at) < ENDS_EXCHANGED && involved.any(|n| n.peer == *peer) {
            fx.send(&self.local.node, peer, Request::FetchEnd(self.id()));
        }
        let open = |e: &Ended| e.roster.iter().any(|entry| !entry.is_final);
        if self.end.ended.as_ref().is_some_and(open) {
            let request = Request::FetchSnapshots {
                test: self.id(),
                after: None,
            };
            fx.send(&self.local.node, peer, request);
        }
    }

    pub(super) fn check_complete(&mut self, now: Time, fx: &mut Effects) {
        let Some(ended) = &self.end.ended else {
            return;
        };
        if self.end.complete {
            return;
        }
        let has = |e: &RosterEntry| {
            e.last_snapshot
                .is_some_and(|n| self.merge.has(&e.worker, n))
        };
        let lost = |e: &RosterEntry| e.lost_at.is_some() && e.last_snapshot.is_none();
        self.end.complete = !self.end.concluded && ended.roster.iter().all(|e| has(e) || lost(e));
        if self.end.complete {
            self.end.next_fetch = Time::MAX;
            fx.outputs.push(Output::Completed(self.id()));
        } else if self.end.fetches < MAX_FETCHES {
            self.end.next_fetch = self.end.next_fetch.min(now + REPEAT);
        }
    }

    pub(super) fn fetch_missing(&mut self, now: Time, fx: &mut Effects) {
        self.end.next_fetch = Time::MAX;
        let Some(ended) = &self.end.ended else {
            return;
        };
        if self.end.complete || self.end.fetches >= MAX_FETCHES {
            return;
        }
        let missing = ended.roster.iter().filter(|e| {
            e.last_snapshot
                .is_some_and(|n| !self.merge.has(&e.worker, n))
        });
        let mut sources: Vec<Peer> = missing.map(|e| e.worker.peer.clone()).collect();
        sources.push(ended.coordinator.peer.clone());
        sources.extend(self.announcement.electorate.iter().map(|n| n.peer.clone()));
        sources.retain(|p| *p != self.local.node.peer);
        if !sources.is_empty() {
            let source = sources[self.end.fetches as usize % sources.len()].clone();
            let request = Request::FetchSnapshots {
                test: self.id(),
                after: None,
            };
            fx.send(&self.local.node, &source, request);
        }
        self.end.fetches += 1;
        self.end.next_fetch = now + REPEAT;
    }

    pub(super) fn conclude(&mut self, now: Time, fx: &mut Effects) {
        let reason = self.conclusion(now);
        let ended = Ended {
            test: self.id(),
            term: self.election.term(),
            coordinator: self.local.node.clone(),
            reason,
            roster: self
                .merge
                .workers()
                .iter()
                .filter(|(_, m)| m.had_load())
                .map(|(worker, m)| unregistered(worker, m))
                .collect(),
            events: Vec::new(),
            log: self.observed.committed.to_vec(),
            unused_numbers: None,
            certificate: Arc::default(),
            signature: Signature([0; SIGNATURE_LEN]),
        };
        self.on_ended(now, &ended, true, fx);
    }

    /// Adds workers of earlier terms that did not register again, but whose metrics are known.
    pub(super) fn with_unregistered(&self, mut ended: Ended) -> Ended {
        if planted(Bug::LostForgotten) {
            return ended;
        }
        let lost = self.lost();
        for (worker, m) in self.merge.workers() {
            if m.had_load() && !ended.roster.iter().any(|e| e.worker == *worker) {
                let mut entry = unregistered(worker, m);
                entry.lost_at = lost.get(worker).copied().or(entry.lost_at);
                ended.roster.push(entry);
            }
        }
        ended
    }

    pub(super) fn repeat_end(&mut self, now: Time, fx: &mut Effects) {
        self.end.next_repeat = Time::MAX;
        if let Some(ended) = &self.end.ended
            && self.end.repeats < END_REPEATS
        {
            self.end.repeats += 1;
            self.end.next_repeat = now + REPEAT * self.end.repeats;
            let message = TestMessage::Ended(ended.clone());
            fx.outputs.push(Output::Publish(Gossip::Test(message)));
        }
    }
}

/// The roster entry of a worker that is not in this term's roster, but whose metrics are known.
fn unregistered(worker: &NodeId, m: &WorkerMetrics) -> RosterEntry {
    RosterEntry {
        worker: worker.clone(),
        name: String::new(),
        last_snapshot: Some(m.number),
        is_final: m.is_final,
        lost_at: (!m.is_final).then_some(m.elapsed),
    }
}
