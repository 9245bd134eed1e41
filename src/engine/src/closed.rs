//! The closed model: users, each of which waits for a response, thinks, and sends again.
//!
//! User *u* belongs to the share that owns number *u*. It is active while the profile has more
//! than *u* users: if the number decreases, a user completes its request and waits until it
//! increases again. On a node, user *u* belongs to thread *u* mod threads, whatever the share: if
//! a change of share moved users between threads, a user would exist twice until its last request
//! is done. A user without a lease tries again every 10 ms; that counts as one dropped request per
//! gap in the lease, however long it is.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;

use vajra_plan::{Owned, SlotRange};
use vajra_task::{Arrival, Task};

use super::clock::LeaseInstant;
use super::control::ShareChange;
use super::engine::{Engine, Model, NextAction, as_ns};
use super::pacer::Pacer;
use super::session_slot::{PendingRequest, SessionSlot, SessionState};

/// Bits of a user's number: there are at most 1,000,000 users.
const USER_BITS: u32 = 20;

/// Interval at which a user without a lease tries again, in nanoseconds.
const RETRY_NS: u64 = 10_000_000;

/// [`User::next_call`] of a user that is not scheduled.
const NOT_SCHEDULED: u64 = u64::MAX;

/// A virtual user.
#[derive(Debug)]
pub struct User {
    number: u32,
    /// Index in [`Closed::slots`].
    index: usize,
    /// Requests that it has sent.
    iterations: Cell<u32>,
    /// Time of its entry in [`Closed::due`] that counts; earlier entries are obsolete.
    next_call: Cell<u64>,
    state: Cell<UserState>,
}

/// Why a user does or does not send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum UserState {
    /// Its first request was not scheduled yet.
    New,
    /// It sends requests.
    Active,
    /// It waits for a lease; the gap in the lease was counted.
    WithoutLease,
    /// It waits until the profile includes it.
    Excluded {
        /// The current gap in the lease was counted.
        gap_counted: bool,
    },
}

impl UserState {
    fn gap_counted(self) -> bool {
        match self {
            UserState::New | UserState::Active => false,
            UserState::WithoutLease => true,
            UserState::Excluded { gap_counted } => gap_counted,
        }
    }
}

type Slot = SessionSlot<User>;

/// The users of a thread, and the times of their next requests.
pub struct Closed {
    users: RefCell<BTreeMap<u32, Rc<Slot>>>,
    /// Slots of users that have not left, by [`User::index`].
    slots: RefCell<Vec<Option<Rc<Slot>>>>,
    /// Time and index of each scheduled user.
    due: RefCell<BinaryHeap<Reverse<(u64, usize)>>>,
    /// Remaining requests of the plan's `requests`; set with the first share that has users.
    quota: Cell<Option<u64>>,
    share: Cell<Option<ShareChange>>,
}

impl<T: Task> Model<T> for Closed {
    type User = User;

    fn after_request(&self, engine: &Engine<T>, slot: &Rc<Slot>, now: LeaseInstant) -> NextAction {
        engine.busy.set(engine.busy.get() - 1);
        if self.quota.get() == Some(0) {
            engine.shared.control.wake(engine.thread);
        }
        if slot.retired() || engine.stopped.get() || self.over(engine, now) {
            return NextAction::End;
        }
        let think = &engine.shared.plan.load.think_time;
        if !think.is_none() {
            let think = think.draw_ns(slot.user.number, slot.user.iterations.get());
            self.schedule(engine, &slot.user, LeaseInstant(now.0 + think));
            return NextAction::Wait;
        }
        match self.request(engine, slot, now, now) {
            Some(request) => NextAction::Run(request),
            None if slot.retired() => NextAction::End,
            None => NextAction::Wait,
        }
    }
}

impl Closed {
    /// Without users.
    pub fn new() -> Closed {
        Closed {
            users: RefCell::default(),
            slots: RefCell::default(),
            due: RefCell::default(),
            quota: Cell::new(None),
            share: Cell::new(None),
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
    /// scheduled again or leaves.
    fn request<T: Task>(
        &self,
        engine: &Engine<T>,
        slot: &Slot,
        due: LeaseInstant,
        now: LeaseInstant,
    ) -> Option<PendingRequest> {
        if self.quota.get() == Some(0) {
            self.leave(slot);
            return None;
        }
        let user = &slot.user;
        let gap_counted = user.state.get().gap_counted();
        // The profile includes and excludes users between two requests.
        let since = due.0.max(now.0).saturating_sub(engine.start.get().0);
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
        if !engine.shared.control.lease_valid(now) {
            user.state.set(UserState::WithoutLease);
            if !gap_counted {
                engine.count(|c| {
                    c.planned += 1;
                    c.dropped_lease += 1;
                });
            }
            self.schedule(engine, user, LeaseInstant(now.0 + RETRY_NS));
            return None;
        }
        user.state.set(UserState::Active);
        // After a gap in the lease a user sends as if it had just finished thinking.
        let due = match gap_counted || due < engine.shared.control.lease_since() {
            true => now,
            false => due,
        };
        self.quota.set(self.quota.get().map(|quota| quota - 1));
        engine.count(|c| c.planned += 1);
        engine.busy.set(engine.busy.get() + 1);
        let iteration = user.iterations.get();
        user.iterations.set(iteration.wrapping_add(1));
        Some(PendingRequest {
            due,
            waited_since: None,
            arrival: Arrival {
                // Unique, since a user runs one iteration at a time on all nodes together.
                number: (since / 1_000) << USER_BITS | u64::from(user.number),
                user: Some(user.number),
                iteration,
            },
        })
    }

    fn leave(&self, slot: &Slot) {
        self.slots.borrow_mut()[slot.user.index] = None;
        slot.retire();
    }

    /// Adds the share's users that are not on this thread yet; each is due at its time in the
    /// ramp. Users of other shares leave when their request is done. Before the start, users that
    /// are active from the start open their connections.
    fn update_users<T: Task>(
        self: &Rc<Self>,
        engine: &Rc<Engine<T>>,
        change: ShareChange,
        started: bool,
    ) {
        let (joining, ..) = users_of(engine, change.range);
        let mut before = std::mem::take(&mut *self.users.borrow_mut());
        for number in joining {
            let known = before.remove(&number);
            let iterations = known.as_ref().map_or(0, |slot| slot.user.iterations.get());
            // A user that had left may return after a change of the load.
            let slot = known.filter(|slot| !slot.retired()).unwrap_or_else(|| {
                let slot = self.add_user(number, iterations);
                if engine.before_start() && engine.profile().user_from_ns(number, 0) == Some(0) {
                    engine.spawn_session(self, slot.clone(), None);
                }
                slot
            });
            if started && slot.user.state.get() == UserState::New {
                slot.user.state.set(UserState::Active);
                self.schedule(engine, &slot.user, change.at.max(engine.start.get()));
            }
            self.users.borrow_mut().insert(number, slot);
        }
        before.values().for_each(|slot| self.leave(slot));
    }

    fn add_user(&self, number: u32, iterations: u32) -> Rc<Slot> {
        let mut slots = self.slots.borrow_mut();
        let slot = Rc::new(SessionSlot::new(User {
            number,
            index: slots.len(),
            iterations: Cell::new(iterations),
            next_call: Cell::new(NOT_SCHEDULED),
            state: Cell::new(UserState::New),
        }));
        slots.push(Some(slot.clone()));
        slot
    }

    /// Sets this thread's part of the plan's `requests`, divided by users.
    fn set_quota<T: Task>(&self, engine: &Engine<T>, range: SlotRange) {
        let (None, Some(requests)) = (self.quota.get(), engine.shared.plan.load.requests) else {
            return;
        };
        let (own, before, all) = users_of(engine, range);
        if all > 0 {
            let quota = u128::from(Owned::new(range).count(0, requests));
            let cut = |users: usize| (quota * users as u128 / all as u128) as u64;
            self.quota.set(Some(cut(before + own.len()) - cut(before)));
        }
    }
}

/// The users of a share that belong to this thread, the number of those that belong to threads
/// before it, and the number of those on all threads.
fn users_of<T: Task>(engine: &Engine<T>, range: SlotRange) -> (Vec<u32>, usize, usize) {
    let peak = engine.profile().peak().round() as u32;
    let owned = Owned::new(range);
    let (mut own, mut before, mut all) = (Vec::new(), 0, 0);
    let mut next = owned.first(0);
    while let Some(user) = next.filter(|u| *u < u64::from(peak)) {
        let thread = (user % engine.shared.threads as u64) as usize;
        all += 1;
        before += usize::from(thread < engine.thread);
        if thread == engine.thread {
            own.push(user as u32);
        }
        next = Some(owned.after(user));
    }
    (own, before, all)
}

impl<T: Task> Pacer<T> for Closed {
    fn started(self: &Rc<Self>, engine: &Rc<Engine<T>>) {
        if let Some(change) = self.share.get() {
            self.update_users(engine, change, true);
        }
    }

    fn reload(self: &Rc<Self>, engine: &Rc<Engine<T>>, started: bool) {
        engine.reload();
        let (Some(change), true) = (self.share.get(), started) else {
            return;
        };
        let now = engine.shared.control.now();
        let users: Vec<Rc<Slot>> = self.users.borrow().values().cloned().collect();
        let excluded = |slot: &&Rc<Slot>| {
            matches!(slot.user.state.get(), UserState::Excluded { .. }) && !slot.retired()
        };
        for slot in users.iter().filter(excluded) {
            self.schedule(engine, &slot.user, now.max(engine.start.get()));
        }
        self.update_users(engine, ShareChange { at: now, ..change }, true);
    }

    fn share(self: &Rc<Self>, engine: &Rc<Engine<T>>, change: ShareChange, started: bool) {
        self.set_quota(engine, change.range);
        self.share.set(Some(change));
        self.update_users(engine, change, started);
    }

    fn process(self: &Rc<Self>, engine: &Rc<Engine<T>>) -> Option<LeaseInstant> {
        loop {
            let Reverse((at, index)) = self.due.borrow().peek().copied()?;
            let now = engine.shared.control.now();
            if self.over(engine, now) {
                return None;
            }
            if at > now.0 {
                return Some(LeaseInstant(at));
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
        }
    }

    fn exhausted(&self, engine: &Engine<T>) -> bool {
        self.quota.get() == Some(0) && engine.busy.get() == 0
    }
}
