//! The clocks of a node: the lease clock, on which the protocol and the engine run, and the wall
//! clock, which only people read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use vajra_core::protocol::Time;
use vajra_engine::LeaseClock;

/// Difference between wall clock and lease clock that counts as drift; more means that the wall
/// clock was set.
const MAX_DRIFT_MS: u64 = 1_000;

/// The lease clock, and its zero in Unix time.
#[derive(Clone, Copy, Debug)]
pub struct NodeClock {
    lease: LeaseClock,
    /// Unix time in milliseconds at zero of the lease clock.
    origin_unix_ms: u64,
}

impl NodeClock {
    /// Ties the lease clock to the wall clock.
    pub fn new(lease: LeaseClock) -> NodeClock {
        NodeClock {
            lease,
            origin_unix_ms: origin_unix_ms(Time(lease.now().0)),
        }
    }

    /// The current instant of the lease clock.
    pub fn now(&self) -> Time {
        Time(self.lease.now().0)
    }

    /// An instant in Unix milliseconds. The same instant always gives the same time, unless the
    /// wall clock was set since the node started.
    pub fn unix_ms_at(&self, at: Time) -> u64 {
        let now = origin_unix_ms(self.now());
        let origin = match now.abs_diff(self.origin_unix_ms) > MAX_DRIFT_MS {
            true => now,
            false => self.origin_unix_ms,
        };
        origin.saturating_add_signed(at.0 / 1_000_000)
    }
}

fn origin_unix_ms(now: Time) -> u64 {
    unix_ms().saturating_add_signed(-(now.0 / 1_000_000))
}

/// The wall clock in Unix milliseconds.
pub fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as u64)
}

/// A duration in milliseconds, to the microsecond.
pub fn in_ms(d: Duration) -> f64 {
    d.as_micros() as f64 / 1e3
}
