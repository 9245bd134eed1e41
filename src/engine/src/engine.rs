//! One engine thread's state, and how it runs a request.

use std::cell::{Cell, Ref, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::sync::Semaphore;

use super::clock::{LeaseInstant, thread_cpu};
use super::control::Control;
use super::recorder::{Counters, Recorder, Times};
use super::session_slot::{PendingRequest, SessionSlot};
use vajra_plan::{Plan, Profile};
use vajra_tasks::{Client, Gate, Outcome, Session, Task, Traffic};

/// Most connections that a thread opens at the same time before the start: more at once can
/// overflow a server's queue of connections, which then takes a second to repeat.
const PREPARING: usize = 64;

/// How long a user who pauses between two steps may not notice a stop.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// What all threads of a run share and never change.
#[derive(Debug)]
pub struct Shared {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Names of what is measured each by itself.
    pub steps: Vec<String>,
    /// What the driver wants.
    pub control: Control,
    /// Engine threads.
    pub threads: usize,
    /// Most connections of the node.
    pub connections: u32,
}

/// What a session does after a request.
pub enum Next {
    /// Another one.
    Run(PendingRequest),
    /// Wait for one.
    Wait,
    /// End.
    End,
}

/// Decides what comes after a request: the open or the closed model.
pub trait Model<T: Task>: 'static {
    /// The seat's request is done, at `now`.
    fn after(&self, engine: &Engine<T>, seat: &Rc<SessionSlot>, now: LeaseInstant) -> Next;
}

/// One engine thread's state.
pub struct Engine<T: Task> {
    /// What all threads share.
    pub shared: Arc<Shared>,
    /// Which thread this is.
    pub thread: usize,
    /// When the profile starts; 0 before it is known.
    pub start: Cell<LeaseInstant>,
    /// The load over time, with the changes that are known to this thread.
    profile: RefCell<Arc<Profile>>,
    /// What was measured.
    pub recorder: Rc<RefCell<Recorder>>,
    /// Arrivals that wait for a connection, in order.
    pub queue: RefCell<VecDeque<PendingRequest>>,
    /// Sessions that have a request.
    pub busy: Cell<usize>,
    /// Sessions that have yet to open their first connection.
    pub opening: Cell<usize>,
    /// Has a permit for each connection that may be opened before it is needed.
    preparing: Semaphore,
    /// Nothing is sent any more: stopped.
    pub closing: Cell<bool>,
    /// Opens sessions.
    pub client: T::Client,
    traffic: Rc<Traffic>,
}

/// One thread's measurements.
#[derive(Debug)]
pub struct Report {
    /// The plan's steps, in order.
    pub steps: Vec<StepReport>,
    /// How late the first request was, in microseconds.
    pub first_lag: Option<u64>,
    /// CPU time of the thread.
    pub cpu: Duration,
}

/// What a thread measured of a step.
#[derive(Debug)]
pub struct StepReport {
    /// Counts.
    pub counters: Counters,
    /// Response times.
    pub response: Histogram<u64>,
    /// Service times.
    pub service: Histogram<u64>,
    /// Lag.
    pub lag: Histogram<u64>,
}

impl<T: Task> Engine<T> {
    /// Nothing planned, nothing known.
    pub fn new(
        shared: Arc<Shared>,
        thread: usize,
        task: &Arc<T>,
        recorder: Rc<RefCell<Recorder>>,
    ) -> Engine<T> {
        let traffic = Rc::<Traffic>::default();
        Engine {
            profile: RefCell::new(shared.control.profile()),
            shared,
            thread,
            start: Cell::new(LeaseInstant(0)),
            recorder,
            queue: RefCell::default(),
            busy: Cell::new(0),
            opening: Cell::new(0),
            preparing: Semaphore::new(PREPARING),
            closing: Cell::new(false),
            client: task.client(traffic.clone()),
            traffic,
        }
    }

    /// The profile's instant `ns` on the lease clock.
    pub fn instant(&self, ns: u64) -> LeaseInstant {
        LeaseInstant(self.start.get().0.saturating_add(ns))
    }

    /// The load over time.
    pub fn profile(&self) -> Ref<'_, Profile> {
        Ref::map(self.profile.borrow(), |p| &**p)
    }

    /// It has changed, from some instant on.
    pub fn outdated(&self) -> bool {
        !Arc::ptr_eq(&self.shared.control.profile(), &self.profile.borrow())
    }

    /// Takes up what has changed in it.
    pub fn reload(&self) {
        *self.profile.borrow_mut() = self.shared.control.profile();
    }

    /// The profile has yet to start; it may not even be known when.
    pub fn is_early(&self) -> bool {
        let start = self.start.get();
        start == LeaseInstant(0) || self.shared.control.now() < start
    }

    /// Waiting and in flight.
    pub fn load(&self) -> usize {
        self.busy.get() + self.queue.borrow().len()
    }

    /// Counts something of arrivals that have not begun, or of the whole thread: with the
    /// first step.
    pub fn count(&self, f: impl FnOnce(&mut Counters)) {
        self.count_step(0, f);
    }

    fn count_step(&self, step: usize, f: impl FnOnce(&mut Counters)) {
        f(&mut self.recorder.borrow_mut().steps[step].counters);
    }

    /// Everything measured so far.
    pub fn report(&self) -> Report {
        let recorder = self.recorder.borrow();
        let steps = recorder.steps.iter().map(|step| StepReport {
            counters: step.counters(),
            response: step.response.clone(),
            service: step.service.clone(),
            lag: step.lag.clone(),
        });
        let mut steps: Vec<StepReport> = steps.collect();
        let whole = &mut steps[0].counters;
        whole.in_flight = self.load() as u64;
        whole.bytes_sent = self.traffic.sent.get();
        whole.bytes_received = self.traffic.received.get();
        Report {
            steps,
            first_lag: recorder.first_lag,
            cpu: thread_cpu(),
        }
    }

    /// What is unfinished now stays so: requests in flight are abandoned, those that wait
    /// are dropped.
    pub fn abandon(&self) {
        self.queue.borrow_mut().clear();
        self.busy.set(0);
        for step in &mut self.recorder.borrow_mut().steps {
            let c = &mut step.counters;
            c.abandoned += c.sent - c.ok - c.failed - c.abandoned;
            c.dropped_full += c.planned - c.sent - c.dropped();
        }
    }

    /// Arrivals that wait for a connection are dropped.
    pub fn drop_waiting(&self) {
        let waiting = self.queue.borrow_mut().drain(..).count() as u64;
        self.count(|c| c.dropped_full += waiting);
    }

    /// Spawns a session onto the thread, with its first request; without one it gets ready
    /// for it.
    pub fn seat<M: Model<T>>(
        self: &Rc<Self>,
        model: &Rc<M>,
        seat: Rc<SessionSlot>,
        job: Option<PendingRequest>,
    ) {
        seat.taken.set(true);
        seat.opening.set(true);
        self.opening.set(self.opening.get() + 1);
        let early = job.is_none();
        job.into_iter().for_each(|job| seat.give(job));
        let (engine, model) = (self.clone(), model.clone());
        tokio::task::spawn_local(async move {
            let mut session = engine.client.session();
            if early {
                let permit = engine.preparing.acquire().await;
                session.prepare().await;
                drop(permit);
                engine.opened(&seat);
            }
            while let Some(first) = seat.next(session.idle()).await {
                let mut job = first;
                let mut now = engine.shared.control.now();
                loop {
                    now = engine.run(&mut session, &seat, job, now).await;
                    engine.opened(&seat);
                    match model.after(&engine, &seat, now) {
                        Next::Run(another) => job = another,
                        Next::Wait => break,
                        Next::End => return,
                    }
                }
            }
        });
    }

    /// A session has opened its first connection, or could not.
    fn opened(&self, seat: &SessionSlot) {
        if seat.opening.replace(false) {
            self.opening.set(self.opening.get() - 1);
            if !self.queue.borrow().is_empty() {
                self.shared.control.wake(self.thread);
            }
        }
    }

    /// Carries out one arrival that it turned to at `now`: one request, or one after the other.
    /// Returns when it was done.
    async fn run(
        &self,
        session: &mut <T::Client as Client>::Session,
        seat: &SessionSlot,
        job: PendingRequest,
        now: LeaseInstant,
    ) -> LeaseInstant {
        let picked = job.waited_since.unwrap_or(now);
        let lag_ns = picked.0.saturating_sub(job.due.0);
        if job.waited_since.is_none()
            && u128::from(lag_ns) > self.shared.plan.load.max_lateness.as_nanos()
        {
            self.count(|c| c.dropped_late += 1);
            return now;
        }
        let step = session.begin(job.arrival);
        if step > 0 {
            // Until now it was counted with the first step.
            self.count(|c| c.planned -= 1);
            self.count_step(step, |c| c.planned += 1);
        }
        let (mut done, mut went_out) = self.request(session, seat, step, job.due, lag_ns).await;
        while went_out && !self.closing.get() {
            let Some(next) = session.next() else {
                break;
            };
            let due = LeaseInstant(done.0.saturating_add(as_ns(next.pause)));
            if !self.pause_until(due).await {
                break;
            }
            self.count_step(next.step, |c| c.planned += 1);
            let lag_ns = self.shared.control.now().0.saturating_sub(due.0);
            (done, went_out) = self.request(session, seat, next.step, due, lag_ns).await;
        }
        done
    }

    /// Waits; returns whether it could until then, or a stop came first.
    async fn pause_until(&self, until: LeaseInstant) -> bool {
        loop {
            let left = until.0.saturating_sub(self.shared.control.now().0);
            if left == 0 || self.closing.get() {
                return !self.closing.get();
            }
            let slice = Duration::from_nanos(left).min(LONGEST_SLEEP);
            tokio::time::sleep(slice).await;
        }
    }

    /// Runs one request and records it. Returns when it was done, and whether it was sent.
    async fn request(
        &self,
        session: &mut <T::Client as Client>::Session,
        seat: &SessionSlot,
        step: usize,
        due: LeaseInstant,
        lag_ns: u64,
    ) -> (LeaseInstant, bool) {
        let mut gate = LeaseGate {
            engine: self,
            seat,
            step,
            due,
            sent: None,
        };
        let outcome = session.run(&mut gate).await;
        let (sent, closing) = (gate.sent, self.closing.get());
        let done = self.shared.control.now();
        let mut recorder = self.recorder.borrow_mut();
        let record = &mut recorder.steps[step];
        let counters = &mut record.counters;
        if outcome == Outcome::Withheld {
            counters.sent -= u64::from(sent.is_some());
            match closing {
                true => counters.dropped_full += 1,
                false => counters.dropped_lease += 1,
            }
            return (done, false);
        }
        if sent.is_none() {
            counters.sent += 1;
        }
        let since_start = done.0.saturating_sub(self.start.get().0);
        match outcome {
            Outcome::Ok { status } => {
                counters.ok += 1;
                status.into_iter().for_each(|s| record.status(s));
            }
            Outcome::Failed { status, failure } => {
                counters.failed += 1;
                status.into_iter().for_each(|s| record.status(s));
                record.failure(&failure, since_start / 1_000_000);
            }
            Outcome::Withheld => {}
        }
        let warm_up = due.0 < self.instant(as_ns(self.profile().warm_up_end())).0;
        if warm_up {
            record.counters.warm_up += 1;
        }
        recorder.first_lag.get_or_insert(lag_ns / 1000);
        if !warm_up {
            let times = Times {
                response: done.0.saturating_sub(due.0) / 1000,
                service: sent.map(|at| done.0.saturating_sub(at.0) / 1000),
                lag: lag_ns / 1000,
            };
            recorder.times(step, times);
        }
        (done, true)
    }
}

/// The fence at the trigger.
struct LeaseGate<'a, T: Task> {
    engine: &'a Engine<T>,
    seat: &'a SessionSlot,
    step: usize,
    due: LeaseInstant,
    sent: Option<LeaseInstant>,
}

impl<T: Task> Gate for LeaseGate<'_, T> {
    fn open(&mut self) -> bool {
        let control = &self.engine.shared.control;
        self.engine.opened(self.seat);
        let now = control.now();
        if self.engine.closing.get() || !control.may_send(now, self.due) {
            return false;
        }
        if self.sent.replace(now).is_none() {
            self.engine.count_step(self.step, |c| c.sent += 1);
        }
        true
    }

    fn checked(&mut self, held: bool) {
        self.engine.count_step(self.step, |c| match held {
            true => c.checks_passed += 1,
            false => c.checks_failed += 1,
        });
    }
}

/// A duration in nanoseconds.
pub fn as_ns(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}
