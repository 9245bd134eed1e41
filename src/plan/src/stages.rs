//! The stages of a plan's load: what they are called, and the straight lines they amount to.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parse::PlanError;
use super::source::Seg;
use super::units::{self, Count, show_duration};
use super::{Load, Model};

/// Share of the target at which a ramp-up begins where a plan has no stages of its own.
const RAMP_FROM: f64 = 0.1;

/// Most stages of a plan, and most steps of a stage.
pub(super) const MOST: usize = 100;

/// What a stage does with the level of the load: arrivals a second, or users.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StageType {
    /// Holds the target; counted, but in no percentile. Only as the first.
    WarmUp,
    /// Goes from the level before, at the beginning from 0, to the target in a straight line.
    Ramp,
    /// Goes there in equal steps of equal length.
    Step,
    /// Holds the target, then falls back to the level before.
    Spike,
    /// Holds the target.
    Sustain,
    /// Goes down to the target in a straight line.
    RampDown,
}

impl StageType {
    /// Where it names no target, it is that of the load.
    pub(super) fn needs_target(self) -> bool {
        !matches!(self, StageType::Sustain | StageType::RampDown)
    }

    /// As plans write it.
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

/// A stage of the load, one after the other.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("if" = {"properties": {"type": {"const": "step"}}}))]
#[schemars(extend("then" = {"required": ["steps"]}, "else" = {"properties": {"steps": false}}))]
pub struct Stage {
    /// What it does.
    #[serde(rename = "type")]
    pub kind: StageType,
    /// The level it leads to or holds: arrivals a second, or users, of the whole swarm. Without
    /// one that of `rate` or `users`; of `sustain` the level before, of `ramp-down` 0.
    #[schemars(with = "Option<Count>", extend("maximum" = 1_000_000))]
    #[serde(
        default,
        deserialize_with = "level",
        skip_serializing_if = "Option::is_none"
    )]
    pub target: Option<f64>,
    /// How long it takes.
    #[serde(with = "units::as_text")]
    #[schemars(with = "units::Time", extend("x-range" = "above 0s"))]
    pub length: Duration,
    /// Of a step stage: how many.
    #[schemars(range(min = 1, max = MOST))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
}

fn level<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
    Option::<Count>::deserialize(d).map(|count| count.map(|c| c.0))
}

/// A stretch of time over which the level is a straight line.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Line {
    /// Of which stage.
    pub name: &'static str,
    /// Level where it begins.
    pub from: f64,
    /// Level where it ends.
    pub to: f64,
    /// How long it is.
    pub length: Duration,
}

impl Load {
    /// The level at full load: arrivals a second, or users.
    pub fn full(&self) -> f64 {
        match self.model {
            Model::Open => self.rate.unwrap_or_default(),
            Model::Closed => f64::from(self.users.unwrap_or_default()),
        }
    }

    /// The load over time, in straight lines. Those of no length are left out.
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

    /// How long the warm-up is, whose requests are in no percentile.
    pub fn warm_up_length(&self) -> Duration {
        match self.stages.first() {
            Some(first) if first.kind == StageType::WarmUp => first.length,
            _ => self.warm_up,
        }
    }

    pub(super) fn validate_stages(&self) -> Result<(), PlanError> {
        let wrong = |problem: String| Err(PlanError::field("load.stages", problem));
        if self.stages.is_empty() {
            return Ok(());
        }
        if !self.warm_up.is_zero() || !self.ramp_up.is_zero() {
            return wrong("are a load of their own; leave out warm_up and ramp_up".into());
        }
        let length: Duration = self.stages.iter().map(|s| s.length).sum();
        if self.duration != length {
            let (given, length) = (show_duration(self.duration), show_duration(length));
            return wrong(format!(
                "last {length} together, and duration is {given}; leave duration out"
            ));
        }
        if self.stages.len() > MOST {
            return wrong(format!(
                "are {}; at most {MOST} are allowed",
                self.stages.len()
            ));
        }
        for (i, stage) in self.stages.iter().enumerate() {
            let wrong = |key: &str, problem: String| {
                let path: Vec<Seg> = vec!["load".into(), "stages".into(), i.into(), key.into()];
                Err(PlanError::field("load.stages", problem).found_at(path))
            };
            let what = format!("number {} ({})", i + 1, stage.kind.name());
            if stage.kind == StageType::WarmUp && i > 0 {
                return wrong("type", format!("{what}: a warm-up can only be the first"));
            }
            if stage.length.is_zero() {
                return wrong("length", format!("{what} has no length"));
            }
            match (stage.kind, stage.steps) {
                (StageType::Step, None) => {
                    let problem = format!("{what} needs to know how many steps: steps = 4");
                    return wrong("steps", problem);
                }
                (StageType::Step, Some(n)) if n == 0 || n as usize > MOST => {
                    let problem = format!("{what} has {n} steps; it must be 1 to {MOST}");
                    return wrong("steps", problem);
                }
                (kind, Some(_)) if kind != StageType::Step => {
                    let problem = format!("{what} has steps; only a step stage has them");
                    return wrong("steps", problem);
                }
                _ => {}
            }
            if let Some(target) = stage.target
                && !(0.0..=1_000_000.0).contains(&target)
            {
                let problem = format!("{what}: {target} is not between 0 and 1000000");
                return wrong("target", problem);
            }
        }
        Ok(())
    }
}

/// The highest level that stages name; none if none does.
pub fn peak(stages: &[Stage]) -> Option<f64> {
    stages
        .iter()
        .filter_map(|s| s.target)
        .max_by(f64::total_cmp)
}

/// Stages as lines; `full` is the target where a stage that needs one names none.
fn lines_of(stages: &[Stage], full: f64) -> Vec<Line> {
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
