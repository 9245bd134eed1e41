//! Wakes the pacer in time, according to the plan's pacing. The runtime's own timers round up to
//! milliseconds; a kernel timer on the lease clock is late by some tens of microseconds.

use super::clock::{LeaseClock, LeaseInstant};
use vajra_plan::Pacing;

/// Interval between two wake-ups of batched pacing, in nanoseconds.
const BATCH_NS: u64 = 1_000_000;

/// How long before an arrival spinning starts, in nanoseconds. Timers are late by more than this
/// in less than 1 % of cases.
const SPIN_NS: u64 = 100_000;

/// For shorter waits, in nanoseconds, the thread yields to other work instead of sleeping: setting
/// a timer and waking up takes about as long.
const TOO_SHORT_NS: u64 = 20_000;

/// Waits for instants of the lease clock.
pub struct PacingTimer {
    clock: LeaseClock,
    pacing: Pacing,
    /// Time of the last wake-up.
    last: LeaseInstant,
    timer: timer::Timer,
}

impl PacingTimer {
    /// A timer for the current runtime.
    ///
    /// # Errors
    /// The kernel has no timer for it.
    pub fn new(clock: LeaseClock, pacing: Pacing) -> std::io::Result<PacingTimer> {
        Ok(PacingTimer {
            clock,
            pacing,
            last: LeaseInstant::MIN,
            timer: timer::Timer::new()?,
        })
    }

    /// Waits until `at`, or a little less if that is near; the caller then checks the clock
    /// again. Batched pacing returns at least a millisecond after the last wake-up, unless `at`
    /// has passed: then more was due than one call processes.
    pub async fn until(&mut self, at: LeaseInstant) {
        let now = self.clock.now();
        let (wake, near) = match self.pacing {
            Pacing::Precise => (at, TOO_SHORT_NS),
            Pacing::Batched if at <= now => (at, 0),
            Pacing::Batched => (at.max(self.last.plus_ns(BATCH_NS)), TOO_SHORT_NS),
            Pacing::Spin => (at.minus_ns(SPIN_NS), 0),
        };
        if at == LeaseInstant::MAX {
            std::future::pending().await
        } else if wake <= now.plus_ns(near) {
            tokio::task::yield_now().await;
        } else {
            self.timer.until(wake, self.clock).await;
        }
        self.last = self.clock.now();
    }
}

#[cfg(target_os = "linux")]
mod timer {
    use std::os::fd::OwnedFd;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use super::{LeaseClock, LeaseInstant};

    pub struct Timer(AsyncFd<OwnedFd>);

    impl Timer {
        pub fn new() -> std::io::Result<Timer> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let fd = timerfd_create(TimerfdClockId::Boottime, flags)?;
            // SAFETY: the descriptor was opened two lines above and is owned by the `OwnedFd`
            // that moves into the `AsyncFd`, which gives access to it only by shared reference.
            // So it stays open and unchanged until the registration has been removed.
            #[allow(unsafe_code)]
            let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE)? };
            Ok(Timer(fd))
        }

        pub async fn until(&mut self, at: LeaseInstant, clock: LeaseClock) {
            let zero = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            let value = Timespec {
                tv_sec: (at.0 / 1_000_000_000) as _,
                tv_nsec: (at.0 % 1_000_000_000) as _,
            };
            let spec = Itimerspec {
                it_interval: zero,
                it_value: value,
            };
            if timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::ABSTIME, &spec).is_err() {
                return tokio::task::yield_now().await;
            }
            // Setting the timer clears an unread expiry. The runtime may still report an earlier
            // one, so the clock decides.
            while clock.now() < at {
                match self.0.readable().await {
                    Ok(mut ready) => ready.clear_ready(),
                    Err(_) => return,
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod timer {
    use std::time::Duration;

    use super::{LeaseClock, LeaseInstant};

    pub struct Timer;

    impl Timer {
        pub fn new() -> std::io::Result<Timer> {
            Ok(Timer)
        }

        /// The runtime's timers round up to milliseconds, so the last one is spent yielding and
        /// reading the clock.
        pub async fn until(&mut self, at: LeaseInstant, clock: LeaseClock) {
            let remaining = Duration::from_nanos(at.ns_since(clock.now()));
            if let Some(most) = remaining.checked_sub(Duration::from_millis(2)) {
                tokio::time::sleep(most).await;
            }
            while clock.now() < at {
                tokio::task::yield_now().await;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    async fn waits(pacing: Pacing, ahead_ns: i64, times: u32) -> Duration {
        let clock = LeaseClock::new();
        let mut timer = PacingTimer::new(clock, pacing).unwrap();
        timer.until(clock.now()).await;
        let started = Instant::now();
        for _ in 0..times {
            timer.until(LeaseInstant(clock.now().0 + ahead_ns)).await;
        }
        started.elapsed()
    }

    #[tokio::test]
    async fn batched_pacing_wakes_once_per_millisecond_unless_arrivals_are_overdue() {
        let apart = waits(Pacing::Batched, 50_000, 50).await;
        assert!(apart >= Duration::from_millis(50), "{apart:?}");
        let due = waits(Pacing::Batched, -1, 500).await;
        assert!(due < Duration::from_millis(250), "{due:?}");
    }

    #[tokio::test]
    async fn precise_and_spinning_pacing_wake_up_for_each_arrival() {
        for pacing in [Pacing::Precise, Pacing::Spin] {
            let all = waits(pacing, 200_000, 50).await;
            assert!(all < Duration::from_millis(150), "{pacing}: {all:?}");
        }
    }
}
