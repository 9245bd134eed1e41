//! The owner of each arrival: shares as ranges of slots.
//!
//! Global arrival *k* has slot `k × 618,033 mod 1,000,000`, a Weyl sequence whose step is
//! near the golden ratio and coprime to the number of slots. Hence every range of slots gets
//! an evenly spread subset of the arrivals, ranges that partition the slots partition the
//! arrivals exactly, and all workers together send at exactly the planned times.

/// Slots of a plan's whole load.
pub const SLOTS: u32 = 1_000_000;

/// Step from one arrival's slot to the next one's.
const STEP: u64 = 618_033;

const M: u64 = SLOTS as u64;

/// A share: a contiguous range of slots, which can wrap around the end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SlotRange {
    /// First slot, below [`SLOTS`].
    pub offset: u32,
    /// Number of slots, at most [`SLOTS`].
    pub slots: u32,
}

impl SlotRange {
    /// The whole load.
    pub const WHOLE: SlotRange = SlotRange {
        offset: 0,
        slots: SLOTS,
    };
    /// An empty share.
    pub const EMPTY: SlotRange = SlotRange {
        offset: 0,
        slots: 0,
    };

    /// Fraction of the whole load, 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.slots) / f64::from(SLOTS)
    }

    /// Part `i` (from 0) of `n` nearly equal parts that together are exactly this range.
    pub fn part(self, i: u32, n: u32) -> SlotRange {
        let cut = |i: u32| (u64::from(self.slots) * u64::from(i) / u64::from(n.max(1))) as u32;
        SlotRange {
            offset: (self.offset + cut(i)) % SLOTS,
            slots: cut(i + 1) - cut(i),
        }
    }

    /// Position of arrival `k` within this range; at least `slots` if it is outside.
    fn position(self, k: u64) -> u64 {
        ((k % M) * STEP + M - u64::from(self.offset) % M) % M
    }
}

/// Whether arrival (or user) `k` belongs to a range.
pub fn owns(range: SlotRange, k: u64) -> bool {
    range.position(k) < u64::from(range.slots)
}

/// The first arrival of a range at or after `from`; none if the range is empty. Up to
/// [`SLOTS`] steps; [`Owned`] takes one step for each further arrival.
pub fn next_owned(range: SlotRange, from: u64) -> Option<u64> {
    (range.slots > 0).then(|| (from..).find(|k| owns(range, *k)))?
}

/// Iterates over the arrivals of a range in constant time each.
///
/// By the three-distance theorem the gap from one arrival of a range to its next takes at
/// most three values: the smallest step up that stays within the range's length, the
/// smallest step down, and their sum.
#[derive(Clone, Copy, Debug)]
pub struct Owned {
    range: SlotRange,
    /// Smallest number of arrivals that moves up by less than the range's length, and the distance.
    up: (u64, u64),
    /// Smallest number of arrivals that moves down by less than the range's length, and the distance.
    down: (u64, u64),
}

impl Owned {
    /// The arrivals of a range. Up to [`SLOTS`] steps.
    pub fn new(range: SlotRange) -> Owned {
        let length = u64::from(range.slots);
        let (mut up, mut down) = ((M, 0), (M, M));
        let mut moved = 0;
        for k in 1..M {
            moved = (moved + STEP) % M;
            if moved < length && up.0 == M {
                up = (k, moved);
            }
            if M - moved < length && down.0 == M {
                down = (k, M - moved);
            }
            if up.0 < M && down.0 < M {
                break;
            }
        }
        Owned { range, up, down }
    }

    /// The range.
    pub fn range(&self) -> SlotRange {
        self.range
    }

    /// The first at or after `from`.
    pub fn first(&self, from: u64) -> Option<u64> {
        next_owned(self.range, from)
    }

    /// The arrival after `k`, which must be owned.
    pub fn after(&self, k: u64) -> u64 {
        let at = self.range.position(k);
        debug_assert!(at < u64::from(self.range.slots), "{k} is not owned");
        if at + self.up.1 < u64::from(self.range.slots) {
            k + self.up.0
        } else if at >= self.down.1 {
            k + self.down.0
        } else {
            k + self.up.0 + self.down.0
        }
    }

    /// Number of owned arrivals in `from..to`. Takes less than one cycle of [`SLOTS`] steps.
    pub fn count(&self, from: u64, to: u64) -> u64 {
        let span = to.saturating_sub(from);
        let cycles = span / M;
        let mut n = cycles * u64::from(self.range.slots);
        let mut next = self.first(from + cycles * M);
        while let Some(k) = next.filter(|k| *k < to) {
            n += 1;
            next = Some(self.after(k));
        }
        n
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A deterministic random generator, so that failures are reproducible.
    fn random(seed: &mut u64) -> u64 {
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        *seed >> 33
    }

    #[test]
    fn ranges_that_partition_the_slots_partition_the_arrivals() {
        let mut seed = 7;
        for _ in 0..50 {
            let n = 1 + random(&mut seed) as u32 % 20;
            let whole = SlotRange {
                offset: random(&mut seed) as u32 % SLOTS,
                slots: SLOTS,
            };
            let parts: Vec<_> = (0..n).map(|i| whole.part(i, n)).collect();
            assert_eq!(parts.iter().map(|p| p.slots).sum::<u32>(), SLOTS);
            for _ in 0..200 {
                let k = random(&mut seed) * 1000 + random(&mut seed) % 1000;
                assert_eq!(parts.iter().filter(|p| owns(**p, k)).count(), 1);
            }
        }
    }

    #[test]
    fn iteration_visits_exactly_the_owned_arrivals() {
        let mut seed = 11;
        for slots in [
            1, 2, 3, 999, 12_345, 333_333, 500_000, 618_033, 999_999, SLOTS,
        ] {
            let range = SlotRange {
                offset: random(&mut seed) as u32 % SLOTS,
                slots,
            };
            let owned = Owned::new(range);
            let from = random(&mut seed);
            let mut next = owned.first(from).unwrap();
            for k in from..from + 1_100_000 {
                assert_eq!(k == next, owns(range, k), "{range:?} {k}");
                if k == next {
                    next = owned.after(k);
                }
            }
        }
    }

    #[test]
    fn counting_agrees_with_iteration() {
        let range = SlotRange {
            offset: 900_000,
            slots: 250_000,
        };
        let owned = Owned::new(range);
        let slow = |a: u64, b: u64| (a..b).filter(|k| owns(range, *k)).count() as u64;
        for (a, b) in [(0, 0), (5, 5), (9, 3), (0, 1000), (123, 2_500_123)] {
            assert_eq!(owned.count(a, b), slow(a, b));
        }
        assert_eq!(owned.count(17, 17 + 3 * M), 750_000);
        assert_eq!(Owned::new(SlotRange::EMPTY).count(0, 10 * M), 0);
    }

    /// A tenth of the slots gets about every tenth arrival, always close to its fair count.
    #[test]
    fn a_share_is_spread_evenly() {
        let owned = Owned::new(SlotRange {
            offset: 420_000,
            slots: 100_000,
        });
        for n in (100..20_000).step_by(100) {
            let got = owned.count(0, n) as f64;
            assert!((got - n as f64 / 10.0).abs() < 3.0, "{got} of {n}");
        }
    }
}
