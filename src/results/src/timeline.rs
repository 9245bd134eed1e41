//! What a test was like over time, as JSON has it. `docs/result.md` describes every field.
//!
//! A point covers an interval: what was counted in it, and the distribution of the response
//! times that were recorded in it. Intervals follow each other without gaps. There are at most
//! [`MAX_POINTS`]: a longer test has longer intervals, made by adding neighbours up, so
//! percentiles stay exact.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::result::Stats;

/// Most points kept: 24 minutes at one a second, three hours at one in eight.
pub const MAX_POINTS: usize = 1440;
/// Most workers whose rates are told one by one; the rest are only in the sums.
pub const MAX_NODE_RATES: usize = 100;

/// A test over time.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Timeline {
    /// Version of this shape: 1.
    pub schema: u32,
    /// The test's id.
    pub test_id: String,
    /// `electing`, `registering`, `running`, `stopping` or `ended`.
    pub state: String,
    /// Whose rates `node_rates` are, in that order. The order of workers never changes; new
    /// ones come at the end.
    pub nodes: Vec<TimelineNode>,
    /// Upper bounds of the heat map's buckets, in milliseconds; the last bucket is above the
    /// last of them.
    pub heat_bounds_ms: Vec<f64>,
    /// The intervals, oldest first.
    pub points: Vec<Point>,
}

/// A worker of a [`Timeline`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TimelineNode {
    /// Its peer id.
    pub peer: String,
    /// Its incarnation.
    pub incarnation: u64,
    /// Its name.
    pub name: String,
}

/// An interval of a test.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Point {
    /// Its beginning, in seconds after the start of the profile.
    pub from_s: f64,
    /// Its end.
    pub to_s: f64,
    /// Arrivals a second that the plan asked for in it; 0 in the closed model and for
    /// scenarios.
    pub asked: f64,
    /// Users that the plan asked for at its end; 0 in the open model.
    pub users: u32,
    /// Requests sent a second.
    pub rate: f64,
    /// Requests sent.
    pub sent: u64,
    /// Requests that succeeded.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Arrivals not sent.
    pub dropped: u64,
    /// Checks of responses that did not hold.
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
    /// 99th percentile of the lag recorded in it.
    pub lag_p99_ms: Option<f64>,
    /// Response times by bucket of the heat map: index and count, those without any left out.
    pub heat: Vec<(u16, u64)>,
    /// Requests sent a second by each of `nodes`; those that came later are missing at the end.
    pub node_rates: Vec<f64>,
    /// The response times, base64 of HdrHistogram's compressed V2 encoding in microseconds;
    /// only where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<String>,
    /// The lag, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_histogram: Option<String>,
}
