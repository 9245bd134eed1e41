//! One test's load on this node, as the driver sees it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::sync::{mpsc, oneshot};

use super::clock::{LeaseClock, LeaseInstant, descriptor_limit};
use super::control::Control;
use super::engine::{Report, Shared, as_ns};
use super::recorder::Counters;
use super::thread::{Ask, ThreadInit};
use vajra_plan::{LoadChange, Model, Plan, Profile, SlotRange, Values};
use vajra_tasks::{self as tasks, FailingTask, Prepared, SetupValues, TaskContext};

/// Reports asked of a thread and not given yet. A thread answers within a millisecond, and
/// one is asked for a second; more wait their turn.
const ASKS: usize = 4;

/// What a run is started with.
pub struct LoadSpec {
    /// The plan; valid.
    pub plan: Arc<Plan>,
    /// Engine threads, at least 1.
    pub threads: usize,
    /// The clock that start and lease are told on.
    pub clock: LeaseClock,
    /// What the plan may use of this node.
    pub site: Arc<TaskContext>,
    /// The test was started from this node.
    pub own_test: bool,
    /// Histograms are made like this one: bounds and digits in microseconds.
    pub histogram: Histogram<u64>,
    /// A directory where each thread writes every raw value, `engine-N.csv`.
    pub dump: Option<PathBuf>,
    /// Called once, when the load is done: the profile is over or was stopped, and nothing
    /// is in flight.
    pub finished: Box<dyn Fn() + Send + Sync>,
}

/// Why a run could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A thread, or the directory for raw values.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// How to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopMode {
    /// What is in flight may finish.
    Graceful {
        /// For at most this long.
        timeout: Duration,
    },
    /// What is in flight is abandoned.
    Now,
}

/// Everything measured so far, over all threads.
#[derive(Debug, Clone)]
pub struct LoadSnapshot {
    /// The plan's steps, in order.
    pub steps: Vec<StepSnapshot>,
    /// CPU time of the engine threads.
    pub engine_cpu: Duration,
    /// How late the first request was; none before it.
    pub first_lag: Option<Duration>,
}

/// What was measured of a step.
#[derive(Debug, Clone)]
pub struct StepSnapshot {
    /// Its name.
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

/// A thread, seen from outside.
#[derive(Debug)]
struct Thread {
    asks: mpsc::Sender<Ask>,
    last: Arc<Mutex<Option<Report>>>,
}

/// One test's load on this node. Dropping it stops it at once.
#[derive(Debug)]
pub struct LoadRun {
    shared: Arc<Shared>,
    prototype: Histogram<u64>,
    threads: Vec<Thread>,
    handed: SetupValues,
}

impl LoadRun {
    /// Starts the threads and makes the task ready. No arrival happens before there are a
    /// start, a share and a lease. If the task can't be made ready (its target does not
    /// resolve, say), each of its requests fails for that reason.
    ///
    /// # Errors
    /// A thread can't be started, or the directory for raw values can't be made.
    pub fn prepare(spec: LoadSpec) -> Result<LoadRun, PrepareError> {
        if let Some(dir) = &spec.dump {
            std::fs::create_dir_all(dir).map_err(|source| PrepareError::Io {
                what: "making the directory for raw values",
                source,
            })?;
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
            threads,
            connections,
            plan: spec.plan,
        });
        let handed = SetupValues::default();
        let team = Arc::new(Team {
            handed: handed.clone(),
            shared: shared.clone(),
            site: spec.site,
            own: spec.own_test,
            task: OnceLock::new(),
            working: AtomicUsize::new(threads),
            finished: spec.finished,
        });
        let mut run = LoadRun {
            shared,
            prototype: spec.histogram,
            threads: Vec::with_capacity(threads),
            handed,
        };
        for thread in 0..threads {
            let dump = spec
                .dump
                .as_ref()
                .map(|dir| dir.join(format!("engine-{thread}.csv")));
            run.start_thread(&team, thread, dump)
                .map_err(|source| PrepareError::Io {
                    what: "starting an engine thread",
                    source,
                })?;
        }
        Ok(run)
    }

    fn start_thread(
        &mut self,
        team: &Arc<Team>,
        thread: usize,
        dump: Option<PathBuf>,
    ) -> std::io::Result<()> {
        let (asks, inbox) = mpsc::channel(ASKS);
        let last = Arc::new(Mutex::new(None));
        let seed = ThreadInit {
            shared: self.shared.clone(),
            thread,
            prototype: self.prototype.clone(),
            dump,
            asks: inbox,
            last: last.clone(),
        };
        let member = Member(team.clone());
        let span = tracing::Span::current();
        std::thread::Builder::new()
            .name(format!("engine-{thread}"))
            .spawn(move || {
                let _in = span.entered();
                if let Err(e) = seed.run(member.0.task()) {
                    tracing::error!("an engine thread ended: {e}");
                }
            })?;
        self.threads.push(Thread { asks, last });
        Ok(())
    }

    /// The profile starts at this instant.
    pub fn set_start(&self, at: LeaseInstant) {
        self.shared.control.set_start(at);
    }

    /// From now on the share is this. Arrivals due before now stay with the share before.
    pub fn set_share(&self, share: SlotRange) {
        self.shared.control.set_share(share);
    }

    /// The load is changed in these ways, since the start.
    pub fn set_changes(&self, changes: &[LoadChange]) {
        let profile = Profile::changed(&self.shared.plan.load, changes);
        self.shared.control.set_profile(profile);
    }

    /// What the plan's setup found. Scenarios that use it need it before the first arrival;
    /// it is given once.
    pub fn hand(&self, values: &Values) {
        self.handed.give(values);
    }

    /// The lease holds until this instant.
    pub fn set_lease(&self, until: LeaseInstant) {
        self.shared.control.set_lease(until);
    }

    /// No arrival from now on. A stop that is to be over sooner than this one stands.
    pub fn stop(&self, mode: StopMode) {
        let by = match mode {
            StopMode::Graceful { timeout } => {
                self.shared.control.now().0.saturating_add(as_ns(timeout))
            }
            StopMode::Now => 0,
        };
        self.shared.control.stop(LeaseInstant(by));
    }

    /// Everything measured so far; after the end, everything.
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
        let (mut cpu, mut first_lag) = (Duration::ZERO, None);
        for thread in &self.threads {
            let (answer, report) = oneshot::channel();
            let asked = thread.asks.send(answer).await.is_ok();
            let live = if asked { report.await.ok() } else { None };
            let mut add = |report: &Report| {
                for (step, part) in steps.iter_mut().zip(&report.steps) {
                    step.counters.add(&part.counters);
                    for (sum, part) in [
                        (&mut step.response, &part.response),
                        (&mut step.service, &part.service),
                        (&mut step.lag, &part.lag),
                    ] {
                        if sum.add(part).is_err() {
                            unreachable!("all histograms are made from one prototype");
                        }
                    }
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

/// Each thread needs something to do: limits are divided among them, too.
fn threads_for(plan: &Plan, wanted: usize, connections: u32) -> usize {
    let most = match plan.load.model {
        Model::Open => plan.load.max_in_flight.unwrap_or(u32::MAX).min(connections),
        Model::Closed => plan.load.users.unwrap_or(1),
    };
    wanted.clamp(1, (most as usize).max(1))
}

/// What the threads of a run have in common until its end.
struct Team {
    shared: Arc<Shared>,
    site: Arc<TaskContext>,
    own: bool,
    handed: SetupValues,
    task: OnceLock<Prepared>,
    working: AtomicUsize,
    finished: Box<dyn Fn() + Send + Sync>,
}

impl Team {
    /// The task, made ready by whichever thread comes first; the others wait for it.
    fn task(&self) -> Prepared {
        let made = self.task.get_or_init(|| {
            let task = &self.shared.plan.task;
            tasks::prepare_with(task, &self.site, self.own, &self.handed).unwrap_or_else(|e| {
                tracing::warn!("the task can't be run: {e}");
                Prepared::Failing(Arc::new(FailingTask { failure: e.into() }))
            })
        });
        made.clone()
    }
}

/// A thread's membership; the last one to end, however it ends, tells that the run is over.
struct Member(Arc<Team>);

impl Drop for Member {
    fn drop(&mut self) {
        if self.0.working.fetch_sub(1, Ordering::AcqRel) == 1 {
            (self.0.finished)();
        }
    }
}
