//! A plan and its task.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::PlanError;
use super::http::HttpTask;
use super::load::Load;
use super::scenario::{Data, Scenarios};
use super::swarm_rules::{Limits, SwarmRules};
use super::threshold::Threshold;

/// A test plan.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Display name in lists and reports (1 to 100 characters).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Free `key=value` tags, kept in the result.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// What an arrival or an iteration does.
    pub task: Task,
    /// Level and timing of the load.
    pub load: Load,
    /// Which nodes generate the load, and what happens when one is lost.
    #[serde(default)]
    pub swarm: SwarmRules,
    /// Limits of the generator's own error; a result beyond them is `invalid`.
    #[serde(default)]
    pub limits: Limits,
    /// Thresholds that the result must pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
}

/// What an arrival or an iteration does.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "type")]
#[expect(clippy::large_enum_variant, reason = "a plan has one")]
pub enum Task {
    /// One HTTP request.
    #[serde(rename = "HTTP")]
    Http(HttpTask),
    /// Waits without sending anything; to try out a swarm.
    #[serde(rename = "SLEEP")]
    Sleep {
        /// Duration in milliseconds (0 to 3,600,000).
        ms: u64,
    },
    /// Keeps a core busy.
    #[serde(rename = "CPU")]
    Cpu {
        /// Duration in milliseconds (0 to 60,000).
        ms: u64,
    },
    /// Scenarios of several requests.
    #[serde(rename = "SCENARIO")]
    Scenarios(Box<Scenarios>),
}

impl Task {
    /// Name of the task type in adverts and WorkerService messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Task::Http(_) => "HTTP",
            Task::Sleep { .. } => "SLEEP",
            Task::Cpu { .. } => "CPU",
            Task::Scenarios(_) => "SCENARIO",
        }
    }

    /// The HTTP settings; none for tasks without HTTP.
    pub fn http(&self) -> Option<&HttpTask> {
        match self {
            Task::Http(http) => Some(http),
            Task::Scenarios(scenarios) => Some(&scenarios.http),
            Task::Sleep { .. } | Task::Cpu { .. } => None,
        }
    }

    /// Names of the steps that are measured separately.
    pub fn step_names(&self) -> Vec<String> {
        match self {
            Task::Scenarios(scenarios) => scenarios.step_names().collect(),
            other => vec![other.type_name().to_owned()],
        }
    }

    /// Data files, by their names in templates.
    pub fn data(&self) -> impl Iterator<Item = (&String, &Data)> {
        let scenarios = match self {
            Task::Scenarios(scenarios) => Some(scenarios),
            Task::Http(_) | Task::Sleep { .. } | Task::Cpu { .. } => None,
        };
        scenarios.into_iter().flat_map(|s| &s.data)
    }

    /// Expected longest duration of an arrival.
    pub fn longest(&self) -> Duration {
        match self {
            Task::Http(http) => http.timeout,
            Task::Sleep { ms } | Task::Cpu { ms } => {
                Duration::from_millis(*ms) + Duration::from_secs(1)
            }
            Task::Scenarios(scenarios) => scenarios.longest(),
        }
    }

    /// Concurrent requests on one connection.
    pub fn streams(&self) -> u32 {
        self.http().map_or(1, |http| http.streams)
    }
}

impl Plan {
    /// A plan of a task and its load, with default settings. Not validated.
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

    /// The canonical form: JSON with its fields in the order of the types, without white space.
    /// Its SHA-256 identifies the plan.
    pub fn to_bytes(&self) -> Vec<u8> {
        match serde_json::to_vec(self) {
            Ok(bytes) => bytes,
            Err(_) => unreachable!("all keys are text and every value can be serialised"),
        }
    }

    /// Whether all unique data has enough rows for this many iterations.
    ///
    /// # Errors
    /// The data that has too few.
    pub fn enough_rows(&self, iterations: u64) -> Result<(), PlanError> {
        match &self.task {
            Task::Scenarios(scenarios) => scenarios.enough_rows(iterations),
            _ => Ok(()),
        }
    }

    /// Whether all data with `pick = "user"` has enough rows for this many users.
    ///
    /// # Errors
    /// The data that has too few.
    pub fn enough_users(&self, users: f64) -> Result<(), PlanError> {
        match &self.task {
            Task::Scenarios(scenarios) => scenarios.enough_users(users),
            _ => Ok(()),
        }
    }

    /// Longest time for requests in flight after the end or a graceful stop: the plan's setting,
    /// by default the longest duration of an arrival plus 1 s, so that the last requests still
    /// reach their timeout and are counted.
    pub fn graceful_timeout(&self) -> Duration {
        self.swarm
            .graceful_timeout
            .unwrap_or_else(|| self.task.longest() + Duration::from_secs(1))
    }
}
