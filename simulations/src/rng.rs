//! Every part of a world has its own stream, so that removing one fault does not change the
//! latencies of all later messages.

use std::ops::Range;
use std::time::Duration;

use vajra_core::splitmix::SplitMix64;

/// A stream of pseudo-random numbers.
#[derive(Clone, Debug)]
pub struct Rng(SplitMix64);

impl Rng {
    /// Stream of a name and a seed.
    pub fn new(seed: u64, stream: &str) -> Rng {
        let mut hash = crate::trace::Hash::default();
        hash.number(seed);
        hash.bytes(stream.as_bytes());
        Rng(SplitMix64::new(hash.value()))
    }

    /// A number in the range; its start if it is empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        let width = range.end.saturating_sub(range.start);
        range.start + self.0.below(width)
    }

    /// An index below `len`, which is at least 1.
    pub fn index(&mut self, len: usize) -> usize {
        self.within(0..len as u64) as usize
    }

    /// A duration in the range.
    pub fn time(&mut self, range: Range<Duration>) -> Duration {
        Duration::from_nanos(
            self.within(range.start.as_nanos() as u64..range.end.as_nanos() as u64),
        )
    }

    /// True with this probability, per thousand.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        self.within(0..1000) < u64::from(per_mille)
    }

    /// `count` different indices below `len`, or all of them.
    pub fn some_of(&mut self, len: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..len).collect();
        let mut chosen = Vec::with_capacity(count);
        while chosen.len() < count && !all.is_empty() {
            chosen.push(all.remove(self.index(all.len())));
        }
        chosen.sort_unstable();
        chosen
    }
}
