//! Exponential back-off with jitter, with time and randomness handed in.

use std::time::Duration;

use vajra_core::splitmix::SplitMix64;

/// Wait before the first retry.
pub(super) const FIRST: Duration = Duration::from_millis(200);

/// Longest wait: a node that comes back is found again within half a minute.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// Spreads retries.
#[derive(Debug)]
pub(super) struct Jitter(SplitMix64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Jitter {
        Jitter(SplitMix64::new(seed))
    }

    /// The wait after so many failures in a row: doubling from [`FIRST`] to [`LONGEST`],
    /// then between half and all of it, so that nodes which failed together do not retry
    /// together.
    pub(super) fn wait(&mut self, failures: u32) -> Duration {
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
    fn waits_double_up_to_the_longest_and_are_spread_over_their_upper_half() {
        let mut jitter = Jitter::new(7);
        for failures in 0..40 {
            let full = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST);
            let waits: Vec<_> = (0..50).map(|_| jitter.wait(failures)).collect();
            assert!(waits.iter().all(|w| *w >= full / 2 && *w <= full));
            assert!(waits.iter().any(|w| w != &waits[0]));
        }
    }
}
