//! Small bodies that only the API has: what is sent to it, and what it says.

use serde::{Deserialize, Serialize};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{IntoParams, ToSchema};

/// Which build a node is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Version {
    /// Always `vajra-node`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The beginning of the commit that it was built from; null if that is not known.
    pub commit: Option<&'static str>,
}

/// Which nodes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct NodesQuery {
    /// Only those that can run tasks of this type: `HTTP`, `SLEEP`, `CPU`
    pub task_type: Option<String>,
}

/// Which of the tests.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TestsQuery {
    /// At most so many; 200 unless given
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<usize>,
    /// Only those older than this one
    pub before: Option<String>,
}

/// How much of a timeline is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TimelineQuery {
    /// At most so many intervals; all unless given
    #[param(minimum = 1)]
    pub points: Option<usize>,
    /// With the histogram of each
    #[serde(default)]
    pub histograms: bool,
}

/// A new test: the plan, and how long to wait for the swarm.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTest {
    /// The plan
    #[schema(schema_with = plan)]
    pub plan: serde_json::Value,
    /// Start when the swarm has so many nodes
    #[serde(default)]
    pub wait_for: u32,
}

/// A plan to be looked at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Looked {
    /// The plan
    #[schema(schema_with = plan)]
    pub plan: serde_json::Value,
}

/// Plans have a schema of their own, which is put into the document as a whole.
fn plan() -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(super::openapi::PLAN))
}

/// Which test it is about.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Named {
    /// The test's id
    pub test_id: String,
}

/// How a test is stopped.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct StopQuery {
    /// `false` does not wait for responses
    pub graceful: Option<bool>,
}

/// Full load from now on: a rate (open model) or users (closed model), one of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewLoad {
    /// Arrivals a second of the whole swarm
    pub rate: Option<f64>,
    /// Users of the whole swarm
    pub users: Option<u32>,
}

/// A body that says nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// A change of the load.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Steered {
    /// The test's id
    pub test_id: String,
    /// Since when it counts, in seconds after the start
    pub at_s: f64,
}

/// A data file that the node has.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stored {
    /// Its SHA-256, in hexadecimal
    pub digest: String,
    /// Its length
    pub bytes: u64,
}
