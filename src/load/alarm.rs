//! Waking up in time. The runtime's own timers round up to the millisecond; a kernel timer
//! on the lease clock is some tens of microseconds late.

use super::clock::{LeaseClock, LeaseInstant};

/// Closer than this, other work is let in and the clock read again, instead of sleeping:
/// setting a timer and waking up takes about as long.
const TOO_SHORT_NS: u64 = 20_000;

/// Wakes one waiter at an instant of the lease clock.
pub struct Alarm {
    clock: LeaseClock,
    timer: timer::Timer,
}

impl Alarm {
    /// To be made and used on one runtime.
    pub fn new(clock: LeaseClock) -> std::io::Result<Alarm> {
        Ok(Alarm {
            clock,
            timer: timer::Timer::new()?,
        })
    }

    /// Waits until `at`; it may return up to 20 µs before.
    pub async fn until(&mut self, at: LeaseInstant) {
        if at.0 <= self.clock.now().0 + TOO_SHORT_NS {
            tokio::task::yield_now().await;
        } else if at.0 == u64::MAX {
            std::future::pending().await
        } else {
            self.timer.until(at, self.clock).await;
        }
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
            // that moves into the `AsyncFd`. That never hands it out but by shared reference,
            // and so it stays open and the same until the registration has been undone.
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
            // Setting the timer takes back an expiry that nobody has read. What the runtime
            // still remembers of an earlier one is told from this one by the clock.
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

        /// The runtime's timers round up to the millisecond; the last one is waited out by
        /// reading the clock again and again.
        pub async fn until(&mut self, at: LeaseInstant, clock: LeaseClock) {
            let left = Duration::from_nanos(at.0.saturating_sub(clock.now().0));
            if let Some(most) = left.checked_sub(Duration::from_millis(2)) {
                tokio::time::sleep(most).await;
            }
            while clock.now() < at {
                tokio::task::yield_now().await;
            }
        }
    }
}
