//! `[load]`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use crate::error::PlanError;
use crate::limits::{MAX_REQUESTS, MAX_STAGES};
use crate::load::{Arrivals, DEFAULT_MAX_LATENESS, Load, Model, Pacing};
use crate::stage::{Stage, peak};
use crate::think::ThinkTime;
use crate::units::{self, Count};

/// Level and timing of the load: `rate` or `users` for a `duration`, or `stages`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Load", extend("allOf" = [
    {"anyOf": [
        {"required": ["rate"]}, {"required": ["users"]}, {"required": ["model", "stages"]},
    ]},
    {"anyOf": [{"required": ["duration"]}, {"required": ["stages"]}]},
    {"not": {"required": ["rate", "users"]}},
]))]
pub struct RawLoad {
    /// Workload model: by default `open` with a `rate` and `closed` with `users`; required for stages
    /// without either.
    model: Option<Model>,
    /// Open model: arrivals per second, over the whole swarm.
    #[schemars(extend("minimum" = 0.001, "maximum" = 1_000_000))]
    rate: Option<Count>,
    /// Closed model: virtual users, over the whole swarm.
    #[schemars(extend("minimum" = 1, "maximum" = 1_000_000, "multipleOf" = 1))]
    users: Option<Count>,
    /// Closed model: pause of a user between a response and its next request. Random pauses of a
    /// user are the same in every run.
    #[schemars(extend("default" = ThinkTime::NONE, "x-range" = "0s to 1h"))]
    think_time: Option<ThinkTime>,
    /// Length of the sustained load; not used with `stages`.
    #[serde(default, with = "units::as_optional_text")]
    #[schemars(with = "Option<units::Time>", extend("x-range" = "100ms to 1day"))]
    duration: Option<Duration>,
    /// Length of the warm-up at the start of the test, at the level where the ramp-up starts (without
    /// one, at the target). Its requests are counted, but excluded from percentiles.
    #[serde(default, with = "units::as_text")]
    #[schemars(with = "units::Time", extend("x-range" = "0s to 1day"))]
    warm_up: Duration,
    /// Length of the linear ramp from a tenth of the target to the target.
    #[serde(default, with = "units::as_text")]
    #[schemars(with = "units::Time", extend("x-range" = "0s to 1day"))]
    ramp_up: Duration,
    /// Maximum number of requests (with scenarios: iterations), over the whole swarm; the test ends
    /// after them.
    #[schemars(extend("minimum" = 1, "maximum" = MAX_REQUESTS, "multipleOf" = 1))]
    requests: Option<Count>,
    /// Open model: maximum number of connections per node, at most 80 % of its limit of file
    /// descriptors. By default as many as requests are in flight. If set, they are opened before
    /// the start.
    #[schemars(extend("minimum" = 1, "maximum" = 1_000_000, "multipleOf" = 1))]
    connections: Option<Count>,
    /// Open model: maximum number of requests waiting or in flight per node; further arrivals are
    /// dropped and counted. By default the node's share of the rate × timeout, at most 100,000.
    #[schemars(extend("minimum" = 1, "maximum" = 1_000_000, "multipleOf" = 1))]
    max_in_flight: Option<Count>,
    /// Maximum lateness of an arrival that the generator causes. Later arrivals are dropped and
    /// counted, not sent as a burst.
    #[serde(default = "default_max_lateness", with = "units::as_text")]
    #[schemars(with = "units::Time", extend("x-range" = "1ms to 10s"))]
    max_lateness: Duration,
    /// How engine threads wait for the planned arrival times: see [pacing](configuration.md#pacing).
    #[serde(default)]
    pacing: Pacing,
    /// Open model: distribution of the arrivals over time.
    #[serde(default)]
    arrivals: Arrivals,
    /// Stages of the load, instead of `duration`, `warm_up` and `ramp_up`.
    #[serde(default)]
    #[schemars(length(max = MAX_STAGES))]
    stages: Vec<Stage>,
}

impl TryFrom<RawLoad> for Load {
    type Error = PlanError;

    fn try_from(mut raw: RawLoad) -> Result<Load, PlanError> {
        if !raw.stages.is_empty() {
            raw.fill_targets()?;
            let peak = peak(&raw.stages).map(Count);
            match raw.model {
                Some(Model::Open) => raw.rate = peak.or(raw.rate),
                Some(Model::Closed) => raw.users = peak.or(raw.users),
                None if raw.rate.is_some() => raw.rate = peak.or(raw.rate),
                None if raw.users.is_some() => raw.users = peak.or(raw.users),
                None => {
                    return Err(PlanError::field(
                        "load.model",
                        "is missing; the targets of the stages are arrivals per second (\"open\") or \
                         users (\"closed\")",
                    ));
                }
            }
            let length = raw.stages.iter().map(|s| s.length).sum();
            raw.duration = raw.duration.or(Some(length));
        }
        let model = match (raw.model, raw.rate, raw.users) {
            (Some(model), ..) => model,
            (None, Some(_), Some(_)) => {
                return Err(PlanError::field(
                    "load",
                    "has both rate and users; give a rate (open model) or users (closed model)",
                ));
            }
            (None, Some(_), None) => Model::Open,
            (None, None, Some(_)) => Model::Closed,
            (None, None, None) => {
                return Err(PlanError::field(
                    "load",
                    "has neither rate nor users; give a rate (open model) or users (closed model)",
                ));
            }
        };
        Ok(Load {
            model,
            rate: raw.rate.map(|c| c.0),
            users: whole("load.users", raw.users)?,
            think_time: raw.think_time.unwrap_or(ThinkTime::NONE),
            duration: raw.duration.ok_or_else(|| {
                PlanError::field("load.duration", "is missing; give one such as \"30s\"")
            })?,
            warm_up: raw.warm_up,
            ramp_up: raw.ramp_up,
            requests: whole("load.requests", raw.requests)?,
            connections: whole("load.connections", raw.connections)?,
            max_in_flight: whole("load.max_in_flight", raw.max_in_flight)?,
            max_lateness: raw.max_lateness,
            pacing: raw.pacing,
            arrivals: raw.arrivals,
            stages: raw.stages,
        })
    }
}

impl RawLoad {
    /// Sets `rate` or `users` as the target of the stages that need one and have none.
    fn fill_targets(&mut self) -> Result<(), PlanError> {
        let (field, given, least) = match (self.rate, self.users) {
            (Some(rate), _) => ("load.rate", rate.0, 0.001),
            (None, Some(users)) => ("load.users", users.0, 1.0),
            (None, None) => return Ok(()),
        };
        if !(least..=1e6).contains(&given) {
            let problem = format!("{given} is not allowed; it must be between {least} and 1000000");
            return Err(PlanError::field(field, problem));
        }
        for stage in &mut self.stages {
            if stage.target.is_none() && stage.kind.needs_target() {
                stage.target = Some(given);
            }
        }
        Ok(())
    }
}

/// A whole number that fits its type.
fn whole<T: TryFrom<u64>>(field: &str, count: Option<Count>) -> Result<Option<T>, PlanError> {
    let Some(Count(n)) = count else {
        return Ok(None);
    };
    let fits = n >= 0.0 && n.fract() == 0.0 && n <= 9e15;
    match fits.then(|| T::try_from(n as u64)) {
        Some(Ok(value)) => Ok(Some(value)),
        _ => Err(PlanError::field(
            field,
            format!("{n} is not a whole number in range"),
        )),
    }
}

fn default_max_lateness() -> Duration {
    DEFAULT_MAX_LATENESS
}

impl<'de> Deserialize<'de> for Load {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Load, D::Error> {
        RawLoad::deserialize(d)?
            .try_into()
            .map_err(de::Error::custom)
    }
}
