//! The metrics of a test at an instant, and its progress.

use std::time::Duration;

use crate::names::{DisplayNames, name_of};
use crate::plans::Plans;
use vajra_core::metrics::Counters;
use vajra_core::protocol::messages::TestState;
use vajra_core::protocol::test_run::TestRun;
use vajra_core::protocol::{Node, TestId, Time};
use vajra_network as network;
use vajra_results::{Point, Progress, Sample, TimelineNode};

/// A sample at an instant of the profile, with the planned rate since the sample before.
pub fn sample(
    core: &Node,
    plans: &Plans,
    test: TestId,
    before: Duration,
    at: Duration,
) -> Option<Sample> {
    let t = core.tests().get(&test)?;
    let names = DisplayNames::of_swarm(core, Some(t));
    let workers = t.merge().workers().iter().map(|(node, metrics)| {
        let worker = TimelineNode {
            peer: network::show_peer(&node.peer),
            incarnation: node.incarnation.0,
            name: names.show(&node.peer, name_of(core, t, node)),
        };
        (worker, metrics.clone())
    });
    Some(Sample {
        at,
        planned: plans.planned_rate(t, before, at),
        users: plans.planned(t, at).users,
        workers: workers.collect(),
    })
}

/// The progress of a test, with the newest interval if there is one.
pub fn progress(
    core: &Node,
    plans: &Plans,
    now: Time,
    test: TestId,
    point: Option<&Point>,
) -> Option<Progress> {
    let t = core.tests().get(&test)?;
    let elapsed_s = t
        .start()
        .map_or(0.0, |start| now.signed_since(start) as f64 / 1e9);
    let planned = plans.planned(t, Duration::from_secs_f64(elapsed_s.max(0.0)));
    let mut totals = Counters::default();
    let mut nodes = 0;
    for metrics in t.merge().workers().values() {
        nodes += u32::from(metrics.slots > 0);
        let steps = metrics.counters().iter();
        steps.for_each(|step| totals.add(&step.counters));
    }
    let times = point.and_then(|p| p.response_time_ms.as_ref());
    // The update with the state `ended` is sent with the result.
    let state = t.state().min(TestState::Stopping);
    Some(Progress {
        test_id: test.to_string(),
        state,
        elapsed_s,
        duration_s: planned.duration_s,
        nodes,
        planned: planned.rate,
        users: planned.users,
        rate: point.map_or(0.0, |p| p.rate),
        sent: totals.sent,
        failed: totals.failed,
        p50_ms: times.map(|s| s.p50),
        p99_ms: times.map(|s| s.p99),
        lag_p99_ms: point.and_then(|p| p.lag_p99_ms),
        no_coordinator_s: absent_since(t, now),
    })
}

/// Time after the start of the profile since which no coordinator is known, once an election has
/// had time to replace it.
fn absent_since(t: &TestRun, now: Time) -> Option<f64> {
    let start = t.start()?;
    t.silent_electors(now)?;
    let since = t.no_coordinator_since(now)?;
    Some(since.signed_since(start) as f64 / 1e9)
}
