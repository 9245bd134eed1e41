//! The load engine as the protocol sees it: orders in, measurements out.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use tokio::sync::mpsc;

use vajra_core::metrics::{Piece, StepCounters, TimeKind, new_histogram};
use vajra_core::protocol::log::{EntryKind, LoadCommand, LogEntry, setup_values};
use vajra_core::protocol::{EngineOrder, Measurement, TestId};
use vajra_engine::{
    EngineTask, LeaseClock, LeaseInstant, LoadError, LoadRun, LoadSnapshot, LoadSpec, StopMode,
};
use vajra_plan::{Change, LoadChange, Plan, SlotRange, Task, decode_values};
use vajra_task::{PrepareError, TaskContext, TestOrigin};
use vajra_tasks::{self as tasks, Prepared, SetupValues};

/// What every run on this node shares.
#[derive(Debug, Clone)]
pub struct EngineHost {
    /// Engine threads of a run.
    pub threads: usize,
    /// The clock that leases are counted on.
    pub clock: LeaseClock,
    /// What plans may use of this node.
    pub site: Arc<TaskContext>,
    /// Every raw value is written here, for comparison with the merged percentiles.
    pub dump: Option<PathBuf>,
    /// A measurement of a test is ready.
    pub measured: mpsc::Sender<(TestId, Measurement)>,
    /// How long a pause may be.
    pub max_pause: Duration,
    /// A test's load is over.
    pub finished: mpsc::Sender<TestId>,
}

/// Intervals in a row that were too much, before a node says so: one may be a neighbour's
/// doing.
const TOO_MUCH: u32 = 2;
/// An interval shorter than this tells nothing about CPU time.
const SHORTEST: Duration = Duration::from_millis(500);

/// Whether the engine keeps up, from one measurement to the next.
#[derive(Debug, Default)]
struct OverloadDetector {
    at: LeaseInstant,
    cpu: Duration,
    dropped_late: u64,
    in_a_row: u32,
}

impl OverloadDetector {
    /// It does not: in the last intervals it dropped arrivals that it was too late for, or its
    /// threads had no time left.
    fn overloaded(&mut self, now: LeaseInstant, snapshot: &LoadSnapshot, threads: usize) -> bool {
        let dropped_late: u64 = snapshot.steps.iter().map(|s| s.counters.dropped_late).sum();
        let interval = Duration::from_nanos(now.0.saturating_sub(self.at.0));
        let used = snapshot.engine_cpu.saturating_sub(self.cpu);
        let busy = interval >= SHORTEST && used >= interval.mul_f64(0.95 * threads as f64);
        let late = dropped_late > self.dropped_late;
        self.in_a_row = if busy || late { self.in_a_row + 1 } else { 0 };
        (self.at, self.cpu, self.dropped_late) = (now, snapshot.engine_cpu, dropped_late);
        self.in_a_row >= TOO_MUCH
    }
}

/// One test's load on this node.
#[derive(Debug)]
pub struct EngineRun {
    test: TestId,
    /// In which it was prepared.
    term: u64,
    run: Arc<LoadRun>,
    /// Values of the plan's setup, for its task.
    setup: SetupValues,
    measured: mpsc::Sender<(TestId, Measurement)>,
    clock: LeaseClock,
    start: Option<LeaseInstant>,
    threads: usize,
    is_final: bool,
    /// The same, for measurements that have not been told yet.
    ended: Arc<AtomicBool>,
    strain: Arc<Mutex<OverloadDetector>>,
    max_pause: Duration,
}

impl EngineHost {
    /// Why this node cannot or will not carry a plan's load, if so. Resolves the target's
    /// name. Whether the plan's data is here is another matter.
    pub async fn unable(&self, plan: &Plan, own: bool) -> Option<String> {
        match tasks::prepare(&plan.task, &self.site, TestOrigin::of(own)).await {
            Ok(_) | Err(PrepareError::Data(_)) => None,
            Err(e) => Some(e.to_string()),
        }
    }

    /// The final measurement of a load that never was.
    pub fn nothing_measured(&self, test: TestId) {
        let nothing = Measurement {
            is_final: true,
            elapsed: std::time::Duration::ZERO,
            engine_cpu: std::time::Duration::ZERO,
            engine_threads: 0,
            overloaded: false,
            pieces: vec![Piece::Counters(Vec::new())],
        };
        // The channel is full only if the driver is gone.
        let _ = self.measured.try_send((test, nothing));
    }

    /// Starts the threads of a run. No arrival happens before it has a start, a share and a
    /// lease.
    ///
    /// # Errors
    /// When a thread cannot be started or the target's name cannot be resolved.
    pub fn prepare(
        &self,
        test: TestId,
        term: u64,
        plan: Arc<Plan>,
        own_test: bool,
    ) -> Result<EngineRun, LoadError> {
        let finished = self.finished.clone();
        // What its threads log tells of which test it is, and in which term it was prepared.
        let _test = tracing::info_span!("load", %test, term).entered();
        let setup = SetupValues::default();
        let (task, context, values) = (plan.task.clone(), self.site.clone(), setup.clone());
        let origin = TestOrigin::of(own_test);
        let run = LoadRun::prepare(LoadSpec {
            plan,
            threads: self.threads,
            clock: self.clock,
            preparation: Box::new(move || engine_task(&task, &context, origin, &values)),
            histogram: new_histogram(),
            dump: self.dump.as_ref().map(|dir| dir.join(test.to_string())),
            finished: Box::new(move || {
                // The channel is full only if the driver is gone.
                let _ = finished.try_send(test);
            }),
        })?;
        Ok(EngineRun {
            test,
            term,
            run: Arc::new(run),
            setup,
            measured: self.measured.clone(),
            clock: self.clock,
            start: None,
            threads: self.threads,
            is_final: false,
            ended: Arc::default(),
            strain: Arc::default(),
            max_pause: self.max_pause,
        })
    }
}

impl EngineRun {
    /// Carries out an order.
    pub fn order(&mut self, order: &EngineOrder) {
        match order {
            EngineOrder::Prepare => {}
            EngineOrder::Start(at) => {
                self.start = Some(LeaseInstant(at.0));
                self.run.set_start(LeaseInstant(at.0));
            }
            EngineOrder::Share { slots, offset } => self.run.set_share(SlotRange {
                offset: *offset,
                slots: *slots,
            }),
            EngineOrder::Log(decisions) => {
                match setup_values(decisions).map(|bytes| decode_values(bytes)) {
                    Some(Ok(values)) => self.setup.set(&values),
                    Some(Err(why)) => {
                        tracing::warn!(test = %self.test, term = self.term, "the setup's values can't be read: {why}")
                    }
                    None => {}
                }
                self.run
                    .set_changes(&load_changes(decisions, self.max_pause));
            }
            EngineOrder::Lease(until) => self.run.set_lease(LeaseInstant(until.0)),
            EngineOrder::Stop(order) if order.graceful => self.run.stop(StopMode::Graceful {
                timeout: order.timeout,
            }),
            EngineOrder::Stop(_) => self.run.stop(StopMode::Now),
        }
    }

    /// Measures, in the background; the result comes over the channel, so much later. After the
    /// final measurement there is no other.
    pub fn measure(&mut self, is_final: bool, later: Duration) {
        if self.is_final {
            return;
        }
        self.is_final = is_final;
        self.ended.store(is_final, Ordering::Relaxed);
        let ended = self.ended.clone();
        let (test, run, measured) = (self.test, self.run.clone(), self.measured.clone());
        let (threads, clock, start) = (self.threads, self.clock, self.start);
        let strain = self.strain.clone();
        tokio::spawn(async move {
            let snapshot = run.snapshot().await;
            let now = clock.now();
            let elapsed = start.map_or(0, |s| now.0.saturating_sub(s.0));
            let measurement = Measurement {
                is_final,
                elapsed: std::time::Duration::from_nanos(elapsed),
                engine_cpu: snapshot.engine_cpu,
                engine_threads: threads as u32,
                overloaded: strain
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .overloaded(now, &snapshot, threads),
                pieces: pieces(snapshot),
            };
            tokio::time::sleep(later).await;
            // Its successor must not be followed by it.
            if !is_final && ended.load(Ordering::Relaxed) {
                return;
            }
            // An error means that the driver is gone, and with it whoever wanted this.
            let _ = measured.send((test, measurement)).await;
        });
    }
}

/// A plan's task for the engine. If it can't be prepared, its requests fail with the reason.
fn engine_task(
    task: &Task,
    context: &Arc<TaskContext>,
    origin: TestOrigin,
    setup: &SetupValues,
) -> EngineTask {
    let prepared = tasks::prepare_with(task, context, origin, setup).unwrap_or_else(|e| {
        tracing::warn!("the task can't run: {e}");
        Prepared::failing(e)
    });
    prepared.into_host()
}

/// How the load changes by these decisions.
pub fn load_changes(decisions: &[LogEntry], max_pause: Duration) -> Vec<LoadChange> {
    let steered = decisions.iter().filter_map(|d| {
        let EntryKind::LoadChanged(steer) = d.kind else {
            return None;
        };
        Some(LoadChange {
            at: d.at,
            lag: d.max_delay,
            what: match steer {
                LoadCommand::Load { level_milli } => Change::Level(level_milli as f64 / 1e3),
                LoadCommand::Pause => Change::Pause(max_pause),
                LoadCommand::Resume => Change::Resume,
            },
        })
    });
    steered.collect()
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
        Err(e) => unreachable!("writing a histogram to memory: {e:?}"),
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
    fn an_engine_is_overloaded_after_two_intervals_without_time_left_or_with_late_drops() {
        let second = |s: u64| LeaseInstant(s * 1_000_000_000);
        let mut strain = OverloadDetector::default();
        assert!(!strain.overloaded(second(1), &snapshot(990, 0), 1));
        assert!(strain.overloaded(second(2), &snapshot(1_970, 0), 1));
        assert!(
            !strain.overloaded(second(3), &snapshot(2_100, 0), 1),
            "it rests"
        );
        assert!(!strain.overloaded(second(4), &snapshot(2_200, 7), 1));
        assert!(strain.overloaded(second(5), &snapshot(2_300, 8), 1));
        assert!(!strain.overloaded(second(6), &snapshot(2_400, 8), 1));
    }
}
