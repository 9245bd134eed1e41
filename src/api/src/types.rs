//! Parameters and bodies that only the API has.

use serde::{Deserialize, Serialize};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{IntoParams, ToSchema};

/// Maximum number of tests, or events, in a response.
pub(super) const MAX_PAGE: usize = 200;
/// Name of the plan's schema in the OpenAPI document.
pub(super) const PLAN_SCHEMA: &str = "Plan";

/// A test in a path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct TestPath {
    /// Full id, unique prefix of at least four digits, or `latest`
    pub id: String,
}

/// A node in a path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct NodePath {
    /// Peer id, unique prefix or suffix of one (at least four characters), name of a node as configured or
    /// as shown, or `self`
    pub peer: String,
}

/// A data file in a path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct BlobPath {
    /// SHA-256 of the file, 64 hexadecimal digits
    pub digest: String,
}

/// A build.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Version {
    /// Name of the program, always `vajra-node`
    pub name: &'static str,
    /// Version
    pub version: &'static str,
    /// First digits of the commit; null if unknown
    pub commit: Option<&'static str>,
}

/// Filter of the nodes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct NodesQuery {
    /// Only nodes that support this task type: `HTTP`, `SLEEP` or `CPU`
    pub task_type: Option<String>,
}

/// A page of tests.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TestsQuery {
    /// Maximum number of tests; default 200
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<usize>,
    /// Only tests older than this one: an id, a unique prefix, or `latest`
    pub before: Option<String>,
}

/// Resolution of a timeline.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TimelineQuery {
    /// Maximum number of intervals; all by default
    #[param(minimum = 1)]
    pub points: Option<usize>,
    /// Include the histogram of each interval; default `false`
    #[serde(default)]
    pub histograms: bool,
}

/// A plan to start.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTest {
    /// The plan
    #[schema(schema_with = plan)]
    pub plan: serde_json::Value,
    /// Delay the start until the swarm has this many nodes; 0 starts at once
    #[serde(default)]
    pub wait_for: u32,
}

/// A plan to check before a start.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PreflightRequest {
    /// The plan
    #[schema(schema_with = plan)]
    pub plan: serde_json::Value,
}

/// Plans have a schema of their own, which is merged into the document.
fn plan() -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(PLAN_SCHEMA))
}

/// The id of a test.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TestReference {
    /// Id of the test
    pub test_id: String,
}

/// How a test is stopped.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct StopQuery {
    /// Wait for requests in flight; default `true`
    pub graceful: Option<bool>,
}

/// A new full load: either a rate (open model) or users (closed model).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewLoad {
    /// Arrivals per second over the whole swarm, 0.001 to 1,000,000; open model only
    pub rate: Option<f64>,
    /// Virtual users over the whole swarm, 1 to 1,000,000; closed model only
    pub users: Option<u32>,
}

/// An empty object.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EmptyBody {}

/// An accepted change of the load.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LoadChange {
    /// Id of the test
    pub test_id: String,
    /// Instant from which the change applies, in seconds after the start of the test
    pub at_s: f64,
}

/// A data file stored on the node.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StoredBlob {
    /// SHA-256 of the file, in hexadecimal
    pub digest: String,
    /// Size in bytes
    pub bytes: u64,
}

/// Number of events of the swarm.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// Maximum number of events; default 100
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<usize>,
}

/// Form of a report.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportQuery {
    /// `html` (default), `json`, `csv`, `hlog`, `hgrm` or `junit`
    pub format: Option<String>,
}

/// Baseline of a comparison.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct CompareQuery {
    /// The baseline test: an id, a unique prefix, or `latest`
    pub with: String,
}

/// A plan in one of three forms; exactly one of the fields is set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanSource {
    /// Text of a plan file in TOML
    pub toml: Option<String>,
    /// Text of a plan file in JSON
    pub json: Option<String>,
    /// The plan as JSON, as for a start
    #[schema(value_type = Option<Object>)]
    pub plan: Option<serde_json::Value>,
}
