//! How far other nodes' wall clocks are ahead of ours. Only what people read is told by wall
//! clocks; the load has clocks of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use vajra_core::protocol::Peer;

/// Readings of a node of which the best counts: clocks drift, so old ones must go.
const KEPT: usize = 8;

/// Round trips of a request that is answered at once: a stream is opened first, which the
/// other end confirms.
const TRIPS: u32 = 2;

/// Another node's clock, read once.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reading {
    /// By so much it is ahead of ours, in milliseconds; true to half of the round trip, and to the
    /// half millisecond that is cut off in what it tells.
    pub offset_ms: f64,
    /// How long a packet takes there and back.
    pub round_trip: Duration,
}

impl Reading {
    /// From our Unix time in milliseconds when we asked, how long the answer took, and what it
    /// said.
    pub fn of(asked_unix_ms: u64, took: Duration, told_unix_ms: u64) -> Reading {
        // The way there is the third of four.
        let there_ms = took.as_secs_f64() * 750.0;
        Reading {
            offset_ms: told_unix_ms as f64 - asked_unix_ms as f64 - there_ms,
            round_trip: took / TRIPS,
        }
    }
}

/// The clocks of other nodes.
#[derive(Debug, Default)]
pub struct Clocks {
    readings: BTreeMap<Peer, VecDeque<Reading>>,
    last: Option<Peer>,
}

/// Whose turn it is, of those that are there: the one after the last, and then the first again.
pub fn in_turn<'a>(last: Option<&Peer>, live: &'a BTreeSet<Peer>) -> Option<&'a Peer> {
    let after = |last: &Peer| live.iter().find(|p| *p > last);
    last.and_then(after).or(live.first())
}

impl Clocks {
    /// Whose clock should be read next: one that is not known, or else each in its turn.
    pub fn next(&mut self, live: &BTreeSet<Peer>) -> Option<Peer> {
        let unknown = live.iter().find(|p| !self.readings.contains_key(*p));
        let next = unknown.or(in_turn(self.last.as_ref(), live)).cloned();
        if unknown.is_none() {
            self.last.clone_from(&next);
        }
        // One that does not answer is not asked all the time.
        if let Some(peer) = &next {
            self.readings.entry(peer.clone()).or_default();
        }
        next
    }

    /// A clock has been read.
    pub fn read(&mut self, peer: Peer, reading: Reading) {
        let readings = self.readings.entry(peer).or_default();
        if readings.len() == KEPT {
            readings.pop_front();
        }
        readings.push_back(reading);
    }

    /// The reading with the shortest round trip of the last few: what it tells is surest.
    pub fn best(&self, peer: &Peer) -> Option<Reading> {
        let readings = self.readings.get(peer)?.iter();
        readings.min_by_key(|r| r.round_trip).copied()
    }

    /// Forgets whoever is not among these nodes.
    pub fn keep_only(&mut self, live: &BTreeSet<Peer>) {
        self.readings.retain(|peer, _| live.contains(peer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(i: u8) -> Peer {
        Peer::new(&[i])
    }

    fn reading(offset_ms: f64, round_trip_ms: u64) -> Reading {
        Reading {
            offset_ms,
            round_trip: Duration::from_millis(round_trip_ms),
        }
    }

    #[test]
    fn a_clock_is_read_at_three_quarters_of_the_time_that_the_answer_took() {
        // Two round trips of 20 ms; the other clock is 100 ms ahead.
        let r = Reading::of(1_000, Duration::from_millis(40), 1_130);
        assert!((r.offset_ms - 100.0).abs() < 1e-6, "{r:?}");
        assert_eq!(r.round_trip, Duration::from_millis(20));
        let behind = Reading::of(1_000, Duration::from_millis(40), 530);
        assert!((behind.offset_ms + 500.0).abs() < 1e-6, "{behind:?}");
    }

    #[test]
    fn the_shortest_round_trip_counts_as_long_as_it_is_recent() {
        let mut clocks = Clocks::default();
        clocks.read(peer(1), reading(7.0, 1));
        for _ in 1..KEPT {
            clocks.read(peer(1), reading(90.0, 50));
        }
        assert_eq!(clocks.best(&peer(1)), Some(reading(7.0, 1)));
        clocks.read(peer(1), reading(90.0, 50));
        assert_eq!(clocks.best(&peer(1)), Some(reading(90.0, 50)));
        assert_eq!(clocks.best(&peer(2)), None);
    }

    #[test]
    fn unknown_clocks_go_first_and_then_each_has_its_turn() {
        let mut clocks = Clocks::default();
        let mut live: BTreeSet<Peer> = [peer(1), peer(3)].into();
        let mut next = |live: &BTreeSet<Peer>| clocks.next(live);
        assert_eq!([next(&live), next(&live)], [Some(peer(1)), Some(peer(3))]);
        assert_eq!([next(&live), next(&live)], [Some(peer(1)), Some(peer(3))]);
        live.insert(peer(2));
        assert_eq!([next(&live), next(&live)], [Some(peer(2)), Some(peer(1))]);
        assert_eq!(next(&live), Some(peer(2)));
        assert_eq!(next(&BTreeSet::new()), None);
        clocks.keep_only(&[peer(1)].into());
        assert_eq!(clocks.next(&live), Some(peer(2)), "forgotten, so unknown");
    }
}
