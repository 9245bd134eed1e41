//! The closed model: users, each of whom waits for a response, thinks, and sends again.
//!
//! User *u* belongs to the range that owns *u* and is at work while the profile has more
//! than *u* users: where that sinks, a user finishes its request and waits until it rises
//! again. On a node, user *u* belongs to thread *u* mod threads, whatever the share:
//! a change of share moves no user between threads, where it would be two for as long as its
//! last request takes. A user without a lease tries again every 10 ms; that is one dropped
//! request for each lapse, however long it is.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;

use super::clock::LeaseInstant;
use super::control::ShareChange;
use super::engine::{Engine, Model, Next, as_ns};
use super::session_slot::{PendingRequest, SessionSlot};
use super::thread::Pacer;
use vajra_plan::{Owned, SlotRange};
use vajra_tasks::{Arrival, Task};

/// A user's number takes so many bits: there are at most 1,000,000.
const USER_BITS: u32 = 20;

/// How often a user without a lease looks for one, in nanoseconds.
const PARKED_NS: u64 = 10_000_000;

/// The users of a thread, and when each of them sends next.
pub struct Closed {
    users: RefCell<BTreeMap<u32, Rc<SessionSlot>>>,
    /// Seats that still have something to do, by the place their entries in `due` name.
    seats: RefCell<Vec<Option<Rc<SessionSlot>>>>,
    due: RefCell<BinaryHeap<Reverse<(u64, usize)>>>,
    /// Requests left of the plan's `requests`; fixed at the first share that has users.
    quota: Cell<Option<u64>>,
    share: Cell<Option<ShareChange>>,
}

impl<T: Task> Model<T> for Closed {
    fn after(&self, engine: &Engine<T>, seat: &Rc<SessionSlot>, now: LeaseInstant) -> Next {
        engine.busy.set(engine.busy.get() - 1);
        if self.quota.get() == Some(0) {
            engine.shared.control.wake(engine.thread);
        }
        if seat.retired.get() || engine.closing.get() || self.over(engine, now) {
            return Next::End;
        }
        let think = &engine.shared.plan.load.think_time;
        if !think.is_none() {
            let think = think.draw_ns(seat.user.get(), seat.turns.get());
            self.call(engine, seat, LeaseInstant(now.0 + think));
            return Next::Wait;
        }
        match self.request(engine, seat, now, now) {
            Some(job) => Next::Run(job),
            None if seat.retired.get() => Next::End,
            None => Next::Wait,
        }
    }
}

impl Closed {
    /// Nobody yet.
    pub fn new() -> Closed {
        Closed {
            users: RefCell::default(),
            seats: RefCell::default(),
            due: RefCell::default(),
            quota: Cell::new(None),
            share: Cell::new(None),
        }
    }

    fn over<T: Task>(&self, engine: &Engine<T>, now: LeaseInstant) -> bool {
        now >= engine.instant(as_ns(engine.profile().end()))
    }

    /// Lets a user send at `at`, and wakes the pacer if that is before all others.
    fn call<T: Task>(&self, engine: &Engine<T>, seat: &Rc<SessionSlot>, at: LeaseInstant) {
        let mut due = self.due.borrow_mut();
        let first = due.peek().is_none_or(|Reverse((first, _))| at.0 < *first);
        let place = seat.place.get();
        seat.next_call.set(at.0);
        due.push(Reverse((at.0, place)));
        drop(due);
        if first {
            engine.shared.control.wake(engine.thread);
        }
    }

    /// A user's next request, planned for `due`, if it may be sent; otherwise the user has
    /// been sent to wait, or has retired.
    fn request<T: Task>(
        &self,
        engine: &Engine<T>,
        seat: &Rc<SessionSlot>,
        due: LeaseInstant,
        now: LeaseInstant,
    ) -> Option<PendingRequest> {
        if self.quota.get() == Some(0) {
            self.leave(seat);
            return None;
        }
        // Users come and go with the profile's level, between two requests.
        let since = due.0.max(now.0).saturating_sub(engine.start.get().0);
        let profile = engine.profile();
        let next = profile.user_from_ns(seat.user.get(), since);
        // Of a test that is paused it is not known yet when it goes on.
        let next = next.or(profile.paused().then(|| as_ns(profile.end())));
        drop(profile);
        seat.benched.set(next.is_some_and(|at| at > since));
        match next {
            Some(at) if at <= since => {}
            Some(at) => {
                self.call(engine, seat, engine.instant(at));
                return None;
            }
            None => {
                self.leave(seat);
                return None;
            }
        }
        if !engine.shared.control.lease_holds(now) {
            if !seat.parked.replace(true) {
                engine.count(|c| {
                    c.planned += 1;
                    c.dropped_lease += 1;
                });
            }
            self.call(engine, seat, LeaseInstant(now.0 + PARKED_NS));
            return None;
        }
        // After a lapse a user sends again as one that has just finished thinking.
        let due = match seat.parked.replace(false) || due < engine.shared.control.lease_since() {
            true => now,
            false => due,
        };
        self.quota.set(self.quota.get().map(|left| left - 1));
        engine.count(|c| c.planned += 1);
        engine.busy.set(engine.busy.get() + 1);
        let (user, turn) = (seat.user.get(), seat.turns.get());
        seat.turns.set(turn.wrapping_add(1));
        Some(PendingRequest {
            due,
            waited_since: None,
            arrival: Arrival {
                // A user begins one iteration at a time, wherever it is.
                number: (since / 1_000) << USER_BITS | u64::from(user),
                user: Some(user),
                turn,
            },
        })
    }

    fn leave(&self, seat: &SessionSlot) {
        self.seats.borrow_mut()[seat.place.get()] = None;
        seat.retire();
    }

    /// Users of the share who are not here yet join, each at the instant of the ramp at
    /// which it is due; those of others leave when their request is done.
    /// Before the start, those who begin with it open their connections.
    fn settle<T: Task>(
        self: &Rc<Self>,
        engine: &Rc<Engine<T>>,
        change: ShareChange,
        started: bool,
    ) {
        let (joining, ..) = users_of(engine, change.range);
        let mut before = std::mem::take(&mut *self.users.borrow_mut());
        for user in joining {
            let known = before.remove(&user);
            let turns = known.as_ref().map_or(0, |seat| seat.turns.get());
            // One that had left, and is there again now that the load is another.
            let seat = known.filter(|seat| !seat.retired.get()).unwrap_or_else(|| {
                let seat = Rc::new(SessionSlot::default());
                let mut seats = self.seats.borrow_mut();
                seat.place.set(seats.len());
                seats.push(Some(seat.clone()));
                drop(seats);
                seat.user.set(user);
                seat.turns.set(turns);
                if engine.is_early() && engine.profile().user_from_ns(user, 0) == Some(0) {
                    engine.seat(self, seat.clone(), None);
                }
                seat
            });
            if started && !seat.called.replace(true) {
                self.call(engine, &seat, change.at.max(engine.start.get()));
            }
            self.users.borrow_mut().insert(user, seat);
        }
        before.values().for_each(|seat| self.leave(seat));
    }

    /// The node's part of the plan's `requests`, divided by users, for this thread.
    fn set_quota<T: Task>(&self, engine: &Engine<T>, range: SlotRange) {
        let (None, Some(requests)) = (self.quota.get(), engine.shared.plan.load.requests) else {
            return;
        };
        let (mine, before, all) = users_of(engine, range);
        if all > 0 {
            let quota = u128::from(Owned::new(range).count(0, requests));
            let cut = |users: usize| (quota * users as u128 / all as u128) as u64;
            self.quota.set(Some(cut(before + mine.len()) - cut(before)));
        }
    }
}

/// The users of a share that belong to this thread, how many belong to threads before it, and
/// how many there are on all.
fn users_of<T: Task>(engine: &Engine<T>, range: SlotRange) -> (Vec<u32>, usize, usize) {
    let most = engine.profile().peak().round() as u32;
    let owned = Owned::new(range);
    let (mut mine, mut before, mut all) = (Vec::new(), 0, 0);
    let mut next = owned.first(0);
    while let Some(user) = next.filter(|u| *u < u64::from(most)) {
        let thread = (user % engine.shared.threads as u64) as usize;
        all += 1;
        before += usize::from(thread < engine.thread);
        if thread == engine.thread {
            mine.push(user as u32);
        }
        next = Some(owned.after(user));
    }
    (mine, before, all)
}

impl<T: Task> Pacer<T> for Closed {
    fn started(self: &Rc<Self>, engine: &Rc<Engine<T>>) {
        if let Some(change) = self.share.get() {
            self.settle(engine, change, true);
        }
    }

    fn reload(self: &Rc<Self>, engine: &Rc<Engine<T>>, started: bool) {
        engine.reload();
        let (Some(change), true) = (self.share.get(), started) else {
            return;
        };
        let now = engine.shared.control.now();
        let benched: Vec<Rc<SessionSlot>> = self.users.borrow().values().cloned().collect();
        for seat in benched
            .iter()
            .filter(|s| s.benched.get() && !s.retired.get())
        {
            self.call(engine, seat, now.max(engine.start.get()));
        }
        self.settle(engine, ShareChange { at: now, ..change }, true);
    }

    fn share(self: &Rc<Self>, engine: &Rc<Engine<T>>, change: ShareChange, started: bool) {
        self.set_quota(engine, change.range);
        self.share.set(Some(change));
        self.settle(engine, change, started);
    }

    fn turn(self: &Rc<Self>, engine: &Rc<Engine<T>>) -> Option<LeaseInstant> {
        loop {
            let Reverse((at, place)) = self.due.borrow().peek().copied()?;
            let now = engine.shared.control.now();
            if self.over(engine, now) {
                return None;
            }
            if at > now.0 {
                return Some(LeaseInstant(at));
            }
            self.due.borrow_mut().pop();
            let Some(seat) = self.seats.borrow()[place].clone() else {
                continue;
            };
            // A second entry for the same instant is none.
            if seat.next_call.get() != at {
                continue;
            }
            seat.next_call.set(u64::MAX);
            if let Some(job) = self.request(engine, &seat, LeaseInstant(at), now) {
                match seat.taken.get() {
                    true => seat.give_at(job, now),
                    false => engine.seat(self, seat, Some(job)),
                }
            }
        }
    }

    fn exhausted(&self, engine: &Engine<T>) -> bool {
        self.quota.get() == Some(0) && engine.busy.get() == 0
    }
}
