//! One test's load on this node: the engine's interface.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::sync::{mpsc, oneshot};

use vajra_core::Numbers;
use vajra_core::metrics::Counters;
use vajra_plan::{LoadChange, Model, Plan, Profile, Slots};
use vajra_task::{CustomMetrics, PhaseTimes};

use super::clock::{LeaseClock, LeaseInstant, descriptor_limit};
use super::control::Control;
use super::engine::{Report, Shared, as_ns};
use super::held::{Held, Holdings};
use super::recorder::add_counters;
use super::thread::{EngineTask, ReportRequest, ThreadInit};

/// Queued requests for a thread's report. A thread answers within a millisecond, and there is one
/// request per second; further ones wait.
const REPORT_REQUESTS: usize = 4;

/// Prepares the task of a run. Called on an engine thread, so it may block; called once, unless it
/// panics.
pub type Preparation = Box<dyn Fn() -> EngineTask + Send + Sync>;

/// What a run is started with.
pub struct LoadSpec {
    /// The plan; valid.
    pub plan: Arc<Plan>,
    /// Number of engine threads, at least 1.
    pub threads: usize,
    /// The clock of start and lease.
    pub clock: LeaseClock,
    /// Prepares the plan's task. If that fails, it returns a task whose requests fail.
    pub preparation: Preparation,
    /// Configuration of the histograms, in microseconds.
    pub histogram: Histogram<u64>,
    /// Directory in which each thread writes all raw values, as `engine-N.csv`.
    pub dump: Option<PathBuf>,
    /// Called once, when the load has ended: the profile is over or was stopped, and no request
    /// is in flight.
    pub finished: Box<dyn Fn() + Send + Sync>,
    /// Called, from any thread, when [`LoadRun::held`] may have changed. Must return quickly, without
    /// calling the run; there may be many calls in a row.
    pub held_changed: Box<dyn Fn() + Send + Sync>,
}

/// Why a run could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The directory for raw values can't be created.
    #[error("creating the directory for raw values: {0}")]
    Dump(#[source] std::io::Error),
    /// A thread can't be started.
    #[error("starting an engine thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// How to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopMode {
    /// Requests in flight may finish.
    Graceful {
        /// Time limit.
        timeout: Duration,
    },
    /// Requests in flight are abandoned.
    Now,
}

/// All measurements up to now, over all threads.
#[derive(Debug, Clone)]
pub struct LoadSnapshot {
    /// The plan's steps, in order.
    pub steps: Vec<StepSnapshot>,
    /// Durations of the phases that the task reports, over all steps, including the warm-up.
    pub phases: PhaseTimes,
    /// The task's custom metrics, over all steps, including the warm-up. They are not part of
    /// the snapshots that nodes exchange yet; a later issue adds them there.
    pub custom: CustomMetrics,
    /// CPU time of the engine threads.
    pub engine_cpu: Duration,
    /// Lag of the first request; `None` before it.
    pub first_lag: Option<Duration>,
}

/// The measurements of a step.
#[derive(Debug, Clone)]
pub struct StepSnapshot {
    /// Name of the step.
    pub name: String,
    /// Counts.
    pub counters: Counters,
    /// Response times in microseconds.
    pub response: Histogram<u64>,
    /// Service times in microseconds.
    pub service: Histogram<u64>,
    /// Lag in microseconds.
    pub lag: Histogram<u64>,
}

/// Access to an engine thread.
#[derive(Debug)]
struct Thread {
    requests: mpsc::Sender<ReportRequest>,
    last: Arc<Mutex<Option<Report>>>,
}

/// One test's load on this node. Dropping it stops the load immediately.
#[derive(Debug)]
pub struct LoadRun {
    shared: Arc<Shared>,
    prototype: Histogram<u64>,
    threads: Vec<Thread>,
}

impl LoadRun {
    /// Starts the threads, which prepare the task. Arrivals start when a start, a share and a
    /// lease are set.
    ///
    /// # Errors
    /// A thread can't be started, or the directory for raw values can't be created.
    pub fn prepare(spec: LoadSpec) -> Result<LoadRun, LoadError> {
        if let Some(dir) = &spec.dump {
            std::fs::create_dir_all(dir).map_err(LoadError::Dump)?;
        }
        let descriptors = u32::try_from(descriptor_limit() / 5 * 4).unwrap_or(u32::MAX);
        let connections = spec
            .plan
            .load
            .connections
            .unwrap_or(u32::MAX)
            .min(descriptors)
            .max(1);
        let threads = threads_for(&spec.plan, spec.threads, connections);
        let shared = Arc::new(Shared {
            steps: spec.plan.task.step_names(),
            control: Control::new(spec.clock, threads, Profile::of(&spec.plan.load)),
            holdings: Holdings::new(threads, spec.held_changed),
            threads,
            connections,
            plan: spec.plan,
        });
        let group = Arc::new(ThreadGroup {
            preparation: spec.preparation,
            task: OnceLock::new(),
            running: AtomicUsize::new(threads),
            finished: spec.finished,
        });
        let mut run = LoadRun {
            shared,
            prototype: spec.histogram,
            threads: Vec::with_capacity(threads),
        };
        for thread in 0..threads {
            let dump = spec
                .dump
                .as_ref()
                .map(|dir| dir.join(format!("engine-{thread}.csv")));
            run.start_thread(&group, thread, dump)
                .map_err(LoadError::Thread)?;
        }
        Ok(run)
    }

    fn start_thread(
        &mut self,
        group: &Arc<ThreadGroup>,
        thread: usize,
        dump: Option<PathBuf>,
    ) -> std::io::Result<()> {
        let (requests, inbox) = mpsc::channel(REPORT_REQUESTS);
        let last = Arc::new(Mutex::new(None));
        let init = ThreadInit {
            shared: self.shared.clone(),
            thread,
            prototype: self.prototype.clone(),
            dump,
            requests: inbox,
            last: last.clone(),
        };
        let member = Member {
            group: group.clone(),
            shared: self.shared.clone(),
            thread,
        };
        let span = tracing::Span::current();
        std::thread::Builder::new()
            .name(format!("engine-{thread}"))
            .spawn(move || {
                let _in = span.entered();
                if let Err(e) = member.group.task().run_thread(init) {
                    tracing::error!("an engine thread failed: {e}");
                }
            })?;
        self.threads.push(Thread { requests, last });
        Ok(())
    }

    /// Sets the start of the profile.
    pub fn set_start(&self, at: LeaseInstant) {
        self.shared.control.set_start(at);
    }

    /// Sets the share from now on. Arrivals due before now belong to the previous share, and those
    /// of added slots that are due before `floor`, a time since the start of the profile, to
    /// former holders. `change` is the number of the change: it rises, and others are ignored.
    ///
    /// In the closed model, users that leave the share finish their iteration, but are interrupted
    /// after the plan's graceful time-out; users that arrive after the start begin over some time
    /// ([`vajra_plan::arrival_spread`]). [`Self::held`] tells when the threads act on the change.
    pub fn set_share(&self, change: u64, slots: Slots, floor: Duration) {
        let shared = &self.shared;
        let announce = |at| shared.holdings.announce(change, at);
        shared.control.set_share(change, slots, floor, announce);
    }

    /// Adds numbers of requests, for a plan of the closed model that limits them: each iteration
    /// uses one, which is the number of its arrival, and a user without one waits. `last`: no more
    /// will follow; the load ends when all are used.
    pub fn add_numbers(&self, added: &Numbers, last: bool) {
        self.shared.holdings.add_numbers(added, last);
        self.shared.control.notify();
    }

    /// Takes back the numbers of requests that no thread has.
    pub fn return_numbers(&self) -> Numbers {
        self.shared.holdings.take_back()
    }

    /// What this node still acts on besides its newest share.
    pub fn held(&self) -> Held {
        self.shared.holdings.held(self.shared.control.start())
    }

    /// Sets all changes of the load since the start.
    pub fn set_changes(&self, changes: &[LoadChange]) {
        let profile = Profile::changed(&self.shared.plan.load, changes);
        self.shared.control.set_profile(profile);
    }

    /// Sets the end of the lease.
    pub fn set_lease(&self, until: LeaseInstant) {
        self.shared.control.set_lease(until);
    }

    /// Ends arrivals now. A previous stop with an earlier deadline remains in effect.
    pub fn stop(&self, mode: StopMode) {
        let by = match mode {
            StopMode::Graceful { timeout } => self.shared.control.now().plus_ns(as_ns(timeout)),
            StopMode::Now => LeaseInstant::MIN,
        };
        self.shared.control.stop(by);
    }

    /// All measurements up to now.
    pub async fn snapshot(&self) -> LoadSnapshot {
        let names = self.shared.steps.iter().cloned();
        let empty = |name| StepSnapshot {
            name,
            counters: Counters::default(),
            response: self.prototype.clone(),
            service: self.prototype.clone(),
            lag: self.prototype.clone(),
        };
        let mut steps: Vec<StepSnapshot> = names.map(empty).collect();
        let (mut phases, mut custom) = (PhaseTimes::default(), CustomMetrics::default());
        let (mut cpu, mut first_lag) = (Duration::ZERO, None);
        for thread in &self.threads {
            let (request, report) = oneshot::channel();
            let requested = thread.requests.send(request).await.is_ok();
            let live = if requested { report.await.ok() } else { None };
            let mut add = |report: &Report| {
                for (step, part) in steps.iter_mut().zip(&report.steps) {
                    add_counters(&mut step.counters, part.counters.clone());
                    for (sum, part) in [
                        (&mut step.response, &part.response),
                        (&mut step.service, &part.service),
                        (&mut step.lag, &part.lag),
                    ] {
                        if sum.add(part).is_err() {
                            unreachable!("all histograms have the same configuration");
                        }
                    }
                }
                phases.merge(&report.phases);
                if custom.merge(&report.custom).is_err() {
                    unreachable!("all threads run the same task");
                }
                cpu += report.cpu;
                let first = report.first_lag.map(Duration::from_micros);
                first_lag = first_lag.into_iter().chain(first).min();
            };
            match live {
                Some(report) => add(&report),
                None => {
                    let last = thread.last.lock().unwrap_or_else(PoisonError::into_inner);
                    last.iter().for_each(add);
                }
            }
        }
        LoadSnapshot {
            steps,
            phases,
            custom,
            engine_cpu: cpu,
            first_lag,
        }
    }
}

impl Drop for LoadRun {
    fn drop(&mut self) {
        self.stop(StopMode::Now);
    }
}

/// The number of threads. Limits are divided among threads, so there are at most as many threads
/// as the smallest limit.
fn threads_for(plan: &Plan, configured: usize, connections: u32) -> usize {
    let limit = match plan.load.model {
        Model::Open => plan.load.max_in_flight.unwrap_or(u32::MAX).min(connections),
        Model::Closed => plan.load.users.unwrap_or(1),
    };
    configured.clamp(1, (limit as usize).max(1))
}

/// The threads of a run until its end.
struct ThreadGroup {
    preparation: Preparation,
    task: OnceLock<EngineTask>,
    running: AtomicUsize,
    finished: Box<dyn Fn() + Send + Sync>,
}

impl ThreadGroup {
    /// The task. The first thread prepares it; the others wait.
    fn task(&self) -> EngineTask {
        self.task.get_or_init(&self.preparation).clone()
    }
}

/// A thread's membership. When the last one is dropped, even by a panic, the run has ended.
struct Member {
    group: Arc<ThreadGroup>,
    shared: Arc<Shared>,
    thread: usize,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.shared.holdings.end(self.thread);
        if self.group.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            (self.group.finished)();
        }
    }
}
