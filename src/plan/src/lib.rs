//! The test plan: what to send, how much of it, and what makes a result good.
//!
//! A plan is written in TOML ([`parse_toml`]), sent as JSON ([`parse_json`]) or made from the
//! command line and then checked by [`Plan::validate`], which all of them go through. Its
//! canonical form is JSON ([`Plan::to_bytes`]), whose SHA-256 names it in the swarm. The load
//! over time is a [`Profile`], a pure function of time; [`SlotRange`] says who carries which
//! part of it.

mod curve;
mod diagnostics;
mod parse;
mod poisson;
mod profile;
mod raw;
mod scenario;
mod schema;
mod slots;
mod source;
mod stages;
mod suggest;
mod suite;
mod think;
mod threshold;
mod units;
mod url;
mod validate;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use diagnostics::show as show_plan_error;
pub use parse::{
    Given, InSuite, Local, LocalTarget, MAX_PLAN_BYTES, PlanError, PlanFile, parse_json,
    parse_plan, parse_plan_with, parse_toml,
};
pub use profile::{Change, LoadChange, Profile};
pub use scenario::{
    Blob, Body, Check, Data, Draws, Extract, Format, MAX_ALL_FILES as MAX_DATA_OF_PLAN,
    MAX_FILE as MAX_DATA_FILE, MAX_ONCE_STEPS, MAX_VALUES_BYTES, Mix, Pick, Received, Scalar,
    Scenario, Scenarios, Sha256, Step, Table, Values, decode_values, encode_values, environment,
    explain, has_holes, pause, value_of, variables,
};
pub use schema::{markdown, schema};
pub use slots::{Owned, SLOTS, SlotRange, next_owned, owns};
pub use stages::{Line, Stage, StageType};
pub use suite::{Mode, Passed, StopOn, Suite, SuiteError, SuitePlan, is_suite, parse_suite};
pub use think::ThinkTime;
pub use threshold::{Measure, Metric, Point, Scope, Threshold};
pub use units::{parse_bytes, parse_count, parse_duration, show_duration};
pub use url::TargetUrl;
pub use vajra_core::Hook;
pub use vajra_core::splitmix::hash;

/// A whole test plan.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// A name for people; shown in lists and reports. At most 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Free `key=value` marks, kept in the result.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// What an arrival does.
    pub task: Task,
    /// How much load, and when.
    pub load: Load,
    /// Who carries it, and what happens when somebody is lost.
    #[serde(default)]
    pub swarm: SwarmRules,
    /// Beyond what the generator's own error makes a result `invalid`.
    #[serde(default)]
    pub limits: Limits,
    /// What a good result is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
}

/// What an arrival does.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "type")]
#[expect(clippy::large_enum_variant, reason = "a plan has one")]
pub enum Task {
    /// One HTTP request.
    #[serde(rename = "HTTP")]
    Http(HttpTask),
    /// Waits; nothing is sent. For trying a swarm out.
    #[serde(rename = "SLEEP")]
    Sleep {
        /// How long, in milliseconds (0 to 3,600,000).
        ms: u64,
    },
    /// Keeps a core busy.
    #[serde(rename = "CPU")]
    Cpu {
        /// How long, in milliseconds (0 to 60,000).
        ms: u64,
    },
    /// Scenarios of several requests.
    #[serde(rename = "SCENARIO")]
    Scenarios(Box<Scenarios>),
}

impl Task {
    /// The task type's name, as adverts and the WorkerService messages carry it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Task::Http(_) => "HTTP",
            Task::Sleep { .. } => "SLEEP",
            Task::Cpu { .. } => "CPU",
            Task::Scenarios(_) => "SCENARIO",
        }
    }

    /// The HTTP settings, if it has any.
    pub fn http(&self) -> Option<&HttpTask> {
        match self {
            Task::Http(http) => Some(http),
            Task::Scenarios(scenarios) => Some(&scenarios.http),
            Task::Sleep { .. } | Task::Cpu { .. } => None,
        }
    }

    /// The names of what is measured each by itself.
    pub fn step_names(&self) -> Vec<String> {
        match self {
            Task::Scenarios(scenarios) => scenarios.step_names().collect(),
            other => vec![other.type_name().to_owned()],
        }
    }

    /// Its data files, by the name that templates use.
    pub fn data(&self) -> impl Iterator<Item = (&String, &Data)> {
        let scenarios = match self {
            Task::Scenarios(scenarios) => Some(scenarios),
            Task::Http(_) | Task::Sleep { .. } | Task::Cpu { .. } => None,
        };
        scenarios.into_iter().flat_map(|s| &s.data)
    }

    /// The longest that an arrival should take.
    pub fn longest(&self) -> Duration {
        match self {
            Task::Http(http) => http.timeout,
            Task::Sleep { ms } | Task::Cpu { ms } => {
                Duration::from_millis(*ms) + Duration::from_secs(1)
            }
            Task::Scenarios(scenarios) => scenarios.longest(),
        }
    }

    /// Requests that may share a connection at the same time.
    pub fn streams(&self) -> u32 {
        self.http().map_or(1, |http| http.streams)
    }
}

/// One HTTP request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTask {
    /// `http://` or `https://` URL with a host.
    pub url: String,
    /// Version of the protocol.
    #[serde(default, skip_serializing_if = "HttpVersion::is_default")]
    pub version: HttpVersion,
    /// HTTP/2: requests that share a connection at the same time; 1 by default (1 to 1,000).
    #[serde(default = "raw::one", skip_serializing_if = "is_one")]
    pub streams: u32,
    /// Request method; `GET` by default.
    pub method: String,
    /// Request headers in order. A value `env:NAME` or `file:PATH` is a reference that each
    /// worker resolves itself, from its own allow-list; values never travel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Request body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// Request body of so many generated bytes that don't compress, instead of `body`
    /// (at most 64 MiB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_size: Option<u64>,
    /// From the actual send to the end of the response; 10 s by default (1 ms to 1 h).
    #[serde(with = "units::as_text")]
    pub timeout: Duration,
    /// Accept any TLS certificate.
    #[serde(default, skip_serializing_if = "is_false")]
    pub insecure: bool,
    /// Everything else about TLS.
    #[serde(default, skip_serializing_if = "TlsOptions::is_default")]
    pub tls: TlsOptions,
    /// Open a new connection for every request.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_keepalive: bool,
    /// Connect to these addresses in turn, whatever the URL's host resolves to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<SocketAddr>,
    /// Resolve the URL's host again so often (1 s to 24 h); without it, once.
    #[serde(
        default,
        with = "units::as_optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub dns_refresh: Option<Duration>,
}

/// Version of HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[default]
    #[serde(rename = "1.1")]
    One,
    /// HTTP/2: over TLS by ALPN, else with prior knowledge.
    #[serde(rename = "2")]
    Two,
}

impl HttpVersion {
    fn is_default(&self) -> bool {
        *self == HttpVersion::default()
    }
}

/// How connections are secured. Certificates are PEM text, or a reference `env:NAME` or
/// `file:PATH` that each worker resolves itself, from its own allow-list.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("dependentRequired" = {"client_cert": ["client_key"], "client_key": ["client_cert"]}))]
pub struct TlsOptions {
    /// Certificate authorities to trust, instead of the machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The client's certificate chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<String>,
    /// The client's private key; always a reference, as keys never travel.
    #[schemars(regex(pattern = r"^(env|file):"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<String>,
    /// New connections resume a session of an earlier one, as a browser's do; by default
    /// each makes a full handshake, as a new visitor's does.
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "is_false")]
    pub resume: bool,
}

impl TlsOptions {
    fn is_default(&self) -> bool {
        *self == TlsOptions::default()
    }
}

/// Open: arrivals at planned instants, whatever the responses do. Closed: users that wait
/// for each response.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Model {
    /// Arrivals per second.
    Open,
    /// Users at work.
    Closed,
}

/// How arrivals of the open model are spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// Evenly, by the rate.
    #[default]
    Constant,
    /// As independent clients would come: a Poisson process, of which the plan's total is
    /// given. The same on every node and in every run of the same plan.
    Poisson,
}

impl Arrivals {
    fn is_default(&self) -> bool {
        *self == Arrivals::default()
    }
}

impl std::str::FromStr for Arrivals {
    type Err = String;

    fn from_str(text: &str) -> Result<Arrivals, String> {
        match text {
            "constant" => Ok(Arrivals::Constant),
            "poisson" => Ok(Arrivals::Poisson),
            _ => Err("it is constant or poisson".into()),
        }
    }
}

/// How an engine thread meets the planned instants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pacing {
    /// Wakes up for each arrival, by a high-resolution timer.
    #[default]
    Precise,
    /// Wakes up at most every millisecond and sends what fell due: least CPU time, for
    /// machines that others use too.
    Batched,
    /// Wakes up early and keeps the core busy for the last stretch: least lag, for cores
    /// that nobody else needs.
    Spin,
}

impl Pacing {
    fn is_default(&self) -> bool {
        *self == Pacing::default()
    }
}

impl std::str::FromStr for Pacing {
    type Err = String;

    fn from_str(text: &str) -> Result<Pacing, String> {
        [Pacing::Precise, Pacing::Batched, Pacing::Spin]
            .into_iter()
            .find(|p| p.to_string() == text)
            .ok_or_else(|| "it is precise, batched or spin".to_owned())
    }
}

impl std::fmt::Display for Pacing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Pacing::Precise => "precise",
            Pacing::Batched => "batched",
            Pacing::Spin => "spin",
        })
    }
}

/// How much load, and when.
///
/// The timeline is that of the `stages`; without them it is warm-up, ramp-up, sustain
/// (`duration`). Warm-up then runs at the level where
/// the ramp begins: a tenth of the target if a ramp-up follows, else the target itself; its
/// requests are counted, but are in no percentile.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "raw::RawLoad")]
pub struct Load {
    /// Open or closed.
    pub model: Model,
    /// Open model: arrivals a second of the whole swarm (0.001 to 1,000,000).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Closed model: users of the whole swarm (1 to 1,000,000).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<u32>,
    /// Closed model: a user's pause between a response and its next request.
    #[serde(skip_serializing_if = "ThinkTime::is_none")]
    pub think_time: ThinkTime,
    /// Length of the sustained stage, or of all stages together (100 ms to 24 h).
    #[serde(with = "units::as_text")]
    pub duration: Duration,
    /// Length of the warm-up.
    #[serde(with = "units::as_text", skip_serializing_if = "Duration::is_zero")]
    pub warm_up: Duration,
    /// Length of the linear ramp to the target.
    #[serde(with = "units::as_text", skip_serializing_if = "Duration::is_zero")]
    pub ramp_up: Duration,
    /// Most requests of the whole swarm; the test ends when they are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Most connections of a node; by default as many as `max_in_flight` (at most 80 % of
    /// the node's descriptor limit).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// Most requests of a node waiting or in flight; an arrival beyond it is dropped and
    /// counted. By default share rate × time-out, at most 100,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// An arrival that the generator itself is later for than this is dropped and counted,
    /// never sent as a burst; 100 ms by default.
    #[serde(with = "units::as_text")]
    pub max_lateness: Duration,
    /// How the planned instants are met.
    #[serde(skip_serializing_if = "Pacing::is_default")]
    pub pacing: Pacing,
    /// Open model: how arrivals are spread.
    #[serde(skip_serializing_if = "Arrivals::is_default")]
    pub arrivals: Arrivals,
    /// The load over time, instead of warm-up, ramp-up and one sustained level. `rate` or
    /// `users` is then the highest level.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
}

impl Load {
    /// Open model at a constant rate; everything else by default.
    pub fn open(rate: f64, duration: Duration) -> Load {
        Load {
            model: Model::Open,
            rate: Some(rate),
            users: None,
            think_time: ThinkTime::NONE,
            duration,
            warm_up: Duration::ZERO,
            ramp_up: Duration::ZERO,
            requests: None,
            connections: None,
            max_in_flight: None,
            max_lateness: raw::hundred_ms(),
            pacing: Pacing::default(),
            arrivals: Arrivals::default(),
            stages: Vec::new(),
        }
    }

    /// Closed model with so many users; everything else by default.
    pub fn closed(users: u32, duration: Duration) -> Load {
        Load {
            model: Model::Closed,
            rate: None,
            users: Some(users),
            ..Load::open(0.0, duration)
        }
    }
}

impl HttpTask {
    /// `GET` of a URL; everything else by default.
    pub fn get(url: &str) -> HttpTask {
        HttpTask {
            url: url.to_owned(),
            method: raw::get(),
            version: HttpVersion::default(),
            streams: 1,
            headers: Vec::new(),
            body: String::new(),
            body_size: None,
            timeout: raw::ten_seconds(),
            insecure: false,
            tls: TlsOptions::default(),
            disable_keepalive: false,
            addresses: Vec::new(),
            dns_refresh: None,
        }
    }
}

impl Plan {
    /// Whether all unique data have rows for so many iterations.
    ///
    /// # Errors
    /// Which data has too few.
    pub fn enough_rows(&self, iterations: u64) -> Result<(), PlanError> {
        match &self.task {
            Task::Scenarios(scenarios) => scenarios.enough_rows(iterations),
            _ => Ok(()),
        }
    }

    /// Whether all data of which each user has a row have rows for so many users.
    ///
    /// # Errors
    /// Which data has too few.
    pub fn enough_users(&self, users: f64) -> Result<(), PlanError> {
        match &self.task {
            Task::Scenarios(scenarios) => scenarios.enough_users(users),
            _ => Ok(()),
        }
    }

    /// A plan of a task and its load; everything else by default. Not validated.
    pub fn new(task: Task, load: Load) -> Plan {
        Plan {
            name: None,
            tags: BTreeMap::new(),
            task,
            load,
            swarm: SwarmRules::default(),
            limits: Limits::default(),
            thresholds: Vec::new(),
        }
    }

    /// How long in-flight requests may take after the end or a graceful stop: as the plan
    /// says, else as long as an arrival should take and a second: the last to be sent still
    /// reach their time-out, and are counted as that.
    pub fn graceful_timeout(&self) -> Duration {
        self.swarm
            .graceful_timeout
            .unwrap_or_else(|| self.task.longest() + Duration::from_secs(1))
    }
}

/// How the load is split over workers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Balance {
    /// By the capacity that each node states.
    #[default]
    Capacity,
    /// The same for each.
    Equal,
}

/// What happens to the share of a worker that is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnLostWorker {
    /// The others take it over, once its lease has lapsed.
    #[default]
    Reassign,
    /// It keeps it: an isolated worker runs on to the end of the plan.
    Hold,
    /// The test ends.
    Fail,
}

/// Who carries the load, and what happens when somebody is lost.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SwarmRules {
    /// Only nodes with all these labels: `{ region = "eu" }`.
    #[schemars(extend("maxProperties" = validate::MAX_PAIRS))]
    #[serde(rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Fewest workers to start with.
    #[schemars(range(min = 1, max = 10_000))]
    pub min_workers: u32,
    /// How the load is split.
    pub balance: Balance,
    /// What happens to the share of a worker that is lost.
    pub on_lost_worker: OnLostWorker,
    /// How long in-flight requests may take after the end or a graceful stop; by default
    /// the task's time-out and a second.
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

/// Beyond what the generator's own error makes a result `invalid`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest p99 of lag.
    #[serde(with = "units::as_text")]
    #[schemars(with = "units::Time", extend("x-range" = "1ms to 1h"))]
    pub lag_p99: Duration,
    /// Largest share of arrivals dropped.
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

fn is_false(b: &bool) -> bool {
    !b
}

fn is_one(n: &u32) -> bool {
    *n == 1
}
