//! What happened in a test, as its coordinators saw it: the events that its result tells. Beats
//! tell each for a while, so that every node can show it and a successor knows it.

use std::time::Duration;

use super::super::id::NodeId;
use super::super::messages::TestEvent;
use super::super::time::Time;

/// Most events kept of a test; later ones are dropped.
pub const MAX_EVENTS: usize = 200;
/// Most of these of the kinds that come once a worker, so that in a large swarm there is room
/// for what else happens.
const MAX_USUAL: usize = 150;
/// Most events in a beat.
pub const MAX_TOLD: usize = 16;

/// The events of a test.
#[derive(Debug)]
pub struct EventLog {
    /// Those of earlier terms.
    earlier: Vec<TestEvent>,
    own: Vec<Happened>,
    /// The start of the profile, which all times count from, as it was first known, and since
    /// when it was.
    start: Option<(Time, Time)>,
}

#[derive(Debug)]
struct Happened {
    at: Time,
    kind: String,
    node: Option<NodeId>,
    text: String,
}

impl EventLog {
    /// What is known to have happened before.
    pub fn after(earlier: Vec<TestEvent>) -> EventLog {
        EventLog {
            earlier,
            own: Vec::new(),
            start: None,
        }
    }

    /// Something happened. Returns it as it is told.
    pub fn record(
        &mut self,
        at: Time,
        kind: &str,
        node: Option<&NodeId>,
        text: String,
    ) -> TestEvent {
        let happened = Happened {
            at,
            kind: kind.into(),
            node: node.cloned(),
            text,
        };
        let event = self.dated(&happened);
        let earlier = self.earlier.iter().map(|e| e.kind.as_str());
        let kinds = earlier.chain(self.own.iter().map(|h| h.kind.as_str()));
        let usual = kinds.filter(|kind| is_usual(kind)).count();
        let room = self.earlier.len() + self.own.len() < MAX_EVENTS;
        if room && (usual < MAX_USUAL || !is_usual(kind)) {
            self.own.push(happened);
        }
        event
    }

    /// The start of the profile is known from now on. What was dated once keeps its date, also
    /// if the start turns out to have been a little earlier.
    pub fn start_known(&mut self, now: Time, start: Time) {
        self.start.get_or_insert((start, now));
    }

    /// All of it, in the order in which it happened.
    pub fn events(&self) -> Vec<TestEvent> {
        let own = self.own.iter().map(|h| self.dated(h));
        self.earlier.iter().cloned().chain(own).collect()
    }

    /// What a beat tells now: what happened in the last so much time. If that is more than fits,
    /// a part of it, and the next beat after so much time another. Nothing before the start is
    /// known: then it could not be dated.
    pub fn told(&self, now: Time, told_for: Duration, beat: Duration) -> Vec<TestEvent> {
        let Some((_, known)) = self.start else {
            return Vec::new();
        };
        let own = self.own.iter();
        let fresh = own.filter(|h| now.since(h.at.max(known)) < told_for);
        let fresh: Vec<&Happened> = fresh.collect();
        let pages = fresh.len().div_ceil(MAX_TOLD).max(1);
        let beats = u128::from(now.0) / beat.as_nanos().max(1);
        let page = (beats % pages as u128) as usize;
        let told = fresh.iter().skip(page * MAX_TOLD).take(MAX_TOLD);
        told.map(|h| self.dated(h)).collect()
    }

    fn dated(&self, h: &Happened) -> TestEvent {
        TestEvent {
            at_ms: self
                .start
                .map_or(0, |(s, _)| h.at.signed_since(s) / 1_000_000),
            kind: h.kind.clone(),
            node: h.node.clone(),
            text: h.text.clone(),
        }
    }
}

fn is_usual(kind: &str) -> bool {
    matches!(
        kind,
        "registered" | "returned" | "joined" | "refused" | "rebalanced" | "overloaded" | "relieved"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const TOLD_FOR: Duration = Duration::from_secs(2);
    const BEAT: Duration = Duration::from_millis(250);

    fn dates(events: &[TestEvent]) -> Vec<(&str, i64)> {
        events.iter().map(|e| (&*e.kind, e.at_ms)).collect()
    }

    fn begun() -> EventLog {
        let mut c = EventLog::after(Vec::new());
        c.start_known(Time(0), Time(0));
        c
    }

    #[test]
    fn events_from_before_the_start_are_dated_and_told_once_it_is_known() {
        let mut c = EventLog::after(Vec::new());
        c.record(Time(S), "elected", None, String::new());
        assert_eq!(c.told(Time(S), TOLD_FOR, BEAT), []);
        c.start_known(Time(9 * S), Time(10 * S));
        // A worker that knows better comes: what was told stays as it was told.
        c.start_known(Time(9 * S), Time(10 * S - 5_000_000));
        let told = c.told(Time(9 * S), TOLD_FOR, BEAT);
        assert_eq!(dates(&told), [("elected", -9_000)]);
        assert_eq!(c.told(Time(11 * S), TOLD_FOR, BEAT), []);
        c.record(Time(12 * S), "lost", None, String::new());
        let told = c.told(Time(13 * S), TOLD_FOR, BEAT);
        assert_eq!(dates(&told), [("lost", 2_000)]);
        let all = c.events();
        assert_eq!(dates(&all), [("elected", -9_000), ("lost", 2_000)]);
    }

    #[test]
    fn of_a_burst_each_is_told_by_some_beat() {
        let mut c = begun();
        for i in 0..50 {
            c.record(Time(i), "lost", None, i.to_string());
        }
        let mut told = std::collections::BTreeSet::new();
        for beat in 1..=4 {
            let page = c.told(Time(beat * S / 4), TOLD_FOR, BEAT);
            assert!(page.len() <= MAX_TOLD);
            told.extend(page.into_iter().map(|e| e.text));
        }
        assert_eq!(told.len(), 50);
    }

    #[test]
    fn workers_that_come_leave_room_for_what_happens_later() {
        let mut c = begun();
        for i in 0..1_000 {
            c.record(Time(i), "registered", None, i.to_string());
        }
        assert_eq!(c.events().len(), MAX_USUAL);
        for i in 0..1_000 {
            c.record(Time(i), "lost", None, i.to_string());
        }
        assert_eq!(c.events().len(), MAX_EVENTS);
        let mut next = EventLog::after(c.events());
        let told = next.record(Time(S), "elected", None, "dropped, but logged".into());
        assert_eq!(told.text, "dropped, but logged");
        assert_eq!(next.events(), c.events());
    }
}
