//! The rules of a plan's load.

use std::time::Duration;

use crate::error::PlanError;
use crate::limits::{MAX_REQUESTS, MAX_STAGES};
use crate::load::{Arrivals, Load, Model};
use crate::path::Path;
use crate::ranges::{DAY, MS, lasting, within};
use crate::stage::{Stage, StageType};
use crate::units::show_duration;

/// Checks every field of a load.
pub fn validate(load: &Load) -> Result<(), PlanError> {
    match load.model {
        Model::Open => open(load)?,
        Model::Closed => closed(load)?,
    }
    lasting("load.duration", load.duration, 100 * MS, DAY)?;
    lasting("load.warm_up", load.warm_up, Duration::ZERO, DAY)?;
    lasting("load.ramp_up", load.ramp_up, Duration::ZERO, DAY)?;
    let most = Duration::from_secs(10);
    lasting("load.max_lateness", load.max_lateness, MS, most)?;
    stages(load)?;
    match load.requests {
        Some(requests) => within("load.requests", requests, 1, MAX_REQUESTS),
        None => Ok(()),
    }
}

fn open(load: &Load) -> Result<(), PlanError> {
    let missing = || PlanError::field("load.rate", "is missing; the open model needs one");
    let rate = load.rate.ok_or_else(missing)?;
    if !(0.001..=1_000_000.0).contains(&rate) {
        return Err(PlanError::field(
            "load.rate",
            format!("{rate} is not allowed; it must be between 0.001 and 1000000 per second"),
        ));
    }
    let only_closed = [
        ("load.users", load.users.is_some()),
        ("load.think_time", !load.think_time.is_none()),
    ];
    if let Some((field, _)) = only_closed.into_iter().find(|(_, given)| *given) {
        return Err(PlanError::field(
            field,
            "is for the closed model; with a rate, leave it out",
        ));
    }
    for (field, limit) in [
        ("load.connections", load.connections),
        ("load.max_in_flight", load.max_in_flight),
    ] {
        if let Some(n) = limit {
            within(field, u64::from(n), 1, 1_000_000)?;
        }
    }
    Ok(())
}

fn closed(load: &Load) -> Result<(), PlanError> {
    let missing = || PlanError::field("load.users", "is missing; the closed model needs it");
    let users = load.users.ok_or_else(missing)?;
    within("load.users", u64::from(users), 1, 1_000_000)?;
    let think_time = load.think_time.validate();
    think_time.map_err(|e| PlanError::field("load.think_time", e))?;
    if load.arrivals != Arrivals::Constant {
        return Err(PlanError::field(
            "load.arrivals",
            "is for the open model; users send their next request after a response",
        ));
    }
    let only_open = [
        ("load.rate", load.rate.is_some()),
        ("load.connections", load.connections.is_some()),
        ("load.max_in_flight", load.max_in_flight.is_some()),
    ];
    match only_open.into_iter().find(|(_, given)| *given) {
        Some((field, _)) => Err(PlanError::field(
            field,
            "is for the open model; with users, leave it out",
        )),
        None => Ok(()),
    }
}

fn stages(load: &Load) -> Result<(), PlanError> {
    let wrong = |problem: String| Err(PlanError::field("load.stages", problem));
    if load.stages.is_empty() {
        return Ok(());
    }
    if !load.warm_up.is_zero() || !load.ramp_up.is_zero() {
        return wrong("replace warm_up and ramp_up; leave those out".into());
    }
    let length: Duration = load.stages.iter().map(|s| s.length).sum();
    if load.duration != length {
        let (given, length) = (show_duration(load.duration), show_duration(length));
        return wrong(format!(
            "last {length} together, and duration is {given}; leave duration out"
        ));
    }
    if load.stages.len() > MAX_STAGES {
        return wrong(format!(
            "are {}; at most {MAX_STAGES} are allowed",
            load.stages.len()
        ));
    }
    load.stages
        .iter()
        .enumerate()
        .try_for_each(|(i, s)| stage(i, s))
}

fn stage(i: usize, stage: &Stage) -> Result<(), PlanError> {
    let wrong = |key: &str, problem: String| {
        let path = Path::dotted("load.stages").then(i).then(key);
        let problem = format!("number {} ({}){problem}", i + 1, stage.kind.name());
        Err(PlanError::at(path, problem).labelled("load.stages"))
    };
    if stage.kind == StageType::WarmUp && i > 0 {
        return wrong("type", ": a warm-up can only be the first".into());
    }
    if stage.length.is_zero() {
        return wrong("length", " has no length".into());
    }
    match (stage.kind, stage.steps) {
        (StageType::Step, None) => {
            return wrong("steps", " needs a number of steps: steps = 4".into());
        }
        (StageType::Step, Some(n)) if n == 0 || n as usize > MAX_STAGES => {
            return wrong(
                "steps",
                format!(" has {n} steps; it must be 1 to {MAX_STAGES}"),
            );
        }
        (kind, Some(_)) if kind != StageType::Step => {
            return wrong("steps", " has steps; only a step stage has them".into());
        }
        _ => {}
    }
    match stage.target {
        Some(target) if !(0.0..=1_000_000.0).contains(&target) => {
            wrong("target", format!(": {target} is not between 0 and 1000000"))
        }
        _ => Ok(()),
    }
}
