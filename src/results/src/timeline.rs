//! The test over time. `docs/result.md` describes every field.
//!
//! A point covers an interval: its counters, and the distribution of the response times recorded
//! in it. Intervals follow each other without gaps. There are at most [`MAX_POINTS`]: a longer
//! test has longer intervals, made by merging neighbours, so percentiles stay exact.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::kinds::state_text;
use super::result::Stats;
use vajra_core::protocol::messages::TestState;

/// Most points: 24 minutes at one per second, three hours at one per eight seconds.
pub const MAX_POINTS: usize = 1440;
/// Most workers with rates of their own; the others are only in the sums.
pub const MAX_NODE_RATES: usize = 100;

/// A test over time.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Timeline {
    /// Version of the format: 1.
    pub schema: u32,
    /// Test id.
    pub test_id: String,
    /// `electing`, `registering`, `running`, `stopping` or `ended`.
    #[serde(with = "state_text")]
    #[schema(value_type = String)]
    pub state: TestState,
    /// Workers, in the order of `node_rates`. The order never changes; new ones are added at the
    /// end.
    pub nodes: Vec<TimelineNode>,
    /// Upper bounds of the heat map's buckets, in milliseconds; one more bucket is above the last
    /// bound.
    pub heat_bounds_ms: Vec<f64>,
    /// The intervals, oldest first.
    pub points: Vec<Point>,
}

/// A worker of a [`Timeline`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TimelineNode {
    /// Peer id.
    pub peer: String,
    /// Incarnation.
    pub incarnation: u64,
    /// Name.
    pub name: String,
}

/// An interval of a test.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Point {
    /// Start, in seconds after the start of the profile.
    pub from_s: f64,
    /// End, in seconds after the start of the profile.
    pub to_s: f64,
    /// Mean planned arrivals per second; 0 in the closed model and for scenarios.
    pub planned: f64,
    /// Planned users at its end; 0 in the open model.
    pub users: u32,
    /// Requests sent per second.
    pub rate: f64,
    /// Requests sent.
    pub sent: u64,
    /// Requests that succeeded.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Arrivals that were dropped.
    pub dropped: u64,
    /// Checks of responses that failed.
    pub checks_failed: u64,
    /// Requests waiting or in flight at its end.
    pub in_flight: u64,
    /// Bytes written to connections.
    pub bytes_sent: u64,
    /// Bytes read from connections.
    pub bytes_received: u64,
    /// Errors by kind.
    pub errors: BTreeMap<String, u64>,
    /// Response times recorded in it; null if there were none.
    pub response_time_ms: Option<Stats>,
    /// 99th percentile of the lag recorded in it, in milliseconds.
    pub lag_p99_ms: Option<f64>,
    /// Response times by bucket of the heat map: index and count, without empty buckets.
    pub heat: Vec<(u16, u64)>,
    /// Requests sent per second by each of `nodes`; shorter if nodes joined later.
    pub node_rates: Vec<f64>,
    /// Response times, base64 of HdrHistogram's compressed V2 encoding in microseconds; only if
    /// requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<String>,
    /// Lag, encoded in the same way; only if requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_histogram: Option<String>,
}
