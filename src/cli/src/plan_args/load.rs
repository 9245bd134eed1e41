//! Options that override the load.

use std::time::Duration;

use super::values::{number, time, whole};
use crate::args::LoadArgs;
use crate::exit::Failure;
use vajra_plan::{Load, Model, ThinkTime};

/// Default time at full load.
pub(super) const DEFAULT_DURATION: Duration = Duration::from_secs(10);
/// Length of a closed-model test for which only a number of requests is given: the requests end
/// it.
pub(super) const UNTIL_DONE: Duration = Duration::from_secs(3600);

/// Applies the load options. Without a plan file (`is_new`), a missing duration has a default.
pub(super) fn apply(load: &mut Load, args: &LoadArgs, is_new: bool) -> Result<(), Failure> {
    let replaced_by_stages = [
        ("--rate", &args.rate),
        ("--users", &args.users),
        ("--duration", &args.duration),
        ("--warm-up", &args.warm_up),
        ("--ramp-up", &args.ramp_up),
    ];
    let mut given = replaced_by_stages.into_iter();
    if let Some((option, _)) = given.find(|(_, value)| value.is_some())
        && !load.stages.is_empty()
    {
        return Err(Failure::input(format_args!(
            "{option} does not apply to a plan with stages, which define levels and times; leave it \
             out, or change the stages"
        )));
    }
    if let Some(rate) = number("--rate", &args.rate)? {
        load.model = Model::Open;
        load.rate = Some(rate);
        load.users = None;
        load.think_time = ThinkTime::NONE;
    }
    if let Some(users) = whole("--users", &args.users)? {
        load.model = Model::Closed;
        load.users = Some(users);
        load.rate = None;
    }
    if let Some(think) = args.think_time {
        load.think_time = think;
    }
    if let Some(requests) = whole("--requests", &args.requests)? {
        load.requests = Some(requests);
    }
    if let Some(warm_up) = time("--warm-up", &args.warm_up)? {
        load.warm_up = warm_up;
    }
    if let Some(ramp_up) = time("--ramp-up", &args.ramp_up)? {
        load.ramp_up = ramp_up;
    }
    match time("--duration", &args.duration)? {
        Some(duration) => load.duration = duration,
        None if is_new => load.duration = implied_duration(load),
        None => {}
    }
    if let Some(connections) = whole("--connections", &args.connections)? {
        load.connections = Some(connections);
    }
    if let Some(most) = whole("--max-in-flight", &args.max_in_flight)? {
        load.max_in_flight = Some(most);
    }
    if let Some(arrivals) = args.arrivals {
        load.arrivals = arrivals;
    }
    if let Some(pacing) = args.pacing {
        load.pacing = pacing;
    }
    Ok(())
}

/// Length of a test without `--duration`: as long as `--requests` take, or the default.
fn implied_duration(load: &Load) -> Duration {
    match (load.requests, load.rate) {
        (None, _) => DEFAULT_DURATION,
        (Some(_), None) => UNTIL_DONE,
        (Some(requests), Some(rate)) => {
            // Validation refuses a rate of zero later, with the name of the key.
            let seconds = (requests as f64 / rate).clamp(0.1, 86_400.0);
            Duration::try_from_secs_f64(seconds).unwrap_or(DEFAULT_DURATION)
        }
    }
}
