//! The load engine from the protocol's point of view: orders in, measurements out.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use tokio::time::Instant;

use crate::load_changes::load_changes;
use vajra_core::Numbers;
use vajra_core::metrics::{Piece, StepCounters, TimeKind, new_histogram};
use vajra_core::protocol::log::setup_values;
use vajra_core::protocol::{EngineHeld, EngineOrder, Measurement, TestId};
use vajra_core::sync::lock;
use vajra_engine::{
    EngineTask, LeaseClock, LeaseInstant, LoadError, LoadRun, LoadSnapshot, LoadSpec, StopMode,
};
use vajra_plan::{Plan, Task, decode_values};
use vajra_task::{PrepareError, TaskContext, TestOrigin};
use vajra_tasks::{self as tasks, Prepared, SetupValues};

/// What all runs on this node share.
#[derive(Debug, Clone)]
pub struct EngineHost {
    /// Engine threads per run.
    pub threads: usize,
    /// The lease clock.
    pub clock: LeaseClock,
    /// Secrets, data and target policy of this node.
    pub context: Arc<TaskContext>,
    /// Directory for all raw values, for comparison with the merged percentiles.
    pub dump: Option<PathBuf>,
    /// Longest pause of a test.
    pub max_pause: Duration,
}

/// Least time between two reports of what the engine holds.
const HELD_SPACING: Duration = Duration::from_millis(10);
/// Overloaded intervals in a row before a node counts as overloaded; a single one may be caused by
/// another process.
const OVERLOADED_INTERVALS: u32 = 2;
/// Shortest interval for which the CPU time is meaningful.
const MIN_INTERVAL: Duration = Duration::from_millis(500);
/// Part of the CPU time of all engine threads above which the engine is overloaded.
const MAX_CPU: f64 = 0.95;

/// Detects an overloaded engine from one measurement to the next.
#[derive(Debug, Default)]
struct OverloadDetector {
    at: LeaseInstant,
    cpu: Duration,
    dropped_late: u64,
    in_a_row: u32,
}

impl OverloadDetector {
    /// Whether the engine dropped late arrivals, or its threads were out of CPU time, in the last
    /// [`OVERLOADED_INTERVALS`].
    fn overloaded(&mut self, now: LeaseInstant, snapshot: &LoadSnapshot, threads: usize) -> bool {
        let dropped_late: u64 = snapshot.steps.iter().map(|s| s.counters.dropped_late).sum();
        let interval = Duration::from_nanos(now.ns_since(self.at));
        let used = snapshot.engine_cpu.saturating_sub(self.cpu);
        let busy = interval >= MIN_INTERVAL && used >= interval.mul_f64(MAX_CPU * threads as f64);
        let late = dropped_late > self.dropped_late;
        self.in_a_row = if busy || late { self.in_a_row + 1 } else { 0 };
        (self.at, self.cpu, self.dropped_late) = (now, snapshot.engine_cpu, dropped_late);
        self.in_a_row >= OVERLOADED_INTERVALS
    }
}

/// The load of one test on this node.
#[derive(Debug)]
pub struct EngineRun {
    test: TestId,
    /// Term in which it was prepared.
    term: u64,
    run: Arc<LoadRun>,
    /// Values of the plan's setup hook, for its task.
    setup: SetupValues,
    clock: LeaseClock,
    start: Option<LeaseInstant>,
    threads: usize,
    is_final: bool,
    /// Numbers of requests given back since the last report.
    returned: Numbers,
    /// A report of what the engine holds is due.
    held_changed: Arc<AtomicBool>,
    /// Time of the last such report.
    held_reported: Option<Instant>,
    /// Copy of `is_final` for measurements in progress.
    ended: Arc<AtomicBool>,
    overload: Arc<Mutex<OverloadDetector>>,
    max_pause: Duration,
}

/// The final measurement of a load that could not be prepared.
pub fn empty_measurement() -> Measurement {
    Measurement {
        is_final: true,
        elapsed: Duration::ZERO,
        engine_cpu: Duration::ZERO,
        engine_threads: 0,
        overloaded: false,
        pieces: vec![Piece::Counters(Vec::new())],
    }
}

impl EngineHost {
    /// The reason why this node cannot or may not run a plan, if any. Resolves the target's name.
    /// Does not check the plan's data.
    pub async fn unable(&self, plan: &Plan, own: bool) -> Option<String> {
        match tasks::prepare(&plan.task, &self.context, TestOrigin::of(own)).await {
            Ok(_) | Err(PrepareError::Data(_)) => None,
            Err(e) => Some(e.to_string()),
        }
    }

    /// Starts the threads of a run. There are no arrivals before it has a start, a share and a
    /// lease. `finished` is called when the load is done, `held_changed` when [`EngineRun::held`]
    /// is due.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn prepare(
        &self,
        test: TestId,
        term: u64,
        plan: Arc<Plan>,
        own_test: bool,
        finished: Box<dyn Fn() + Send + Sync>,
        held_changed: Box<dyn Fn() + Send + Sync>,
    ) -> Result<EngineRun, LoadError> {
        // Adds test and term to the log lines of the engine threads.
        let _test = tracing::info_span!("load", %test, term).entered();
        let setup = SetupValues::default();
        let (task, context, values) = (plan.task.clone(), self.context.clone(), setup.clone());
        let origin = TestOrigin::of(own_test);
        let is_due = Arc::<AtomicBool>::default();
        let changed = is_due.clone();
        let run = LoadRun::prepare(LoadSpec {
            plan,
            threads: self.threads,
            clock: self.clock,
            preparation: Box::new(move || engine_task(&task, &context, origin, &values)),
            histogram: new_histogram(),
            dump: self.dump.as_ref().map(|dir| dir.join(test.to_string())),
            finished,
            held_changed: Box::new(move || {
                if !changed.swap(true, Ordering::AcqRel) {
                    held_changed();
                }
            }),
        })?;
        Ok(EngineRun {
            test,
            term,
            run: Arc::new(run),
            setup,
            clock: self.clock,
            start: None,
            threads: self.threads,
            is_final: false,
            returned: Numbers::EMPTY,
            held_changed: is_due,
            held_reported: None,
            ended: Arc::default(),
            overload: Arc::default(),
            max_pause: self.max_pause,
        })
    }
}

impl EngineRun {
    /// Executes an order.
    pub fn order(&mut self, order: &EngineOrder) {
        match order {
            EngineOrder::Prepare => {}
            EngineOrder::Start(at) => {
                self.start = Some(LeaseInstant(at.0));
                self.run.set_start(LeaseInstant(at.0));
            }
            EngineOrder::Share {
                change,
                slots,
                floor,
            } => self.run.set_share(*change, slots.clone(), *floor),
            EngineOrder::Numbers { added, last } => self.run.add_numbers(added, *last),
            EngineOrder::ReturnNumbers => {
                self.returned = self.returned.union(&self.run.return_numbers());
            }
            EngineOrder::Log(entries) => {
                match setup_values(entries).map(|bytes| decode_values(bytes)) {
                    Some(Ok(values)) => self.setup.set(&values),
                    Some(Err(e)) => {
                        tracing::warn!(
                            test = %self.test,
                            term = self.term,
                            "cannot read the values of the setup hook: {e}"
                        );
                    }
                    None => {}
                }
                self.run.set_changes(&load_changes(entries, self.max_pause));
            }
            EngineOrder::Lease(until) => self.run.set_lease(LeaseInstant(until.0)),
            EngineOrder::Stop(order) if order.graceful => self.run.stop(StopMode::Graceful {
                timeout: order.timeout,
            }),
            EngineOrder::Stop(_) => self.run.stop(StopMode::Now),
        }
    }

    /// Time until the next report of what the engine holds. Each one sorts the slots of all users that
    /// finish their iterations, which may be many.
    pub fn held_wait(&self) -> Duration {
        let since = self.held_reported.map(|at| at.elapsed());
        since.map_or(Duration::ZERO, |since| HELD_SPACING.saturating_sub(since))
    }

    /// What the engine acts on besides its newest share.
    pub fn held(&mut self) -> EngineHeld {
        self.held_changed.store(false, Ordering::Release);
        self.held_reported = Some(Instant::now());
        let held = self.run.held();
        EngineHeld {
            change: held.change,
            draining: held.draining,
            handled_until: held.handled_until,
            unused: held.unused,
            returned: std::mem::take(&mut self.returned),
            idle: held.idle,
        }
    }

    /// Measures in the background. The measurement is due after `delay`; none if the run has ended
    /// before. There is no measurement after the final one.
    pub fn measure(
        &mut self,
        is_final: bool,
        delay: Duration,
    ) -> Option<impl Future<Output = Option<Measurement>> + Send + use<>> {
        if self.is_final {
            return None;
        }
        self.is_final = is_final;
        self.ended.store(is_final, Ordering::Relaxed);
        let (run, ended, overload) = (self.run.clone(), self.ended.clone(), self.overload.clone());
        let (threads, clock, start) = (self.threads, self.clock, self.start);
        Some(async move {
            let snapshot = run.snapshot().await;
            let now = clock.now();
            let elapsed = start.map_or(0, |s| now.ns_since(s));
            let measurement = Measurement {
                is_final,
                elapsed: Duration::from_nanos(elapsed),
                engine_cpu: snapshot.engine_cpu,
                engine_threads: threads as u32,
                overloaded: lock(&overload).overloaded(now, &snapshot, threads),
                pieces: pieces(snapshot),
            };
            tokio::time::sleep(delay).await;
            // The final measurement must be the last.
            (is_final || !ended.load(Ordering::Relaxed)).then_some(measurement)
        })
    }
}

/// A plan's task for the engine. If it cannot be prepared, its requests fail with the reason.
fn engine_task(
    task: &Task,
    context: &Arc<TaskContext>,
    origin: TestOrigin,
    setup: &SetupValues,
) -> EngineTask {
    let prepared = tasks::prepare_with(task, context, origin, setup).unwrap_or_else(|e| {
        tracing::warn!("cannot prepare the task: {e}");
        Prepared::failing(e)
    });
    prepared.into_host()
}

fn pieces(snapshot: LoadSnapshot) -> Vec<Piece> {
    let mut counters = Vec::with_capacity(snapshot.steps.len());
    let mut histograms = Vec::new();
    for (step, s) in snapshot.steps.into_iter().enumerate() {
        for (kind, histogram) in [
            (TimeKind::Response, &s.response),
            (TimeKind::Service, &s.service),
            (TimeKind::Lag, &s.lag),
        ] {
            histograms.push(Piece::Histogram {
                step: step as u32,
                kind,
                data: encode(histogram),
            });
        }
        counters.push(StepCounters {
            name: s.name.clone(),
            counters: s.counters,
        });
    }
    let mut pieces = vec![Piece::Counters(counters)];
    pieces.append(&mut histograms);
    pieces
}

fn encode(histogram: &Histogram<u64>) -> Arc<[u8]> {
    let mut bytes = Vec::new();
    match V2DeflateSerializer::new().serialize(histogram, &mut bytes) {
        Ok(_) => bytes.into(),
        Err(e) => unreachable!("writing to memory cannot fail: {e:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(cpu_ms: u64, late: u64) -> LoadSnapshot {
        let histogram = new_histogram();
        let counters = vajra_core::metrics::Counters {
            dropped_late: late,
            ..Default::default()
        };
        LoadSnapshot {
            steps: vec![vajra_engine::StepSnapshot {
                name: "step".into(),
                counters,
                response: histogram.clone(),
                service: histogram.clone(),
                lag: histogram,
            }],
            phases: Default::default(),
            custom: Default::default(),
            engine_cpu: Duration::from_millis(cpu_ms),
            first_lag: None,
        }
    }

    #[test]
    fn an_engine_is_overloaded_after_two_intervals_without_cpu_time_or_with_late_drops() {
        let second = |s: i64| LeaseInstant(s * 1_000_000_000);
        let mut detector = OverloadDetector::default();
        assert!(!detector.overloaded(second(1), &snapshot(990, 0), 1));
        assert!(detector.overloaded(second(2), &snapshot(1_970, 0), 1));
        assert!(
            !detector.overloaded(second(3), &snapshot(2_100, 0), 1),
            "idle again"
        );
        assert!(!detector.overloaded(second(4), &snapshot(2_200, 7), 1));
        assert!(detector.overloaded(second(5), &snapshot(2_300, 8), 1));
        assert!(!detector.overloaded(second(6), &snapshot(2_400, 8), 1));
    }
}
