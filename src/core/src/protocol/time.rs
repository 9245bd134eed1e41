//! Time as the protocol sees it: a local clock that never jumps, counts suspension, and is
//! handed in with every input. Two nodes' clocks share neither origin nor exact speed; what
//! crosses the wire is a [`RemoteTime`], which means something only together with an offset
//! estimate ([`super::clock`]).

use std::ops::{Add, Sub};
use std::time::Duration;

use super::planted::{Bug, planted};

/// An instant on this node's lease clock, in nanoseconds since an origin of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(pub u64);

impl Time {
    /// The origin: before anything that happened.
    pub const ZERO: Time = Time(0);
    /// Never.
    pub const MAX: Time = Time(u64::MAX);

    /// From `earlier` to here; zero if `earlier` is later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// From `other` to here, in nanoseconds, negative if `other` is later.
    pub fn signed_since(self, other: Time) -> i64 {
        (i128::from(self.0) - i128::from(other.0)).clamp(i128::from(i64::MIN), i128::from(i64::MAX))
            as i64
    }

    /// This instant moved by a signed number of nanoseconds, kept within the clock's range.
    pub fn shifted(self, nanos: i64) -> Time {
        Time(self.0.saturating_add_signed(nanos))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, d: Duration) -> Time {
        Time(self.0.saturating_add(nanos(d)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, d: Duration) -> Time {
        Time(self.0.saturating_sub(nanos(d)))
    }
}

/// An instant on some other node's lease clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct RemoteTime(pub u64);

impl From<Time> for RemoteTime {
    fn from(t: Time) -> RemoteTime {
        RemoteTime(t.0)
    }
}

/// What a *holder* counts of a lease: 98 %, so that a clock 1 % slow still ends it in time.
pub fn held(lease: Duration) -> Duration {
    let margin = !planted(Bug::NoMargins) && !planted(Bug::NoHolderMargin);
    scaled(lease, if margin { 98 } else { 100 })
}

/// What somebody who *waits* for a lease to end counts: 102 %, for a clock 1 % fast.
pub fn awaited(lease: Duration) -> Duration {
    scaled(lease, if planted(Bug::NoMargins) { 100 } else { 102 })
}

fn scaled(lease: Duration, percent: u64) -> Duration {
    Duration::from_nanos(nanos(lease).saturating_mul(percent) / 100)
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A holder on a clock 1 % slow must stop before a waiter on a clock 1 % fast goes on.
    #[test]
    fn margins_cover_one_percent_of_drift_on_both_sides() {
        let lease = Duration::from_secs(10);
        let true_end_of_holder = held(lease).as_secs_f64() / 0.99;
        let true_end_of_waiter = awaited(lease).as_secs_f64() / 1.01;
        assert!(true_end_of_holder < true_end_of_waiter);
    }
}
