//! Sets of integers as sorted lists of intervals: the slots of a share, the numbers of limited
//! requests.

use std::fmt;

/// Slots of the whole load of a plan.
pub const SLOTS: u32 = 1_000_000;

/// Most intervals of a worker's share.
pub const MAX_INTERVALS: usize = 32;

/// Most intervals of all slots that a worker may act on, in messages.
pub const MAX_HELD_INTERVALS: usize = 128;

/// Slots of the load: a share, or a part of one.
pub type Slots = Intervals<u32>;

/// Numbers of requests, from 0.
pub type Numbers = Intervals<u64>;

/// An interval: all values from `from` (inclusive) to `to` (exclusive). Never empty in a set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Interval<T> {
    /// First value.
    pub from: T,
    /// First value after the interval.
    pub to: T,
}

/// A set of integers as intervals that are sorted, disjoint and not adjacent. Two equal sets have
/// equal lists.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Intervals<T>(Vec<Interval<T>>);

impl<T> Default for Intervals<T> {
    fn default() -> Intervals<T> {
        Intervals(Vec::new())
    }
}

/// The integer types of sets.
pub trait Value: Copy + Ord + fmt::Debug + Into<u64> {
    /// The value from a number that does not exceed an existing value.
    fn from_u64(n: u64) -> Self;
}

impl Value for u32 {
    fn from_u64(n: u64) -> u32 {
        u32::try_from(n).unwrap_or(u32::MAX)
    }
}

impl Value for u64 {
    fn from_u64(n: u64) -> u64 {
        n
    }
}

impl Slots {
    /// All slots.
    pub fn whole() -> Slots {
        Slots::range(0, SLOTS)
    }

    /// Fraction of the whole load, 0 to 1.
    pub fn fraction(&self) -> f64 {
        self.len() as f64 / f64::from(SLOTS)
    }

    /// Number of slots.
    pub fn count(&self) -> u32 {
        u32::from_u64(self.len())
    }

    /// Whether all slots exist.
    pub fn within_whole(&self) -> bool {
        self.0.last().is_none_or(|i| i.to <= SLOTS)
    }
}

impl<T: Value> Intervals<T> {
    /// No values.
    pub const EMPTY: Intervals<T> = Intervals(Vec::new());

    /// The values from `from` (inclusive) to `to` (exclusive).
    pub fn range(from: T, to: T) -> Intervals<T> {
        Intervals(match from < to {
            true => vec![Interval { from, to }],
            false => Vec::new(),
        })
    }

    /// A set from a received list: `None` unless the intervals are sorted, not empty, disjoint and
    /// not adjacent.
    pub fn from_sorted(list: Vec<Interval<T>>) -> Option<Intervals<T>> {
        let not_empty = list.iter().all(|i| i.from < i.to);
        let apart = list.windows(2).all(|w| w[0].to < w[1].from);
        (not_empty && apart).then_some(Intervals(list))
    }

    /// The union of intervals in any order.
    pub fn union_of(list: impl IntoIterator<Item = Interval<T>>) -> Intervals<T> {
        let mut all: Vec<Interval<T>> = list.into_iter().filter(|i| i.from < i.to).collect();
        all.sort_unstable();
        let mut merged: Vec<Interval<T>> = Vec::with_capacity(all.len());
        for next in all {
            match merged.last_mut() {
                Some(last) if next.from <= last.to => last.to = last.to.max(next.to),
                _ => merged.push(next),
            }
        }
        Intervals(merged)
    }

    /// The intervals, in order.
    pub fn intervals(&self) -> &[Interval<T>] {
        &self.0
    }

    /// Number of values.
    pub fn len(&self) -> u64 {
        let lengths = self.0.iter().map(|i| i.to.into() - i.from.into());
        lengths.sum()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a value is in the set.
    pub fn contains(&self, value: T) -> bool {
        let after = self.0.partition_point(|i| i.from <= value);
        after > 0 && value < self.0[after - 1].to
    }

    /// Whether all values of `other` are in this set.
    pub fn contains_all(&self, other: &Intervals<T>) -> bool {
        other.difference(self).is_empty()
    }

    /// Whether no value is in both sets.
    pub fn is_disjoint(&self, other: &Intervals<T>) -> bool {
        self.intersection(other).is_empty()
    }

    /// Values in this set or the other.
    pub fn union(&self, other: &Intervals<T>) -> Intervals<T> {
        Intervals::union_of(self.0.iter().chain(&other.0).copied())
    }

    /// Values in both sets.
    pub fn intersection(&self, other: &Intervals<T>) -> Intervals<T> {
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut common = Vec::new();
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            let (from, to) = (x.from.max(y.from), x.to.min(y.to));
            if from < to {
                common.push(Interval { from, to });
            }
            match x.to < y.to {
                true => a.next(),
                false => b.next(),
            };
        }
        Intervals(common)
    }

    /// Values in this set and not in the other.
    pub fn difference(&self, other: &Intervals<T>) -> Intervals<T> {
        let mut rest = Vec::new();
        let mut taken = other.0.iter().peekable();
        for i in &self.0 {
            let mut from = i.from;
            while let Some(cut) = taken.next_if(|cut| cut.to <= i.to) {
                if from < cut.from {
                    rest.push(Interval { from, to: cut.from });
                }
                from = from.max(cut.to);
            }
            let to = taken.peek().map_or(i.to, |cut| cut.from.min(i.to));
            if from < to {
                rest.push(Interval { from, to });
            }
        }
        Intervals(rest)
    }

    /// A set with at most `max` intervals that contains this one: the smallest gaps are closed.
    pub fn in_few_intervals(&self, max: usize) -> Intervals<T> {
        let surplus = self.0.len().saturating_sub(max.max(1));
        if surplus == 0 {
            return self.clone();
        }
        let gap = |i: usize| self.0[i + 1].from.into() - self.0[i].to.into();
        let mut gaps: Vec<usize> = (0..self.0.len() - 1).collect();
        gaps.sort_by_key(|i| (gap(*i), *i));
        let closed = gaps.into_iter().take(surplus).map(|i| Interval {
            from: self.0[i].to,
            to: self.0[i + 1].from,
        });
        Intervals::union_of(self.0.iter().copied().chain(closed).collect::<Vec<_>>())
    }

    /// The first `n` values, or all if there are fewer.
    pub fn first(&self, n: u64) -> Intervals<T> {
        let mut left = n;
        let mut list = Vec::new();
        for i in &self.0 {
            let length = i.to.into() - i.from.into();
            let taken = length.min(left);
            if taken == 0 {
                break;
            }
            left -= taken;
            list.push(Interval {
                from: i.from,
                to: T::from_u64(i.from.into() + taken),
            });
        }
        Intervals(list)
    }
}

impl<T: Value> fmt::Debug for Intervals<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for i in &self.0 {
            list.entry(&format_args!("{:?}..{:?}", i.from, i.to));
        }
        list.finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::splitmix::SplitMix64;

    fn set(list: &[(u32, u32)]) -> Slots {
        Slots::union_of(list.iter().map(|(from, to)| Interval {
            from: *from,
            to: *to,
        }))
    }

    fn random(rng: &mut SplitMix64) -> Slots {
        let intervals = (0..rng.next_u64() % 6).map(|_| {
            let from = (rng.next_u64() % 40) as u32;
            Interval {
                from,
                to: from + (rng.next_u64() % 10) as u32,
            }
        });
        Slots::union_of(intervals.collect::<Vec<_>>())
    }

    fn values(s: &Slots) -> BTreeSet<u32> {
        s.intervals().iter().flat_map(|i| i.from..i.to).collect()
    }

    #[test]
    fn operations_agree_with_those_of_ordinary_sets() {
        let mut rng = SplitMix64::new(1);
        for _ in 0..5_000 {
            let (a, b) = (random(&mut rng), random(&mut rng));
            let (x, y) = (values(&a), values(&b));
            assert_eq!(values(&a.union(&b)), &x | &y);
            assert_eq!(values(&a.intersection(&b)), &x & &y);
            assert_eq!(values(&a.difference(&b)), &x - &y);
            assert_eq!(a.is_disjoint(&b), x.is_disjoint(&y));
            assert_eq!(a.contains_all(&b), x.is_superset(&y));
            assert_eq!(a.len() as usize, x.len());
            let n = rng.next_u64() % 12;
            let first: BTreeSet<u32> = x.iter().copied().take(n as usize).collect();
            assert_eq!(values(&a.first(n)), first);
            for v in 0..50 {
                assert_eq!(a.contains(v), x.contains(&v));
            }
            for s in [
                a.union(&b),
                a.difference(&b),
                a.intersection(&b),
                a.first(n),
            ] {
                assert!(
                    Slots::from_sorted(s.intervals().to_vec()).is_some(),
                    "{s:?}"
                );
            }
        }
    }

    #[test]
    fn the_smallest_gaps_are_closed() {
        let many = set(&[(0, 5), (6, 10), (20, 25), (27, 30)]);
        assert_eq!(
            many.in_few_intervals(3),
            set(&[(0, 10), (20, 25), (27, 30)])
        );
        assert_eq!(many.in_few_intervals(2), set(&[(0, 10), (20, 30)]));
        assert_eq!(many.in_few_intervals(1), set(&[(0, 30)]));
        assert_eq!(many.in_few_intervals(4), many);
    }

    #[test]
    fn received_lists_must_be_in_canonical_form() {
        let list = |l: &[(u32, u32)]| {
            let l = l.iter().map(|(from, to)| Interval {
                from: *from,
                to: *to,
            });
            Slots::from_sorted(l.collect())
        };
        assert!(list(&[(0, 5), (6, 7)]).is_some());
        for wrong in [
            &[(3, 3)][..],
            &[(5, 4)],
            &[(0, 5), (5, 7)],
            &[(0, 5), (4, 7)],
            &[(6, 7), (0, 5)],
        ] {
            assert_eq!(list(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_whole_is_one_interval() {
        assert_eq!(set(&[(0, 400_000), (400_000, SLOTS)]), Slots::whole());
        assert_eq!(Slots::whole().count(), SLOTS);
        assert!(Slots::whole().within_whole());
        assert!(!set(&[(0, SLOTS + 1)]).within_whole());
    }
}
