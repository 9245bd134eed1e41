//! A machine's own clock: its origin is its own, and it runs up to 1 % fast or slow.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vajra_core::protocol::Time;

/// Largest drift that the protocol promises to bear, in parts per million.
pub const MAX_DRIFT_PPM: i64 = 10_000;

const MILLION: i128 = 1_000_000;

/// A clock, as a function of true time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Clock {
    /// What it shows when the world begins, in nanoseconds.
    pub origin: u64,
    /// How much faster than true time it runs, in parts per million.
    pub drift_ppm: i64,
}

impl Clock {
    /// It stood still for this long.
    pub fn stop(&mut self, truth: Duration) {
        self.origin -= self.local(truth).0 - self.origin;
    }
}

impl Clock {
    /// What it shows at this true time.
    pub fn local(&self, truth: Duration) -> Time {
        let t = truth.as_nanos() as i128;
        let run = t + t * i128::from(self.drift_ppm) / MILLION;
        Time(self.origin + run as u64)
    }

    /// The first true time at which it shows `local` or more; `None` if that is never.
    pub fn truth(&self, local: Time) -> Option<Duration> {
        if local == Time::MAX {
            return None;
        }
        let run = i128::from(local.0.saturating_sub(self.origin));
        let guess = run * MILLION / (MILLION + i128::from(self.drift_ppm));
        let mut truth = Duration::from_nanos(u64::try_from(guess).ok()?);
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
    fn truth_is_the_first_instant_at_which_the_clock_shows_it() {
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
}
