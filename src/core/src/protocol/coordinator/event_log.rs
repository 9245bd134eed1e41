//! Events of a test, for its result. Beats repeat each event for a while, so that every node can
//! show it and a successor knows it.

use std::time::Duration;

use super::super::event_kind::EventKind;
use super::super::id::NodeId;
use super::super::messages::TestEvent;
use super::super::time::Time;

/// Most events kept of a test; later ones are dropped.
pub const MAX_EVENTS: usize = 200;
/// Most events of the kinds that occur once per worker, so that a large swarm does not fill the log
/// with them.
const MAX_PER_WORKER_EVENTS: usize = 150;
/// Most events in a beat.
pub const MAX_EVENTS_PER_BEAT: usize = 16;

/// The events of a test.
#[derive(Debug)]
pub struct EventLog {
    /// Events of earlier terms.
    earlier: Vec<TestEvent>,
    own: Vec<Record>,
    /// Start of the profile as first known, from which all times count, and the time since which it
    /// is known.
    start: Option<(Time, Time)>,
}

#[derive(Debug)]
struct Record {
    at: Time,
    kind: EventKind,
    node: Option<NodeId>,
    text: String,
}

impl EventLog {
    /// A log that continues that of earlier terms.
    pub fn continuing(earlier: Vec<TestEvent>) -> EventLog {
        EventLog {
            earlier,
            own: Vec::new(),
            start: None,
        }
    }

    /// Records an event and returns it.
    pub fn record(
        &mut self,
        at: Time,
        kind: EventKind,
        node: Option<&NodeId>,
        text: String,
    ) -> TestEvent {
        let record = Record {
            at,
            kind,
            node: node.cloned(),
            text,
        };
        let event = self.event(&record);
        let earlier = self.earlier.iter().map(|e| &e.kind);
        let kinds = earlier.chain(self.own.iter().map(|r| &r.kind));
        let per_worker = kinds.filter(|kind| is_per_worker(kind)).count();
        let fits = self.earlier.len() + self.own.len() < MAX_EVENTS;
        if fits && (per_worker < MAX_PER_WORKER_EVENTS || !is_per_worker(&record.kind)) {
            self.own.push(record);
        }
        event
    }

    /// Sets the start of the profile, once. Later, more accurate values do not change the times of
    /// events.
    pub fn start_known(&mut self, now: Time, start: Time) {
        self.start.get_or_insert((start, now));
    }

    /// All events in order.
    pub fn events(&self) -> Vec<TestEvent> {
        let own = self.own.iter().map(|r| self.event(r));
        self.earlier.iter().cloned().chain(own).collect()
    }

    /// Events for a beat sent at `now`: those of the last `repeat_for`. If they exceed the limit of
    /// a beat, each beat contains another part of them. None before the start is known, since they
    /// have no time yet.
    pub fn recent(&self, now: Time, repeat_for: Duration, beat: Duration) -> Vec<TestEvent> {
        let Some((_, known)) = self.start else {
            return Vec::new();
        };
        let own = self.own.iter();
        let fresh = own.filter(|r| now.since(r.at.max(known)) < repeat_for);
        let fresh: Vec<&Record> = fresh.collect();
        let pages = fresh.len().div_ceil(MAX_EVENTS_PER_BEAT).max(1);
        let beats = u128::from(now.0.unsigned_abs()) / beat.as_nanos().max(1);
        let page = (beats % pages as u128) as usize;
        let page = fresh
            .iter()
            .skip(page * MAX_EVENTS_PER_BEAT)
            .take(MAX_EVENTS_PER_BEAT);
        page.map(|r| self.event(r)).collect()
    }

    fn event(&self, r: &Record) -> TestEvent {
        TestEvent {
            at_ms: self
                .start
                .map_or(0, |(s, _)| r.at.signed_since(s) / 1_000_000),
            kind: r.kind.clone(),
            node: r.node.clone(),
            text: r.text.clone(),
        }
    }
}

fn is_per_worker(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::Registered
            | EventKind::Rejoined
            | EventKind::Joined
            | EventKind::Refused
            | EventKind::Rebalanced
            | EventKind::Overloaded
            | EventKind::ShareReduced
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;
    const REPEAT_FOR: Duration = Duration::from_secs(2);
    const BEAT: Duration = Duration::from_millis(250);

    fn times(events: &[TestEvent]) -> Vec<(&str, i64)> {
        events.iter().map(|e| (e.kind.as_str(), e.at_ms)).collect()
    }

    fn started() -> EventLog {
        let mut c = EventLog::continuing(Vec::new());
        c.start_known(Time(0), Time(0));
        c
    }

    #[test]
    fn earlier_events_get_a_time_once_the_start_is_known() {
        let mut c = EventLog::continuing(Vec::new());
        c.record(Time(S), EventKind::Elected, None, String::new());
        assert_eq!(c.recent(Time(S), REPEAT_FOR, BEAT), []);
        c.start_known(Time(9 * S), Time(10 * S));
        // A worker with a better estimate registers: sent events keep their times.
        c.start_known(Time(9 * S), Time(10 * S - 5_000_000));
        let sent = c.recent(Time(9 * S), REPEAT_FOR, BEAT);
        assert_eq!(times(&sent), [("elected", -9_000)]);
        assert_eq!(c.recent(Time(11 * S), REPEAT_FOR, BEAT), []);
        c.record(Time(12 * S), EventKind::Lost, None, String::new());
        let sent = c.recent(Time(13 * S), REPEAT_FOR, BEAT);
        assert_eq!(times(&sent), [("lost", 2_000)]);
        let all = c.events();
        assert_eq!(times(&all), [("elected", -9_000), ("lost", 2_000)]);
    }

    #[test]
    fn every_event_of_a_burst_is_in_some_beat() {
        let mut c = started();
        for i in 0..50 {
            c.record(Time(i), EventKind::Lost, None, i.to_string());
        }
        let mut sent = std::collections::BTreeSet::new();
        for beat in 1..=4 {
            let page = c.recent(Time(beat * S / 4), REPEAT_FOR, BEAT);
            assert!(page.len() <= MAX_EVENTS_PER_BEAT);
            sent.extend(page.into_iter().map(|e| e.text));
        }
        assert_eq!(sent.len(), 50);
    }

    #[test]
    fn per_worker_events_do_not_displace_later_ones() {
        let mut c = started();
        for i in 0..1_000 {
            c.record(Time(i), EventKind::Registered, None, i.to_string());
        }
        assert_eq!(c.events().len(), MAX_PER_WORKER_EVENTS);
        for i in 0..1_000 {
            c.record(Time(i), EventKind::Lost, None, i.to_string());
        }
        assert_eq!(c.events().len(), MAX_EVENTS);
        let mut next = EventLog::continuing(c.events());
        let sent = next.record(
            Time(S),
            EventKind::Elected,
            None,
            "dropped, but logged".into(),
        );
        assert_eq!(sent.text, "dropped, but logged");
        assert_eq!(next.events(), c.events());
    }
}
