//! Exponential back-off with jitter. The seed is passed in.

use std::time::Duration;

use vajra_core::splitmix::SplitMix64;

/// Delay of the first retry.
pub(super) const FIRST: Duration = Duration::from_millis(200);

/// Longest delay, so that a node that returns is found within half a minute.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// Delays of retries.
#[derive(Debug)]
pub(super) struct Backoff(SplitMix64);

impl Backoff {
    pub(super) fn new(seed: u64) -> Backoff {
        Backoff(SplitMix64::new(seed))
    }

    /// The delay after a number of consecutive failures. It doubles from [`FIRST`] to [`LONGEST`] and
    /// is shortened by a random part of up to a half, so that nodes which failed together do not
    /// retry together.
    pub(super) fn delay(&mut self, failures: u32) -> Duration {
        let full = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST);
        let half = full / 2;
        let nanos = half.as_nanos() as u64;
        half + Duration::from_nanos(self.0.below(nanos + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_are_spread_over_their_upper_half() {
        let mut backoff = Backoff::new(7);
        for failures in 0..40 {
            let full = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST);
            let delays: Vec<_> = (0..50).map(|_| backoff.delay(failures)).collect();
            assert!(delays.iter().all(|d| *d >= full / 2 && *d <= full));
            assert!(delays.iter().any(|d| d != &delays[0]));
        }
    }
}
