//! The open model: arrivals at planned times, independent of responses.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use vajra_core::metrics::Counters;
use vajra_plan::{Owned, SlotRange};
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

const NEVER: LeaseInstant = LeaseInstant(u64::MAX);

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
    schedule: Cell<Schedule>,
}

/// This thread's arrivals.
#[derive(Clone, Copy)]
struct Schedule {
    /// The share's arrivals.
    owned: Owned,
    /// The share's arrivals are due from this time on.
    since: LeaseInstant,
    /// All arrivals with lower numbers have been processed, under this share or an earlier one.
    floor: u64,
    /// Number of the next arrival.
    next: Option<u64>,
    /// Time at which it is due; [`NEVER`] if there is none.
    due: LeaseInstant,
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
            schedule: Cell::new(Schedule {
                owned: Owned::new(SlotRange::EMPTY),
                since: LeaseInstant(0),
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

    fn set_limits<T: Task>(&self, engine: &Engine<T>, range: SlotRange) {
        let (shared, plan) = (&engine.shared, &engine.shared.plan);
        let (i, n) = (engine.thread as u32, shared.threads as u32);
        let seconds = plan.task.longest().as_secs_f64();
        let max_in_flight = match plan.load.max_in_flight {
            Some(limit) => portion(limit, i, n),
            None => {
                let outstanding = engine.profile().peak() * range.fraction() * seconds;
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
        let profile = engine.profile();
        let since = schedule.since.0.saturating_sub(engine.start.get().0);
        let from = profile.first_arrival_from_ns(since).max(schedule.floor);
        drop(profile);
        self.set_next(engine, schedule, schedule.owned.first(from));
    }

    /// Makes arrival `k` the next one, or the first one after a gap of the profile. There is none
    /// after the last number of the profile.
    fn set_next<T: Task>(&self, engine: &Engine<T>, schedule: &mut Schedule, k: Option<u64>) {
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
        self.set_next(engine, schedule, schedule.owned.first(to));
    }

    /// Processes at most `limit` arrivals that are due now and before `bound`.
    fn process_due<T: Task>(
        self: &Rc<Self>,
        engine: &Rc<Engine<T>>,
        bound: LeaseInstant,
        limit: usize,
    ) {
        let control = &engine.shared.control;
        let now = control.now();
        let mut schedule = self.schedule.get();
        // After a suspension, all missed arrivals are counted at once.
        let late = now
            .0
            .saturating_sub(as_ns(engine.shared.plan.load.max_lateness));
        let end = |t: LeaseInstant| LeaseInstant(t.0.min(bound.0));
        if !control.lease_valid(now) {
            self.skip(engine, &mut schedule, end(now), |c| &mut c.dropped_lease);
        }
        self.skip(engine, &mut schedule, end(control.lease_since()), |c| {
            &mut c.dropped_lease
        });
        self.skip(engine, &mut schedule, end(LeaseInstant(late)), |c| {
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
            self.set_next(engine, &mut schedule, Some(next));
            self.arrive(engine, k, due, now);
            remaining -= 1;
        }
        self.schedule.set(schedule);
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
        if now.0 - due.0 > as_ns(engine.shared.plan.load.max_lateness) {
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
        let mut schedule = self.schedule.get();
        self.seek(engine, &mut schedule);
        self.schedule.set(schedule);
    }

    /// Arrivals that are due now are still processed by the old profile, even if the change should
    /// have taken effect earlier.
    fn reload(self: &Rc<Self>, engine: &Rc<Engine<T>>, started: bool) {
        let now = engine.shared.control.now();
        if started {
            self.process_due(engine, now, usize::MAX);
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
            self.process_due(engine, change.at, usize::MAX);
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
        let fixed = engine.shared.plan.load.connections.is_some();
        if fixed && range.slots > 0 && engine.before_start() {
            self.connect_early(engine);
        }
        self.schedule.set(schedule);
    }

    fn process(self: &Rc<Self>, engine: &Rc<Engine<T>>) -> Option<LeaseInstant> {
        self.spawn_for_waiting(engine);
        self.process_due(engine, NEVER, BATCH);
        let schedule = self.schedule.get();
        schedule.next.map(|_| schedule.due)
    }

    fn exhausted(&self, _: &Engine<T>) -> bool {
        false
    }
}
