//! The slots of the closed model's users: who runs which of them.
//!
//! The users of a plan are its base layer; users that a change of the load adds beyond the previous
//! maximum form a further layer, so that nobody moves. The `n` users of a layer divide the slots
//! into `n` nearly equal parts ([`vajra_core::user_slots`]). User *u* of a layer has the rank of
//! `u × 618,033 mod 1,000,000` among all of them, so that the first users of a ramp are spread over
//! the slots. Layers are rotated against each other, so that layers of few users do not coincide.

use std::time::Duration;

use vajra_core::user_slots::{ranks_below, slot_of_rank};
use vajra_core::{Interval, SLOTS, Slots};

use super::load::Load;
use super::profile::Profile;
use super::slots::{M, STEP, slot_of};

/// Time over which users that arrive after the start begin, in a plan without a ramp.
const DEFAULT_SPREAD: Duration = Duration::from_secs(1);

/// Longest time over which users that arrive after the start begin.
const LONGEST_SPREAD: Duration = Duration::from_secs(2);

/// The users of a profile, and their slots.
#[derive(Clone, Debug, Default)]
pub struct Users {
    layers: Vec<Layer>,
}

/// Users that were added together.
#[derive(Clone, Debug)]
struct Layer {
    /// Number of the first one.
    first: u32,
    /// Added to all slots, modulo their number.
    rotation: u32,
    /// The users in the order of their ranks, relative to the first one.
    by_rank: Vec<u32>,
    /// Rank of each user.
    rank: Vec<u32>,
}

impl Users {
    /// The users of a profile; none in the open model. Takes memory and time in proportion to
    /// their number.
    pub fn of(profile: &Profile) -> Users {
        let mut users = Users::default();
        for peak in profile.peak_users() {
            users.grow(peak);
        }
        users
    }

    /// Adds a layer, if `peak` exceeds the number of users.
    fn grow(&mut self, peak: u32) {
        let first = self.count();
        if peak <= first {
            return;
        }
        let mut by_rank: Vec<u32> = (0..peak - first).collect();
        by_rank.sort_unstable_by_key(|u| (slot_of(u64::from(*u)), *u));
        let mut rank = vec![0; by_rank.len()];
        for (r, user) in by_rank.iter().enumerate() {
            rank[*user as usize] = r as u32;
        }
        self.layers.push(Layer {
            first,
            rotation: (self.layers.len() as u64 * STEP % M) as u32,
            by_rank,
            rank,
        });
    }

    /// Number of all users.
    pub fn count(&self) -> u32 {
        self.layers.last().map_or(0, |l| l.first + l.count())
    }

    /// Slot of a user.
    pub fn slot_of(&self, user: u32) -> Option<u32> {
        let layer = self.layers.iter().rev().find(|l| l.first <= user)?;
        let rank = layer.rank.get((user - layer.first) as usize)?;
        Some((slot_of_rank(*rank, layer.count()) + layer.rotation) % SLOTS)
    }

    /// The users of a share, in ascending order.
    pub fn users_in(&self, slots: &Slots) -> Vec<u32> {
        let mut found = Vec::with_capacity(self.count_in(slots) as usize);
        for layer in &self.layers {
            for (from, to) in layer.ranks_in(slots) {
                let users = &layer.by_rank[from as usize..to as usize];
                found.extend(users.iter().map(|u| layer.first + u));
            }
        }
        found.sort_unstable();
        found
    }

    /// Number of users of a share.
    pub fn count_in(&self, slots: &Slots) -> u32 {
        let ranks = self.layers.iter().flat_map(|l| l.ranks_in(slots));
        ranks.map(|(from, to)| to - from).sum()
    }

    /// The lowest slot of a user at or after `from`.
    pub fn next_slot(&self, from: u32) -> Option<u32> {
        let slots = self.layers.iter().filter_map(|l| l.next_slot(from));
        slots.min()
    }
}

impl Layer {
    fn count(&self) -> u32 {
        self.by_rank.len() as u32
    }

    /// Ranges of the ranks (from, to) with a slot in a set.
    fn ranks_in(&self, slots: &Slots) -> impl Iterator<Item = (u32, u32)> {
        let intervals = slots.intervals().iter();
        intervals.flat_map(|i| self.unrotated(*i)).map(|i| {
            let rank = |slot| ranks_below(slot, self.count());
            (rank(i.from), rank(i.to))
        })
    }

    /// An interval without the rotation, as one or two intervals.
    fn unrotated(&self, interval: Interval<u32>) -> Vec<Interval<u32>> {
        let cut = interval.to.min(self.rotation).max(interval.from);
        let parts = [
            (interval.from, cut, SLOTS - self.rotation),
            (cut, interval.to, 0),
        ];
        let parts = parts.into_iter().filter(|(from, to, _)| from < to);
        let moved = parts.map(|(from, to, wrapped)| match wrapped {
            0 => (from - self.rotation, to - self.rotation),
            up => (from + up, to + up),
        });
        moved.map(|(from, to)| Interval { from, to }).collect()
    }

    fn next_slot(&self, from: u32) -> Option<u32> {
        let rest = Interval { from, to: SLOTS };
        let ahead = self.unrotated(rest).into_iter().filter_map(|i| {
            let rank = ranks_below(i.from, self.count());
            let slot = slot_of_rank(rank, self.count());
            (rank < self.count() && slot < i.to).then_some((slot + self.rotation) % SLOTS)
        });
        ahead.min()
    }
}

/// Time over which `users` that arrive on a worker after the start begin, if the worker has this
/// fraction of the load: that of the plan's steepest ramp, but at most 2 s; without a ramp 1 s.
pub fn arrival_spread(load: &Load, users: u32, fraction: f64) -> Duration {
    let rates = load.lines().into_iter().filter(|line| line.to > line.from);
    let rates = rates.map(|line| (line.to - line.from) / line.length.as_secs_f64());
    match rates.max_by(f64::total_cmp) {
        Some(rate) if rate * fraction > 0.0 => {
            let seconds = f64::from(users) / (rate * fraction);
            Duration::from_secs_f64(seconds.min(LONGEST_SPREAD.as_secs_f64()))
        }
        _ => DEFAULT_SPREAD,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Change, LoadChange, Stage, StageType};
    use vajra_core::splitmix::SplitMix64;
    use vajra_core::user_slots::user_cut;

    const SECOND: Duration = Duration::from_secs(1);

    fn scaled(users: u32, levels: &[f64]) -> Users {
        let changes: Vec<LoadChange> = levels
            .iter()
            .zip(1u32..)
            .map(|(level, i)| LoadChange {
                at: i * SECOND,
                lag: SECOND,
                what: Change::Level(*level),
            })
            .collect();
        let load = Load::closed(users, 60 * SECOND);
        Users::of(&Profile::changed(&load, &changes))
    }

    /// Contiguous parts of the slots with boundaries between users of the base layer.
    fn equal_parts(users: u32, parts: u32) -> Vec<Slots> {
        let cut = |i: u32| {
            user_cut(
                (u64::from(users) * u64::from(i) / u64::from(parts)) as u32,
                users,
            )
        };
        (0..parts)
            .map(|i| Slots::range(cut(i), cut(i + 1)))
            .collect()
    }

    #[test]
    fn sets_that_partition_the_slots_partition_the_users() {
        let mut rng = SplitMix64::new(5);
        let all = [
            scaled(1, &[]),
            scaled(12, &[13.0, 14.0, 2.0, 15.0, 40.0]),
            scaled(1_000, &[500.0, 4_321.0]),
            scaled(SLOTS - 7, &[1_000_000.0]),
        ];
        for users in all {
            for _ in 0..2_000_000 / (users.count() + 100_000) {
                let mut cuts: Vec<u32> = (0..40).map(|_| rng.below(M) as u32).collect();
                cuts.extend([0, SLOTS]);
                cuts.sort_unstable();
                let (mut odd, mut even) = (Vec::new(), Vec::new());
                for (i, w) in cuts.windows(2).enumerate() {
                    let (from, to) = (w[0], w[1]);
                    [&mut odd, &mut even][i % 2].push(Interval { from, to });
                }
                let sets = [Slots::union_of(odd), Slots::union_of(even)];
                let mut found = Vec::new();
                for set in &sets {
                    let own = users.users_in(set);
                    assert_eq!(users.count_in(set) as usize, own.len());
                    assert!(own.iter().all(|u| set.contains(users.slot_of(*u).unwrap())));
                    found.extend(own);
                }
                found.sort_unstable();
                assert!(found.into_iter().eq(0..users.count()));
            }
        }
    }

    #[test]
    fn equal_parts_cut_between_users_have_equally_many() {
        for (users, parts) in [(12, 4), (4, 4), (3, 4), (1_000, 7), (999_999, 13)] {
            let all = scaled(users, &[]);
            for part in equal_parts(users, parts) {
                let fair = f64::from(users) / f64::from(parts);
                let got = all.count_in(&part);
                assert!((f64::from(got) - fair).abs() < 1.0, "{got} of {fair}");
            }
        }
        let counts = |users| {
            let parts = equal_parts(users, 4);
            let all = scaled(users, &[]);
            parts.iter().map(|p| all.count_in(p)).collect::<Vec<_>>()
        };
        assert_eq!((counts(12), counts(4)), (vec![3; 4], vec![1; 4]));
    }

    #[test]
    fn scaling_moves_no_user() {
        let before = scaled(20, &[]);
        let after = scaled(20, &[50.0, 10.0, 60.0]);
        assert_eq!((before.count(), after.count()), (20, 60));
        for user in 0..20 {
            assert_eq!(before.slot_of(user), after.slot_of(user));
        }
        assert_eq!(scaled(20, &[50.0]).slot_of(49), after.slot_of(49));
        assert_eq!((before.slot_of(20), after.slot_of(60)), (None, None));
    }

    #[test]
    fn layers_of_one_user_are_spread() {
        let users = scaled(1, &[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        for part in equal_parts(4, 4) {
            assert!((1..=3).contains(&users.count_in(&part)));
        }
    }

    /// Within two and a half users and 1 %.
    #[test]
    fn the_first_users_of_a_ramp_are_spread_over_all_parts() {
        for (users, parts) in [(12, 4), (100, 7), (1_000, 4), (10_000, 16), (100_000, 3)] {
            let all = scaled(users, &[]);
            let parts = equal_parts(users, parts);
            let own = |part| f64::from(all.count_in(part)) / f64::from(users);
            let fractions: Vec<f64> = parts.iter().map(own).collect();
            let mut counts = vec![0u32; parts.len()];
            for user in 0..users {
                let slot = all.slot_of(user).unwrap();
                let part = parts.iter().position(|p| p.contains(slot)).unwrap();
                counts[part] += 1;
                for (count, fraction) in counts.iter().zip(&fractions) {
                    let fair = f64::from(user + 1) * fraction;
                    let most = 2.5 + fair / 100.0;
                    assert!((f64::from(*count) - fair).abs() < most, "{count} of {fair}");
                }
            }
        }
    }

    #[test]
    fn the_next_slot_is_that_of_the_next_user() {
        let users = scaled(5, &[9.0, 11.0]);
        let mut slots: Vec<u32> = (0..11).map(|u| users.slot_of(u).unwrap()).collect();
        slots.sort_unstable();
        let mut from = 0;
        for slot in slots {
            assert_eq!(users.next_slot(from), Some(slot));
            assert_eq!(users.next_slot(slot), Some(slot));
            from = slot + 1;
        }
        assert_eq!(users.next_slot(from), None);
    }

    #[test]
    fn the_open_model_has_no_users() {
        let profile = Profile::of(&Load::open(100.0, SECOND));
        assert_eq!(Users::of(&profile).count(), 0);
    }

    #[test]
    fn users_that_arrive_late_begin_at_the_rate_of_the_steepest_ramp() {
        let flat = Load::closed(100, 60 * SECOND);
        assert_eq!(arrival_spread(&flat, 10, 0.5), SECOND);
        let ramp = Stage {
            kind: StageType::Ramp,
            target: Some(100.0),
            length: 10 * SECOND,
            steps: None,
        };
        let ramped = Load {
            stages: vec![ramp],
            ..flat
        };
        assert_eq!(arrival_spread(&ramped, 5, 0.5), SECOND);
        assert_eq!(arrival_spread(&ramped, 50, 0.5), 2 * SECOND, "limited");
        assert_eq!(arrival_spread(&ramped, 0, 0.5), Duration::ZERO);
    }
}
