//! Users of the closed model on one machine: each has one iteration after the other while its slot is
//! in the share.

use std::time::Duration;

use vajra_core::protocol::Time;
use vajra_core::protocol::planted::{Bug, planted};
use vajra_core::user_slots::{slot_of_rank, user_cut};
use vajra_core::{Interval, Numbers, SLOTS, Slots};
use vajra_plan::{LoadChange, Profile};

use super::act::{Act, EngineSpec, STEP};
use crate::scenario::Load;

/// Rotation of the slots of one layer against those of the previous.
const ROTATION: u64 = 382_967;
/// Time over which users that arrive after the start begin.
const SPREAD: Duration = Duration::from_secs(1);

/// A user's place and state.
#[derive(Debug)]
struct User {
    slot: u32,
    /// Slots that belong to this user alone.
    part: Slots,
    /// Start and end of its iteration.
    iteration: Option<(Time, Time)>,
    /// Earliest start of the next iteration.
    next: Time,
    /// Latest end of its iteration, once it was removed.
    drains_until: Time,
    iterations: u64,
}

/// Times that limit what users do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Start of the profile.
    pub start: Time,
    /// What was due before has been done.
    pub from: Time,
    /// The present.
    pub now: Time,
    /// No iteration starts from here on.
    pub until: Time,
    /// Iterations are interrupted here.
    pub cut: Time,
}

/// All users of a test, on one machine.
#[derive(Debug)]
pub struct Users {
    users: Vec<User>,
    /// Response times.
    quickest: Duration,
    slowest: Duration,
    seed: u64,
    /// Request numbers, if they are limited.
    limited: bool,
    unused: Numbers,
    returned: Numbers,
    last: bool,
}

impl Users {
    /// The users of a plan, none of which is active.
    pub fn new(spec: &EngineSpec, profile: &Profile, changes: &[LoadChange]) -> Users {
        let (quickest, slowest) = match spec.plan.load {
            Load::Open { .. } => Default::default(),
            Load::Closed {
                quickest, slowest, ..
            } => (quickest, slowest),
        };
        let mut users = Users {
            users: Vec::new(),
            quickest,
            slowest,
            seed: spec.seed,
            limited: spec.plan.load.requests().is_some(),
            unused: Numbers::EMPTY,
            returned: Numbers::EMPTY,
            last: false,
        };
        users.layout(spec, profile, changes);
        users
    }

    /// Gives every user its slot: those beyond the previous peak form a layer of their own, so that
    /// nobody moves.
    pub fn layout(&mut self, spec: &EngineSpec, profile: &Profile, changes: &[LoadChange]) {
        let Some(planned) = spec.plan.load.users() else {
            return;
        };
        let mut peaks = vec![planned];
        let mut peak = planned;
        for change in changes {
            let level = profile.users_at(change.at);
            if level > peak {
                peaks.push(level);
                peak = level;
            }
        }
        if planted(Bug::LayersMoveUsers) {
            peaks = vec![peak];
        }
        let mut first = 0;
        let mut places = Vec::new();
        for (layer, peak) in peaks.into_iter().enumerate() {
            places.extend(places_of_layer(layer as u64, peak - first));
            first = peak;
        }
        for (user, (slot, part)) in places.into_iter().enumerate() {
            match self.users.get_mut(user) {
                Some(known) => (known.slot, known.part) = (slot, part),
                None => self.users.push(User {
                    slot,
                    part,
                    iteration: None,
                    next: Time::ZERO,
                    drains_until: Time::MAX,
                    iterations: 0,
                }),
            }
        }
    }

    /// The profile starts at this time.
    pub fn start(&mut self, at: Time) {
        for user in &mut self.users {
            user.next = user.next.max(at);
        }
    }

    /// Slots were added to the share, if the profile runs at `now`: their users begin one after the
    /// other then.
    pub fn arrive(&mut self, slots: &Slots, now: Option<Time>) {
        let new = self.users.iter_mut().filter(|u| slots.contains(u.slot));
        let new: Vec<&mut User> = new.collect();
        let count = new.len().max(1) as u32;
        for (i, user) in new.into_iter().enumerate() {
            user.drains_until = Time::MAX;
            if let Some(now) = now {
                user.next = user.next.max(now + SPREAD * i as u32 / count);
            }
        }
    }

    /// Slots have left the share: their users finish until this time.
    pub fn remove(&mut self, slots: &Slots, until: Time) {
        for user in self.users.iter_mut().filter(|u| slots.contains(u.slot)) {
            user.drains_until = user.drains_until.min(until);
        }
    }

    /// Slots of all users.
    #[cfg(test)]
    pub fn slots(&self) -> Vec<u32> {
        self.users.iter().map(|u| u.slot).collect()
    }

    /// Number of the first `count` users whose slots are in a share.
    pub fn within(&self, share: &Slots, count: u32) -> u32 {
        let first = self.users.iter().take(count as usize);
        first.filter(|u| share.contains(u.slot)).count() as u32
    }

    /// Request numbers arrived.
    pub fn add_numbers(&mut self, added: &Numbers, last: bool) {
        self.unused = self.unused.union(added);
        self.last |= last;
    }

    /// Gives back all request numbers that are not used.
    pub fn return_numbers(&mut self) {
        let unused = std::mem::take(&mut self.unused);
        self.returned = self.returned.union(&unused);
    }

    /// Request numbers given back since the last call.
    pub fn take_returned(&mut self) -> Numbers {
        std::mem::take(&mut self.returned)
    }

    /// Request numbers that are not used.
    pub fn unused(&self) -> &Numbers {
        &self.unused
    }

    /// Whether all request numbers have been used.
    pub fn exhausted(&self) -> bool {
        self.limited && self.last && self.unused.is_empty()
    }

    /// Slots outside of the share whose users have not finished at `now`.
    pub fn draining(&self, share: &Slots, now: Time) -> Slots {
        let removed = self.users.iter().filter(|u| !share.contains(u.slot));
        let busy = removed.filter(|u| u.ends().is_some_and(|end| end > now));
        let parts: Vec<Interval<u32>> = busy
            .flat_map(|u| u.part.intervals().iter().copied())
            .collect();
        Slots::union_of(parts)
    }

    /// Whether the profile excludes all users of a share from now on for a tenth of a second, and none
    /// is at work.
    pub fn all_excluded(&self, share: &Slots, profile: &Profile, since: u64) -> bool {
        self.limited
            && self.users.iter().enumerate().all(|(index, user)| {
                let next = profile.user_from_ns(index as u32, since);
                let excluded = next.is_none_or(|next| next > since + 100_000_000);
                user.iteration.is_none() && (excluded || !share.contains(user.slot))
            })
    }

    /// Next time at which a removed user has finished.
    pub fn next_drained(&self, share: &Slots) -> Option<Time> {
        let removed = self.users.iter().filter(|u| !share.contains(u.slot));
        removed.filter_map(User::ends).min()
    }

    /// End of the last iteration.
    pub fn last_end(&self) -> Option<Time> {
        self.users.iter().filter_map(User::ends).max()
    }

    /// Lets all users act until now. Returns the number of iterations that started.
    pub fn advance(
        &mut self,
        limits: Limits,
        share: &Slots,
        profile: &Profile,
        acts: &mut Vec<Act>,
    ) -> u64 {
        let mut started = 0;
        for index in 0..self.users.len() {
            started += self.advance_user(index, limits, share, profile, acts);
        }
        started
    }

    fn advance_user(
        &mut self,
        index: usize,
        limits: Limits,
        share: &Slots,
        profile: &Profile,
        acts: &mut Vec<Act>,
    ) -> u64 {
        let mut started = 0;
        loop {
            let user = &mut self.users[index];
            if let Some((from, end)) = user.iteration {
                let end = end.min(user.drains_until).min(limits.cut.max(from));
                if end > limits.now {
                    return started;
                }
                acts.push(Act::Iteration {
                    user: index as u32,
                    from,
                    to: end,
                });
                user.iteration = None;
                user.next = user.next.max(end);
            }
            if !share.contains(user.slot) {
                return started;
            }
            let next = user.next.max(limits.from).max(limits.start);
            let since = next.signed_since(limits.start);
            let Some(at) = profile.user_from_ns(index as u32, since.unsigned_abs()) else {
                return started;
            };
            let at = limits.start + Duration::from_nanos(at);
            if at >= limits.until {
                return started;
            }
            if self.limited {
                let number = self.unused.first(1);
                let Some(n) = number.intervals().first().map(|i| i.from) else {
                    // It waits for a number.
                    let user = &mut self.users[index];
                    user.next = user.next.max(limits.until);
                    return started;
                };
                self.unused = self.unused.difference(&number);
                acts.push(Act::Number(n));
            }
            let response = self.response(index);
            let user = &mut self.users[index];
            user.iterations += 1;
            user.iteration = Some((at, at + response));
            user.drains_until = Time::MAX;
            started += 1;
        }
    }

    fn response(&self, index: usize) -> Duration {
        let width = (self.slowest - self.quickest).as_nanos() as u64;
        let hash = vajra_plan::hash(self.seed ^ index as u64, self.users[index].iterations);
        self.quickest + Duration::from_nanos(hash % width.max(1)) + Duration::from_millis(1)
    }

    /// The machine was paused until `now`: responses have arrived meanwhile.
    pub fn skip_to(&mut self, now: Time, lease: Time, acts: &mut Vec<Act>) {
        for (index, user) in self.users.iter_mut().enumerate() {
            if let Some((from, _)) = user.iteration
                && let Some(end) = user.ends()
                && end.min(lease) <= now
            {
                acts.push(Act::Iteration {
                    user: index as u32,
                    from,
                    to: end.min(lease).max(from),
                });
                user.iteration = None;
            }
            user.next = user.next.max(now);
        }
    }

    /// All iterations are interrupted.
    pub fn interrupt(&mut self, now: Time, acts: &mut Vec<Act>) {
        for (index, user) in self.users.iter_mut().enumerate() {
            if let Some((from, end)) = user.iteration.take() {
                acts.push(Act::Iteration {
                    user: index as u32,
                    from,
                    to: end.min(user.drains_until).min(now).max(from),
                });
            }
        }
    }
}

impl User {
    fn ends(&self) -> Option<Time> {
        self.iteration.map(|(_, end)| end.min(self.drains_until))
    }
}

/// Slot and part of each user of a layer.
fn places_of_layer(layer: u64, users: u32) -> Vec<(u32, Slots)> {
    let value = |i: u32| u64::from(i) * STEP % u64::from(SLOTS);
    let mut order: Vec<u32> = (0..users).collect();
    order.sort_by_key(|i| (value(*i), *i));
    let mut places = vec![(0, Slots::EMPTY); users as usize];
    for (rank, user) in order.into_iter().enumerate() {
        let rank = rank as u32;
        let slot = slot_of_rank(rank, users);
        places[user as usize] = match layer {
            0 => {
                let part = Slots::range(user_cut(rank, users), user_cut(rank + 1, users));
                (slot, part)
            }
            _ => {
                let rotated = u64::from(slot) + layer * ROTATION;
                let slot = (rotated % u64::from(SLOTS)) as u32;
                (slot, Slots::range(slot, slot + 1))
            }
        };
    }
    places
}
