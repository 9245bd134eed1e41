//! The clock of leases and arrivals, and the process's limits.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// A monotonic clock that also advances while the machine is suspended, so that a lease expires
/// during suspension. `CLOCK_BOOTTIME` on Linux; elsewhere `CLOCK_MONOTONIC`, which advances
/// during suspension on macOS.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeaseClock(());

/// An instant on the [`LeaseClock`], in nanoseconds since its origin; negative before it, as for a
/// profile that started before this machine booted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LeaseInstant(pub i64);

impl LeaseInstant {
    /// Before all others.
    pub const MIN: LeaseInstant = LeaseInstant(i64::MIN);
    /// After all others.
    pub const MAX: LeaseInstant = LeaseInstant(i64::MAX);

    /// This many nanoseconds later; saturates.
    pub fn plus_ns(self, ns: u64) -> LeaseInstant {
        LeaseInstant(self.0.saturating_add_unsigned(ns))
    }

    /// This many nanoseconds earlier; saturates.
    pub fn minus_ns(self, ns: u64) -> LeaseInstant {
        LeaseInstant(self.0.saturating_sub_unsigned(ns))
    }

    /// Nanoseconds since `earlier`; 0 if that is later.
    pub fn ns_since(self, earlier: LeaseInstant) -> u64 {
        match self > earlier {
            true => self.0.abs_diff(earlier.0),
            false => 0,
        }
    }
}

#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

impl LeaseClock {
    /// The machine's clock.
    pub fn new() -> LeaseClock {
        LeaseClock(())
    }

    /// The current time.
    pub fn now(self) -> LeaseInstant {
        LeaseInstant(read(CLOCK))
    }
}

/// CPU time that the calling thread has used.
pub(super) fn thread_cpu() -> Duration {
    Duration::from_nanos(read(ClockId::ThreadCPUTime).unsigned_abs())
}

fn read(clock: ClockId) -> i64 {
    let t = clock_gettime(clock);
    t.tv_sec as i64 * 1_000_000_000 + t.tv_nsec as i64
}

/// Raises the process's limit of open descriptors to its hard maximum and returns it. Called once
/// at start.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // If it can't be raised, the old limit remains and is returned.
    let _ = setrlimit(Resource::Nofile, raised);
    descriptor_limit()
}

/// The process's limit of open descriptors.
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
