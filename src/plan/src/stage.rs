//! The stages of a plan's load, and the straight lines that they consist of.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::MAX_STAGES;
use super::units::{self, Count};

/// Type of a stage: how the level of the load, arrivals per second or users, changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StageType {
    /// Stays at the target; counted, but excluded from percentiles. Only as the first stage.
    WarmUp,
    /// Changes linearly from the previous level (initially 0) to the target.
    Ramp,
    /// Changes to the target in equal steps of equal length.
    Step,
    /// Stays at the target, then returns to the previous level.
    Spike,
    /// Stays at the target.
    Sustain,
    /// Decreases linearly to the target.
    RampDown,
}

impl StageType {
    /// Whether a stage without a target has that of the load.
    pub(super) fn needs_target(self) -> bool {
        !matches!(self, StageType::Sustain | StageType::RampDown)
    }

    /// Its name in a plan file.
    pub fn name(self) -> &'static str {
        match self {
            StageType::WarmUp => "warm-up",
            StageType::Ramp => "ramp",
            StageType::Step => "step",
            StageType::Spike => "spike",
            StageType::Sustain => "sustain",
            StageType::RampDown => "ramp-down",
        }
    }
}

/// A stage of the load; stages run one after the other.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("if" = {"properties": {"type": {"const": "step"}}}))]
#[schemars(extend("then" = {"required": ["steps"]}, "else" = {"properties": {"steps": false}}))]
pub struct Stage {
    /// Type of the stage: how the level of the load changes.
    #[serde(rename = "type")]
    pub kind: StageType,
    /// Level that the stage reaches or keeps: arrivals per second, or users, over the whole swarm. By
    /// default that of `rate` or `users`; for `sustain` the previous level, for `ramp-down` 0.
    #[schemars(with = "Option<Count>", extend("maximum" = 1_000_000))]
    #[serde(
        default,
        deserialize_with = "level",
        skip_serializing_if = "Option::is_none"
    )]
    pub target: Option<f64>,
    /// Length of the stage.
    #[serde(with = "units::as_text")]
    #[schemars(with = "units::Time", extend("x-range" = "above 0s"))]
    pub length: Duration,
    /// Number of steps of a `step` stage.
    #[schemars(range(min = 1, max = MAX_STAGES))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
}

fn level<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
    Option::<Count>::deserialize(d).map(|count| count.map(|c| c.0))
}

/// A period in which the level changes linearly.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Line {
    /// Name of the stage.
    pub name: &'static str,
    /// Level at the start.
    pub from: f64,
    /// Level at the end.
    pub to: f64,
    /// Length.
    pub length: Duration,
}

/// The highest target of the stages; none if no stage has one.
pub fn peak(stages: &[Stage]) -> Option<f64> {
    stages
        .iter()
        .filter_map(|s| s.target)
        .max_by(f64::total_cmp)
}

/// Stages as lines; `full` is the target of a stage that needs one and has none.
pub fn lines_of(stages: &[Stage], full: f64) -> Vec<Line> {
    let mut lines = Vec::with_capacity(stages.len());
    let mut before = 0.0;
    for stage in stages {
        let target = stage.target.unwrap_or(match stage.kind {
            StageType::Sustain => before,
            StageType::RampDown => 0.0,
            _ => full,
        });
        let mut line = |from, to, length| {
            lines.push(Line {
                name: stage.kind.name(),
                from,
                to,
                length,
            });
        };
        match stage.kind {
            StageType::Ramp | StageType::RampDown => line(before, target, stage.length),
            StageType::Step => {
                let steps = stage.steps.unwrap_or(1);
                for i in 1..=steps {
                    let level = before + (target - before) * f64::from(i) / f64::from(steps);
                    line(level, level, stage.length / steps);
                }
            }
            _ => line(target, target, stage.length),
        }
        if stage.kind != StageType::Spike {
            before = target;
        }
    }
    lines
}
