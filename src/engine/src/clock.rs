//! The clock of leases and arrivals, and the process's limits.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// A monotonic clock that also advances while the machine is suspended, so that a lease expires
/// during suspension. `CLOCK_BOOTTIME` on Linux; elsewhere `CLOCK_MONOTONIC`, which advances
/// during suspension on macOS.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeaseClock(());

/// An instant on the [`LeaseClock`], in nanoseconds since its origin.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LeaseInstant(pub u64);

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
    Duration::from_nanos(read(ClockId::ThreadCPUTime))
}

fn read(clock: ClockId) -> u64 {
    let t = clock_gettime(clock);
    (t.tv_sec as u64) * 1_000_000_000 + t.tv_nsec as u64
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
