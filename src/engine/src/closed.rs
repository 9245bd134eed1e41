//! The closed model: users, each of which waits for a response, thinks, and sends again.
//!
//! User *u* belongs to the share that contains its slot ([`vajra_plan::Users`]). It is active while
//! the profile has more than *u* users: if the number decreases, a user completes its iteration and
//! waits until it increases again. On a node, user *u* belongs to thread *u* mod threads, whatever
//! the share: if a change of share moved users between threads, a user would exist twice until its
//! last iteration is done.
//!
//! - A user that leaves the share during an iteration finishes it (it *drains*), for at most the
//!   graceful time-out; others leave at once. A user that returns meanwhile continues.
//! - Shortly before the lease ends, requests in flight are interrupted: afterwards another node may
//!   run the users. A user without a lease tries again every 10 ms; that counts as one dropped
//!   request per gap in the lease, however long it is, or as one abandoned request.
//! - If the plan limits the requests, each iteration uses a number, which the thread takes from the
//!   node's in blocks; a user without a number waits.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::rc::Rc;

use vajra_core::Interval;
use vajra_plan::{Slots, Users, arrival_spread};
use vajra_task::{Arrival, Task};

use super::clock::LeaseInstant;
use super::control::ShareChange;
use super::engine::{Engine, Model, NextAction, as_ns};
use super::pacer::Pacer;
use super::session_slot::{PendingRequest, SessionSlot, SessionState};
use super::user::{NOT_SCHEDULED, User, UserSlot, UserState};

/// Bits of a user's number: there are at most 1,000,000 users.
const USER_BITS: u32 = 20;

/// Interval at which a user without a lease tries again, in nanoseconds.
const RETRY_NS: u64 = 10_000_000;

/// A thread without a request in flight returns its numbers if none of its users is due within
/// this time, in nanoseconds: users of other threads may need them.
const IDLE_NS: u64 = 100_000_000;

/// No numbers.
const NO_NUMBERS: Interval<u64> = Interval { from: 0, to: 0 };

/// The users of a thread, and the times of their next requests.
pub struct Closed {
    /// Users of the share.
    users: RefCell<BTreeMap<u32, Rc<UserSlot>>>,
    /// Users that have left the share and finish their iteration.
    draining: RefCell<BTreeMap<u32, Rc<UserSlot>>>,
    /// When users that drain are interrupted, in order, with the key of what they still hold.
    deadlines: RefCell<VecDeque<(LeaseInstant, u64, Rc<UserSlot>)>>,
    /// Slots of users that have not left, by [`User::index`].
    slots: RefCell<Vec<Option<Rc<UserSlot>>>>,
    /// Time and index of each scheduled user.
    due: RefCell<BinaryHeap<Reverse<(i64, usize)>>>,
    /// Users that wait for a number.
    without_number: RefCell<Vec<Rc<UserSlot>>>,
    /// Unused numbers of this thread.
    numbers: Cell<Interval<u64>>,
    /// Requests were interrupted since the lease was last valid.
    lapsed: Cell<bool>,
    /// The profile excludes all users: reported so that other nodes get the numbers.
    idle: Cell<bool>,
    share: RefCell<Option<ShareChange>>,
}

impl<T: Task> Model<T> for Closed {
    type User = User;

    fn after_request(
        &self,
        engine: &Engine<T>,
        slot: &Rc<UserSlot>,
        now: LeaseInstant,
    ) -> NextAction {
        let user = &slot.user;
        user.busy.set(false);
        engine.busy.set(engine.busy.get() - 1);
        if is_limited(engine) && self.has_no_numbers() {
            engine.shared.control.wake(engine.thread);
        }
        let leaves = slot.retired() || user.draining.get().is_some();
        if leaves || engine.stopped.get() || self.over(engine, now) {
            return NextAction::End;
        }
        let think = &engine.shared.plan.load.think_time;
        if !think.is_none() {
            let think = think.draw_ns(user.number, user.iterations.get());
            self.schedule(engine, user, now.plus_ns(think));
            return NextAction::Wait;
        }
        match self.request(engine, slot, now, now) {
            Some(request) => NextAction::Run(request),
            None if slot.retired() => NextAction::End,
            None => NextAction::Wait,
        }
    }

    /// Counts an iteration that was interrupted, and releases a user that drained. A user of the
    /// share connects again for its next request.
    fn session_ended(&self, engine: &Engine<T>, slot: &Rc<UserSlot>) {
        let user = &slot.user;
        if user.busy.replace(false) {
            engine.busy.set(engine.busy.get() - 1);
        }
        if slot.take_back().is_some() {
            engine.interrupted(0, false);
        }
        let interrupted = user.interrupted.replace(false);
        if let Some(key) = user.draining.take() {
            self.draining.borrow_mut().remove(&user.number);
            self.leave(slot);
            engine.shared.holdings.release(key);
        } else if interrupted && !slot.retired() {
            slot.session.set(SessionState::NotStarted);
            user.state.set(UserState::WithoutLease);
            let retry = engine.shared.control.now().plus_ns(RETRY_NS);
            self.schedule(engine, user, retry);
        }
    }
}

fn is_limited<T: Task>(engine: &Engine<T>) -> bool {
    engine.shared.plan.load.requests.is_some()
}

impl Closed {
    /// Without users.
    pub fn new() -> Closed {
        Closed {
            users: RefCell::default(),
            draining: RefCell::default(),
            deadlines: RefCell::default(),
            slots: RefCell::default(),
            due: RefCell::default(),
            without_number: RefCell::default(),
            numbers: Cell::new(NO_NUMBERS),
            lapsed: Cell::new(false),
            idle: Cell::new(false),
            share: RefCell::default(),
        }
    }

    fn over<T: Task>(&self, engine: &Engine<T>, now: LeaseInstant) -> bool {
        now >= engine.instant(as_ns(engine.profile().end()))
    }

    /// Schedules a user's next request, and wakes the pacer if it is the first one due.
    fn schedule<T: Task>(&self, engine: &Engine<T>, user: &User, at: LeaseInstant) {
        let mut due = self.due.borrow_mut();
        let first = due.peek().is_none_or(|Reverse((first, _))| at.0 < *first);
        user.next_call.set(at.0);
        due.push(Reverse((at.0, user.index)));
        drop(due);
        if first {
            engine.shared.control.wake(engine.thread);
        }
    }

    /// A user's next request, planned for `due`, if it may be sent now. Otherwise the user is
    /// scheduled again, waits for a number, or leaves.
    fn request<T: Task>(
        &self,
        engine: &Engine<T>,
        slot: &Rc<UserSlot>,
        due: LeaseInstant,
        now: LeaseInstant,
    ) -> Option<PendingRequest> {
        let user = &slot.user;
        let gap_counted = user.state.get().gap_counted();
        // The profile includes and excludes users between two requests.
        let since = engine.since_start(due.max(now));
        let profile = engine.profile();
        let next = profile.user_from_ns(user.number, since);
        // The end of a pause is not known yet.
        let next = next.or(profile.paused().then(|| as_ns(profile.end())));
        drop(profile);
        match next {
            Some(at) if at <= since => {}
            Some(at) => {
                user.state.set(UserState::Excluded { gap_counted });
                self.schedule(engine, user, engine.instant(at));
                return None;
            }
            None => {
                self.leave(slot);
                return None;
            }
        }
        // Until shortly before its end, when requests are interrupted.
        if now >= engine.shared.control.interrupt_at() {
            user.state.set(UserState::WithoutLease);
            if !gap_counted {
                engine.count(|c| {
                    c.planned += 1;
                    c.dropped_lease += 1;
                });
            }
            self.schedule(engine, user, now.plus_ns(RETRY_NS));
            return None;
        }
        let number = match is_limited(engine) {
            // Unique, since a user runs one iteration at a time on all nodes together.
            false => (since / 1_000) << USER_BITS | u64::from(user.number),
            true => {
                let Some(number) = self.next_number(engine) else {
                    user.state.set(UserState::WithoutNumber);
                    self.without_number.borrow_mut().push(slot.clone());
                    return None;
                };
                number
            }
        };
        user.state.set(UserState::Active);
        // After a gap in the lease a user sends as if it had just finished thinking.
        let due = match gap_counted || due < engine.shared.control.lease_since() {
            true => now,
            false => due,
        };
        engine.count(|c| {
            c.planned += 1;
            c.iterations += 1;
        });
        engine.busy.set(engine.busy.get() + 1);
        user.busy.set(true);
        let iteration = user.iterations.get();
        user.iterations.set(iteration.wrapping_add(1));
        Some(PendingRequest {
            due,
            waited_since: None,
            arrival: Arrival {
                number,
                user: Some(user.number),
                iteration,
            },
        })
    }

    fn has_no_numbers(&self) -> bool {
        let numbers = self.numbers.get();
        numbers.from == numbers.to
    }

    /// The next number of a request. Replaces a block as soon as it is used, so that the node's
    /// unused numbers are known.
    fn next_number<T: Task>(&self, engine: &Engine<T>) -> Option<u64> {
        let (holdings, control) = (&engine.shared.holdings, &engine.shared.control);
        let take = || {
            let block = holdings.take_numbers(engine.thread);
            if block == NO_NUMBERS && holdings.out_of_numbers() {
                // Other threads may wait for the end.
                control.notify();
            }
            block
        };
        if self.has_no_numbers() {
            self.numbers.set(take());
        }
        let Interval { from, to } = self.numbers.get();
        if from == to {
            return None;
        }
        self.numbers.set(match from + 1 == to {
            true => take(),
            false => Interval { from: from + 1, to },
        });
        Some(from)
    }

    fn return_numbers<T: Task>(&self, engine: &Engine<T>) {
        if !self.has_no_numbers() {
            let rest = self.numbers.replace(NO_NUMBERS);
            engine.shared.holdings.return_numbers(engine.thread, rest);
            engine.shared.control.notify();
        }
    }

    /// Schedules users that wait for a number, if there are some.
    fn resume_without_number<T: Task>(&self, engine: &Engine<T>, now: LeaseInstant) {
        if self.without_number.borrow().is_empty() || !engine.shared.holdings.has_numbers() {
            return;
        }
        for slot in self.without_number.take() {
            if slot.user.state.get() == UserState::WithoutNumber && !slot.retired() {
                self.schedule(engine, &slot.user, now);
            }
        }
    }

    /// Whether the profile excludes every user that is left.
    fn all_excluded(&self) -> bool {
        let users = self.users.borrow();
        let excluded = |s: &Rc<UserSlot>| matches!(s.user.state.get(), UserState::Excluded { .. });
        users.values().all(|s| s.retired() || excluded(s))
    }

    fn leave(&self, slot: &UserSlot) {
        self.slots.borrow_mut()[slot.user.index] = None;
        slot.retire();
    }

    /// Closes a user's session in the middle of its iteration.
    fn interrupt_user(&self, slot: &UserSlot) {
        slot.user.interrupted.set(true);
        slot.interrupt();
    }

    fn interrupt_users(&self, users: &BTreeMap<u32, Rc<UserSlot>>) {
        let busy = users.values().filter(|slot| slot.user.busy.get());
        busy.for_each(|slot| self.interrupt_user(slot));
    }

    /// Removes users from the share. Those with an iteration in progress drain.
    fn remove_users<T: Task>(
        &self,
        engine: &Engine<T>,
        removed: &Slots,
        users: BTreeMap<u32, Rc<UserSlot>>,
    ) {
        let now = engine.shared.control.now();
        let deadline = now.plus_ns(as_ns(engine.shared.plan.graceful_timeout()));
        let is_idle = |slot: &UserSlot| slot.retired() || !slot.user.busy.get();
        let (idle, busy): (Vec<_>, Vec<_>) = users.into_iter().partition(|(_, s)| is_idle(s));
        idle.iter().for_each(|(_, slot)| self.leave(slot));
        if busy.is_empty() {
            return;
        }
        let all = engine.users();
        let held = busy
            .iter()
            .map(|(number, _)| slots_of(&all, *number, removed));
        let held: Vec<Interval<u32>> = held.collect();
        drop(all);
        let keys = engine.shared.holdings.drain(&held);
        for ((number, slot), key) in busy.into_iter().zip(keys) {
            slot.user.draining.set(Some(key));
            let mut deadlines = self.deadlines.borrow_mut();
            deadlines.push_back((deadline, key, slot.clone()));
            self.draining.borrow_mut().insert(number, slot);
        }
    }

    /// A user that drained is in the share again, and continues.
    fn return_user<T: Task>(&self, engine: &Engine<T>, number: u32) -> Option<Rc<UserSlot>> {
        let slot = self.draining.borrow_mut().remove(&number)?;
        if let Some(key) = slot.user.draining.take() {
            engine.shared.holdings.release(key);
        }
        Some(slot)
    }

    /// Adds the share's users that are not on this thread yet, and removes those of other shares.
    /// Once `started`, each new one begins at its time in `begins`. Before the start, users that
    /// are active from the start open their connections.
    fn update_users<T: Task>(
        self: &Rc<Self>,
        engine: &Rc<Engine<T>>,
        change: &ShareChange,
        begins: Option<&Begins>,
    ) {
        let mut before = std::mem::take(&mut *self.users.borrow_mut());
        let share = engine.users().users_in(&change.slots);
        for number in share {
            if number as usize % engine.shared.threads != engine.thread {
                continue;
            }
            let known = before.remove(&number);
            let known = known.or_else(|| self.return_user(engine, number));
            let iterations = known.as_ref().map_or(0, |slot| slot.user.iterations.get());
            // A user that had left may return after a change of the load.
            let slot = known.filter(|slot| !slot.retired()).unwrap_or_else(|| {
                let slot = self.add_user(number, iterations);
                if engine.before_start() && engine.profile().user_from_ns(number, 0) == Some(0) {
                    engine.spawn_session(self, slot.clone(), None);
                }
                slot
            });
            if let Some(begins) = begins
                && slot.user.state.get() == UserState::New
            {
                slot.user.state.set(UserState::Active);
                self.schedule(engine, &slot.user, begins.of(number));
            }
            self.users.borrow_mut().insert(number, slot);
        }
        self.remove_users(engine, &change.removed, before);
        if self.users.borrow().is_empty() {
            self.return_numbers(engine);
        }
    }

    fn add_user(&self, number: u32, iterations: u32) -> Rc<UserSlot> {
        let mut slots = self.slots.borrow_mut();
        let user = User::new(number, slots.len(), iterations);
        let slot = Rc::new(SessionSlot::new(user));
        slots.push(Some(slot.clone()));
        slot
    }

    /// When the next users' time is up: those that drain for too long, or all at the end of the
    /// lease.
    fn next_interruption<T: Task>(&self, engine: &Engine<T>) -> Option<LeaseInstant> {
        let lease = engine.shared.control.interrupt_at();
        let lease = (engine.busy.get() > 0 && !self.lapsed.get()).then_some(lease);
        let deadline = self.deadlines.borrow().front().map(|(at, ..)| *at);
        lease.into_iter().chain(deadline).min()
    }
}

/// The slots that stand for a removed user: from its slot to that of the next user, within the
/// interval of removed slots; from the start of the interval if the user is the first one in it.
fn slots_of(users: &Users, user: u32, removed: &Slots) -> Interval<u32> {
    let slot = users.slot_of(user).unwrap_or_default();
    let next = Interval {
        from: slot,
        to: slot + 1,
    };
    let mut intervals = removed.intervals().iter();
    let Some(interval) = intervals.find(|i| (i.from..i.to).contains(&slot)) else {
        return next;
    };
    let is_first = users.next_slot(interval.from) == Some(slot);
    Interval {
        from: if is_first { interval.from } else { slot },
        to: users
            .next_slot(slot + 1)
            .unwrap_or(interval.to)
            .min(interval.to),
    }
}

/// When the users of a change begin.
struct Begins {
    /// Earliest time.
    from: LeaseInstant,
    /// Users on the whole node that begin one after the other, in ascending order.
    spread: Vec<u32>,
    /// Time between two of them, in nanoseconds.
    apart_ns: u64,
}

impl Begins {
    /// All at this time, or at their time in the ramp if that is later.
    fn at(from: LeaseInstant) -> Begins {
        Begins {
            from,
            spread: Vec::new(),
            apart_ns: 0,
        }
    }

    /// When the users of these slots begin. Users that arrive after the start and are active begin
    /// one after the other.
    fn of_change<T: Task>(engine: &Engine<T>, change: &ShareChange, slots: &Slots) -> Begins {
        let start = engine.start.get();
        let floor = engine.instant(as_ns(change.floor));
        let from = change.at.max(floor).max(start);
        if from <= start {
            return Begins::at(start);
        }
        let (since, profile) = (engine.since_start(from), engine.profile());
        let mut spread = engine.users().users_in(slots);
        spread.retain(|user| profile.user_from_ns(*user, since) == Some(since));
        let users = spread.len() as u32;
        let load = &engine.shared.plan.load;
        let time = arrival_spread(load, users, change.slots.fraction());
        Begins {
            from,
            spread,
            apart_ns: as_ns(time) / u64::from(users.max(1)),
        }
    }

    fn of(&self, user: u32) -> LeaseInstant {
        let place = self.spread.binary_search(&user).unwrap_or(0);
        self.from.plus_ns(place as u64 * self.apart_ns)
    }
}

impl<T: Task> Pacer<T> for Closed {
    fn started(self: &Rc<Self>, engine: &Rc<Engine<T>>) {
        let share = self.share.borrow();
        if let Some(change) = &*share {
            let begins = Begins::of_change(engine, change, &change.slots);
            self.update_users(engine, change, Some(&begins));
        }
    }

    fn reload(self: &Rc<Self>, engine: &Rc<Engine<T>>, now: LeaseInstant, started: bool) {
        engine.reload();
        let share = self.share.borrow();
        let (Some(change), true) = (&*share, started) else {
            return;
        };
        let users: Vec<Rc<UserSlot>> = self.users.borrow().values().cloned().collect();
        let excluded = |slot: &&Rc<UserSlot>| {
            matches!(slot.user.state.get(), UserState::Excluded { .. }) && !slot.retired()
        };
        let from = now.max(engine.start.get());
        for slot in users.iter().filter(excluded) {
            self.schedule(engine, &slot.user, from);
        }
        self.update_users(engine, change, Some(&Begins::at(from)));
    }

    fn share(self: &Rc<Self>, engine: &Rc<Engine<T>>, change: ShareChange, started: bool) {
        let begins = started.then(|| Begins::of_change(engine, &change, &change.added));
        self.update_users(engine, &change, begins.as_ref());
        *self.share.borrow_mut() = Some(change);
    }

    fn shrink(self: &Rc<Self>, engine: &Rc<Engine<T>>, change: &ShareChange) {
        let mut removed = std::mem::take(&mut *self.users.borrow_mut());
        for number in engine.users().users_in(&change.slots) {
            if let Some(slot) = removed.remove(&number) {
                self.users.borrow_mut().insert(number, slot);
            }
        }
        self.remove_users(engine, &change.removed, removed);
    }

    fn process(self: &Rc<Self>, engine: &Rc<Engine<T>>, now: LeaseInstant) -> Option<LeaseInstant> {
        self.interrupt(engine, now);
        self.resume_without_number(engine, now);
        let next = loop {
            let Some(Reverse((at, index))) = self.due.borrow().peek().copied() else {
                break None;
            };
            let now = engine.shared.control.now();
            if self.over(engine, now) {
                return None;
            }
            if at > now.0 {
                break Some(LeaseInstant(at));
            }
            self.due.borrow_mut().pop();
            let Some(slot) = self.slots.borrow()[index].clone() else {
                continue;
            };
            // The user was scheduled again, or this is a duplicate entry.
            if slot.user.next_call.get() != at {
                continue;
            }
            slot.user.next_call.set(NOT_SCHEDULED);
            if let Some(request) = self.request(engine, &slot, LeaseInstant(at), now) {
                match slot.session.get() {
                    SessionState::NotStarted => {
                        engine.spawn_session(self, slot, Some(request));
                    }
                    SessionState::Connecting | SessionState::Ready => slot.give_at(request, now),
                }
            }
        };
        let nothing_due =
            engine.busy.get() == 0 && next.is_none_or(|next| next > now.plus_ns(IDLE_NS));
        if nothing_due {
            self.return_numbers(engine);
        }
        let idle = nothing_due && is_limited(engine) && self.all_excluded();
        if self.idle.replace(idle) != idle {
            engine.shared.holdings.set_idle(engine.thread, idle);
        }
        next.into_iter().chain(self.next_interruption(engine)).min()
    }

    fn interrupt(&self, engine: &Engine<T>, now: LeaseInstant) -> Option<LeaseInstant> {
        let mut deadlines = self.deadlines.borrow_mut();
        while let Some((_, key, slot)) = deadlines.front().filter(|(at, ..)| *at <= now) {
            if slot.user.draining.get() == Some(*key) {
                self.interrupt_user(slot);
            }
            deadlines.pop_front();
        }
        drop(deadlines);
        let control = &engine.shared.control;
        // After a stop as well: without a lease another node may have the users.
        if now < control.interrupt_at() {
            self.lapsed.set(false);
        } else if !self.lapsed.replace(true) {
            self.interrupt_users(&self.users.borrow());
            self.interrupt_users(&self.draining.borrow());
        }
        self.next_interruption(engine)
    }

    fn end(&self, engine: &Engine<T>) {
        self.return_numbers(engine);
    }

    fn exhausted(&self, engine: &Engine<T>) -> bool {
        is_limited(engine)
            && self.has_no_numbers()
            && engine.busy.get() == 0
            && engine.shared.holdings.out_of_numbers()
    }
}
