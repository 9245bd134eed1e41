#![allow(clippy::unwrap_used)]
//! The engine against local servers.

mod closed;
mod connecting;
mod custom;
mod gate;
mod http2;
mod open;
mod recording;
mod scenario;
mod server;
mod shares;
mod stopping;
mod tls;

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::mpsc;

use super::*;
use server::Server;
use vajra_core::Numbers;
use vajra_core::metrics::Counters;
use vajra_plan::{HttpTask, Load, Model, Plan, Slots, Task};
use vajra_task::{TaskContext, TestOrigin};
use vajra_tasks::{Prepared, SetupValues};

const SECOND: Duration = Duration::from_secs(1);

/// Interval for polling a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Time limit of a wait: many times the longest one on an idle machine.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Number of polls without a change after which a run counts as quiet: five times the interval of
/// the slowest load that is checked, in polls.
const QUIET_POLLS: u32 = 50;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Waits until a condition is met.
async fn eventually(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < TIMEOUT, "the condition is not met");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Sleeps for a time that is part of the test case, such as a stall of half a second. To wait for
/// an event, use [`eventually`] or [`Bench::until`].
async fn pause_for(time: Duration) {
    tokio::time::sleep(time).await;
}

/// A run, and the notification of its end.
struct Bench {
    run: LoadRun,
    setup: SetupValues,
    clock: LeaseClock,
    ended: mpsc::Receiver<()>,
    /// Limit of the requests, in the closed model.
    requests: Option<u64>,
    /// Number of the last change of the share.
    change: Cell<u64>,
}

fn http(server: &Server, load: Load) -> Plan {
    Plan::new(Task::Http(HttpTask::get(&server.url())), load)
}

/// Sets a high limit of lag, unless the test has its own, so that a busy machine drops nothing.
fn bench_with(plan: Plan, threads: usize, dump: Option<std::path::PathBuf>) -> Bench {
    bench_at(plan, threads, dump, TaskContext::default())
}

fn bench_at(
    plan: Plan,
    threads: usize,
    dump: Option<std::path::PathBuf>,
    context: TaskContext,
) -> Bench {
    let (task, context, setup) = (plan.task.clone(), Arc::new(context), SetupValues::default());
    let values = setup.clone();
    let preparation = move || {
        let prepared = vajra_tasks::prepare_with(&task, &context, TestOrigin::ThisNode, &values);
        prepared.unwrap_or_else(Prepared::failing).into_host()
    };
    Bench {
        setup,
        ..bench_of(plan, threads, dump, Box::new(preparation))
    }
}

/// Runs a prepared task instead of the plan's.
fn bench_of(
    mut plan: Plan,
    threads: usize,
    dump: Option<std::path::PathBuf>,
    preparation: Preparation,
) -> Bench {
    if plan.load.max_lateness == ms(100) {
        plan.load.max_lateness = 5 * SECOND;
    }
    plan.validate().unwrap();
    bench_of_any(plan, threads, dump, preparation)
}

/// The same for a plan that need not be valid.
fn bench_of_any(
    plan: Plan,
    threads: usize,
    dump: Option<std::path::PathBuf>,
    preparation: Preparation,
) -> Bench {
    let requests = match plan.load.model {
        Model::Open => None,
        Model::Closed => plan.load.requests,
    };
    let clock = LeaseClock::new();
    // The end is reported once; the second slot would keep a wrong second report.
    let (tx, ended) = mpsc::channel(2);
    let run = LoadRun::prepare(LoadSpec {
        plan: Arc::new(plan),
        threads,
        clock,
        preparation,
        histogram: Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap(),
        dump,
        finished: Box::new(move || tx.try_send(()).unwrap_or_default()),
        held_changed: Box::new(|| {}),
    });
    Bench {
        run: run.unwrap(),
        setup: SetupValues::default(),
        clock,
        ended,
        requests,
        change: Cell::new(0),
    }
}

fn bench(plan: Plan) -> Bench {
    bench_with(plan, 2, None)
}

impl Bench {
    fn after(&self, d: Duration) -> LeaseInstant {
        self.clock.now().plus_ns(d.as_nanos() as u64)
    }

    /// Sets the share, and returns the number of the change.
    fn share(&self, slots: Slots) -> u64 {
        self.share_from(slots, Duration::ZERO)
    }

    /// Sets the share, of which added slots begin at this time after the start.
    fn share_from(&self, slots: Slots, floor: Duration) -> u64 {
        let change = self.change.get() + 1;
        self.change.set(change);
        self.run.set_share(change, slots, floor);
        change
    }

    /// Waits until what the node holds fulfills a condition.
    async fn until_held(&self, reached: impl Fn(&Held) -> bool) -> Held {
        loop {
            let held = self.run.held();
            if reached(&held) {
                return held;
            }
            tokio::time::sleep(ms(1)).await;
        }
    }

    /// Sets a lease for the whole test, a start in 20 ms, this share, and all numbers of requests
    /// if they are limited.
    fn go(&self, share: Slots) -> LeaseInstant {
        if let Some(requests) = self.requests {
            self.run.add_numbers(&Numbers::range(0, requests), true);
        }
        self.go_without_numbers(share)
    }

    /// The same without numbers of requests.
    fn go_without_numbers(&self, share: Slots) -> LeaseInstant {
        let start = self.after(ms(20));
        self.run.set_lease(self.after(60 * SECOND));
        self.run.set_start(start);
        self.share(share);
        start
    }

    async fn end(&mut self) -> StepSnapshot {
        self.ended.recv().await.unwrap();
        let step = self.now().await;
        let c = &step.counters;
        assert_eq!(c.sent, c.ok + c.failed + c.abandoned, "{c:?}");
        assert_eq!(c.planned, c.sent + c.dropped(), "{c:?}");
        assert_eq!(c.in_flight, 0, "{c:?}");
        assert!(
            self.ended.recv().await.is_none(),
            "the end is reported once"
        );
        step
    }

    async fn now(&self) -> StepSnapshot {
        self.run.snapshot().await.steps.remove(0)
    }

    async fn until(&self, reached: impl Fn(&Counters) -> bool) -> Counters {
        let started = Instant::now();
        loop {
            let counters = self.now().await.counters;
            if reached(&counters) {
                return counters;
            }
            assert!(started.elapsed() < TIMEOUT, "not reached: {counters:?}");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until no request is planned or sent any more: [`QUIET_POLLS`] polls in succession, to
    /// which the engine threads respond, report the same numbers.
    async fn until_quiet(&self) -> Counters {
        let started = Instant::now();
        let mut last = self.now().await.counters;
        let mut polls = 0;
        while polls < QUIET_POLLS {
            assert!(started.elapsed() < TIMEOUT, "not quiet: {last:?}");
            tokio::time::sleep(POLL_INTERVAL).await;
            let counters = self.now().await.counters;
            let same = (counters.planned, counters.sent) == (last.planned, last.sent);
            polls = if same { polls + 1 } else { 0 };
            last = counters;
        }
        last
    }

    /// Waits until the clock of the run shows this time.
    async fn until_time(&self, at: LeaseInstant) {
        eventually(|| self.clock.now() >= at).await;
    }
}
