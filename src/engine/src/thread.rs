//! An engine thread's life: it is made ready, turns arrivals into requests until they end,
//! lets what is in flight finish, and leaves its report.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::clock::LeaseInstant;
use super::closed::Closed;
use super::control::ShareChange;
use super::engine::{Engine, Model, Report, Shared, as_ns};
use super::open::Open;
use super::pacing_timer::PacingTimer;
use super::recorder::Recorder;
use vajra_plan as plan;
use vajra_tasks::{Client, Prepared, Task};

/// How often a thread that only waits for responses looks whether all have come, in
/// nanoseconds.
const DRAIN_NS: u64 = 1_000_000;

/// A request for a thread's report.
pub type Ask = oneshot::Sender<Report>;

/// Turns the plan into requests: the open or the closed model.
pub trait Pacer<T: Task>: Model<T> {
    /// The start has become known, or has changed.
    fn started(self: &Rc<Self>, engine: &Rc<Engine<T>>);

    /// The share has changed. `started` tells that the start is known.
    fn share(self: &Rc<Self>, engine: &Rc<Engine<T>>, change: ShareChange, started: bool);

    /// The load over time has changed, from some instant on: it is to be taken up.
    fn reload(self: &Rc<Self>, engine: &Rc<Engine<T>>, started: bool);

    /// Does what is due; returns when it wants its next turn.
    fn turn(self: &Rc<Self>, engine: &Rc<Engine<T>>) -> Option<LeaseInstant>;

    /// Nothing more will come, though the profile goes on.
    fn exhausted(&self, engine: &Engine<T>) -> bool;
}

/// What a thread is started with.
pub struct ThreadInit {
    /// What all threads share.
    pub shared: Arc<Shared>,
    /// Which one it is.
    pub thread: usize,
    /// What it records in.
    pub prototype: hdrhistogram::Histogram<u64>,
    /// Where raw values go.
    pub dump: Option<PathBuf>,
    /// Who wants to know how far it is.
    pub asks: mpsc::Receiver<Ask>,
    /// Where the last report is left, before asking comes to an end.
    pub last: Arc<Mutex<Option<Report>>>,
}

impl ThreadInit {
    /// Runs the thread to its end, on a runtime of its own.
    pub fn run(self, task: Prepared) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let steps = self.shared.steps.len();
        let recorder = Recorder::new(&self.prototype, steps, self.dump.as_deref())?;
        let recorder = Rc::new(RefCell::new(recorder));
        lower_timer_slack();
        runtime.block_on(async move {
            match task {
                Prepared::Http(task) => self.modelled(task, recorder).await,
                Prepared::Sleep(task) => self.modelled(task, recorder).await,
                Prepared::Cpu(task) => self.modelled(task, recorder).await,
                Prepared::Scenarios(task) => self.modelled(task, recorder).await,
                Prepared::Failing(task) => self.modelled(task, recorder).await,
            }
        })
    }

    async fn modelled<T: Task>(
        self,
        task: Arc<T>,
        recorder: Rc<RefCell<Recorder>>,
    ) -> std::io::Result<()> {
        let engine = Engine::new(self.shared.clone(), self.thread, &task, recorder);
        let engine = Rc::new(engine);
        match self.shared.plan.load.model {
            plan::Model::Open => work(engine, Rc::new(Open::new()), self.asks, &self.last).await,
            plan::Model::Closed => {
                work(engine, Rc::new(Closed::new()), self.asks, &self.last).await
            }
        }
    }
}

async fn work<T: Task, P: Pacer<T>>(
    engine: Rc<Engine<T>>,
    pacer: Rc<P>,
    mut asks: mpsc::Receiver<Ask>,
    last: &Mutex<Option<Report>>,
) -> std::io::Result<()> {
    let mut alarm = PacingTimer::new(
        engine.shared.control.clock(),
        engine.shared.plan.load.pacing,
    )?;
    let local = LocalSet::new();
    let answering = engine.clone();
    local.spawn_local(async move {
        while let Some(ask) = asks.recv().await {
            // Whoever asked may have lost interest.
            let _ = ask.send(answering.report());
        }
    });
    let tending = engine.clone();
    local.spawn_local(async move { tending.client.tend().await });
    local
        .run_until(async {
            let deadline = arrivals(&engine, &pacer, &mut alarm).await;
            drain(&engine, &mut alarm, deadline).await;
        })
        .await;
    engine.abandon();
    *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(engine.report());
    drop(local);
    Ok(())
}

/// Turns the plan into requests until it ends or is stopped. Returns until when what is in
/// flight may take.
async fn arrivals<T: Task, P: Pacer<T>>(
    engine: &Rc<Engine<T>>,
    pacer: &Rc<P>,
    alarm: &mut PacingTimer,
) -> LeaseInstant {
    let (shared, control) = (&engine.shared, &engine.shared.control);
    let graceful = as_ns(shared.plan.graceful_timeout());
    let mut seen = 0;
    let mut started = false;
    loop {
        let generation = control.generation();
        if generation != seen {
            seen = generation;
            if let Some(start) = control
                .start()
                .filter(|s| !started || *s != engine.start.get())
            {
                engine.start.set(start);
                started = true;
                pacer.started(engine);
            }
            if engine.outdated() {
                pacer.reload(engine, started);
            }
            for change in control.take_shares(engine.thread) {
                pacer.share(engine, change, started);
            }
        }
        if let Some(by) = control.stop_by() {
            engine.closing.set(true);
            engine.drop_waiting();
            return by;
        }
        let mut wake = LeaseInstant(u64::MAX);
        if started {
            let end = engine.instant(as_ns(engine.profile().last_due()));
            let next = pacer.turn(engine).filter(|next| *next <= end);
            let now = control.now();
            if next.is_none() && now >= end || pacer.exhausted(engine) {
                return LeaseInstant(now.0.saturating_add(graceful));
            }
            wake = next.unwrap_or(end);
        }
        tokio::select! {
            () = alarm.until(wake) => {}
            () = control.changed(engine.thread) => {}
        }
    }
}

/// Waits until nothing is in flight any more, or the deadline, or an earlier one that a stop
/// brings.
async fn drain<T: Task>(engine: &Rc<Engine<T>>, alarm: &mut PacingTimer, deadline: LeaseInstant) {
    let control = &engine.shared.control;
    let mut deadline = deadline;
    while engine.load() > 0 {
        if let Some(by) = control.stop_by() {
            if !engine.closing.replace(true) {
                engine.drop_waiting();
            }
            deadline = deadline.min(by);
        }
        let now = control.now();
        if now >= deadline {
            return;
        }
        tokio::select! {
            () = alarm.until(LeaseInstant(deadline.0.min(now.0 + DRAIN_NS))) => {}
            () = control.changed(engine.thread) => {}
        }
    }
}

/// Part `i` of a limit that `n` threads share.
pub fn portion(limit: u32, i: u32, n: u32) -> u32 {
    let cut = |i: u32| (u64::from(limit) * u64::from(i) / u64::from(n)) as u32;
    cut(i + 1) - cut(i)
}

/// The kernel may put off a thread's wake-ups by 50 µs to save energy; not these.
fn lower_timer_slack() {
    #[cfg(target_os = "linux")]
    {
        // Without it, lag is a little larger, and reported.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    }
}
