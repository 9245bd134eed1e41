//! The owner of each arrival: shares as sets of slots.
//!
//! Global arrival *k* has slot `k × 618,033 mod 1,000,000`, a Weyl sequence whose step is
//! near the golden ratio and coprime to the number of slots. Hence every interval of slots gets
//! an evenly spread subset of the arrivals, sets that partition the slots partition the
//! arrivals exactly, and all workers together send at exactly the planned times.

use vajra_core::{Interval, SLOTS, Slots};

/// Step from one arrival's slot to the next one's.
pub(super) const STEP: u64 = 618_033;

/// Number of slots.
pub(super) const M: u64 = SLOTS as u64;

/// Slot of arrival `k`.
pub fn slot_of(k: u64) -> u32 {
    (k % M * STEP % M) as u32
}

/// Whether arrival `k` belongs to a share.
pub fn owns(slots: &Slots, k: u64) -> bool {
    slots.contains(slot_of(k))
}

/// Part `i` (from 0) of `n` nearly equal parts that together are exactly these slots.
pub fn part(slots: &Slots, i: u32, n: u32) -> Slots {
    let cut = |i: u32| slots.len() * u64::from(i) / u64::from(n.max(1));
    slots.first(cut(i + 1)).difference(&slots.first(cut(i)))
}

/// The arrivals of a share, in order: constant time for each in a share of one interval, and one
/// comparison more for each further interval.
#[derive(Clone, Debug)]
pub struct Owned {
    slots: Slots,
    parts: Vec<Part>,
}

/// The arrivals of an interval.
///
/// By the three-distance theorem the gap from one arrival of an interval to its next takes at
/// most three values: the smallest step up that stays within the interval's length, the
/// smallest step down, and their sum.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// First slot.
    from: u64,
    /// Number of slots, at least 1.
    length: u64,
    /// Smallest number of arrivals that moves up by less than the length, and the distance.
    up: (u64, u64),
    /// Smallest number of arrivals that moves down by less than the length, and the distance.
    down: (u64, u64),
    /// The next arrival of the iteration.
    next: u64,
    /// Position of its slot after the first one.
    at: u64,
}

impl Owned {
    /// The arrivals of a share. The iteration starts at arrival 0.
    pub fn new(slots: Slots) -> Owned {
        let parts = slots.intervals().iter().map(|i| Part::new(*i)).collect();
        Owned { slots, parts }
    }

    /// The share.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Restarts the iteration at the first arrival at or after `from`, and returns it; none if the
    /// share is empty.
    pub fn first(&mut self, from: u64) -> Option<u64> {
        for part in &mut self.parts {
            part.seek(from);
        }
        self.parts.iter().map(|part| part.next).min()
    }

    /// The arrival after `k`, the one that was returned last.
    pub fn after(&mut self, k: u64) -> Option<u64> {
        let mut next = None;
        for part in &mut self.parts {
            if part.next == k {
                part.advance();
            }
            debug_assert!(part.next > k, "{k} was not returned last");
            next = Some(next.map_or(part.next, |n: u64| n.min(part.next)));
        }
        next
    }

    /// Number of owned arrivals in `from..to`.
    pub fn count(&self, from: u64, to: u64) -> u64 {
        self.parts.iter().map(|part| part.count(from, to)).sum()
    }
}

impl Part {
    fn new(interval: Interval<u32>) -> Part {
        let (from, to) = (u64::from(interval.from), u64::from(interval.to));
        let length = to - from;
        // Without a distance below the length, a whole cycle returns to the same slot.
        let up = first_in(0, length, 1);
        let down = match length {
            1 => (M, M),
            _ => {
                let k = first_in(M - length + 1, length - 1, 1);
                (k, M - u64::from(slot_of(k)))
            }
        };
        let mut part = Part {
            from,
            length,
            up: (up, u64::from(slot_of(up))),
            down,
            next: 0,
            at: 0,
        };
        part.seek(0);
        part
    }

    /// Makes the first arrival at or after `from` the next one.
    fn seek(&mut self, from: u64) {
        self.next = first_in(self.from, self.length, from);
        self.at = self.position(self.next);
    }

    /// Position of arrival `k` after the first slot.
    fn position(&self, k: u64) -> u64 {
        (u64::from(slot_of(k)) + M - self.from) % M
    }

    /// Makes the arrival after the next one the next one.
    fn advance(&mut self) {
        let (up, down) = (self.up, self.down);
        if self.at + up.1 < self.length {
            self.next += up.0;
            self.at += up.1;
        } else if self.at >= down.1 {
            self.next += down.0;
            self.at -= down.1;
        } else {
            self.next += up.0 + down.0;
            self.at = self.at + up.1 - down.1;
        }
    }

    fn count(&self, from: u64, to: u64) -> u64 {
        let span = to.saturating_sub(from);
        let rest = span % M;
        // An arrival at position p is owned if p + M passes one more multiple of M than
        // p + M - length does.
        let first = self.position(from) + M;
        let passed = |start| sum_of_quotients(rest, STEP, start);
        span / M * self.length + passed(first) - passed(first - self.length)
    }
}

/// The first arrival at or after `from` with a slot among the `length` (at least 1) from `slot` on,
/// modulo the number of slots.
fn first_in(slot: u64, length: u64, from: u64) -> u64 {
    let low = (slot + M - u64::from(slot_of(from))) % M;
    match low == 0 || low + length > M {
        true => from,
        false => from + first_multiple(STEP, M, low, low + length - 1),
    }
}

/// The smallest `x` with `low ≤ a·x mod m ≤ high`, for `0 < low ≤ high < m` and `a` coprime to
/// `m`. If no multiple of `a` lies there before the first overflow of `m`, the overflows must: a
/// problem of the same kind modulo `a`, as in Euclid's algorithm.
fn first_multiple(a: u64, m: u64, low: u64, high: u64) -> u64 {
    let x = low.div_ceil(a);
    if a * x <= high {
        return x;
    }
    let overflows = first_multiple(m % a, a, a - high % a, a - low % a);
    (low + m * overflows).div_ceil(a)
}

/// The sum of `(a·i + b) / M`, rounded down, over `i` from 0 to `n - 1`: again as in Euclid's
/// algorithm.
fn sum_of_quotients(n: u64, a: u64, b: u64) -> u64 {
    fn sum(n: u64, m: u64, a: u64, b: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        let whole = n * (n - 1) / 2 * (a / m) + n * (b / m);
        let (a, b) = (a % m, b % m);
        let last = a * n + b;
        match last < m {
            true => whole,
            false => whole + sum(last / m, a, m, last % m),
        }
    }
    sum(n, M, a, b)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use vajra_core::splitmix::SplitMix64;

    /// A partition of the whole into this many sets of intervals.
    fn partition(rng: &mut SplitMix64, sets: usize) -> Vec<Slots> {
        let mut cuts: Vec<u32> = (0..3 * sets).map(|_| rng.below(M) as u32).collect();
        cuts.extend([0, SLOTS]);
        cuts.sort_unstable();
        let mut parts = vec![Vec::new(); sets];
        for w in cuts.windows(2) {
            let (from, to) = (w[0], w[1]);
            parts[rng.below(sets as u64) as usize].push(Interval { from, to });
        }
        parts.into_iter().map(Slots::union_of).collect()
    }

    fn wrapping(offset: u32, count: u32) -> Slots {
        let end = offset + count;
        Slots::range(offset, end.min(SLOTS)).union(&Slots::range(0, end.saturating_sub(SLOTS)))
    }

    #[test]
    fn sets_that_partition_the_slots_partition_the_arrivals() {
        let mut rng = SplitMix64::new(7);
        for sets in 1..20 {
            let parts = partition(&mut rng, sets);
            let start = rng.next_u64() >> 24;
            let mut owners: Vec<Owned> = parts.into_iter().map(Owned::new).collect();
            let mut next: Vec<_> = owners.iter_mut().map(|o| o.first(start)).collect();
            for k in start..start + 5_000 {
                let mut owner = None;
                for (own, next) in owners.iter_mut().zip(&mut next) {
                    assert_eq!(*next == Some(k), owns(own.slots(), k));
                    if *next == Some(k) {
                        assert_eq!(owner.replace(k), None, "{k} has two owners");
                        *next = own.after(k);
                    }
                }
                assert_eq!(owner, Some(k), "{k} has no owner");
            }
            let (a, b) = (start + rng.below(M), start + rng.below(9 * M));
            let counts = owners.iter().map(|o| o.count(a, b));
            assert_eq!(counts.sum::<u64>(), b.saturating_sub(a));
        }
    }

    #[test]
    fn the_parts_of_a_share_partition_it() {
        let mut rng = SplitMix64::new(3);
        for _ in 0..200 {
            let share = partition(&mut rng, 4).remove(0);
            let n = 1 + rng.below(20) as u32;
            let parts: Vec<Slots> = (0..n).map(|i| part(&share, i, n)).collect();
            let all = Slots::union_of(parts.iter().flat_map(|p| p.intervals().to_vec()));
            assert_eq!(all, share);
            assert_eq!(parts.iter().map(Slots::count).sum::<u32>(), share.count());
            let sizes = || parts.iter().map(Slots::count);
            assert!(sizes().max().unwrap() - sizes().min().unwrap() <= 1);
        }
    }

    #[test]
    fn iteration_visits_exactly_the_owned_arrivals() {
        let mut rng = SplitMix64::new(11);
        for count in [
            1, 2, 3, 999, 12_345, 333_333, 500_000, 618_033, 999_999, SLOTS,
        ] {
            let slots = wrapping(rng.below(M) as u32, count);
            let mut owned = Owned::new(slots.clone());
            let from = rng.next_u64() >> 33;
            let mut next = owned.first(from).unwrap();
            for k in from..from + 1_100_000 {
                assert_eq!(k == next, owns(&slots, k), "{slots:?} {k}");
                if k == next {
                    next = owned.after(k).unwrap();
                }
            }
        }
    }

    #[test]
    fn counting_agrees_with_iteration() {
        let slots = wrapping(900_000, 250_000).difference(&Slots::range(20_000, 20_300));
        let owned = Owned::new(slots.clone());
        let slow = |a: u64, b: u64| (a..b).filter(|k| owns(&slots, *k)).count() as u64;
        for (a, b) in [(0, 0), (5, 5), (9, 3), (0, 1000), (123, 2_500_123)] {
            assert_eq!(owned.count(a, b), slow(a, b));
        }
        assert_eq!(owned.count(17, 17 + 3 * M), 3 * 249_700);
        let mut none = Owned::new(Slots::EMPTY);
        assert_eq!((none.count(0, 10 * M), none.first(0)), (0, None));
    }

    /// A tenth of the slots gets about every tenth arrival, always close to its fair count.
    #[test]
    fn a_share_is_spread_evenly() {
        let owned = Owned::new(wrapping(420_000, 100_000));
        for n in (100..20_000).step_by(100) {
            let got = owned.count(0, n) as f64;
            assert!((got - n as f64 / 10.0).abs() < 3.0, "{got} of {n}");
        }
    }
}
