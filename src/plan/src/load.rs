//! The load of a plan: model, level and timing.

use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stage::{Line, Stage, StageType, lines_of};
use super::think::ThinkTime;
use super::units;

/// Largest lateness of an arrival where a plan sets none.
pub const DEFAULT_MAX_LATENESS: Duration = Duration::from_millis(100);

/// Level at the start of a ramp-up as a ratio of the target, where a plan has no stages.
const RAMP_FROM: f64 = 0.1;

/// A word that is none of the allowed ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be {0}")]
pub struct UnknownWord(&'static str);

/// Workload model.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Model {
    /// Arrivals at planned times, independent of the responses.
    Open,
    /// Virtual users, each of which waits for a response before its next request.
    Closed,
}

/// Distribution of the arrivals of the open model over time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// Evenly spaced at the planned rate.
    #[default]
    Constant,
    /// A Poisson process with the plan's total, like independent clients. The arrival times are
    /// the same on every node and in every run of the same plan.
    Poisson,
}

impl Arrivals {
    fn is_default(&self) -> bool {
        *self == Arrivals::default()
    }
}

impl FromStr for Arrivals {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Arrivals, UnknownWord> {
        match text {
            "constant" => Ok(Arrivals::Constant),
            "poisson" => Ok(Arrivals::Poisson),
            _ => Err(UnknownWord("constant or poisson")),
        }
    }
}

/// How an engine thread waits for the planned arrival times.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pacing {
    /// Wakes up for each arrival, by a high-resolution timer.
    #[default]
    Precise,
    /// Wakes up at most every millisecond and sends all due arrivals: least CPU time, for shared
    /// machines.
    Batched,
    /// Wakes up early and busy-waits until the arrival: least lag, for dedicated cores.
    Spin,
}

impl Pacing {
    fn is_default(&self) -> bool {
        *self == Pacing::default()
    }
}

impl FromStr for Pacing {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Pacing, UnknownWord> {
        [Pacing::Precise, Pacing::Batched, Pacing::Spin]
            .into_iter()
            .find(|p| p.to_string() == text)
            .ok_or(UnknownWord("precise, batched or spin"))
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

/// The load of a plan.
///
/// Its timeline is that of the `stages`; without them it is warm-up, ramp-up and sustain
/// (`duration`). The warm-up then runs at the level where the ramp-up starts: a tenth of the
/// target, or the target itself without a ramp-up. Warm-up requests are counted, but excluded
/// from percentiles.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Load {
    /// Workload model.
    pub model: Model,
    /// Open model: arrivals per second, over the whole swarm (0.001 to 1,000,000).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Closed model: virtual users, over the whole swarm (1 to 1,000,000).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<u32>,
    /// Closed model: pause of a user between a response and its next request.
    #[serde(skip_serializing_if = "ThinkTime::is_none")]
    pub think_time: ThinkTime,
    /// Length of the sustained stage, or of all stages together (100 ms to 24 h).
    #[serde(with = "units::as_text")]
    pub duration: Duration,
    /// Length of the warm-up (0 to 24 h).
    #[serde(with = "units::as_text", skip_serializing_if = "Duration::is_zero")]
    pub warm_up: Duration,
    /// Length of the linear ramp to the target (0 to 24 h).
    #[serde(with = "units::as_text", skip_serializing_if = "Duration::is_zero")]
    pub ramp_up: Duration,
    /// Most requests of the whole swarm; the test ends after them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Most connections of a node; by default `max_in_flight` (at most 80 % of the node's
    /// descriptor limit).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// Most requests of a node that wait or are in flight; arrivals beyond it are dropped and
    /// counted. By default the node's share of the rate × timeout, at most 100,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// Largest lateness of an arrival caused by the generator (1 ms to 10 s; default 100 ms).
    /// Later ones are dropped and counted, not sent as a burst.
    #[serde(with = "units::as_text")]
    pub max_lateness: Duration,
    /// How engine threads wait for the planned arrival times.
    #[serde(skip_serializing_if = "Pacing::is_default")]
    pub pacing: Pacing,
    /// Open model: distribution of the arrivals over time.
    #[serde(skip_serializing_if = "Arrivals::is_default")]
    pub arrivals: Arrivals,
    /// Stages, instead of warm-up, ramp-up and one sustained level. `rate` or `users` is then
    /// the highest level.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
}

impl Load {
    /// Open model at a constant rate, with default settings.
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
            max_lateness: DEFAULT_MAX_LATENESS,
            pacing: Pacing::default(),
            arrivals: Arrivals::default(),
            stages: Vec::new(),
        }
    }

    /// Closed model with this many virtual users, with default settings.
    pub fn closed(users: u32, duration: Duration) -> Load {
        Load {
            model: Model::Closed,
            rate: None,
            users: Some(users),
            ..Load::open(0.0, duration)
        }
    }

    /// Level of the full load: arrivals per second, or users.
    pub fn full(&self) -> f64 {
        match self.model {
            Model::Open => self.rate.unwrap_or_default(),
            Model::Closed => f64::from(self.users.unwrap_or_default()),
        }
    }

    /// The load over time as straight lines, without those of zero length.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = match self.stages.as_slice() {
            [] => self.lines_without_stages(),
            stages => lines_of(stages, self.full()),
        };
        lines.retain(|line| !line.length.is_zero());
        lines
    }

    fn lines_without_stages(&self) -> Vec<Line> {
        let full = self.full();
        let low = match self.ramp_up.is_zero() {
            true => full,
            false => full * RAMP_FROM,
        };
        [
            ("warm-up", self.warm_up, low, low),
            ("ramp-up", self.ramp_up, low, full),
            ("sustain", self.duration, full, full),
        ]
        .map(|(name, length, from, to)| Line {
            name,
            from,
            to,
            length,
        })
        .into()
    }

    /// Length of the warm-up, whose requests are excluded from percentiles.
    pub fn warm_up_length(&self) -> Duration {
        match self.stages.first() {
            Some(first) if first.kind == StageType::WarmUp => first.length,
            _ => self.warm_up,
        }
    }
}
