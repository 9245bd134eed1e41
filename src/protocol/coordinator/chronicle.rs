//! What happened in a test, as its coordinators saw it: the events that its result tells. Beats
//! tell each for a while, so that every node can show it and a successor knows it.

use std::time::Duration;

use super::super::id::Peer;
use super::super::messages::TestEvent;
use super::super::time::Time;

/// Most events kept of a test; later ones are dropped, the first tell how it went wrong.
pub const MAX_EVENTS: usize = 200;
/// Most events in a beat, the newest; of a burst of more, other nodes learn with the end.
pub const MAX_TOLD: usize = 16;

/// The events of a test.
#[derive(Debug)]
pub struct Chronicle {
    /// Those of earlier terms.
    earlier: Vec<TestEvent>,
    own: Vec<Happened>,
    /// Since when the start of the profile is known, which all times count from.
    dated: Option<Time>,
}

#[derive(Debug)]
struct Happened {
    at: Time,
    kind: String,
    peer: Option<Peer>,
    text: String,
}

impl Chronicle {
    /// What is known to have happened before.
    pub fn after(earlier: Vec<TestEvent>) -> Chronicle {
        Chronicle {
            earlier,
            own: Vec::new(),
            dated: None,
        }
    }

    /// Something happened.
    pub fn record(&mut self, at: Time, kind: &str, peer: Option<&Peer>, text: String) {
        if self.earlier.len() + self.own.len() < MAX_EVENTS {
            self.own.push(Happened {
                at,
                kind: kind.into(),
                peer: peer.cloned(),
                text,
            });
        }
    }

    /// The start of the profile is known from now on.
    pub fn start_known(&mut self, now: Time) {
        self.dated.get_or_insert(now);
    }

    /// All of it, in the order in which it happened.
    pub fn events(&self, start: Option<Time>) -> Vec<TestEvent> {
        let own = self.own.iter().map(|h| h.dated(start));
        self.earlier.iter().cloned().chain(own).collect()
    }

    /// What beats tell now: the newest events of the last so much time. Nothing before the
    /// start is known: then they could not be dated.
    pub fn told(&self, now: Time, start: Option<Time>, told_for: Duration) -> Vec<TestEvent> {
        let (Some(dated), Some(_)) = (self.dated, start) else {
            return Vec::new();
        };
        let newest = &self.own[self.own.len().saturating_sub(MAX_TOLD)..];
        let fresh = newest
            .iter()
            .filter(|h| now.since(h.at.max(dated)) < told_for);
        fresh.map(|h| h.dated(start)).collect()
    }
}

impl Happened {
    fn dated(&self, start: Option<Time>) -> TestEvent {
        TestEvent {
            at_ms: start.map_or(0, |s| self.at.signed_since(s) / 1_000_000),
            kind: self.kind.clone(),
            peer: self.peer.clone(),
            text: self.text.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const TOLD_FOR: Duration = Duration::from_secs(2);

    fn dates(events: &[TestEvent]) -> Vec<(&str, i64)> {
        events.iter().map(|e| (&*e.kind, e.at_ms)).collect()
    }

    #[test]
    fn events_from_before_the_start_are_dated_and_told_once_it_is_known() {
        let mut c = Chronicle::after(Vec::new());
        c.record(Time(S), "elected", None, String::new());
        assert_eq!(c.told(Time(S), None, TOLD_FOR), []);
        c.start_known(Time(9 * S));
        let start = Some(Time(10 * S));
        let told = c.told(Time(9 * S), start, TOLD_FOR);
        assert_eq!(dates(&told), [("elected", -9_000)]);
        assert_eq!(c.told(Time(11 * S), start, TOLD_FOR), []);
        c.record(Time(12 * S), "lost", None, String::new());
        let told = c.told(Time(13 * S), start, TOLD_FOR);
        assert_eq!(dates(&told), [("lost", 2_000)]);
        let all = c.events(start);
        assert_eq!(dates(&all), [("elected", -9_000), ("lost", 2_000)]);
    }

    #[test]
    fn of_a_burst_the_newest_are_told_and_of_too_many_the_first_are_kept() {
        let earlier = Chronicle::after(Vec::new());
        let mut c = Chronicle::after(earlier.events(None));
        c.start_known(Time(0));
        for i in 0..MAX_EVENTS as u64 + 1 {
            c.record(Time(i), "joined", None, i.to_string());
        }
        let told = c.told(Time(S), Some(Time(0)), TOLD_FOR);
        let texts: Vec<&str> = told.iter().map(|e| &*e.text).collect();
        assert_eq!((texts.len(), texts[0]), (MAX_TOLD, "184"));
        assert_eq!(c.events(None).len(), MAX_EVENTS);
    }
}
