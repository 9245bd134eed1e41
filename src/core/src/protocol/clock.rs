//! Estimate of another node's clock from the four instants of an exchange (NTP, RFC 5905, section
//! 8). The sample with the lowest round trip is used, because the error of a sample is at most half
//! its round trip.

use std::collections::VecDeque;

use super::messages::ClockReply;
use super::time::{RemoteTime, Time};

/// Samples kept: 8 s at four heartbeats per second. Older ones are dropped because clocks drift.
const SAMPLES: usize = 32;

/// Estimate of another node's clock.
#[derive(Clone, Debug, Default)]
pub struct ClockEstimate {
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    round_trip: i64,
    offset: i128,
}

impl ClockEstimate {
    /// The exact estimate: of this node's own clock.
    pub fn exact() -> ClockEstimate {
        ClockEstimate {
            samples: VecDeque::from([Sample {
                round_trip: 0,
                offset: 0,
            }]),
        }
    }

    /// Adds an exchange: `sent` and `answered` by the local clock, the reply's instants by the
    /// remote one. Ignores an exchange in which time runs backwards.
    pub fn add(&mut self, sent: Time, reply: ClockReply, answered: Time) {
        let local = i128::from(answered.0) - i128::from(sent.0);
        let remote = i128::from(reply.sent.0) - i128::from(reply.received.0);
        let round_trip = local - remote;
        if local < 0 || remote < 0 || round_trip < 0 {
            return;
        }
        let there = i128::from(reply.received.0) - i128::from(sent.0);
        let back = i128::from(reply.sent.0) - i128::from(answered.0);
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample {
            round_trip: i64::try_from(round_trip).unwrap_or(i64::MAX),
            offset: (there + back) / 2,
        });
    }

    fn best(&self) -> Option<Sample> {
        self.samples.iter().min_by_key(|s| s.round_trip).copied()
    }

    /// A remote instant on the local clock; `None` before the first sample.
    pub fn to_local(&self, remote: RemoteTime) -> Option<Time> {
        let best = self.best()?;
        let local = i128::from(remote.0) - best.offset;
        Some(Time(i64::try_from(local).ok()?))
    }

    /// Lowest round trip seen, in nanoseconds: twice the largest error of the estimate.
    pub fn round_trip_ns(&self) -> Option<i64> {
        self.best().map(|s| s.round_trip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_with_the_lowest_round_trip_wins() {
        let mut clock = ClockEstimate::default();
        assert_eq!(clock.to_local(RemoteTime(5)), None);
        // The remote clock is 1,000,000 ahead. First an asymmetric exchange, then a quick one.
        let slow = ClockReply {
            received: RemoteTime(1_009_000),
            sent: RemoteTime(1_009_000),
        };
        clock.add(Time(0), slow, Time(10_000));
        let quick = ClockReply {
            received: RemoteTime(1_020_050),
            sent: RemoteTime(1_020_060),
        };
        clock.add(Time(20_000), quick, Time(20_110));
        assert_eq!(clock.to_local(RemoteTime(1_500_000)), Some(Time(500_000)));
        assert_eq!(clock.round_trip_ns(), Some(100));
    }

    #[test]
    fn an_exchange_that_runs_backwards_is_ignored() {
        let mut clock = ClockEstimate::default();
        let reply = ClockReply {
            received: RemoteTime(50),
            sent: RemoteTime(40),
        };
        clock.add(Time(0), reply, Time(10));
        assert_eq!(clock.round_trip_ns(), None);
    }
}
