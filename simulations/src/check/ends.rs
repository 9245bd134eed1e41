//! Ends: the test ends on every node, at the latest one share lease plus the graceful
//! time-out after its plan, or a stop, does.

use std::time::Duration;

use vajra_node::protocol::time::awaited;

use super::Checker;
use crate::clock::MAX_DRIFT_PPM;
use crate::world::{TEST, World};

/// A wake-up, an answer under way, the last requests in flight.
const SLACK: Duration = Duration::from_millis(500);

/// Compares each node's end with the plan's.
#[derive(Debug, Default)]
pub struct Ends;

/// By when the test must have ended on every node, in true time.
pub fn deadline(world: &World) -> Duration {
    let scenario = &world.scenario;
    let drift = 1.0 + MAX_DRIFT_PPM as f64 / 1e6;
    let lease = awaited(scenario.timings.share_lease(world.machines.len()));
    let patience = scenario.timings.registration_window + scenario.timings.share_lease * 8;
    let planned = match world.started {
        Some(started) => started + (scenario.spec.length + scenario.spec.grace + lease).mul_f64(drift),
        None => world.healed_at() + patience.mul_f64(drift),
    };
    let stopped = world.stopped.filter(|(_, node, life)| {
        let machine = &world.machines[*node];
        machine.life == *life && !machine.leaving
    });
    let stopped = stopped.map(|(at, _, _)| {
        at.max(world.healed_at()) + (Duration::from_secs(1) + lease).mul_f64(drift)
    });
    stopped.unwrap_or(planned).min(planned) + SLACK
}

impl Checker for Ends {
    fn name(&self) -> &'static str {
        "ends"
    }

    fn at_end(&mut self, world: &World) -> Result<(), String> {
        let deadline = deadline(world);
        for machine in world.running() {
            let Some(test) = machine.test(TEST) else {
                continue;
            };
            let ended = test
                .ended_at()
                .and_then(|at| machine.spec.clock.truth(at));
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
