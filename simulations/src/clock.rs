//! The clock of a machine: it has its own origin and is up to 1 % fast or slow.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vajra_core::protocol::Time;

/// Largest drift that the protocol tolerates, in parts per million.
pub const MAX_DRIFT_PPM: i64 = 10_000;

const MILLION: i64 = 1_000_000;

/// A clock, as a function of true time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Clock {
    /// Local time at the start of the world, in nanoseconds; negative if the machine booted later.
    pub origin: i64,
    /// Drift in parts per million; positive is fast.
    pub drift_ppm: i64,
}

impl Clock {
    /// Stops the clock for this long.
    pub fn stop(&mut self, truth: Duration) {
        self.origin -= self.local(truth).0 - self.origin;
    }

    /// The machine has booted: at `now` its clock shows `uptime`.
    pub fn boot(&mut self, now: Duration, uptime: Duration) {
        self.origin = uptime.as_nanos() as i64 - (self.local(now).0 - self.origin);
    }

    /// Local time at a true time.
    pub fn local(&self, truth: Duration) -> Time {
        let t = truth.as_nanos() as i64;
        // In parts, so that nothing overflows in a run of 290 years.
        let drifted = t / MILLION * self.drift_ppm + t % MILLION * self.drift_ppm / MILLION;
        Time(self.origin + t + drifted)
    }

    /// First true time at which the local time is `local` or later; `None` if never.
    pub fn truth(&self, local: Time) -> Option<Duration> {
        if local == Time::MAX {
            return None;
        }
        let run = i128::from(local.0.saturating_sub(self.origin)).max(0);
        let million = i128::from(MILLION);
        let guess = run * million / (million + i128::from(self.drift_ppm));
        let guess = u64::try_from(guess).ok()?;
        let mut truth = Duration::from_nanos(guess.saturating_sub(1));
        while self.local(truth) < local {
            truth += Duration::from_nanos(1);
        }
        Some(truth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_is_the_first_time_with_that_local_time() {
        for drift_ppm in [-10_000, -1, 0, 3, 10_000] {
            let clock = Clock {
                origin: 77,
                drift_ppm,
            };
            for local in [78, 1_000, 123_456_789_012] {
                let truth = clock.truth(Time(local)).expect("a time");
                assert!(clock.local(truth) >= Time(local));
                assert!(clock.local(truth - Duration::from_nanos(1)) < Time(local));
            }
            assert_eq!(clock.truth(Time::MAX), None);
        }
    }

    #[test]
    fn a_reboot_starts_the_clock_again() {
        let mut clock = Clock {
            origin: 1_000_000_000_000,
            drift_ppm: 10_000,
        };
        let now = Duration::from_secs(20);
        clock.boot(now, Duration::from_secs(5));
        assert_eq!(clock.local(now), Time(5_000_000_000));
        assert!(clock.local(Duration::ZERO) < Time::ZERO);
        assert_eq!(clock.truth(clock.local(now)), Some(now));
    }
}
