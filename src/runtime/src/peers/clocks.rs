//! Offsets of other nodes' wall clocks. They serve display only; the load runs on lease clocks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use vajra_core::protocol::Peer;

/// Readings kept per node, of which the best counts. Old ones go, since clocks drift.
const KEPT: usize = 8;

/// Round trips of a request that is answered at once: the remote end first confirms the stream.
const TRIPS: u32 = 2;

/// One reading of another node's clock.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reading {
    /// Milliseconds that the clock is ahead of this node's. Accurate to half of the round trip, plus
    /// the half millisecond lost to truncation in the reply.
    pub offset_ms: f64,
    /// Round-trip time of a packet.
    pub round_trip: Duration,
}

impl Reading {
    /// From our Unix time in milliseconds at the request, the time until the reply, and the Unix
    /// time in the reply.
    pub fn of(asked_unix_ms: u64, took: Duration, replied_unix_ms: u64) -> Reading {
        // The clock is read after three of the four one-way trips.
        let until_read_ms = took.as_secs_f64() * 750.0;
        Reading {
            offset_ms: replied_unix_ms as f64 - asked_unix_ms as f64 - until_read_ms,
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

/// Round robin: the live peer after `last`, or the first.
pub fn next_peer<'a>(last: Option<&Peer>, live: &'a BTreeSet<Peer>) -> Option<&'a Peer> {
    let after = |last: &Peer| live.iter().find(|p| *p > last);
    last.and_then(after).or(live.first())
}

impl Clocks {
    /// The node whose clock is read next: one without a reading, else round robin.
    pub fn next(&mut self, live: &BTreeSet<Peer>) -> Option<Peer> {
        let unknown = live.iter().find(|p| !self.readings.contains_key(*p));
        let next = unknown.or(next_peer(self.last.as_ref(), live)).cloned();
        if unknown.is_none() {
            self.last.clone_from(&next);
        }
        // A node that does not answer is not asked again before the others.
        if let Some(peer) = &next {
            self.readings.entry(peer.clone()).or_default();
        }
        next
    }

    /// Adds a reading.
    pub fn read(&mut self, peer: Peer, reading: Reading) {
        let readings = self.readings.entry(peer).or_default();
        if readings.len() == KEPT {
            readings.pop_front();
        }
        readings.push_back(reading);
    }

    /// The recent reading with the shortest round trip, which is the most accurate.
    pub fn best(&self, peer: &Peer) -> Option<Reading> {
        let readings = self.readings.get(peer)?.iter();
        readings.min_by_key(|r| r.round_trip).copied()
    }

    /// Removes all other nodes.
    pub fn retain(&mut self, live: &BTreeSet<Peer>) {
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
    fn a_clock_is_read_after_three_quarters_of_the_reply_time() {
        // Two round trips of 20 ms; the other clock is 100 ms ahead.
        let r = Reading::of(1_000, Duration::from_millis(40), 1_130);
        assert!((r.offset_ms - 100.0).abs() < 1e-6, "{r:?}");
        assert_eq!(r.round_trip, Duration::from_millis(20));
        let behind = Reading::of(1_000, Duration::from_millis(40), 530);
        assert!((behind.offset_ms + 500.0).abs() < 1e-6, "{behind:?}");
    }

    #[test]
    fn the_recent_reading_with_the_shortest_round_trip_counts() {
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
    fn clocks_without_a_reading_come_first_then_round_robin() {
        let mut clocks = Clocks::default();
        let mut live: BTreeSet<Peer> = [peer(1), peer(3)].into();
        let mut next = |live: &BTreeSet<Peer>| clocks.next(live);
        assert_eq!([next(&live), next(&live)], [Some(peer(1)), Some(peer(3))]);
        assert_eq!([next(&live), next(&live)], [Some(peer(1)), Some(peer(3))]);
        live.insert(peer(2));
        assert_eq!([next(&live), next(&live)], [Some(peer(2)), Some(peer(1))]);
        assert_eq!(next(&live), Some(peer(2)));
        assert_eq!(next(&BTreeSet::new()), None);
        clocks.retain(&[peer(1)].into());
        assert_eq!(clocks.next(&live), Some(peer(2)), "forgotten, so unknown");
    }
}
