//! The state of an engine thread, and how it runs a request.

use std::cell::{Cell, Ref, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::sync::Semaphore;
use vajra_core::metrics::Counters;
use vajra_plan::{Plan, Profile, Users};
use vajra_task::{
    Client, CustomMetrics, Gate, MetricId, Outcome, Permit, Phase, PhaseTimes, Session, Task,
    Traffic,
};

use super::clock::{LeaseInstant, thread_cpu};
use super::control::{Control, Timeline};
use super::held::Holdings;
use super::recorder::{Recorder, Times};
use super::session_slot::{PendingRequest, SessionSlot, SessionState};

/// Most connections that a thread opens at the same time before the start. More could overflow a
/// server's accept queue; clients then retry after a second.
const EARLY_CONNECTS: usize = 64;

/// Longest sleep within a pause between two steps, so that a stop ends the pause in time.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// What all threads of a run share.
#[derive(Debug)]
pub struct Shared {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Names of the steps, which are measured separately.
    pub steps: Vec<String>,
    /// Commands to the threads.
    pub control: Control,
    /// What the threads still act on besides the newest share.
    pub holdings: Holdings,
    /// Number of engine threads.
    pub threads: usize,
    /// Most connections of the node.
    pub connections: u32,
}

/// What a session does after a request.
pub enum NextAction {
    /// Run another request.
    Run(PendingRequest),
    /// Wait for a request.
    Wait,
    /// End.
    End,
}

/// Decides what follows a request: the open or the closed model.
pub trait Model<T: Task>: 'static {
    /// State of a virtual user.
    type User: 'static;

    /// Called when the request of a slot is done, at `now`.
    fn after_request(
        &self,
        engine: &Engine<T>,
        slot: &Rc<SessionSlot<Self::User>>,
        now: LeaseInstant,
    ) -> NextAction;

    /// Called when the session of a slot has ended and is closed, also if it was interrupted.
    fn session_ended(&self, engine: &Engine<T>, slot: &Rc<SessionSlot<Self::User>>) {
        let _ = (engine, slot);
    }
}

/// A session's task on the thread. Its end, also by an interruption, is reported to the model.
struct RunningSession<T: Task, M: Model<T>> {
    engine: Rc<Engine<T>>,
    model: Rc<M>,
    slot: Rc<SessionSlot<M::User>>,
}

impl<T: Task, M: Model<T>> Drop for RunningSession<T, M> {
    fn drop(&mut self) {
        self.engine.connected(&self.slot);
        self.model.session_ended(&self.engine, &self.slot);
    }
}

/// The state of an engine thread.
pub struct Engine<T: Task> {
    /// Shared by all threads.
    pub shared: Arc<Shared>,
    /// Index of the thread.
    pub thread: usize,
    /// Start of the profile; [`LeaseInstant::MAX`] before it is known.
    pub start: Cell<LeaseInstant>,
    /// Generation of the commands that this thread has applied.
    pub seen: Cell<u64>,
    /// The load profile, with the changes that this thread has applied.
    timeline: RefCell<Arc<Timeline>>,
    /// The measurements.
    pub recorder: Rc<RefCell<Recorder>>,
    /// Arrivals that wait for a connection, in order.
    pub queue: RefCell<VecDeque<PendingRequest>>,
    /// Number of sessions that have a request.
    pub busy: Cell<usize>,
    /// Number of sessions that have not opened their first connection yet.
    pub connecting: Cell<usize>,
    /// Limits the connections that are opened before they are needed.
    early_connects: Semaphore,
    /// The load was stopped: nothing is sent any more.
    pub stopped: Cell<bool>,
    /// The load has ended: requests in flight were counted as abandoned.
    ended: Cell<bool>,
    /// Creates sessions.
    pub client: T::Client,
    traffic: Rc<Traffic>,
}

/// The measurements of a thread.
#[derive(Debug)]
pub struct Report {
    /// The plan's steps, in order.
    pub steps: Vec<StepReport>,
    /// Lag of the first request, in microseconds.
    pub first_lag: Option<u64>,
    /// Durations of phases.
    pub phases: PhaseTimes,
    /// The task's custom metrics.
    pub custom: CustomMetrics,
    /// CPU time of the thread.
    pub cpu: Duration,
}

/// The measurements of a step.
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
    /// The state before the start.
    pub fn new(
        shared: Arc<Shared>,
        thread: usize,
        task: &Arc<T>,
        recorder: Rc<RefCell<Recorder>>,
    ) -> Engine<T> {
        let traffic = Rc::<Traffic>::default();
        Engine {
            timeline: RefCell::new(shared.control.timeline()),
            shared,
            thread,
            start: Cell::new(LeaseInstant::MAX),
            seen: Cell::new(0),
            recorder,
            queue: RefCell::default(),
            busy: Cell::new(0),
            connecting: Cell::new(0),
            early_connects: Semaphore::new(EARLY_CONNECTS),
            stopped: Cell::new(false),
            ended: Cell::new(false),
            client: task.client(traffic.clone()),
            traffic,
        }
    }

    /// A time of the profile, in nanoseconds, on the lease clock.
    pub fn instant(&self, ns: u64) -> LeaseInstant {
        self.start.get().plus_ns(ns)
    }

    /// Nanoseconds from the start of the profile to an instant; 0 before.
    pub fn since_start(&self, at: LeaseInstant) -> u64 {
        at.ns_since(self.start.get())
    }

    /// The load profile.
    pub fn profile(&self) -> Ref<'_, Profile> {
        Ref::map(self.timeline.borrow(), |t| &t.profile)
    }

    /// The slots of the users.
    pub fn users(&self) -> Ref<'_, Users> {
        Ref::map(self.timeline.borrow(), |t| t.users())
    }

    /// Whether the load profile has changed.
    pub fn outdated(&self) -> bool {
        !Arc::ptr_eq(&self.shared.control.timeline(), &self.timeline.borrow())
    }

    /// Applies the changes of the load profile.
    pub fn reload(&self) {
        *self.timeline.borrow_mut() = self.shared.control.timeline();
    }

    /// Whether the profile has not started yet.
    pub fn before_start(&self) -> bool {
        self.shared.control.now() < self.start.get()
    }

    /// Requests that wait for a connection or are in flight.
    pub fn outstanding(&self) -> usize {
        self.busy.get() + self.queue.borrow().len()
    }

    /// Counts, under the first step, arrivals that have not started and totals of the thread.
    pub fn count(&self, f: impl FnOnce(&mut Counters)) {
        self.count_step(0, f);
    }

    fn count_step(&self, step: usize, f: impl FnOnce(&mut Counters)) {
        f(&mut self.recorder.borrow_mut().steps[step].counters);
    }

    /// The measurements up to now.
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
        whole.in_flight = match self.ended.get() {
            true => 0,
            false => self.outstanding() as u64,
        };
        whole.bytes_sent = self.traffic.sent.get();
        whole.bytes_received = self.traffic.received.get();
        Report {
            steps,
            first_lag: recorder.first_lag,
            phases: recorder.phases.clone(),
            custom: recorder.custom.clone(),
            cpu: thread_cpu(),
        }
    }

    /// Counts requests in flight as abandoned, and those that wait as dropped.
    pub fn abandon(&self) {
        self.ended.set(true);
        self.queue.borrow_mut().clear();
        for step in &mut self.recorder.borrow_mut().steps {
            let c = &mut step.counters;
            c.abandoned += c.sent - c.ok - c.failed - c.abandoned;
            c.dropped_full += c.planned - c.sent - c.dropped();
        }
    }

    /// Counts a request that was interrupted. Once the load has ended, all have been counted.
    pub fn interrupted(&self, step: usize, sent: bool) {
        if self.ended.get() {
            return;
        }
        let control = &self.shared.control;
        let lapsed = control.now() >= control.interrupt_at();
        self.count_step(step, |c| match (sent, lapsed) {
            (true, _) => c.abandoned += 1,
            (false, true) => c.dropped_lease += 1,
            (false, false) => c.dropped_full += 1,
        });
    }

    /// Drops arrivals that wait for a connection.
    pub fn drop_waiting(&self) {
        let waiting = self.queue.borrow_mut().drain(..).count() as u64;
        self.count(|c| c.dropped_full += waiting);
    }

    /// Spawns a session on the thread, with its first request. Without one the session connects
    /// and waits.
    pub fn spawn_session<M: Model<T>>(
        self: &Rc<Self>,
        model: &Rc<M>,
        slot: Rc<SessionSlot<M::User>>,
        request: Option<PendingRequest>,
    ) {
        slot.session.set(SessionState::Connecting);
        self.connecting.set(self.connecting.get() + 1);
        let early = request.is_none();
        request.into_iter().for_each(|request| slot.give(request));
        let running = RunningSession {
            engine: self.clone(),
            model: model.clone(),
            slot: slot.clone(),
        };
        let task = tokio::task::spawn_local(async move {
            // Dropped after the session, whose connection is closed by then.
            let running = running;
            let RunningSession {
                engine,
                model,
                slot,
            } = &running;
            let mut session = engine.client.session();
            if early {
                let permit = engine.early_connects.acquire().await;
                session.connect().await;
                drop(permit);
                engine.connected(slot);
            }
            while let Some(first) = slot.next(session.idle()).await {
                let mut request = first;
                let mut now = engine.shared.control.now();
                loop {
                    now = engine.run(&mut session, slot, request, now).await;
                    engine.connected(slot);
                    match model.after_request(engine, slot, now) {
                        NextAction::Run(another) => request = another,
                        NextAction::Wait => break,
                        NextAction::End => return,
                    }
                }
            }
        });
        slot.runs(task.abort_handle());
    }

    /// Called when a session has opened its first connection, or failed to.
    fn connected<U>(&self, slot: &SessionSlot<U>) {
        if slot.session.get() == SessionState::Connecting {
            slot.session.set(SessionState::Ready);
            self.connecting.set(self.connecting.get() - 1);
            if !self.queue.borrow().is_empty() {
                self.shared.control.wake(self.thread);
            }
        }
    }

    /// Runs an arrival that was processed at `now`: one request, or the steps of an iteration.
    /// Returns the time at which it was done.
    async fn run<U>(
        &self,
        session: &mut <T::Client as Client>::Session,
        slot: &SessionSlot<U>,
        pending: PendingRequest,
        now: LeaseInstant,
    ) -> LeaseInstant {
        let processed = pending.waited_since.unwrap_or(now);
        let lag_ns = processed.ns_since(pending.due);
        if pending.waited_since.is_none()
            && u128::from(lag_ns) > self.shared.plan.load.max_lateness.as_nanos()
        {
            self.count(|c| c.dropped_late += 1);
            return now;
        }
        let step = session.start(pending.arrival);
        if step > 0 {
            // Before the start it was counted under the first step.
            self.count(|c| c.planned -= 1);
            self.count_step(step, |c| c.planned += 1);
        }
        let (mut done, mut sent) = self.request(session, slot, step, pending.due, lag_ns).await;
        while sent && !self.stopped.get() {
            let Some(next) = session.next_step() else {
                break;
            };
            let due = done.plus_ns(as_ns(next.pause));
            if !self.pause_until(due).await {
                break;
            }
            self.count_step(next.step, |c| c.planned += 1);
            let lag_ns = self.shared.control.now().ns_since(due);
            (done, sent) = self.request(session, slot, next.step, due, lag_ns).await;
        }
        done
    }

    /// Waits until a time. Returns false if a stop came first.
    async fn pause_until(&self, until: LeaseInstant) -> bool {
        loop {
            let remaining = until.ns_since(self.shared.control.now());
            if remaining == 0 || self.stopped.get() {
                return !self.stopped.get();
            }
            let slice = Duration::from_nanos(remaining).min(LONGEST_SLEEP);
            tokio::time::sleep(slice).await;
        }
    }

    /// Runs one request and records it. Returns the time at which it was done, and whether it was
    /// sent.
    async fn request<U>(
        &self,
        session: &mut <T::Client as Client>::Session,
        slot: &SessionSlot<U>,
        step: usize,
        due: LeaseInstant,
        lag_ns: u64,
    ) -> (LeaseInstant, bool) {
        let mut gate = LeaseGate {
            engine: self,
            slot,
            step,
            due,
            sent: None,
            done: false,
        };
        let outcome = session.run(&mut gate).await;
        gate.done = true;
        let (sent, stopped) = (gate.sent, self.stopped.get());
        let done = self.shared.control.now();
        let mut recorder = self.recorder.borrow_mut();
        let record = &mut recorder.steps[step];
        let counters = &mut record.counters;
        if outcome == Outcome::NotSent {
            counters.sent -= u64::from(sent.is_some());
            match stopped {
                true => counters.dropped_full += 1,
                false => counters.dropped_lease += 1,
            }
            return (done, false);
        }
        if sent.is_none() {
            counters.sent += 1;
        }
        let since_start = self.since_start(done);
        match outcome {
            Outcome::Ok { status, permit: _ } => {
                counters.ok += 1;
                status.into_iter().for_each(|s| record.status(s));
            }
            Outcome::Failed { status, failure } => {
                counters.failed += 1;
                status.into_iter().for_each(|s| record.status(s));
                record.failure(&failure, since_start / 1_000_000);
            }
            Outcome::NotSent => {}
        }
        let warm_up = due < self.instant(as_ns(self.profile().warm_up_end()));
        if warm_up {
            record.counters.warm_up += 1;
        }
        recorder.first_lag.get_or_insert(lag_ns / 1000);
        if !warm_up {
            let times = Times {
                response: done.ns_since(due) / 1000,
                service: sent.map(|at| done.ns_since(at) / 1000),
                lag: lag_ns / 1000,
            };
            recorder.times(step, times);
        }
        (done, true)
    }
}

/// Checks the lease immediately before a request is sent, and records the send time. Counts the
/// request if it is dropped before the request is done: then its session was interrupted.
struct LeaseGate<'a, T: Task, U> {
    engine: &'a Engine<T>,
    slot: &'a SessionSlot<U>,
    step: usize,
    due: LeaseInstant,
    sent: Option<LeaseInstant>,
    done: bool,
}

impl<T: Task, U> Drop for LeaseGate<'_, T, U> {
    fn drop(&mut self) {
        if !self.done {
            self.engine.interrupted(self.step, self.sent.is_some());
        }
    }
}

impl<T: Task, U> Gate for LeaseGate<'_, T, U> {
    fn open(&mut self) -> Option<Permit> {
        let control = &self.engine.shared.control;
        self.engine.connected(self.slot);
        let now = control.now();
        if self.engine.stopped.get() || !control.may_send(now, self.due) {
            return None;
        }
        if self.sent.replace(now).is_none() {
            self.engine.count_step(self.step, |c| c.sent += 1);
        }
        Some(Permit::grant())
    }

    fn check(&mut self, passed: bool) {
        self.engine.count_step(self.step, |c| match passed {
            true => c.checks_passed += 1,
            false => c.checks_failed += 1,
        });
    }

    fn phase(&mut self, phase: Phase, duration: Duration) {
        let mut recorder = self.engine.recorder.borrow_mut();
        recorder.phases.record(phase, duration);
    }

    fn add(&mut self, metric: MetricId, amount: u64) {
        let mut recorder = self.engine.recorder.borrow_mut();
        recorder.custom.add(metric, amount);
    }

    fn count_rate(&mut self, metric: MetricId, hit: bool) {
        let mut recorder = self.engine.recorder.borrow_mut();
        recorder.custom.count_rate(metric, hit);
    }

    fn observe(&mut self, metric: MetricId, value: u64) {
        let mut recorder = self.engine.recorder.borrow_mut();
        recorder.custom.observe(metric, value);
    }
}

/// A duration in nanoseconds; saturates.
pub fn as_ns(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}
