//! Time in the protocol: a local clock that never jumps, counts suspension, and is passed in with
//! every input. The clocks of two nodes share neither origin nor exact speed. Messages carry a
//! [`RemoteTime`], which is meaningful only with an offset estimate ([`super::clock`]).

use std::ops::{Add, Sub};
use std::time::Duration;

use super::planted::{Bug, planted};

/// An instant on this node's lease clock, in nanoseconds since an origin of its own. Negative before
/// the origin: the profile of a test may have started before this machine did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(pub i64);

impl Time {
    /// The origin: before all events of this node.
    pub const ZERO: Time = Time(0);
    /// Never.
    pub const MAX: Time = Time(i64::MAX);

    /// Time since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }

    /// Nanoseconds since `other`; negative if `other` is later.
    pub fn signed_since(self, other: Time) -> i64 {
        self.0.saturating_sub(other.0)
    }

    /// This instant plus a signed number of nanoseconds, limited to the clock's range.
    pub fn shifted(self, nanos: i64) -> Time {
        Time(self.0.saturating_add(nanos))
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

/// An instant on another node's lease clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct RemoteTime(pub i64);

impl From<Time> for RemoteTime {
    fn from(t: Time) -> RemoteTime {
        RemoteTime(t.0)
    }
}

/// Part of a lease that its *holder* counts: 98 %, so that a clock that is 1 % slow still ends it
/// in time.
pub fn for_holder(lease: Duration) -> Duration {
    let margin = !planted(Bug::NoMargins) && !planted(Bug::NoHolderMargin);
    scaled(lease, if margin { 98 } else { 100 })
}

/// Time that a node *waiting* for the end of a lease counts: 102 %, for a clock that is 1 % fast.
pub fn for_waiter(lease: Duration) -> Duration {
    scaled(lease, if planted(Bug::NoMargins) { 100 } else { 102 })
}

fn scaled(lease: Duration, percent: u64) -> Duration {
    Duration::from_nanos(nanos(lease).unsigned_abs().saturating_mul(percent) / 100)
}

fn nanos(d: Duration) -> i64 {
    i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A holder with a clock 1 % slow must stop before a waiter with a clock 1 % fast continues.
    #[test]
    fn margins_cover_one_percent_of_drift_on_both_sides() {
        let lease = Duration::from_secs(10);
        let true_end_of_holder = for_holder(lease).as_secs_f64() / 0.99;
        let true_end_of_waiter = for_waiter(lease).as_secs_f64() / 1.01;
        assert!(true_end_of_holder < true_end_of_waiter);
    }
}
