//! Processes that the command line starts for the duration of a test.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::error::PlanError;
use super::limits::MAX_LOCAL_NODES;
use super::ranges::within;
use super::units::{self, show_duration};

/// A swarm on this machine for the duration of the test, started by the command line. Can't be
/// combined with `--api` or `--standalone`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Local {
    /// Node processes to start in addition to this one.
    #[schemars(range(max = MAX_LOCAL_NODES))]
    pub nodes: u32,
    /// Built-in target to start, if the plan has no URL.
    pub target: Option<LocalTarget>,
}

/// How the built-in target responds.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LocalTarget {
    /// Time until a response.
    #[serde(with = "units::as_text")]
    #[schemars(with = "units::Time", extend("x-range" = "0s to 1m"))]
    pub latency: Duration,
    /// Maximum random deviation of a response from `latency`, earlier or later.
    #[serde(with = "units::as_text")]
    #[schemars(with = "units::Time", extend("x-range" = "0s to 1m"))]
    pub jitter: Duration,
    /// Share of requests answered with status 500.
    #[schemars(range(min = 0, max = 1))]
    pub error_rate: f64,
}

impl Local {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is not allowed.
    pub fn validate(&self) -> Result<(), PlanError> {
        let most = u64::from(MAX_LOCAL_NODES);
        within("local.nodes", u64::from(self.nodes), 0, most)?;
        let Some(target) = &self.target else {
            return Ok(());
        };
        for (field, given) in [
            ("local.target.latency", target.latency),
            ("local.target.jitter", target.jitter),
        ] {
            if given > Duration::from_secs(60) {
                let given = show_duration(given);
                let problem = format!("{given} is not allowed; it must be at most 1m");
                return Err(PlanError::field(field, problem));
            }
        }
        if !(0.0..=1.0).contains(&target.error_rate) {
            let problem = format!("{} is not between 0 and 1", target.error_rate);
            return Err(PlanError::field("local.target.error_rate", problem));
        }
        Ok(())
    }
}
