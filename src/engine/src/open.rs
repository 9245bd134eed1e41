//! The open model: arrivals at planned times, independent of responses.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use vajra_core::metrics::Counters;
use vajra_plan::{Owned, Profile, Slots, part, slot_of};
use vajra_task::{Arrival, Task};

use super::clock::LeaseInstant;
use super::control::ShareChange;
use super::engine::{Engine, Model, NextAction, as_ns};
use super::pacer::{Pacer, portion};
use super::session_slot::{PendingRequest, SessionSlot};

/// Default limit of a node's requests that wait or are in flight.
pub const MAX_IN_FLIGHT: u32 = 100_000;

/// Added to rate × timeout in each thread's default limit: requests also take the time of
/// connecting, and a share's arrivals are not spaced evenly.
const SPARE: u32 = 16;

const NEVER: LeaseInstant = LeaseInstant::MAX;

/// Most arrivals that are processed before responses are: an overloaded thread must also read
/// responses.
const BATCH: usize = 16;

/// Most connections that a thread opens at the same time. Further arrivals wait for the first one
/// that is open or becomes idle.
const CONNECTING: usize = 256;

/// A session's slot; the open model has no users.
type Slot = SessionSlot<()>;

/// The sessions of the open model, and the arrivals that are due.
pub struct Open {
    idle: RefCell<Vec<Rc<Slot>>>,
    sessions: Cell<usize>,
    max_in_flight: Cell<usize>,
    max_sessions: Cell<usize>,
    schedule: RefCell<Schedule>,
}

/// This thread's arrivals.
#[derive(Debug)]
struct Schedule {
    /// The share's arrivals.
    owned: Owned,
    /// The share's arrivals are due from this time on.
    since: LeaseInstant,
    /// Added slots whose arrivals still belong to former holders for some time.
    reserved: Vec<Reserved>,
    /// All arrivals with lower numbers have been processed, under this share or an earlier one.
    floor: u64,
    /// Number of the next arrival.
    next: Option<u64>,
    /// Time at which it is due; [`NEVER`] if there is none.
    due: LeaseInstant,
}

/// Slots whose arrivals still belong to former holders. The sets of a schedule are disjoint.
#[derive(Debug)]
struct Reserved {
    slots: Slots,
    /// End, in nanoseconds after the start of the profile.
    until_ns: u64,
}

impl Schedule {
    /// Number of the share's arrivals in `from..to` that this node processes.
    fn count(&self, profile: &Profile, from: u64, to: u64) -> u64 {
        let numbered = |owned: &Owned, to: u64| {
            let gaps = profile
                .gaps()
                .map(|gap| owned.count(gap.start.max(from), gap.end.min(to)));
            owned.count(from, to) - gaps.sum::<u64>()
        };
        let reserved = self.reserved.iter().map(|reserved| {
            let owned = Owned::new(reserved.slots.intersection(self.owned.slots()));
            let until = profile.first_arrival_from_ns(reserved.until_ns);
            numbered(&owned, to.min(until))
        });
        numbered(&self.owned, to) - reserved.sum::<u64>()
    }

    /// Whether arrival `k`, due at this time after the start, belongs to a former holder. Forgets
    /// reservations that have ended by then.
    fn is_reserved(&mut self, k: u64, due_ns: u64) -> bool {
        self.reserved.retain(|r| due_ns < r.until_ns);
        let mut slots = self.reserved.iter().map(|r| &r.slots);
        slots.any(|slots| slots.contains(slot_of(k)))
    }
}

impl<T: Task> Model<T> for Open {
    type User = ();

    fn after_request(&self, engine: &Engine<T>, slot: &Rc<Slot>, _: LeaseInstant) -> NextAction {
        // If the limit of sessions was lowered, surplus ones end after their request.
        if self.sessions.get() > self.max_sessions.get() {
            self.sessions.set(self.sessions.get() - 1);
            engine.busy.set(engine.busy.get() - 1);
            self.refill(engine);
            return NextAction::End;
        }
        match engine.queue.borrow_mut().pop_front() {
            Some(request) => NextAction::Run(request),
            None => {
                engine.busy.set(engine.busy.get() - 1);
                self.idle.borrow_mut().push(slot.clone());
                NextAction::Wait
            }
        }
    }
}

impl Open {
    /// Without a share.
    pub fn new() -> Open {
        Open {
            idle: RefCell::default(),
            sessions: Cell::new(0),
            max_in_flight: Cell::new(0),
            max_sessions: Cell::new(0),
            schedule: RefCell::new(Schedule {
                owned: Owned::new(Slots::EMPTY),
                since: LeaseInstant::MIN,
                reserved: Vec::new(),
                floor: 0,
                next: None,
                due: NEVER,
            }),
        }
    }

    /// Gives waiting arrivals to idle sessions.
    fn refill<T: Task>(&self, engine: &Engine<T>) {
        while let Some(slot) = self.idle.borrow_mut().pop() {
            let Some(request) = engine.queue.borrow_mut().pop_front() else {
                self.idle.borrow_mut().push(slot);
                return;
            };
            engine.busy.set(engine.busy.get() + 1);
            slot.give_at(request, engine.shared.control.now());
        }
    }

    fn set_limits<T: Task>(&self, engine: &Engine<T>, slots: &Slots) {
        let (shared, plan) = (&engine.shared, &engine.shared.plan);
        let (i, n) = (engine.thread as u32, shared.threads as u32);
        let seconds = plan.task.longest().as_secs_f64();
        let max_in_flight = match plan.load.max_in_flight {
            Some(limit) => portion(limit, i, n),
            None => {
                let outstanding = engine.profile().peak() * slots.fraction() * seconds;
                (outstanding.ceil() as u32)
                    .saturating_add(SPARE)
                    .min(portion(MAX_IN_FLIGHT, i, n).max(1))
            }
        };
        let sessions = portion(shared.connections, i, n).saturating_mul(plan.task.streams());
        self.max_in_flight.set(max_in_flight as usize);
        self.max_sessions
            .set(sessions.clamp(1, max_in_flight.max(1)) as usize);
    }

    /// Finds the share's next arrival, from its floor and its start.
    fn seek<T: Task>(&self, engine: &Engine<T>, schedule: &mut Schedule) {
        let since = engine.since_start(schedule.since);
        let from = engine.profile().first_arrival_from_ns(since);
        let first = schedule.owned.first(from.max(schedule.floor));
        self.set_next(engine, schedule, first);
    }

    /// Makes arrival `k` the next one, or the first one after it that is in no gap of the profile
    /// and not reserved. There is none after the last number of the profile.
    fn set_next<T: Task>(&self, engine: &Engine<T>, schedule: &mut Schedule, k: Option<u64>) {
        let profile = engine.profile();
        let mut next = k;
        loop {
            for gap in profile.gaps() {
                if next.is_some_and(|k| gap.contains(&k)) {
                    next = schedule.owned.first(gap.end);
                }
            }
            let Some(k) = next.filter(|k| *k < profile.numbers()) else {
                (schedule.next, schedule.due) = (None, NEVER);
                return;
            };
            let due_ns = profile.arrival_ns(k);
            if schedule.reserved.is_empty() || !schedule.is_reserved(k, due_ns) {
                (schedule.next, schedule.due) = (Some(k), engine.instant(due_ns));
                return;
            }
            next = schedule.owned.after(k);
        }
    }

    /// Skips all arrivals due before `until`; `count` selects the counter for them.
    fn skip<T: Task>(
        &self,
        engine: &Engine<T>,
        schedule: &mut Schedule,
        until: LeaseInstant,
        count: fn(&mut Counters) -> &mut u64,
    ) {
        let Some(next) = schedule.next else {
            return;
        };
        if schedule.due >= until {
            return;
        }
        let profile = engine.profile();
        let to = profile.first_arrival_from_ns(engine.since_start(until));
        if to <= next {
            return;
        }
        let skipped = schedule.count(&profile, next, to);
        drop(profile);
        engine.count(|c| {
            c.planned += skipped;
            *count(c) += skipped;
        });
        schedule.floor = to;
        let first = schedule.owned.first(to);
        self.set_next(engine, schedule, first);
    }

    /// Processes at most `limit` arrivals that are due at `now` and before `bound`.
    fn process_due<T: Task>(
        self: &Rc<Self>,
        engine: &Rc<Engine<T>>,
        now: LeaseInstant,
        bound: LeaseInstant,
        limit: usize,
    ) {
        let control = &engine.shared.control;
        let mut schedule = self.schedule.borrow_mut();
        // After a suspension, all missed arrivals are counted at once.
        let late = now.minus_ns(as_ns(engine.shared.plan.load.max_lateness));
        if !control.lease_valid(now) {
            self.skip(engine, &mut schedule, bound.min(now), |c| {
                &mut c.dropped_lease
            });
        }
        self.skip(
            engine,
            &mut schedule,
            bound.min(control.lease_since()),
            |c| &mut c.dropped_lease,
        );
        self.skip(engine, &mut schedule, bound.min(late), |c| {
            &mut c.dropped_late
        });
        let mut remaining = limit;
        while let Some(k) = schedule.next {
            let due = schedule.due;
            if due > now || due >= bound || remaining == 0 {
                break;
            }
            schedule.floor = k + 1;
            let next = schedule.owned.after(k);
            self.set_next(engine, &mut schedule, next);
            self.arrive(engine, k, due, now);
            remaining -= 1;
        }
    }

    /// Opens all connections before the start.
    fn connect_early<T: Task>(self: &Rc<Self>, engine: &Rc<Engine<T>>) {
        while self.sessions.get() < self.max_sessions.get() {
            self.sessions.set(self.sessions.get() + 1);
            let slot = Rc::<Slot>::default();
            engine.spawn_session(self, slot.clone(), None);
            self.idle.borrow_mut().push(slot);
        }
    }

    fn may_connect<T: Task>(&self, engine: &Engine<T>) -> bool {
        self.sessions.get() < self.max_sessions.get() && engine.connecting.get() < CONNECTING
    }

    fn spawn<T: Task>(self: &Rc<Self>, engine: &Rc<Engine<T>>, request: PendingRequest) {
        self.sessions.set(self.sessions.get() + 1);
        engine.busy.set(engine.busy.get() + 1);
        engine.spawn_session(self, Rc::default(), Some(request));
    }

    /// Spawns sessions for waiting arrivals, within the limits.
    fn spawn_for_waiting<T: Task>(self: &Rc<Self>, engine: &Rc<Engine<T>>) {
        while self.may_connect(engine) {
            let Some(request) = engine.queue.borrow_mut().pop_front() else {
                return;
            };
            self.spawn(engine, request);
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
        if now.ns_since(due) > as_ns(engine.shared.plan.load.max_lateness) {
            return engine.count(|c| c.dropped_late += 1);
        }
        if engine.outstanding() >= self.max_in_flight.get() {
            return engine.count(|c| c.dropped_full += 1);
        }
        let request = PendingRequest {
            due,
            waited_since: None,
            arrival: Arrival {
                number,
                user: None,
                iteration: 0,
            },
        };
        let idle = self.idle.borrow_mut().pop();
        if let Some(slot) = idle {
            engine.busy.set(engine.busy.get() + 1);
            slot.give_at(request, now);
        } else if self.may_connect(engine) {
            self.spawn(engine, request);
        } else {
            let waiting = PendingRequest {
                waited_since: Some(now),
                ..request
            };
            engine.queue.borrow_mut().push_back(waiting);
        }
    }
}

impl<T: Task> Pacer<T> for Open {
    fn started(self: &Rc<Self>, engine: &Rc<Engine<T>>) {
        self.seek(engine, &mut self.schedule.borrow_mut());
    }

    /// Arrivals that are due now are still processed by the old profile, even if the change should
    /// have taken effect earlier.
    fn reload(self: &Rc<Self>, engine: &Rc<Engine<T>>, now: LeaseInstant, started: bool) {
        if started {
            self.process_due(engine, now, now, usize::MAX);
        }
        engine.reload();
        let mut schedule = self.schedule.borrow_mut();
        self.set_limits(engine, schedule.owned.slots());
        if started {
            schedule.since = schedule.since.max(now);
            self.seek(engine, &mut schedule);
        }
    }

    fn share(self: &Rc<Self>, engine: &Rc<Engine<T>>, change: ShareChange, started: bool) {
        if started {
            let now = engine.shared.control.now();
            self.process_due(engine, now, change.at, usize::MAX);
        }
        let (thread, threads) = (engine.thread as u32, engine.shared.threads as u32);
        let slots = part(&change.slots, thread, threads);
        let mut schedule = self.schedule.borrow_mut();
        for reserved in &mut schedule.reserved {
            let rest = reserved.slots.difference(&change.removed);
            reserved.slots = rest.difference(&change.added);
        }
        if !change.added.is_empty() && !change.floor.is_zero() {
            schedule.reserved.push(Reserved {
                slots: change.added,
                until_ns: as_ns(change.floor),
            });
        }
        self.set_limits(engine, &slots);
        let fixed = engine.shared.plan.load.connections.is_some();
        let early = fixed && !slots.is_empty() && engine.before_start();
        schedule.owned = Owned::new(slots);
        schedule.since = change.at;
        if started {
            self.seek(engine, &mut schedule);
        }
        drop(schedule);
        if early {
            self.connect_early(engine);
        }
    }

    /// Arrivals that wait for a connection were due before.
    fn shrink(self: &Rc<Self>, _: &Rc<Engine<T>>, _: &ShareChange) {}

    fn process(self: &Rc<Self>, engine: &Rc<Engine<T>>, now: LeaseInstant) -> Option<LeaseInstant> {
        self.spawn_for_waiting(engine);
        self.process_due(engine, now, NEVER, BATCH);
        let schedule = self.schedule.borrow();
        schedule.next.map(|_| schedule.due)
    }

    /// An arrival has been carried out once it is sent; only users occupy their slot for longer.
    fn interrupt(&self, _: &Engine<T>, _: LeaseInstant) -> Option<LeaseInstant> {
        None
    }

    fn end(&self, _: &Engine<T>) {}

    fn exhausted(&self, _: &Engine<T>) -> bool {
        false
    }
}
