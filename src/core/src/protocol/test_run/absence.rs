//! The absence of a coordinator, as far as this node knows. The load stops one share lease after the
//! last renewal.

use super::super::event_kind::EventKind;
use super::super::spec::OnLost;
use super::*;

impl TestRun {
    /// Time since which no coordinator is known, while the test runs: that of the last beat or the
    /// resignation, once an authority lease has passed without another beat.
    pub fn no_coordinator_since(&self, now: Time) -> Option<Time> {
        if self.end.ended.is_some() || self.election.has_authority(now) {
            return None;
        }
        let Some(beat) = self.observed.last_beat else {
            return Some(self.announced_at);
        };
        let resigned = self.observed.tenures.last().and_then(|t| t.to);
        match resigned.filter(|at| *at >= beat) {
            Some(at) => Some(at),
            None if now < beat + for_waiter(self.timings.authority_lease) => None,
            None => Some(beat),
        }
    }

    /// Time at which the load of this node stopped because no coordinator renewed its lease.
    pub fn load_stopped_at(&self, now: Time) -> Option<Time> {
        let (start, worker) = (self.start()?, self.worker.as_ref()?);
        let hold = self
            .spec
            .as_ref()
            .is_some_and(|s| s.on_lost == OnLost::Hold);
        let profile_end = self.profile_end(start)?;
        self.no_coordinator_since(now)?;
        let until = worker.lease_until();
        let lapsed = !hold && until > start && until <= now && until < profile_end;
        lapsed.then_some(until)
    }

    /// Number of electors that cannot be reached, and of all. `None` while a coordinator is known,
    /// and until one share lease later: then those that can be reached have polled each other.
    pub fn silent_electors(&self, now: Time) -> Option<(usize, usize)> {
        let since = self.no_coordinator_since(now)?;
        if now < since + self.timings.share_lease {
            return None;
        }
        let recent = now - self.timings.share_lease * 4;
        let silent = self.election.silent_electors(since.max(recent));
        Some((silent, self.election.electorate().len()))
    }

    /// Time at which the absence of a coordinator is recorded as an event: one share lease after
    /// the last beat, when the load stops.
    pub(super) fn absence_due(&self) -> Time {
        match (self.observed.last_beat, self.start()) {
            (Some(beat), Some(_)) if !self.observed.absence_recorded => {
                beat + for_waiter(self.timings.share_lease)
            }
            _ => Time::MAX,
        }
    }

    pub(super) fn record_absence(&mut self, fx: &mut Effects) {
        self.observed.absence_recorded = true;
        let (Some(beat), Some(start)) = (self.observed.last_beat, self.start()) else {
            return;
        };
        if self
            .profile_end(start)
            .is_some_and(|end| self.coordinated_at(end))
        {
            return;
        }
        let at_ms = beat.signed_since(start) / 1_000_000;
        let consequence = match self.spec.as_ref().map(|s| s.on_lost) {
            Some(OnLost::Hold) => "workers keep their shares",
            _ => "the load stops",
        };
        let event = TestEvent {
            at_ms,
            kind: EventKind::NoCoordinator,
            node: None,
            text: format!(
                "no coordinator since {:.1} s; {consequence}",
                at_ms as f64 / 1e3
            ),
        };
        if self.observed.events.len() < MAX_EVENTS {
            self.observed.events.push(event.clone());
        }
        fx.outputs.push(Output::Event(self.id(), event));
    }

    /// Another coordinator gave up its term.
    pub(super) fn record_resignation(&mut self, now: Time, message: &TestMessage) {
        if let TestMessage::Resign { term, node, .. } = message {
            let mut tenures = self.observed.tenures.iter_mut();
            if let Some(tenure) = tenures.find(|t| t.term == *term && t.node == *node) {
                tenure.to.get_or_insert(now);
            }
        }
    }
}
