//! The open model: arrivals at planned instants, whatever the responses do.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::clock::LeaseInstant;
use super::control::ShareChange;
use super::engine::{Engine, Model, Next, as_ns};
use super::session_slot::{PendingRequest, SessionSlot};
use super::thread::{Pacer, portion};
use vajra_plan::{Owned, SlotRange};
use vajra_tasks::{Arrival, Task};

/// Most requests of a node waiting or in flight by default.
pub const MAX_IN_FLIGHT: u32 = 100_000;

/// Room beyond rate × time-out that each thread has by default: requests also take the time
/// of connecting, and a share's arrivals are not spaced quite evenly.
const SPARE: u32 = 16;

const NEVER: LeaseInstant = LeaseInstant(u64::MAX);

/// After so many arrivals in a row responses are let in: a thread with more to send than it
/// can must not send alone.
const TURN: usize = 16;

/// Most connections that a thread opens at the same time; arrivals beyond them wait for the
/// first one that is open, or free.
const OPENING: usize = 256;

/// The sessions of the open model, and what is due.
pub struct Open {
    idle: RefCell<Vec<Rc<SessionSlot>>>,
    sessions: Cell<usize>,
    max_in_flight: Cell<usize>,
    /// Most sessions.
    most: Cell<usize>,
    schedule: Cell<Schedule>,
}

/// This thread's arrivals.
#[derive(Clone, Copy)]
struct Schedule {
    /// The share's arrivals.
    owned: Owned,
    /// They fall due from here on.
    since: LeaseInstant,
    /// Before this one all have been handled, under this share or an earlier one.
    floor: u64,
    /// The next one.
    next: Option<u64>,
    /// When that is due; never if there is none.
    due: LeaseInstant,
}

impl<T: Task> Model<T> for Open {
    fn after(&self, engine: &Engine<T>, seat: &Rc<SessionSlot>, _: LeaseInstant) -> Next {
        // With fewer connections than before, the surplus ends as it becomes free.
        if self.sessions.get() > self.most.get() {
            self.sessions.set(self.sessions.get() - 1);
            engine.busy.set(engine.busy.get() - 1);
            self.refill(engine);
            return Next::End;
        }
        match engine.queue.borrow_mut().pop_front() {
            Some(job) => Next::Run(job),
            None => {
                engine.busy.set(engine.busy.get() - 1);
                self.idle.borrow_mut().push(seat.clone());
                Next::Wait
            }
        }
    }
}

impl Open {
    /// Nothing owned.
    pub fn new() -> Open {
        Open {
            idle: RefCell::default(),
            sessions: Cell::new(0),
            max_in_flight: Cell::new(0),
            most: Cell::new(0),
            schedule: Cell::new(Schedule {
                owned: Owned::new(SlotRange::EMPTY),
                since: LeaseInstant(0),
                floor: 0,
                next: None,
                due: NEVER,
            }),
        }
    }

    /// Hands waiting arrivals to free sessions.
    fn refill<T: Task>(&self, engine: &Engine<T>) {
        while let Some(seat) = self.idle.borrow_mut().pop() {
            let Some(job) = engine.queue.borrow_mut().pop_front() else {
                self.idle.borrow_mut().push(seat);
                return;
            };
            engine.busy.set(engine.busy.get() + 1);
            seat.give_at(job, engine.shared.control.now());
        }
    }

    fn set_limits<T: Task>(&self, engine: &Engine<T>, range: SlotRange) {
        let (shared, plan) = (&engine.shared, &engine.shared.plan);
        let (i, n) = (engine.thread as u32, shared.threads as u32);
        let seconds = plan.task.longest().as_secs_f64();
        let max_in_flight = match plan.load.max_in_flight {
            Some(most) => portion(most, i, n),
            None => {
                let outstanding = engine.profile().peak() * range.fraction() * seconds;
                (outstanding.ceil() as u32)
                    .saturating_add(SPARE)
                    .min(portion(MAX_IN_FLIGHT, i, n).max(1))
            }
        };
        let sessions = portion(shared.connections, i, n).saturating_mul(plan.task.streams());
        self.max_in_flight.set(max_in_flight as usize);
        self.most
            .set(sessions.clamp(1, max_in_flight.max(1)) as usize);
    }

    /// Where the share's next arrival is, from its floor and its beginning.
    fn seek<T: Task>(&self, engine: &Engine<T>, schedule: &mut Schedule) {
        let profile = engine.profile();
        let since = schedule.since.0.saturating_sub(engine.start.get().0);
        let from = profile.first_arrival_from_ns(since).max(schedule.floor);
        drop(profile);
        self.aim(engine, schedule, schedule.owned.first(from));
    }

    /// Arrival `k` is the next one, if the plan has so many.
    fn aim<T: Task>(&self, engine: &Engine<T>, schedule: &mut Schedule, k: Option<u64>) {
        let profile = engine.profile();
        let mut k = k;
        for gap in profile.gaps() {
            if k.is_some_and(|k| gap.contains(&k)) {
                k = schedule.owned.first(gap.end);
            }
        }
        schedule.next = k.filter(|k| *k < profile.numbers());
        schedule.due = match schedule.next {
            Some(k) => engine.instant(profile.arrival_ns(k)),
            None => NEVER,
        };
    }

    /// Passes over everything due before `until`, counted by `count`.
    fn skip<T: Task>(
        &self,
        engine: &Engine<T>,
        schedule: &mut Schedule,
        until: LeaseInstant,
        count: fn(&mut super::Counters) -> &mut u64,
    ) {
        let Some(next) = schedule.next else {
            return;
        };
        if schedule.due >= until {
            return;
        }
        let ns = until.0.saturating_sub(engine.start.get().0);
        let profile = engine.profile();
        let to = profile.first_arrival_from_ns(ns);
        if to <= next {
            return;
        }
        let owned = |from: u64, to: u64| schedule.owned.count(from, to);
        let gaps = profile
            .gaps()
            .map(|gap| owned(gap.start.max(next), gap.end.min(to)));
        let skipped = owned(next, to) - gaps.sum::<u64>();
        drop(profile);
        engine.count(|c| {
            c.planned += skipped;
            *count(c) += skipped;
        });
        schedule.floor = to;
        self.aim(engine, schedule, schedule.owned.first(to));
    }

    /// Handles what is due by now and before `bound`, at most so many.
    fn handle_due<T: Task>(
        self: &Rc<Self>,
        engine: &Rc<Engine<T>>,
        bound: LeaseInstant,
        most: usize,
    ) {
        let control = &engine.shared.control;
        let now = control.now();
        let mut schedule = self.schedule.get();
        // After a pause what was missed is counted at once, however much it is.
        let late = now
            .0
            .saturating_sub(as_ns(engine.shared.plan.load.max_lateness));
        let end = |t: LeaseInstant| LeaseInstant(t.0.min(bound.0));
        if !control.lease_holds(now) {
            self.skip(engine, &mut schedule, end(now), |c| &mut c.dropped_lease);
        }
        self.skip(engine, &mut schedule, end(control.lease_since()), |c| {
            &mut c.dropped_lease
        });
        self.skip(engine, &mut schedule, end(LeaseInstant(late)), |c| {
            &mut c.dropped_late
        });
        let mut left = most;
        while let Some(k) = schedule.next {
            let due = schedule.due;
            if due > now || due >= bound || left == 0 {
                break;
            }
            schedule.floor = k + 1;
            let next = schedule.owned.after(k);
            self.aim(engine, &mut schedule, Some(next));
            self.arrive(engine, k, due, now);
            left -= 1;
        }
        self.schedule.set(schedule);
    }

    /// Opens the connections that the plan names before the start.
    fn prepare<T: Task>(self: &Rc<Self>, engine: &Rc<Engine<T>>) {
        while self.sessions.get() < self.most.get() {
            self.sessions.set(self.sessions.get() + 1);
            let seat = Rc::<SessionSlot>::default();
            engine.seat(self, seat.clone(), None);
            self.idle.borrow_mut().push(seat);
        }
    }

    fn may_open<T: Task>(&self, engine: &Engine<T>) -> bool {
        self.sessions.get() < self.most.get() && engine.opening.get() < OPENING
    }

    fn open<T: Task>(self: &Rc<Self>, engine: &Rc<Engine<T>>, job: PendingRequest) {
        self.sessions.set(self.sessions.get() + 1);
        engine.busy.set(engine.busy.get() + 1);
        engine.seat(self, Rc::default(), Some(job));
    }

    /// Opens connections for arrivals that wait, as far as that is allowed.
    fn seat_waiting<T: Task>(self: &Rc<Self>, engine: &Rc<Engine<T>>) {
        while self.may_open(engine) {
            let Some(job) = engine.queue.borrow_mut().pop_front() else {
                return;
            };
            self.open(engine, job);
        }
    }

    fn arrive<T: Task>(
        self: &Rc<Self>,
        engine: &Rc<Engine<T>>,
        number: u64,
        due: LeaseInstant,
        now: LeaseInstant,
    ) {
        engine.count(|c| c.planned += 1);
        if !engine.shared.control.may_send(now, due) {
            return engine.count(|c| c.dropped_lease += 1);
        }
        if now.0 - due.0 > as_ns(engine.shared.plan.load.max_lateness) {
            return engine.count(|c| c.dropped_late += 1);
        }
        if engine.load() >= self.max_in_flight.get() {
            return engine.count(|c| c.dropped_full += 1);
        }
        let job = PendingRequest {
            due,
            waited_since: None,
            arrival: Arrival {
                number,
                user: None,
                turn: 0,
            },
        };
        let free = self.idle.borrow_mut().pop();
        if let Some(seat) = free {
            engine.busy.set(engine.busy.get() + 1);
            seat.give_at(job, now);
        } else if self.may_open(engine) {
            self.open(engine, job);
        } else {
            let waiting = PendingRequest {
                waited_since: Some(now),
                ..job
            };
            engine.queue.borrow_mut().push_back(waiting);
        }
    }
}

impl<T: Task> Pacer<T> for Open {
    fn started(self: &Rc<Self>, engine: &Rc<Engine<T>>) {
        let mut schedule = self.schedule.get();
        self.seek(engine, &mut schedule);
        self.schedule.set(schedule);
    }

    /// What fell due by now did so by the load as it was known, also if it should have been
    /// another by then.
    fn reload(self: &Rc<Self>, engine: &Rc<Engine<T>>, started: bool) {
        let now = engine.shared.control.now();
        if started {
            self.handle_due(engine, now, usize::MAX);
        }
        engine.reload();
        let mut schedule = self.schedule.get();
        self.set_limits(engine, schedule.owned.range());
        if started {
            schedule.since = schedule.since.max(now);
            self.seek(engine, &mut schedule);
            self.schedule.set(schedule);
        }
    }

    fn share(self: &Rc<Self>, engine: &Rc<Engine<T>>, change: ShareChange, started: bool) {
        if started {
            self.handle_due(engine, change.at, usize::MAX);
        }
        let before = self.schedule.get();
        let range = change
            .range
            .part(engine.thread as u32, engine.shared.threads as u32);
        let mut schedule = Schedule {
            owned: Owned::new(range),
            since: change.at,
            floor: before.floor,
            next: None,
            due: NEVER,
        };
        self.set_limits(engine, range);
        if started {
            self.seek(engine, &mut schedule);
        }
        let named = engine.shared.plan.load.connections.is_some();
        if named && range.slots > 0 && engine.is_early() {
            self.prepare(engine);
        }
        self.schedule.set(schedule);
    }

    fn turn(self: &Rc<Self>, engine: &Rc<Engine<T>>) -> Option<LeaseInstant> {
        self.seat_waiting(engine);
        self.handle_due(engine, NEVER, TURN);
        let schedule = self.schedule.get();
        schedule.next.map(|_| schedule.due)
    }

    fn exhausted(&self, _: &Engine<T>) -> bool {
        false
    }
}
