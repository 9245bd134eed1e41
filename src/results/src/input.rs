//! What a result is built from.

use std::sync::Arc;
use std::time::Duration;

use super::redacted_plan::RedactedPlan;
use super::result::{Event, NoCoordinator, Tenure};
use vajra_core::protocol::TestId;
use vajra_core::protocol::merge::WorkerMetrics;
use vajra_core::protocol::messages::{EndReason, TestState};
use vajra_plan::{LoadChange, Plan, Profile, Values};

/// Everything that a result is built from.
#[derive(Clone, Debug)]
pub struct ResultInput {
    /// Test id.
    pub test: TestId,
    /// Name of the test; empty without one.
    pub name: String,
    /// State of the test.
    pub state: TestState,
    /// Whether all final snapshots have arrived.
    pub complete: bool,
    /// Reason for the end; none before it.
    pub reason: Option<EndReason>,
    /// The plan.
    pub plan: Arc<Plan>,
    /// What a result shows of the plan, if the caller keeps it; otherwise each build computes it.
    pub redacted: Option<Arc<RedactedPlan>>,
    /// Start of the profile, in Unix milliseconds.
    pub started_unix_ms: Option<u64>,
    /// Coordinators, by term.
    pub coordinators: Vec<Tenure>,
    /// Absence of a coordinator of a running test.
    pub absence: Option<Absence>,
    /// Workers, in a fixed order.
    pub workers: Vec<WorkerInput>,
    /// Event log.
    pub events: Vec<Event>,
    /// Changes of the load.
    pub changes: Vec<LoadChange>,
    /// Values from the setup hook.
    pub values: Values,
    /// Numbers of requests that no worker got, if the plan limits the requests of its users; none
    /// before the end.
    pub unused_numbers: Option<u64>,
}

/// A running test without a coordinator.
#[derive(Clone, PartialEq, Debug)]
pub struct Absence {
    /// What the result shows of it.
    pub shown: NoCoordinator,
    /// Time after the start of the profile by which every arrival has been reported or is unsent:
    /// the present, once the load has been stopped for so long that all reports have arrived.
    pub accounted: Option<Duration>,
}

/// A worker's part of a test.
#[derive(Clone, Debug)]
pub struct WorkerInput {
    /// Peer id.
    pub peer: String,
    /// Incarnation.
    pub incarnation: u64,
    /// Name; empty if unknown.
    pub name: String,
    /// Its newest snapshot.
    pub metrics: WorkerMetrics,
    /// Time of its loss, after the start of the profile.
    pub lost_at: Option<Duration>,
    /// Operating system, cores and memory of its machine, and version of the node.
    pub environment: String,
}

impl ResultInput {
    /// The load over time, with its changes.
    pub(super) fn profile(&self) -> Profile {
        Profile::changed(&self.plan.load, &self.changes)
    }

    /// What the result shows of the plan.
    pub(super) fn redacted(&self) -> RedactedPlan {
        match &self.redacted {
            Some(redacted) => RedactedPlan::clone(redacted),
            None => RedactedPlan::of(&self.plan),
        }
    }

    /// Whether a worker was lost.
    pub(super) fn lost_a_worker(&self) -> bool {
        self.workers.iter().any(|w| w.lost_at.is_some())
    }
}

impl WorkerInput {
    /// The worker's name, or its peer id if the name is unknown.
    pub(super) fn label(&self) -> &str {
        match self.name.is_empty() {
            true => &self.peer,
            false => &self.name,
        }
    }
}
