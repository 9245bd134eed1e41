//! Which slots each worker gets: sizes in proportion to weights, and as few moved slots as possible.
//!
//! A share consists of whole *units*: users in the closed model, so that no user lies on a border
//! between two workers, and single slots in the open model.

use std::collections::BTreeMap;

use super::split::split;
use crate::intervals::{Interval, MAX_INTERVALS};
use crate::user_slots::user_cut;
use crate::{SLOTS, Slots};

/// In larger swarms a share may differ from its exact part by a fraction of it, because otherwise
/// each worker that joins or leaves would change all shares, and shares would break into small
/// pieces.
const EXACT_UP_TO: usize = MAX_INTERVALS;
/// The largest difference in larger swarms is about the share divided by this. So many workers at
/// most give slots to one that joins, each in one or two pieces.
const TOLERANCE: u32 = 16;

/// The smallest parts of the load that are assigned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Units {
    /// Single slots: the open model.
    Slots,
    /// The slots of one of this many users each: the closed model.
    Users(u32),
}

impl Units {
    /// The units of a plan with this many users; none in the open model.
    pub fn of(users: Option<u32>) -> Units {
        match users {
            Some(users) => Units::Users(users.clamp(1, SLOTS)),
            None => Units::Slots,
        }
    }

    /// Number of units of the whole load.
    pub fn total(self) -> u32 {
        match self {
            Units::Slots => SLOTS,
            Units::Users(users) => users,
        }
    }

    /// First slot of a unit; the end of the slots for the number of all units.
    fn slot(self, unit: u32) -> u32 {
        match self {
            Units::Slots => unit,
            Units::Users(users) => user_cut(unit, users),
        }
    }

    /// The first unit that starts at `slot` or after it.
    fn unit_from(self, slot: u32) -> u32 {
        let Units::Users(users) = self else {
            return slot;
        };
        let (mut low, mut high) = (0, users);
        while low < high {
            let middle = low + (high - low) / 2;
            match user_cut(middle, users) < slot {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low
    }

    /// The whole units in a set of slots, as intervals of units.
    fn within(self, slots: &Slots) -> Vec<Interval<u32>> {
        let whole = slots.intervals().iter().map(|i| {
            let from = self.unit_from(i.from);
            let end = self.unit_from(i.to);
            // A unit that starts before the end and ends after it is not whole.
            let to = match self.slot(end) > i.to {
                true => end.saturating_sub(1),
                false => end,
            };
            Interval {
                from,
                to: to.max(from),
            }
        });
        whole.filter(|i| i.from < i.to).collect()
    }

    /// Number of whole units in a set of slots.
    pub fn count(self, slots: &Slots) -> u32 {
        self.within(slots).iter().map(|i| i.to - i.from).sum()
    }

    fn slots(self, units: impl IntoIterator<Item = Interval<u32>>) -> Slots {
        let slots = units.into_iter().map(|i| Interval {
            from: self.slot(i.from),
            to: self.slot(i.to),
        });
        Slots::union_of(slots.collect::<Vec<_>>())
    }
}

/// A worker that takes part in a split.
#[derive(Clone, Debug)]
pub struct Taker<'a> {
    /// Its newest share.
    pub share: &'a Slots,
    /// Its weight.
    pub weight: u32,
    /// Whether its share may grow now.
    pub may_grow: bool,
}

/// A change of the share of one taker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Index of the taker.
    pub taker: usize,
    /// Its new share.
    pub share: Slots,
}

/// How shares are moved towards their goals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// Each worker keeps as much of its share as possible.
    #[default]
    Keep,
    /// Each worker gets one interval, in the order of workers: free slots were in too many pieces.
    Compact,
}

/// Changes of shares towards goals in proportion to the weights: shrinks at once, growth from `free`.
/// `total` is the number of units that the takers share. `settled`: no worker acts on slots outside of
/// its share. Returns the mode for the next call, too.
pub fn rearrange(
    units: Units,
    total: u32,
    takers: &[Taker<'_>],
    free: &Slots,
    (mode, settled): (Mode, bool),
) -> (Vec<Change>, Mode) {
    match mode {
        Mode::Keep => keep(units, total, takers, free, settled),
        Mode::Compact => compact(units, total, takers, free),
    }
}

fn keep(
    units: Units,
    total: u32,
    takers: &[Taker<'_>],
    free: &Slots,
    settled: bool,
) -> (Vec<Change>, Mode) {
    let current: Vec<u32> = takers.iter().map(|t| units.count(t.share)).collect();
    let mut free = units.within(free);
    let next_to = |i: &Interval<u32>| neighbours(units, takers, i);
    let goals = goals(total, takers, &current, &free, next_to);
    let mut changes = Vec::new();
    let mut blocked = false;
    let mut waits = !settled;
    for (taker, t) in takers.iter().enumerate() {
        let (goal, current) = (goals[taker], current[taker]);
        if goal < current {
            waits = true;
            let share = units.slots(largest(units.within(t.share), goal));
            changes.push(Change { taker, share });
        } else if goal > current && !t.may_grow {
            waits = true;
        } else if goal > current && !free.is_empty() {
            let (share, complete) = grow(units.within(t.share), goal - current, &mut free);
            blocked |= !complete && !free.is_empty();
            let share = units.slots(share);
            if share != *t.share {
                changes.push(Change { taker, share });
            }
        }
    }
    if !blocked || waits || !changes.is_empty() {
        return (changes, Mode::Keep);
    }
    let given = give_to_neighbours(units, total, takers, &free);
    match given.is_empty() {
        true => (given, Mode::Compact),
        false => (given, Mode::Keep),
    }
}

/// In a large swarm, small free intervals that no worker below its goal can take go to workers whose
/// shares they touch.
fn give_to_neighbours(
    units: Units,
    total: u32,
    takers: &[Taker<'_>],
    free: &[Interval<u32>],
) -> Vec<Change> {
    let small = total / (takers.len().max(1) as u32) / TOLERANCE;
    let mut grown: BTreeMap<usize, Slots> = BTreeMap::new();
    for interval in free {
        let large_swarm = takers.len() > EXACT_UP_TO;
        if !large_swarm || interval.to - interval.from > small {
            return Vec::new();
        }
        if let Some(taker) = neighbours(units, takers, interval).first() {
            let share = grown.entry(*taker).or_insert(takers[*taker].share.clone());
            *share = share.union(&units.slots([*interval]));
        }
    }
    let changes = grown.into_iter();
    changes
        .map(|(taker, share)| Change { taker, share })
        .collect()
}

/// Moves every share into one interval, in the order of the takers.
fn compact(units: Units, total: u32, takers: &[Taker<'_>], free: &Slots) -> (Vec<Change>, Mode) {
    let weights: Vec<u32> = takers.iter().map(|t| t.weight).collect();
    let sizes = split(total, &weights);
    let mut from = 0;
    let mut changes = Vec::new();
    let mut done = true;
    for (taker, (t, size)) in takers.iter().zip(sizes).enumerate() {
        let goal = units.slots([Interval {
            from,
            to: from + size,
        }]);
        from += size;
        let kept = t.share.intersection(&goal);
        if kept != *t.share {
            done = false;
            changes.push(Change { taker, share: kept });
        } else if kept != goal {
            done = false;
            let mut within = units.within(&goal.intersection(free));
            let (share, _) = grow(units.within(&kept), u32::MAX, &mut within);
            let share = units.slots(share);
            if t.may_grow && share != *t.share {
                changes.push(Change { taker, share });
            }
        }
    }
    (changes, if done { Mode::Keep } else { Mode::Compact })
}

/// Takers whose shares touch an interval of units.
fn neighbours(units: Units, takers: &[Taker<'_>], interval: &Interval<u32>) -> Vec<usize> {
    let (from, to) = (units.slot(interval.from), units.slot(interval.to));
    let touches = |t: &Taker<'_>| {
        let before = from.checked_sub(1).is_some_and(|s| t.share.contains(s));
        before || t.share.contains(to)
    };
    (0..takers.len()).filter(|i| touches(&takers[*i])).collect()
}

/// Number of units of each taker: in proportion to the weights, and in a large swarm as near to the
/// current number as the tolerance allows. There, free intervals go to their neighbours if possible,
/// so that shares do not break into pieces.
fn goals(
    total: u32,
    takers: &[Taker<'_>],
    current: &[u32],
    free: &[Interval<u32>],
    neighbours: impl Fn(&Interval<u32>) -> Vec<usize>,
) -> Vec<u32> {
    let weights: Vec<u32> = takers.iter().map(|t| t.weight).collect();
    let exact = split(total, &weights);
    if takers.len() <= EXACT_UP_TO {
        return exact;
    }
    let mut goals: Vec<u32> = exact
        .iter()
        .zip(current)
        .map(
            |(exact, current)| match current.abs_diff(*exact) <= exact / TOLERANCE {
                true => *current,
                false => *exact,
            },
        )
        .collect();
    let mut order: Vec<usize> = (0..takers.len()).collect();
    let excess = |i: &usize, goals: &[u32]| i64::from(goals[*i]) - i64::from(exact[*i]);
    let mut sum: u64 = goals.iter().map(|g| u64::from(*g)).sum();
    let total = u64::from(total);
    for interval in free {
        let mut left = u64::from(interval.to - interval.from).min(total.saturating_sub(sum));
        for i in neighbours(interval) {
            let highest = exact[i] + exact[i] / TOLERANCE;
            let added = left.min(u64::from(highest.saturating_sub(goals[i])));
            goals[i] += added as u32;
            (left, sum) = (left - added, sum + added);
        }
    }
    // First within the tolerance, then to the exact number, which always suffices.
    for tolerance in [TOLERANCE, u32::MAX] {
        if sum > total {
            order.sort_by_key(|i| (std::cmp::Reverse(excess(i, &goals)), *i));
            for i in &order {
                let lowest = exact[*i] - exact[*i] / tolerance;
                let cut = u64::from(goals[*i].saturating_sub(lowest)).min(sum - total);
                goals[*i] -= cut as u32;
                sum -= cut;
            }
        } else {
            order.sort_by_key(|i| (excess(i, &goals), *i));
            for i in &order {
                let highest = exact[*i] + exact[*i] / tolerance;
                let added = u64::from(highest.saturating_sub(goals[*i])).min(total - sum);
                goals[*i] += added as u32;
                sum += added;
            }
        }
    }
    goals
}

/// `count` units of a share: its largest intervals, and a part of the next one.
fn largest(mut share: Vec<Interval<u32>>, count: u32) -> Vec<Interval<u32>> {
    share.sort_by_key(|i| (std::cmp::Reverse(i.to - i.from), i.from));
    let mut left = count;
    let mut kept = Vec::new();
    for i in share {
        let taken = left.min(i.to - i.from);
        left -= taken;
        if taken > 0 {
            kept.push(Interval {
                from: i.from,
                to: i.from + taken,
            });
        }
    }
    kept
}

/// A share with `count` more units from `free`, or fewer if it would have too many intervals.
/// Prefers free intervals next to the share, then the smallest one that suffices, then the largest.
/// Returns whether all were added.
fn grow(
    mut share: Vec<Interval<u32>>,
    count: u32,
    free: &mut Vec<Interval<u32>>,
) -> (Vec<Interval<u32>>, bool) {
    let mut left = count;
    while left > 0 && !free.is_empty() {
        let touches = |f: &Interval<u32>| share.iter().any(|s| s.to == f.from || f.to == s.from);
        let rank = |f: &Interval<u32>| {
            let length = f.to - f.from;
            match (touches(f), length >= left) {
                (true, _) => (0, u32::MAX - length),
                (false, true) => (1, length),
                (false, false) => (2, u32::MAX - length),
            }
        };
        let Some(best) = (0..free.len()).min_by_key(|i| (rank(&free[*i]), free[*i].from)) else {
            break;
        };
        let chosen = free[best];
        if !touches(&chosen) && share.len() >= MAX_INTERVALS {
            return (share, false);
        }
        let taken = left.min(chosen.to - chosen.from);
        // A part of an interval is taken from the side next to the share.
        let from_end =
            share.iter().any(|s| s.from == chosen.to) && !share.iter().any(|s| s.to == chosen.from);
        let (part, rest) = match from_end {
            true => {
                let cut = chosen.to - taken;
                ((cut, chosen.to), (chosen.from, cut))
            }
            false => {
                let cut = chosen.from + taken;
                ((chosen.from, cut), (cut, chosen.to))
            }
        };
        left -= taken;
        let interval = |(from, to)| Interval { from, to };
        share.push(interval(part));
        share = crate::Intervals::union_of(share).intervals().to_vec();
        match rest.0 < rest.1 {
            true => free[best] = interval(rest),
            false => drop(free.remove(best)),
        }
    }
    (share, left == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::splitmix::SplitMix64;

    /// Applies changes at once until there are none. Returns the number of slots that moved.
    fn settle(units: Units, shares: &mut [Slots], weights: &[u32]) -> u64 {
        let (mut moved, mut mode) = (0, Mode::Keep);
        for _ in 0..100 {
            let held = Slots::union_of(shares.iter().flat_map(|s| s.intervals()).copied());
            let free = Slots::whole().difference(&held);
            let takers: Vec<Taker<'_>> = shares
                .iter()
                .zip(weights)
                .map(|(share, weight)| Taker {
                    share,
                    weight: *weight,
                    may_grow: true,
                })
                .collect();
            let (changes, next) = rearrange(units, units.total(), &takers, &free, (mode, true));
            let again = next != mode;
            mode = next;
            if changes.is_empty() && !again {
                break;
            }
            for change in changes {
                moved += change.share.difference(&shares[change.taker]).len();
                shares[change.taker] = change.share;
                assert!(shares[change.taker].intervals().len() <= MAX_INTERVALS);
            }
            for (i, a) in shares.iter().enumerate() {
                assert!(shares[..i].iter().all(|b| a.is_disjoint(b)), "{shares:?}");
            }
        }
        let all = Slots::union_of(shares.iter().flat_map(|s| s.intervals()).copied());
        assert_eq!(all, Slots::whole(), "{mode:?} {shares:?}");
        moved
    }

    fn counts(units: Units, shares: &[Slots]) -> Vec<u32> {
        shares.iter().map(|s| units.count(s)).collect()
    }

    #[test]
    fn users_are_split_within_one() {
        for (users, parts) in [(12, [3, 3, 3, 3]), (4, [1, 1, 1, 1]), (6, [2, 2, 1, 1])] {
            let units = Units::Users(users);
            let mut shares = vec![Slots::EMPTY; 4];
            settle(units, &mut shares, &[1; 4]);
            assert_eq!(counts(units, &shares), parts);
        }
    }

    #[test]
    fn a_joining_worker_takes_only_what_it_needs() {
        let mut shares = vec![Slots::EMPTY; 4];
        settle(Units::Slots, &mut shares, &[1; 4]);
        shares.push(Slots::EMPTY);
        let moved = settle(Units::Slots, &mut shares, &[1; 5]);
        assert_eq!(moved, 200_000);
        assert_eq!(counts(Units::Slots, &shares), [200_000; 5]);
    }

    #[test]
    fn the_slots_of_a_lost_worker_go_to_the_others_and_nothing_else_moves() {
        let mut shares = vec![Slots::EMPTY; 5];
        settle(Units::Slots, &mut shares, &[1; 5]);
        shares.remove(2);
        assert_eq!(settle(Units::Slots, &mut shares, &[1; 4]), 200_000);
        assert_eq!(counts(Units::Slots, &shares), [250_000; 4]);
    }

    #[test]
    fn every_history_ends_in_shares_of_the_right_size() {
        let mut rng = SplitMix64::new(3);
        for round in 0..60 {
            let units = match round % 3 {
                0 => Units::Slots,
                1 => Units::Users(40),
                _ => Units::Users(999_983),
            };
            let mut shares = vec![Slots::EMPTY; 3];
            let mut weights = vec![1, 2, 3];
            for _ in 0..40 {
                match rng.below(3) {
                    0 if shares.len() > 1 => {
                        let i = rng.below(shares.len() as u64) as usize;
                        shares.remove(i);
                        weights.remove(i);
                    }
                    1 => {
                        let i = rng.below(weights.len() as u64) as usize;
                        weights[i] = 1 + rng.below(9) as u32;
                    }
                    _ => {
                        shares.push(Slots::EMPTY);
                        weights.push(1 + rng.below(9) as u32);
                    }
                }
                settle(units, &mut shares, &weights);
                if shares.len() <= EXACT_UP_TO {
                    assert_eq!(counts(units, &shares), split(units.total(), &weights));
                }
            }
        }
    }

    #[test]
    fn in_a_large_swarm_few_workers_change_and_shares_stay_near_their_exact_size() {
        let mut shares = vec![Slots::EMPTY; 400];
        settle(Units::Slots, &mut shares, &[1; 400]);
        let mut rng = SplitMix64::new(5);
        for _ in 0..100 {
            let before = shares.clone();
            match rng.below(2) {
                0 => {
                    let i = rng.below(shares.len() as u64) as usize;
                    shares.remove(i);
                }
                _ => shares.push(Slots::EMPTY),
            }
            let n = shares.len();
            settle(Units::Slots, &mut shares, &vec![1; n]);
            let changed = shares.iter().filter(|s| !before.contains(s)).count();
            assert!(changed <= 64, "{changed} shares changed");
            let exact = f64::from(SLOTS) / n as f64;
            for count in counts(Units::Slots, &shares) {
                assert!(
                    (f64::from(count) / exact - 1.0).abs() < 0.125,
                    "{count} {exact}"
                );
            }
        }
    }
}
