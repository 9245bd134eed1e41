//! What this node has observed of the test's coordinators.

use super::*;

/// Most recorded tenures; a test with more elections measures nothing useful.
const MAX_TENURES: usize = 64;

impl TestRun {
    /// Returns whether the tenure was recorded.
    pub(super) fn start_tenure(&mut self, now: Time, term: u64, node: &NodeId) -> bool {
        if let Some(last) = self.observed.tenures.last_mut() {
            last.to.get_or_insert(now);
        }
        let recorded = self.observed.tenures.len() < MAX_TENURES;
        if recorded {
            self.observed.tenures.push(Tenure {
                term,
                node: node.clone(),
                from: now,
                to: None,
            });
        }
        self.next_announce = Time::MAX;
        recorded
    }

    pub(super) fn end_tenure(&mut self, now: Time, term: u64) {
        if let Some(last) = self.observed.tenures.iter_mut().find(|r| r.term == term) {
            last.to.get_or_insert(now);
        }
    }

    /// Keeps the events in the beats of another coordinator. Beats repeat events.
    pub(super) fn record_events(&mut self, message: &TestMessage) {
        let TestMessage::Beat(beat) = message else {
            return;
        };
        let leads = |(term, node): &(u64, NodeId)| (*term, node) == (beat.term, &beat.coordinator);
        if self.coordinator.is_some() || !self.election.leader().is_some_and(leads) {
            return;
        }
        for event in &beat.events {
            if self.observed.events.len() < MAX_EVENTS && !self.observed.events.contains(event) {
                self.observed.events.push(event.clone());
            }
        }
    }
}
