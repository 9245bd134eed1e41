//! The clock that leases and arrivals are counted on, and the process's limits.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// A clock that never jumps and also counts the time that the machine is suspended: a lease
/// that ran out in a laptop's bag is over. `CLOCK_BOOTTIME` on Linux; elsewhere
/// `CLOCK_MONOTONIC`, which counts suspension on macOS.
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
    /// This machine's.
    pub fn new() -> LeaseClock {
        LeaseClock(())
    }

    /// Now.
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

/// Raises the process's limit of open descriptors as far as it may, and returns it. Called
/// once at start.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where it can't be raised, the old limit stands and is returned.
    let _ = setrlimit(Resource::Nofile, raised);
    descriptor_limit()
}

/// The process's limit of open descriptors.
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
