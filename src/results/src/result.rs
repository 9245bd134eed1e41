//! The result of a test, as in its JSON. `docs/result.md` describes every field; the format is
//! versioned by `schema`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::kinds::{ChangeKind, DataPick, EndKind, Verdict, state_text};
use vajra_core::protocol::event_kind::EventKind;
use vajra_core::protocol::messages::TestState;
use vajra_plan::{Load, Values};

/// The result of a test; preliminary until it is `complete`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TestResult {
    /// Version of the format: 1.
    pub schema: u32,
    /// Test id, a UUIDv7.
    pub test_id: String,
    /// Name of the plan.
    pub name: Option<String>,
    /// Tags of the plan.
    pub tags: BTreeMap<String, String>,
    /// URL, or task type.
    pub target: String,
    /// The plan's `[load]`, with the keys of a plan file.
    #[schema(value_type = Object)]
    pub load: Load,
    /// `electing`, `registering`, `running`, `stopping` or `ended`.
    #[serde(with = "state_text")]
    #[schema(value_type = String)]
    pub state: TestState,
    /// How the test ended; null before its end.
    pub end: Option<EndKind>,
    /// Whether it contains the last snapshot of every worker in the final roster.
    pub complete: bool,
    /// Judgement of the generator's work; null before the end.
    pub verdict: Option<Verdict>,
    /// Reasons for a verdict other than `valid`, or for a failure, and what to do.
    pub reasons: Vec<String>,
    /// Start of the profile, RFC 3339, UTC; null before it.
    pub started_at: Option<String>,
    /// Time for which load was planned, in seconds.
    pub duration_s: f64,
    /// Latest minus earliest start over the workers, by the best clock offset estimates.
    pub start_skew_ms: Option<f64>,
    /// Largest error of `start_skew_ms`: half the round trips behind the two least certain clock
    /// offsets.
    pub start_skew_within_ms: Option<f64>,
    /// Coordinators of the test, by term.
    pub coordinators: Vec<Tenure>,
    /// Absence of a coordinator in a running test, as seen by the answering node; null while there
    /// is one, and after the end.
    #[serde(default)]
    pub no_coordinator: Option<NoCoordinator>,
    /// Workers of the test.
    pub nodes: Vec<NodeResult>,
    /// Counters over all workers, warm-up included.
    pub totals: Totals,
    /// Results of the plan's thresholds.
    #[serde(default)]
    pub thresholds: Vec<ThresholdResult>,
    /// Each step of each scenario, in the plan's order; empty without scenarios.
    #[serde(default)]
    pub steps: Vec<StepResult>,
    /// Each scenario as a whole; empty without scenarios.
    #[serde(default)]
    pub scenarios: Vec<StepResult>,
    /// Each label: all steps with that label together.
    #[serde(default)]
    pub labels: Vec<StepResult>,
    /// Values from the plan's setup hook, by name.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub values: Values,
    /// Data files of the plan and their use.
    #[serde(default)]
    pub data: Vec<DataResult>,
    /// Planned and achieved rate.
    pub rate: Rate,
    /// Number of responses by HTTP status code.
    pub status_codes: BTreeMap<String, u64>,
    /// From the instant a request was due to the end of its response: free of coordinated
    /// omission.
    pub response_time_ms: Option<Stats>,
    /// From the actual send to the end of the response.
    pub service_time_ms: Option<Stats>,
    /// From the due instant to the attempt to send: the generator's own error.
    pub lag_ms: Option<Stats>,
    /// The merged histograms, base64 of HdrHistogram's compressed V2 encoding.
    pub histograms: Histograms,
    /// Errors by kind and message, most frequent first.
    pub errors: Vec<ErrorEntry>,
    /// Event log of the test.
    pub events: Vec<Event>,
    /// Changes of the load during the test.
    #[serde(default)]
    pub changes: Vec<ChangeResult>,
    /// The plan, in its canonical form.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub plan: serde_json::Value,
}

/// A change of the load of a running test.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChangeResult {
    /// Instant from which it applies, in seconds after the start of the profile.
    pub at_s: f64,
    /// Kind of the change.
    pub kind: ChangeKind,
    /// New full load if it was scaled: arrivals per second, or users.
    pub level: Option<f64>,
}

/// A coordinator's tenure in one term.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Tenure {
    /// Term of the election.
    pub term: u64,
    /// Peer id of the node.
    pub peer: String,
    /// Name of the node; empty if unknown.
    #[serde(default)]
    pub name: String,
    /// Start of the tenure, in milliseconds after the start of the profile; negative before it.
    pub from_ms: i64,
    /// End of the tenure, or time of its last message; null while it is the coordinator.
    pub to_ms: Option<i64>,
}

/// The absence of a coordinator. Times are in milliseconds after the start of the profile.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct NoCoordinator {
    /// Time of the last message from a coordinator.
    pub since_ms: i64,
    /// Time at which the load of the answering node stopped; null if it has not stopped.
    pub load_stopped_ms: Option<i64>,
    /// Electors that cannot be reached from the answering node.
    pub silent_electors: u32,
    /// Number of electors; an election takes a majority of them.
    pub electors: u32,
}

/// A worker's part of the result.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct NodeResult {
    /// Peer id.
    pub peer: String,
    /// Incarnation.
    pub incarnation: u64,
    /// Name.
    pub name: String,
    /// Last measured share of the load, 0 to 1.
    pub share: f64,
    /// Requests written.
    pub sent: u64,
    /// Requests that succeeded.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Arrivals that it did not send.
    pub dropped: u64,
    /// 99th percentile of its lag, in milliseconds.
    pub lag_p99_ms: Option<f64>,
    /// Time of its loss, in milliseconds after the start of the profile; null if it was not lost.
    pub lost_at_ms: Option<u64>,
    /// Operating system, cores and memory of its machine, and version of the node.
    #[serde(default)]
    pub environment: String,
}

/// Counters over all workers, warm-up included.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Planned arrivals: `sent + dropped + unsent`.
    pub planned: u64,
    /// Requests written: `ok + failed + abandoned`, and those with an unknown outcome (in flight
    /// before the end, or when a lost worker last reported).
    pub sent: u64,
    /// Requests that succeeded.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests in flight that were abandoned because the test was stopped.
    pub abandoned: u64,
    /// Arrivals that a worker had but did not send, for one of the next three reasons.
    pub dropped: u64,
    /// Dropped because the generator was too late.
    #[serde(default)]
    pub dropped_late: u64,
    /// Dropped because `max_in_flight` was reached.
    #[serde(default)]
    pub dropped_full: u64,
    /// Dropped because the worker's lease had expired.
    #[serde(default)]
    pub dropped_lease: u64,
    /// Planned arrivals that no worker was there for.
    pub unsent: u64,
    /// Sent requests that belong to the warm-up; they are in no percentile.
    pub warm_up: u64,
    /// Bytes written to connections.
    pub bytes_sent: u64,
    /// Bytes read from connections.
    pub bytes_received: u64,
    /// Checks of responses that passed.
    #[serde(default)]
    pub checks_passed: u64,
    /// Checks of responses that failed.
    #[serde(default)]
    pub checks_failed: u64,
    /// Closed model with `requests`: iterations that a lost worker may have carried out after its
    /// last report.
    #[serde(default)]
    pub unaccounted: u64,
}

impl Totals {
    /// Sent requests with an unknown outcome: in flight before the end, or when a lost worker
    /// last reported.
    pub fn unanswered(&self) -> u64 {
        let known = self.ok + self.failed + self.abandoned;
        self.sent.saturating_sub(known)
    }
}

/// A step of a scenario, or several steps together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct StepResult {
    /// `scenario/step`, scenario, or label.
    pub name: String,
    /// Counters; `planned` is the number of iterations that reached the step. The bytes on the
    /// connections are counted with the first step.
    pub totals: Totals,
    /// As in the whole result.
    pub status_codes: BTreeMap<String, u64>,
    /// As in the whole result; a later step is due at the end of the think time before it.
    pub response_time_ms: Option<Stats>,
    /// As in the whole result.
    pub service_time_ms: Option<Stats>,
    /// As in the whole result.
    pub lag_ms: Option<Stats>,
    /// As in the whole result.
    pub errors: Vec<ErrorEntry>,
}

/// A data file of the plan and its use.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct DataResult {
    /// Name of the data in the plan.
    pub name: String,
    /// How iterations choose its rows.
    pub pick: DataPick,
    /// Number of rows.
    pub rows: u64,
    /// Iterations that took a row and sent a request; with `unique`, also the number of used
    /// rows.
    pub used: u64,
    /// `unique` only: rows that were due but whose iteration was not run; null otherwise.
    pub unused: Option<u64>,
    /// `unique` only: rows that were not due before the end of the test; null otherwise.
    pub remaining: Option<u64>,
    /// False if a worker died: its requests after its last report are unknown, so `used` is a
    /// lower bound and `unused` an upper bound.
    pub exact: bool,
}

/// The result of a threshold.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ThresholdResult {
    /// The threshold as written in the plan.
    pub threshold: String,
    /// Whether the result passes it.
    pub passed: bool,
    /// Measured value: milliseconds, a share from 0 to 1, or requests per second; null if nothing
    /// was measured.
    pub value: Option<f64>,
}

/// Requests per second, over `duration_s`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Rate {
    /// Planned arrivals per second; in the closed model the same as `achieved`.
    pub planned: f64,
    /// Requests sent per second.
    pub achieved: f64,
}

/// A distribution in milliseconds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// Number of values.
    pub count: u64,
    /// Smallest value.
    pub min: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub stdev: f64,
    /// Median.
    pub p50: f64,
    /// 75th percentile.
    pub p75: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Largest value.
    pub max: f64,
}

/// Merged histograms, with values in microseconds.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Histograms {
    /// Response times.
    pub response: Option<String>,
    /// Service times.
    pub service: Option<String>,
    /// Lag.
    pub lag: Option<String>,
}

/// Errors with the same kind and message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorEntry {
    /// `connect`, `timeout`, `status`, …
    pub kind: String,
    /// Message; empty where messages beyond the limits are summed by kind.
    pub message: String,
    /// Number of occurrences.
    pub count: u64,
}

/// An event of a test.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Milliseconds after the start of the profile; negative before it.
    pub at_ms: i64,
    /// Kind of the event, a fixed word.
    #[serde(with = "event_kind")]
    #[schema(value_type = String)]
    pub kind: EventKind,
    /// Peer id of the node concerned.
    pub peer: Option<String>,
    /// Description.
    pub text: String,
}

/// The kind of an event as text. Those of newer versions are kept.
mod event_kind {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use vajra_core::protocol::event_kind::EventKind;

    pub fn serialize<S: Serializer>(kind: &EventKind, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(kind.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<EventKind, D::Error> {
        String::deserialize(d).map(|name| name.as_str().into())
    }
}

impl TestResult {
    /// The name of a node, or its peer id if the name is unknown.
    pub fn name_of<'a>(&'a self, peer: &'a str) -> &'a str {
        let worker = self.nodes.iter().find(|n| n.peer == peer).map(|n| &n.name);
        let coordinator = self.coordinators.iter().find(|c| c.peer == peer);
        let names = worker.into_iter().chain(coordinator.map(|c| &c.name));
        let mut known = names.filter(|name| !name.is_empty());
        known.next().map_or(peer, String::as_str)
    }
}
