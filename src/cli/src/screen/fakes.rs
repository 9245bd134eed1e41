//! Test data for the view.

use vajra_core::protocol::messages::TestState;
use vajra_plan::Load;
use vajra_results::{
    NodeEntry, NodeHealth, NodeList, NodeResult, NodeStatus, Point, Pool, Progress, Stats,
    TestResult,
};

/// Progress of a running test of 30 s at 5,000 requests per second.
pub fn progress(elapsed_s: f64, rate: f64) -> Progress {
    Progress {
        test_id: "0199aaaa-0000-7000-8000-000000000000".into(),
        state: TestState::Running,
        elapsed_s,
        duration_s: 30.0,
        nodes: 3,
        planned: 5_000.0,
        users: 0,
        rate,
        sent: (elapsed_s.max(0.0) * rate) as u64,
        failed: 0,
        p50_ms: Some(1.02),
        p99_ms: Some(3.4),
        lag_p99_ms: Some(0.04),
        no_coordinator_s: None,
    }
}

/// An interval of the timeline.
pub fn point(from_s: f64, to_s: f64, rate: f64) -> Point {
    Point {
        from_s,
        to_s,
        planned: 5_000.0,
        rate,
        sent: (rate * (to_s - from_s)) as u64,
        response_time_ms: Some(stats(1.0)),
        lag_p99_ms: Some(0.05),
        ..Point::default()
    }
}

/// A distribution around a median.
pub fn stats(p50: f64) -> Stats {
    Stats {
        count: 1_000,
        min: p50 / 2.0,
        mean: p50 * 1.1,
        stdev: p50 / 3.0,
        p50,
        p75: p50 * 1.5,
        p90: p50 * 2.0,
        p95: p50 * 3.0,
        p99: p50 * 4.0,
        p999: p50 * 8.0,
        max: p50 * 20.0,
    }
}

/// A worker in a result.
pub fn worker(name: &str, share: f64, sent: u64) -> NodeResult {
    NodeResult {
        peer: format!("peer-{name}"),
        incarnation: 1,
        name: name.into(),
        share,
        sent,
        ok: sent,
        failed: 0,
        dropped: 0,
        lag_p99_ms: Some(0.04),
        lost_at_ms: None,
        environment: String::new(),
    }
}

/// A node of the swarm.
pub fn entry(name: &str, health: NodeHealth) -> NodeEntry {
    NodeEntry {
        peer: format!("peer-{name}"),
        incarnation: 1,
        name: name.into(),
        status: NodeStatus::Running,
        health,
        ..NodeEntry::default()
    }
}

/// The swarm.
pub fn swarm(nodes: Vec<NodeEntry>) -> NodeList {
    NodeList {
        pool: Pool::of(&nodes),
        nodes,
    }
}

/// A provisional result without requests.
pub fn result(load: &Load) -> TestResult {
    let empty = vajra_fixtures::EMPTY_RESULT;
    let mut result: TestResult = match serde_json::from_str(empty) {
        Ok(result) => result,
        Err(e) => panic!("the empty result can't be read: {e}"),
    };
    result.state = TestState::Running;
    result.end = None;
    result.verdict = None;
    result.complete = false;
    result.reasons.clear();
    result.load = load.clone();
    result
}
