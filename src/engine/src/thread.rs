//! The life of an engine thread: it creates the task's client, turns arrivals into requests until
//! they end, waits for requests in flight, and leaves its report.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use hdrhistogram::Histogram;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use vajra_plan as plan;
use vajra_task::{Client, FromTask, Task};

use super::clock::LeaseInstant;
use super::closed::Closed;
use super::engine::{Engine, Report, Shared, as_ns};
use super::open::Open;
use super::pacer::Pacer;
use super::pacing_timer::PacingTimer;
use super::recorder::Recorder;

/// Interval at which a thread that only waits for responses checks whether all have arrived, in
/// nanoseconds.
const DRAIN_NS: u64 = 1_000_000;

/// A request for a thread's report.
pub type ReportRequest = oneshot::Sender<Report>;

/// A prepared task of any type, for a [`crate::LoadRun`].
///
/// The engine is compiled for each type of task; only starting a thread is a dynamic call.
#[derive(Clone)]
pub struct EngineTask(Arc<dyn RunnableTask>);

impl EngineTask {
    /// Runs an engine thread to its end.
    pub(crate) fn run_thread(self, init: ThreadInit) -> io::Result<()> {
        self.0.run_thread(init)
    }
}

impl FromTask for EngineTask {
    fn from_task<T: Task>(task: Arc<T>) -> EngineTask {
        EngineTask(task)
    }
}

impl fmt::Debug for EngineTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EngineTask").field(&self.0.name()).finish()
    }
}

/// Any task, for dynamic calls.
trait RunnableTask: Send + Sync {
    fn name(&self) -> &'static str;

    fn run_thread(self: Arc<Self>, init: ThreadInit) -> io::Result<()>;
}

impl<T: Task> RunnableTask for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn run_thread(self: Arc<Self>, init: ThreadInit) -> io::Result<()> {
        init.run(self)
    }
}

/// What a thread is started with.
pub struct ThreadInit {
    /// Shared by all threads.
    pub shared: Arc<Shared>,
    /// Index of the thread.
    pub thread: usize,
    /// Configuration of its histograms.
    pub prototype: Histogram<u64>,
    /// File for raw values.
    pub dump: Option<PathBuf>,
    /// Requests for its report.
    pub requests: mpsc::Receiver<ReportRequest>,
    /// Receives the last report before `requests` is closed.
    pub last: Arc<Mutex<Option<Report>>>,
}

impl ThreadInit {
    /// Runs the thread to its end, on a runtime of its own.
    fn run<T: Task>(self, task: Arc<T>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let steps = self.shared.steps.len();
        let recorder = Recorder::new(&self.prototype, steps, T::metrics(), self.dump.as_deref())?;
        let recorder = Rc::new(RefCell::new(recorder));
        lower_timer_slack();
        runtime.block_on(async move {
            let engine = Engine::new(self.shared.clone(), self.thread, &task, recorder);
            let engine = Rc::new(engine);
            match self.shared.plan.load.model {
                plan::Model::Open => {
                    run_model(engine, Rc::new(Open::new()), self.requests, &self.last).await
                }
                plan::Model::Closed => {
                    run_model(engine, Rc::new(Closed::new()), self.requests, &self.last).await
                }
            }
        })
    }
}

async fn run_model<T: Task, P: Pacer<T>>(
    engine: Rc<Engine<T>>,
    pacer: Rc<P>,
    mut requests: mpsc::Receiver<ReportRequest>,
    last: &Mutex<Option<Report>>,
) -> io::Result<()> {
    let mut timer = PacingTimer::new(
        engine.shared.control.clock(),
        engine.shared.plan.load.pacing,
    )?;
    let local = LocalSet::new();
    let reporting = engine.clone();
    local.spawn_local(async move {
        while let Some(request) = requests.recv().await {
            // The caller may have dropped its request.
            let _ = request.send(reporting.report());
        }
    });
    let background = engine.clone();
    local.spawn_local(async move { background.client.background().await });
    local
        .run_until(async {
            let deadline = arrivals(&engine, &pacer, &mut timer).await;
            pacer.end(&engine);
            drain(&engine, &pacer, &mut timer, deadline).await;
        })
        .await;
    engine.abandon();
    *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(engine.report());
    // Closes all connections.
    drop(local);
    Ok(())
}

/// Turns the plan into requests until it ends or is stopped. Returns the deadline of requests in
/// flight.
async fn arrivals<T: Task, P: Pacer<T>>(
    engine: &Rc<Engine<T>>,
    pacer: &Rc<P>,
    timer: &mut PacingTimer,
) -> LeaseInstant {
    let (shared, control) = (&engine.shared, &engine.shared.control);
    let graceful = as_ns(shared.plan.graceful_timeout());
    let mut started = false;
    let mut outdated = false;
    loop {
        let generation = control.generation();
        if generation != engine.seen.replace(generation) {
            if let Some(start) = control
                .start()
                .filter(|s| !started || *s != engine.start.get())
            {
                engine.start.set(start);
                started = true;
                pacer.started(engine);
            }
            for change in control.take_shares(engine.thread) {
                let (number, at) = (change.number, change.at);
                pacer.share(engine, change, started);
                let handled_ns = engine.since_start(at);
                shared.holdings.apply(engine.thread, number, handled_ns);
            }
            outdated = engine.outdated();
        }
        if let Some(by) = control.stop_by() {
            engine.stopped.set(true);
            engine.drop_waiting();
            return by;
        }
        // Nothing that is due after a change of the share may be processed before that change.
        let Some(now) = control.now_if_current(generation) else {
            continue;
        };
        if std::mem::take(&mut outdated) {
            pacer.reload(engine, now, started);
        }
        let mut wake = LeaseInstant::MAX;
        if started {
            let end = engine.instant(as_ns(engine.profile().last_due()));
            let next = pacer.process(engine, now).filter(|next| *next <= end);
            let now = control.now();
            if next.is_none() && now >= end || pacer.exhausted(engine) {
                return now.plus_ns(graceful);
            }
            wake = next.unwrap_or(end);
        }
        tokio::select! {
            () = timer.until(wake) => {}
            () = control.changed(engine.thread) => {}
        }
    }
}

/// Waits until no request is in flight, or until the deadline, which a stop may bring forward.
async fn drain<T: Task, P: Pacer<T>>(
    engine: &Rc<Engine<T>>,
    pacer: &Rc<P>,
    timer: &mut PacingTimer,
    deadline: LeaseInstant,
) {
    let (shared, control) = (&engine.shared, &engine.shared.control);
    let mut deadline = deadline;
    while engine.outstanding() > 0 {
        let generation = control.generation();
        if generation != engine.seen.replace(generation) {
            for change in control.take_shares(engine.thread) {
                pacer.shrink(engine, &change);
                let handled_ns = engine.since_start(change.at);
                shared
                    .holdings
                    .apply(engine.thread, change.number, handled_ns);
            }
        }
        if let Some(by) = control.stop_by() {
            if !engine.stopped.replace(true) {
                engine.drop_waiting();
            }
            deadline = deadline.min(by);
        }
        let now = control.now();
        if now >= deadline {
            return;
        }
        pacer.interrupt(engine, now);
        tokio::select! {
            () = timer.until(deadline.min(now.plus_ns(DRAIN_NS))) => {}
            () = control.changed(engine.thread) => {}
        }
    }
}

/// By default the kernel may delay a thread's wake-ups by 50 µs to save energy.
fn lower_timer_slack() {
    #[cfg(target_os = "linux")]
    {
        // If it fails, lag is slightly larger, and reported.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    }
}
