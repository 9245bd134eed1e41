//! Which nodes carry a test's load, and what makes a result invalid.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::MAX_PAIRS;
use super::units;

/// How the load is split over the workers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Balance {
    /// In proportion to the configured capacity of each node.
    #[default]
    Capacity,
    /// Equal shares.
    Equal,
}

/// What happens to the share of a lost worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnLostWorker {
    /// The other workers take it over after its lease has expired.
    #[default]
    Reassign,
    /// It keeps its share: an isolated worker continues to the end of the plan.
    Hold,
    /// The test ends.
    Fail,
}

/// Which nodes generate the load, and what happens when one is lost.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SwarmRules {
    /// Labels that a node needs to take part, all of them: `{ region = "eu" }`.
    #[schemars(extend("maxProperties" = MAX_PAIRS))]
    #[serde(rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Minimum number of workers to start with.
    #[schemars(range(min = 1, max = 10_000))]
    pub min_workers: u32,
    /// How the load is split over the workers.
    pub balance: Balance,
    /// What happens to the share of a lost worker.
    pub on_lost_worker: OnLostWorker,
    /// Maximum time to wait for requests in flight after the end or a graceful stop; by default the
    /// request timeout plus 1 s.
    #[serde(
        with = "units::as_optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<units::Time>", extend("x-range" = "0s to 1h"))]
    pub graceful_timeout: Option<Duration>,
}

impl Default for SwarmRules {
    fn default() -> SwarmRules {
        SwarmRules {
            labels: BTreeMap::new(),
            min_workers: 1,
            balance: Balance::default(),
            on_lost_worker: OnLostWorker::default(),
            graceful_timeout: None,
        }
    }
}

/// Limits of the generator's own error; a result beyond them is `invalid`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Maximum 99th percentile of lag.
    #[serde(with = "units::as_text")]
    #[schemars(with = "units::Time", extend("x-range" = "1ms to 1h"))]
    pub lag_p99: Duration,
    /// Maximum share of the planned arrivals that may be dropped.
    #[schemars(range(min = 0, max = 1))]
    pub dropped: f64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            lag_p99: Duration::from_millis(100),
            dropped: 0.01,
        }
    }
}
