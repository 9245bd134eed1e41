//! Stops, the end, and fetching what the result still lacks.

use super::super::merge::WorkerMetrics;
use super::super::messages::RosterEntry;
use super::*;

impl TestRun {
    /// A stop was asked for here: it is repeated until it is heeded.
    pub fn request_stop(&mut self, now: Time, order: StopOrder, fx: &mut Effects) {
        if self.ended.is_some() {
            return;
        }
        self.stop_is_mine = true;
        self.publish_stop(now, order, fx);
    }

    pub(super) fn publish_stop(&mut self, now: Time, order: StopOrder, fx: &mut Effects) {
        if self.ended.is_none() {
            self.next_stop = now + REPEAT;
        }
        fx.publish(TestMessage::Stop {
            test: self.id(),
            by: self.myself.node.clone(),
            order,
        });
    }

    pub(super) fn hear_stop(&mut self, now: Time, order: StopOrder, fx: &mut Effects) {
        if self.ended.is_some() {
            return;
        }
        match &mut self.stop {
            Some((known, _)) if known.graceful && !order.graceful => *known = order,
            Some(_) => {}
            None => self.stop = Some((order, now)),
        }
        self.election.hear_stop(order);
        if let Some(worker) = &mut self.worker {
            worker.stop(order, fx);
        }
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.stop(now, order, fx);
        }
    }

    pub(super) fn on_ended(&mut self, now: Time, ended: &Ended, concluded: bool, fx: &mut Effects) {
        // An end that most nodes missed, because its coordinator died with it, is no end: they
        // went on under a later term, and that term's end counts.
        let superseded = self.ended.as_ref().is_none_or(|e| e.term < ended.term);
        if self.ended.is_some() && !self.concluded && !superseded {
            self.late_finals(now, ended, fx);
            return;
        }
        let first = self.ended.is_none();
        self.concluded = concluded;
        self.leave_office();
        self.next_stop = Time::MAX;
        self.next_announce = Time::MAX;
        self.next_end = Time::MAX;
        if let Some(last) = self.reigns.last_mut() {
            last.to.get_or_insert(now);
        }
        if ended.coordinator == self.myself.node && !concluded {
            self.next_end = now + REPEAT;
        }
        self.ended = Some(ended.clone());
        self.settle(&ended.decisions, fx);
        self.complete = false;
        if first {
            self.ended_at = now;
            if let Some(worker) = &mut self.worker {
                worker.end(fx);
            }
            fx.outputs.push(Output::Ended(self.id()));
        }
        if let Some(worker) = self.worker.as_mut().filter(|_| !concluded) {
            worker.report_to(now, ended.term, &ended.coordinator);
        }
        self.fetches = 0;
        self.check_complete(now, fx);
    }

    /// The coordinator repeats its end with snapshots in the roster that came in since.
    fn late_finals(&mut self, now: Time, again: &Ended, fx: &mut Effects) {
        let Some(ended) = self.ended.as_mut() else {
            return;
        };
        if (again.term, &again.coordinator) != (ended.term, &ended.coordinator) {
            return;
        }
        let mut news = false;
        for entry in &again.roster {
            if let Some(worker) = &mut self.worker
                && entry.worker == self.myself.node
                && entry.last_snapshot < Some(self.snapshots)
            {
                worker.report_to(now, again.term, &again.coordinator);
            }
            let known = ended.roster.iter_mut().find(|e| e.worker == entry.worker);
            match known {
                Some(known) if known.last_snapshot >= entry.last_snapshot => {}
                Some(known) => {
                    *known = entry.clone();
                    news = true;
                }
                None => {
                    ended.roster.push(entry.clone());
                    news = true;
                }
            }
        }
        if news {
            self.complete = false;
            self.fetches = 0;
            self.check_complete(now, fx);
        }
    }

    /// After the end, a worker's later snapshot arrived at the coordinator that ended the
    /// test: the end is repeated, so that everybody gets it.
    pub(super) fn amend_end(&mut self, now: Time, snapshot: &Snapshot) {
        let whole = self.merge.has(&snapshot.worker, snapshot.number);
        let (Some(ended), Some(metrics)) = (
            self.ended.as_mut().filter(|_| whole && !self.concluded),
            self.merge.workers().get(&snapshot.worker),
        ) else {
            return;
        };
        if ended.coordinator != self.myself.node {
            return;
        }
        let mut roster = ended.roster.iter_mut();
        match roster.find(|e| e.worker == snapshot.worker) {
            Some(entry) if entry.last_snapshot >= Some(snapshot.number) => return,
            Some(entry) => {
                entry.last_snapshot = Some(snapshot.number);
                entry.is_final = snapshot.is_final;
            }
            None if !metrics.carried() => return,
            None => ended.roster.push(unreported(&snapshot.worker, metrics)),
        }
        self.end_repeats = 0;
        self.next_end = self.next_end.min(now + REPEAT);
    }

    /// Whoever still believes the test to be running is told again that it ended; or, by the
    /// node that wanted it stopped, that it is to be.
    pub fn somebody_missed_the_end(&mut self, now: Time) {
        let elsewhere = |e: &Ended| e.coordinator != self.myself.node;
        let alone = self.concluded || self.ended.as_ref().is_some_and(elsewhere);
        if alone && self.stop_is_mine && self.next_stop == Time::MAX {
            self.next_stop = now + REPEAT;
        }
        if self
            .ended
            .as_ref()
            .is_some_and(|e| e.coordinator == self.myself.node)
            && !self.concluded
        {
            self.end_repeats = self.end_repeats.min(END_REPEATS - 1);
            self.next_end = self.next_end.min(now + REPEAT);
        }
    }

    /// A node came back within reach. If some final snapshot was missing when the test ended,
    /// it may have come in there since.
    pub fn somebody_returned(&mut self, peer: &Peer, fx: &mut Effects) {
        let open = |e: &Ended| e.roster.iter().any(|entry| !entry.is_final);
        if self.ended.as_ref().is_some_and(open) {
            let request = Request::FetchSnapshots {
                test: self.id(),
                after: None,
            };
            fx.send(&self.myself.node, peer, request);
        }
    }

    pub(super) fn check_complete(&mut self, now: Time, fx: &mut Effects) {
        let Some(ended) = &self.ended else {
            return;
        };
        if self.complete {
            return;
        }
        let has = |e: &RosterEntry| {
            e.last_snapshot
                .is_some_and(|n| self.merge.has(&e.worker, n))
        };
        let lost = |e: &RosterEntry| e.lost_at.is_some() && e.last_snapshot.is_none();
        self.complete = !self.concluded && ended.roster.iter().all(|e| has(e) || lost(e));
        if self.complete {
            self.next_fetch = Time::MAX;
            fx.outputs.push(Output::Completed(self.id()));
        } else if self.fetches < MAX_FETCHES {
            self.next_fetch = self.next_fetch.min(now + REPEAT);
        }
    }

    pub(super) fn fetch_missing(&mut self, now: Time, fx: &mut Effects) {
        self.next_fetch = Time::MAX;
        let Some(ended) = &self.ended else {
            return;
        };
        if self.complete || self.fetches >= MAX_FETCHES {
            return;
        }
        let missing = ended.roster.iter().filter(|e| {
            e.last_snapshot
                .is_some_and(|n| !self.merge.has(&e.worker, n))
        });
        let mut sources: Vec<Peer> = missing.map(|e| e.worker.peer.clone()).collect();
        sources.push(ended.coordinator.peer.clone());
        sources.extend(self.announcement.electorate.iter().map(|n| n.peer.clone()));
        sources.retain(|p| *p != self.myself.node.peer);
        if !sources.is_empty() {
            let source = sources[self.fetches as usize % sources.len()].clone();
            let request = Request::FetchSnapshots {
                test: self.id(),
                after: None,
            };
            fx.send(&self.myself.node, &source, request);
        }
        self.fetches += 1;
        self.next_fetch = now + REPEAT;
    }

    /// The instant by which this node ends the test even if nobody tells it to.
    pub(super) fn gives_up_at(&self) -> Time {
        let Some(spec) = &self.spec else {
            return self.announced_at + self.patience();
        };
        let lease = awaited(
            self.timings
                .share_lease
                .max(self.election.heard().share_lease),
        );
        let lasts = spec.lasts(&self.election.heard().decisions.list, &self.timings);
        let around = spec.around();
        let planned = self
            .start()
            .map(|s| s + lasts + spec.grace + lease + around);
        let stopped = self.stop.map(|(s, at)| at + s.timeout + lease + around);
        match (planned, stopped) {
            (Some(a), Some(b)) => a.min(b),
            (Some(t), None) | (None, Some(t)) => t,
            (None, None) => self.last_beat.unwrap_or(self.announced_at) + self.patience(),
        }
    }

    /// How long a test without a start may go without a beat.
    pub(super) fn patience(&self) -> Duration {
        self.timings.registration_window + self.timings.share_lease * 8
    }

    pub(super) fn give_up(&mut self, now: Time, fx: &mut Effects) {
        let reason = match (self.start(), self.stop) {
            (_, Some(_)) => EndReason::Stopped,
            (Some(_), None) => EndReason::Completed,
            (None, None) => EndReason::Failed(
                "no coordinator was elected: most of the nodes that may vote cannot be reached; \
                 see `vajra-node nodes`, and start the test again"
                    .into(),
            ),
        };
        let ended = Ended {
            test: self.id(),
            term: self.election.term(),
            coordinator: self.myself.node.clone(),
            reason,
            roster: self
                .merge
                .workers()
                .iter()
                .filter(|(_, m)| m.carried())
                .map(|(worker, m)| unreported(worker, m))
                .collect(),
            events: Vec::new(),
            decisions: self.settled.to_vec(),
        };
        self.on_ended(now, &ended, true, fx);
    }

    /// Workers of earlier terms that never came back, but whose metrics are known.
    pub(super) fn with_unreported(&self, mut ended: Ended) -> Ended {
        let lost = self.lost();
        for (worker, m) in self.merge.workers() {
            if m.carried() && !ended.roster.iter().any(|e| e.worker == *worker) {
                let mut entry = unreported(worker, m);
                entry.lost_at = lost.get(worker).copied().or(entry.lost_at);
                ended.roster.push(entry);
            }
        }
        ended
    }

    pub(super) fn repeat_end(&mut self, now: Time, fx: &mut Effects) {
        self.next_end = Time::MAX;
        if let Some(ended) = &self.ended
            && self.end_repeats < END_REPEATS
        {
            self.end_repeats += 1;
            self.next_end = now + REPEAT * self.end_repeats;
            let message = TestMessage::Ended(ended.clone());
            fx.outputs.push(Output::Publish(Gossip::Test(message)));
        }
    }
}

/// A worker that is in no roster of this term, but whose metrics are known.
fn unreported(worker: &NodeId, m: &WorkerMetrics) -> RosterEntry {
    RosterEntry {
        worker: worker.clone(),
        name: String::new(),
        last_snapshot: Some(m.number),
        is_final: m.is_final,
        lost_at: (!m.is_final).then_some(m.elapsed),
    }
}
