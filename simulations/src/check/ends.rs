//! Ends: the test ends on every node, at the latest one share lease plus the graceful
//! time-out after its plan, or a stop, does.

use std::time::Duration;

use vajra_core::protocol::decisions::prolonged;
use vajra_core::protocol::planted::{Bug, planted};
use vajra_core::protocol::time::awaited;

use super::Checker;
use crate::clock::MAX_DRIFT_PPM;
use crate::machine::State;
use crate::world::{STOP_TIMEOUT, TEST, World};

/// A wake-up, an answer under way, the last requests in flight.
const SLACK: Duration = Duration::from_millis(500);

/// Compares each node's end with the plan's.
#[derive(Debug, Default)]
pub struct Ends;

/// Until the advert of a node that still runs the test reaches the one that stopped it.
const NEXT_ADVERT: Duration = Duration::from_millis(2_100);

/// How long a message waits at most, in a process that stands still.
const LONGEST_WAIT: Duration = Duration::from_secs(9);

const DRIFT: f64 = 1.0 + MAX_DRIFT_PPM as f64 / 1e6;

/// A node that never learned of a start waits this long for a coordinator.
fn patience(world: &World) -> Duration {
    let timings = world.scenario.timings();
    let around = world.scenario.spec().around();
    (timings.registration_window + timings.share_lease * 8 + around).mul_f64(DRIFT)
}

/// By when the test must have ended on every node, in true time.
fn deadline(world: &World) -> Duration {
    let scenario = &world.scenario;
    let lease = awaited(scenario.timings().share_lease(world.machines.len()));
    let planned = match world.started_last {
        Some(started) => {
            let known = world.running().filter_map(|m| m.test(TEST));
            let pauses = known.map(|t| {
                let heard = &t.election().heard().decisions.list;
                prolonged(heard, scenario.timings().max_pause)
            });
            let pauses = pauses.max().unwrap_or_default();
            let over = scenario.plan.length + scenario.plan.grace + lease + pauses;
            let over = over + scenario.spec().around();
            started + over.mul_f64(DRIFT)
        }
        None => world.healed_at() + patience(world),
    };
    let stopped = world.stopped.filter(|(_, node, life)| {
        let machine = &world.machines[*node];
        machine.state == State::Up && machine.life == *life && !machine.leaving
    });
    let stopped = stopped.map(|(at, _, _)| {
        let grace = STOP_TIMEOUT + NEXT_ADVERT + lease + scenario.spec().around();
        at.max(world.healed_at()) + grace.mul_f64(DRIFT)
    });
    stopped.unwrap_or(planned).min(planned) + SLACK
}

impl Checker for Ends {
    fn name(&self) -> &'static str {
        "ends"
    }

    fn at_end(&mut self, world: &World) -> Result<(), String> {
        // With clocks that stood still there is no telling when a node thinks what.
        if planted(Bug::ClockStops) {
            return Ok(());
        }
        let common = deadline(world);
        for machine in world.running() {
            let Some(test) = machine.test(TEST) else {
                continue;
            };
            let clock = machine.spec.clock;
            // Nobody is left to tell a node what it slept through: it may know no start, or
            // one from beats that had waited for it.
            let started = test.worker().and_then(|w| w.start());
            let told = started.is_some() || (test.start().is_some() && world.majority_alive());
            let deadline = match clock.truth(test.announced_at()) {
                Some(announced) if !told => {
                    let last = announced.max(world.healed_at()) + patience(world);
                    (common + LONGEST_WAIT).max(last + SLACK)
                }
                _ => common,
            };
            let ended = test.ended_at().and_then(|at| clock.truth(at));
            match ended {
                Some(at) if at <= deadline => {}
                Some(at) => {
                    return Err(format!(
                        "n{} ended at {:.3} s, due by {:.3} s",
                        machine.index,
                        at.as_secs_f64(),
                        deadline.as_secs_f64()
                    ));
                }
                None => {
                    return Err(format!(
                        "n{} has not ended; due by {:.3} s",
                        machine.index,
                        deadline.as_secs_f64()
                    ));
                }
            }
        }
        Ok(())
    }
}
