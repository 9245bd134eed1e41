//! The progress events of a running test.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::kinds::state_text;
use super::result::TestResult;
use super::timeline::Point;
use vajra_core::protocol::messages::TestState;

/// The state of a test, once per second and once at its end. The last one has the means and
/// percentiles of the whole test instead of the last interval's.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Test id.
    pub test_id: String,
    /// `electing`, `registering`, `running`, `stopping` or `ended`.
    #[serde(with = "state_text")]
    #[schema(value_type = String)]
    pub state: TestState,
    /// Seconds since the start of the profile; negative before it.
    pub elapsed_s: f64,
    /// Length of the profile, in seconds.
    pub duration_s: f64,
    /// Workers that report.
    pub nodes: u32,
    /// Planned arrivals per second at this time; 0 in the closed model and for scenarios.
    pub planned: f64,
    /// Planned users at this time; 0 in the open model.
    pub users: u32,
    /// Requests sent per second in the last interval.
    pub rate: f64,
    /// Requests sent since the start.
    pub sent: u64,
    /// Requests failed since the start.
    pub failed: u64,
    /// Median response time of the last interval, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 99th percentile of the response time in the last interval, in milliseconds.
    pub p99_ms: Option<f64>,
    /// 99th percentile of the lag in the last interval, in milliseconds.
    pub lag_p99_ms: Option<f64>,
    /// Time of the last message from a coordinator, in seconds after the start of the profile, if
    /// there is no coordinator any more.
    #[serde(default)]
    pub no_coordinator_s: Option<f64>,
}

impl Progress {
    /// The last progress event of a test.
    pub fn of_ended(result: &TestResult) -> Progress {
        Progress {
            test_id: result.test_id.clone(),
            state: TestState::Ended,
            elapsed_s: result.duration_s,
            duration_s: result.duration_s,
            nodes: result.nodes.len() as u32,
            planned: result.rate.planned,
            users: 0,
            rate: result.rate.achieved,
            sent: result.totals.sent,
            failed: result.totals.failed,
            p50_ms: result.response_time_ms.as_ref().map(|s| s.p50),
            p99_ms: result.response_time_ms.as_ref().map(|s| s.p99),
            lag_p99_ms: result.lag_ms.as_ref().map(|s| s.p99),
            no_coordinator_s: None,
        }
    }
}

/// An event of the stream of a test.
#[derive(Clone, PartialEq, Debug)]
pub enum Update {
    /// The state of the test.
    Progress(Progress),
    /// A finished interval of its [`Timeline`](super::timeline::Timeline).
    Point(Box<Point>),
}
