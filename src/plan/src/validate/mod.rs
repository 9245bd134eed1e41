//! The rules of a plan: every range and combination.

mod load;
mod threshold;

pub use threshold::ScopeError;

use super::credentials::redacted_value;
use super::error::PlanError;
use super::limits::{MAX_PAIRS, MAX_PLAN_BYTES};
use super::load::Load;
use super::model::{Plan, Task};
use super::path::Path;
use super::profile::Profile;
use super::ranges::{HOUR, MS, lasting, pairs, text, within};
use super::url::TargetUrl;
use std::time::Duration;

impl Plan {
    /// Checks every field. A plan from [`crate::parse_toml`], [`crate::parse_json`] or
    /// [`Plan::from_bytes`] is valid; one that was built or changed in code may not be.
    ///
    /// # Errors
    /// The first field that is not allowed, its value, and what is allowed.
    pub fn validate(&self) -> Result<(), PlanError> {
        if let Some(name) = &self.name {
            text("name", name, 1, 100)?;
        }
        pairs("tags", &self.tags)?;
        pairs("swarm.where", &self.swarm.labels)?;
        match &self.task {
            Task::Http(http) => {
                TargetUrl::parse(&http.url).map_err(|e| PlanError::field("task.url", e))?;
                http.validate("task")?;
            }
            Task::Sleep { ms } => within("task.ms", *ms, 0, 3_600_000)?,
            Task::Cpu { ms } => within("task.ms", *ms, 0, 60_000)?,
            Task::Scenarios(_) => {}
        }
        load::validate(&self.load)?;
        some_requests(&self.load)?;
        if let Task::Scenarios(scenarios) = &self.task {
            scenarios.validate(&self.load)?;
        }
        self.validate_thresholds()?;
        let min_workers = u64::from(self.swarm.min_workers);
        within("swarm.min_workers", min_workers, 1, 10_000)?;
        if let Some(timeout) = self.swarm.graceful_timeout {
            lasting("swarm.graceful_timeout", timeout, Duration::ZERO, HOUR)?;
        }
        lasting("limits.lag_p99", self.limits.lag_p99, MS, HOUR)?;
        if !(0.0..=1.0).contains(&self.limits.dropped) {
            let given = self.limits.dropped;
            return Err(PlanError::field(
                "limits.dropped",
                format!("{given} is not between 0 and 1"),
            ));
        }
        if let Some(path) = redacted_value(self) {
            return Err(PlanError::at(
                path,
                "was redacted, as in the plan of a result; replace it with the value, or with a \
                 reference such as env:TOKEN",
            ));
        }
        let size = self.to_bytes().len();
        if size > MAX_PLAN_BYTES {
            return Err(PlanError::TooLarge(size));
        }
        Ok(())
    }

    fn validate_thresholds(&self) -> Result<(), PlanError> {
        let count = self.thresholds.len() as u64;
        within("thresholds", count, 0, MAX_PAIRS as u64)?;
        for (i, threshold) in self.thresholds.iter().enumerate() {
            let path = Path::dotted("thresholds").then(i);
            threshold
                .check_scope(&self.task)
                .map_err(|e| PlanError::at(path, e).labelled("thresholds"))?;
        }
        Ok(())
    }
}

fn some_requests(load: &Load) -> Result<(), PlanError> {
    match Profile::of(load).total_arrivals() {
        Some(0) => Err(PlanError::field(
            "load",
            "plans no request at all: raise the rate or the duration",
        )),
        _ => Ok(()),
    }
}
