//! The result of a test, as JSON has it. `docs/result.md` describes every field; the shape is
//! versioned by `schema`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use vajra_plan::{Load, Values};

/// A test's result: so far, or for good once `complete`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TestResult {
    /// Version of this shape: 1.
    pub schema: u32,
    /// The test's id, a UUIDv7.
    pub test_id: String,
    /// The plan's name.
    pub name: Option<String>,
    /// The plan's tags.
    pub tags: BTreeMap<String, String>,
    /// What was aimed at: the URL, or the task type.
    pub target: String,
    /// The load that the plan asked for, as a plan file has it.
    #[schema(value_type = Object)]
    pub load: Load,
    /// `electing`, `registering`, `running`, `stopping` or `ended`.
    pub state: String,
    /// Why it ended: `completed`, `stopped` or `failed`; null before.
    pub end: Option<String>,
    /// Every final snapshot that the result consists of is in it.
    pub complete: bool,
    /// `valid`, `degraded` or `invalid`; null until it ended.
    pub verdict: Option<String>,
    /// Why the verdict is not `valid`, and what to do; and why a test failed.
    pub reasons: Vec<String>,
    /// Start of the profile, RFC 3339, UTC; null before it.
    pub started_at: Option<String>,
    /// Length of what was measured, in seconds.
    pub duration_s: f64,
    /// Latest minus earliest start over the workers, by the best clock estimate.
    pub start_skew_ms: Option<f64>,
    /// The true skew is at most so far from that: half the round trips by which the two
    /// clocks that are known worst are known.
    pub start_skew_within_ms: Option<f64>,
    /// Who coordinated, by term.
    pub coordinators: Vec<Tenure>,
    /// The workers.
    pub nodes: Vec<NodeResult>,
    /// What was counted.
    pub totals: Totals,
    /// The plan's thresholds, held against this result.
    #[serde(default)]
    pub thresholds: Vec<Judged>,
    /// Each step of each scenario, in the plan's order; empty without scenarios.
    #[serde(default)]
    pub steps: Vec<StepResult>,
    /// Each scenario, likewise.
    #[serde(default)]
    pub scenarios: Vec<StepResult>,
    /// Each label, likewise: all steps that have it.
    #[serde(default)]
    pub labels: Vec<StepResult>,
    /// What the plan's setup found for all scenarios.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub values: Values,
    /// The plan's data, and how much of it was used; empty without any.
    #[serde(default)]
    pub data: Vec<DataResult>,
    /// Requests a second.
    pub rate: Rate,
    /// Responses by HTTP status code.
    pub status_codes: BTreeMap<String, u64>,
    /// From the intended send time: free of coordinated omission.
    pub response_time_ms: Option<Stats>,
    /// From the actual send.
    pub service_time_ms: Option<Stats>,
    /// From the intended to the actual send: the generator's own error.
    pub lag_ms: Option<Stats>,
    /// The merged histograms, base64 of HdrHistogram's compressed V2 encoding.
    pub histograms: Histograms,
    /// Errors by kind and message, most frequent first.
    pub errors: Vec<ErrorEntry>,
    /// What happened.
    pub events: Vec<Event>,
    /// How the load was changed on the way.
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
    /// Since when it counts, in seconds after the start of the profile.
    pub at_s: f64,
    /// `scaled`, `paused` or `resumed`.
    pub what: String,
    /// Full load from then on, if it was scaled: arrivals a second, or users.
    pub level: Option<f64>,
}

/// A coordinator's time in office.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Tenure {
    /// Its term.
    pub term: u64,
    /// Who.
    pub peer: String,
    /// Its name, if it is known.
    #[serde(default)]
    pub name: String,
    /// Milliseconds after the start of the profile; negative before it.
    pub from_ms: i64,
    /// The same; null while in office.
    pub to_ms: Option<i64>,
}

/// A worker's part.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct NodeResult {
    /// Its peer id.
    pub peer: String,
    /// Its incarnation.
    pub incarnation: u64,
    /// Its name.
    pub name: String,
    /// Its share when last measured, 0 to 1.
    pub share: f64,
    /// Requests written.
    pub sent: u64,
    /// Of these, succeeded.
    pub ok: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Arrivals not sent.
    pub dropped: u64,
    /// 99th percentile of its lag.
    pub lag_p99_ms: Option<f64>,
    /// When it was lost, after the start of the profile.
    pub lost_at_ms: Option<u64>,
    /// What its machine is: operating system, cores, memory, and the node's version.
    #[serde(default)]
    pub environment: String,
}

/// What was counted, over all workers, warm-up included.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Arrivals that the plan asked for: `sent + dropped + short`.
    pub planned: u64,
    /// Requests written: `ok + failed + abandoned`, and those of which it is not known how they
    /// went: in flight before the end, and when a lost worker last reported.
    pub sent: u64,
    /// Succeeded.
    pub ok: u64,
    /// Failed.
    pub failed: u64,
    /// Given up in flight, because the test was stopped.
    pub abandoned: u64,
    /// Arrivals that a worker did not send: it was late, its lease had lapsed, or
    /// `max_in_flight` was reached.
    pub dropped: u64,
    /// Of these, because the generator itself was too late for them.
    #[serde(default)]
    pub dropped_late: u64,
    /// Of these, because `max_in_flight` was reached.
    #[serde(default)]
    pub dropped_full: u64,
    /// Of these, because a worker had lost touch with the coordinator.
    #[serde(default)]
    pub dropped_lease: u64,
    /// Arrivals that no worker was there for.
    pub short: u64,
    /// Of those sent, the warm-up's; they are in no percentile.
    pub warm_up: u64,
    /// Bytes written to connections.
    pub bytes_sent: u64,
    /// Bytes read from connections.
    pub bytes_received: u64,
    /// Checks of responses that held.
    #[serde(default)]
    pub checks_passed: u64,
    /// Checks of responses that did not.
    #[serde(default)]
    pub checks_failed: u64,
}

impl Totals {
    /// Sent, and not known how it went: in flight before the end, and when a lost worker last
    /// reported.
    pub fn unanswered(&self) -> u64 {
        let told = self.ok + self.failed + self.abandoned;
        self.sent.saturating_sub(told)
    }
}

/// A step of a scenario, or all steps of one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct StepResult {
    /// `scenario/step`, or `scenario`.
    pub name: String,
    /// What was counted; `planned` are the iterations that came so far, bytes are not told
    /// apart.
    pub totals: Totals,
    /// As in the whole result.
    pub status_codes: BTreeMap<String, u64>,
    /// As in the whole result; in later steps from the end of the pause before it.
    pub response_time_ms: Option<Stats>,
    /// As in the whole result.
    pub service_time_ms: Option<Stats>,
    /// As in the whole result.
    pub lag_ms: Option<Stats>,
    /// As in the whole result.
    pub errors: Vec<ErrorEntry>,
}

/// Data of the plan, and how much of it was used.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct DataResult {
    /// The name that templates use.
    pub name: String,
    /// `sequential`, `random`, `unique` or `user`.
    pub pick: String,
    /// How many rows it has.
    pub rows: u64,
    /// Iterations that took a row of it and sent something. Of unique rows these are as many
    /// rows.
    pub used: u64,
    /// Of unique rows, those whose turn had come, but nobody carried their iteration out; null
    /// otherwise.
    pub unused: Option<u64>,
    /// Of unique rows, those whose turn had not come at the end; null otherwise.
    pub left: Option<u64>,
    /// Nothing is unknown. Otherwise a worker died, and what it sent after its last report
    /// nobody knows: `used` is the least, `unused` the most it can be.
    pub exact: bool,
}

/// A threshold, held against the result.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Judged {
    /// As it was written.
    pub threshold: String,
    /// The result keeps it.
    pub held: bool,
    /// What it was: milliseconds, a share from 0 to 1, or a second⁻¹; null if nothing was
    /// measured.
    pub value: Option<f64>,
}

/// Requests a second, over the measured time.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Rate {
    /// Asked for by the plan; in the closed model the same as achieved.
    pub asked: f64,
    /// Sent.
    pub achieved: f64,
}

/// A distribution in milliseconds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// Values.
    pub count: u64,
    /// Smallest.
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
    /// Largest.
    pub max: f64,
}

/// Merged histograms of microseconds.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Histograms {
    /// Of response time.
    pub response: Option<String>,
    /// Of service time.
    pub service: Option<String>,
    /// Of lag.
    pub lag: Option<String>,
}

/// A kind of error.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorEntry {
    /// `connect`, `timeout`, `status`, …
    pub kind: String,
    /// What happened.
    pub message: String,
    /// How often.
    pub count: u64,
}

/// Something that happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Milliseconds after the start of the profile; negative before it.
    pub at_ms: i64,
    /// A short fixed word.
    pub kind: String,
    /// Whom it is about.
    pub peer: Option<String>,
    /// For people.
    pub text: String,
}

/// One line of a test's life, once a second and once more at its end. That last one tells the
/// whole test's means and percentiles instead of the last interval's.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Which test.
    pub test_id: String,
    /// `electing`, `registering`, `running`, `stopping` or `ended`.
    pub state: String,
    /// Seconds since the start of the profile; negative before it.
    pub elapsed_s: f64,
    /// Length of the profile in seconds.
    pub duration_s: f64,
    /// Workers that report.
    pub nodes: u32,
    /// Arrivals a second that the plan asks for now; 0 in the closed model and for scenarios.
    pub asked: f64,
    /// Users that the plan asks for now; 0 in the open model.
    pub users: u32,
    /// Requests sent a second over the last interval.
    pub rate: f64,
    /// Requests sent so far.
    pub sent: u64,
    /// Requests failed so far.
    pub failed: u64,
    /// Response-time percentiles over the last interval, in milliseconds.
    pub p50_ms: Option<f64>,
    /// As above.
    pub p99_ms: Option<f64>,
    /// Lag over the last interval, in milliseconds.
    pub lag_p99_ms: Option<f64>,
}

impl Progress {
    /// The last line of a test.
    pub fn of_ended(result: &TestResult) -> Progress {
        Progress {
            test_id: result.test_id.clone(),
            state: "ended".into(),
            elapsed_s: result.duration_s,
            duration_s: result.duration_s,
            nodes: result.nodes.len() as u32,
            asked: result.rate.asked,
            users: 0,
            rate: result.rate.achieved,
            sent: result.totals.sent,
            failed: result.totals.failed,
            p50_ms: result.response_time_ms.as_ref().map(|s| s.p50),
            p99_ms: result.response_time_ms.as_ref().map(|s| s.p99),
            lag_p99_ms: result.lag_ms.as_ref().map(|s| s.p99),
        }
    }
}

/// What whoever follows a test is told.
#[derive(Clone, PartialEq, Debug)]
pub enum Update {
    /// A line of its life.
    Progress(Progress),
    /// An interval of its [`Timeline`](super::timeline::Timeline) is over.
    Point(Box<super::timeline::Point>),
}

/// The nodes of the swarm.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct NodeList {
    /// Each, the answering one first.
    pub nodes: Vec<NodeEntry>,
    /// All together.
    pub pool: Pool,
}

/// A node.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct NodeEntry {
    /// Its peer id.
    pub peer: String,
    /// Its incarnation: greater at every start.
    pub incarnation: u64,
    /// Its name.
    pub name: String,
    /// It is the node that answers.
    #[serde(rename = "self")]
    pub is_self: bool,
    /// Where it can be dialled.
    pub addresses: Vec<String>,
    /// Its version.
    pub version: String,
    /// `idle`, `running`, `overloaded`, `draining`, `leaving`, `isolated`, `error`.
    pub status: String,
    /// `healthy`, `late` or `gone`.
    pub health: String,
    /// Tasks it can run at once.
    pub capacity: u32,
    /// Tasks it runs now.
    pub load: u32,
    /// Task types it can run.
    pub task_types: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Milliseconds since its last advert; null of the node that answers.
    #[serde(default)]
    pub heard_ms: Option<u64>,
    /// Round trip to it, in milliseconds, as last measured.
    #[serde(default)]
    pub round_trip_ms: Option<f64>,
    /// How far its wall clock is ahead of the answering node's, in milliseconds, as last
    /// measured.
    #[serde(default)]
    pub clock_offset_ms: Option<f64>,
    /// What the machine is: operating system, cores, memory.
    #[serde(default)]
    pub environment: String,
    /// 99th percentile of its lag in the running tests so far, in milliseconds, the largest of
    /// them; null if it runs none.
    #[serde(default)]
    pub lag_p99_ms: Option<f64>,
    /// Its share of each running test, 0 to 1, by test id.
    #[serde(default)]
    pub shares: BTreeMap<String, f64>,
}

/// The nodes together.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Pool {
    /// Nodes known, gone ones included.
    pub total: u32,
    /// Healthy ones.
    pub healthy: u32,
    /// Capacity of the healthy ones.
    pub capacity: u64,
    /// What of that is free. Nodes that are being drained, or leave, have none: they take nothing
    /// new.
    pub available: u64,
    /// What of that is in use.
    pub load: u64,
}

impl Pool {
    /// The sum over nodes.
    pub fn of(nodes: &[NodeEntry]) -> Pool {
        let mut pool = Pool {
            total: nodes.len() as u32,
            ..Pool::default()
        };
        for n in nodes.iter().filter(|n| n.health == "healthy") {
            pool.healthy += 1;
            pool.capacity += u64::from(n.capacity);
            pool.load += u64::from(n.load);
            if !matches!(n.status.as_str(), "draining" | "leaving") {
                // One that has more than it can take leaves the others' room alone.
                pool.available += u64::from(n.capacity.saturating_sub(n.load));
            }
        }
        pool
    }
}

/// The tests that a node knows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TestList {
    /// Newest first.
    pub tests: Vec<TestEntry>,
}

/// A page of the tests that a node knows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TestPage {
    /// Newest first.
    pub tests: Vec<TestEntry>,
    /// The last of these, if older ones follow: the next page is what comes before it.
    pub next: Option<String>,
}

/// A test in a list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TestEntry {
    /// Its id.
    pub test_id: String,
    /// Its name.
    pub name: Option<String>,
    /// As in [`TestResult`].
    pub state: String,
    /// As in [`TestResult`].
    pub verdict: Option<String>,
    /// As in [`TestResult`].
    pub started_at: Option<String>,
}

impl TestResult {
    /// What people call a node: its name, or its peer id if nobody knows that.
    pub fn name_of<'a>(&'a self, peer: &'a str) -> &'a str {
        let worker = self.nodes.iter().find(|n| n.peer == peer).map(|n| &n.name);
        let reigned = self.coordinators.iter().find(|c| c.peer == peer);
        let names = worker.into_iter().chain(reigned.map(|c| &c.name));
        let mut known = names.filter(|name| !name.is_empty());
        known.next().map_or(peer, String::as_str)
    }

    /// The entry of a list.
    pub fn entry(&self) -> TestEntry {
        TestEntry {
            test_id: self.test_id.clone(),
            name: self.name.clone(),
            state: self.state.clone(),
            verdict: self.verdict.clone(),
            started_at: self.started_at.clone(),
        }
    }
}
