//! Termination: the test ends on every node, at the latest one share lease plus the graceful
//! time-out after the end of its plan or a stop.

use std::time::Duration;

use vajra_core::protocol::log::paused_for;
use vajra_core::protocol::planted::{Bug, planted};
use vajra_core::protocol::time::for_waiter;

use super::checker::Checker;
use crate::clock::MAX_DRIFT_PPM;
use crate::machine::State;
use crate::violation::Violation;
use crate::world::{STOP_TIMEOUT, World};

/// Time for a wake-up, an answer in flight, and the last requests in flight.
const SLACK: Duration = Duration::from_millis(500);

/// Compares each node's end with the deadline.
#[derive(Debug)]
pub struct Termination {
    /// Index of the test.
    pub of: usize,
}

/// Time until the advert of a node that still runs the test reaches the one that stopped it.
const NEXT_ADVERT: Duration = Duration::from_millis(2_100);

/// Longest time that a message waits in a paused process.
const LONGEST_WAIT: Duration = Duration::from_secs(9);

const DRIFT: f64 = 1.0 + MAX_DRIFT_PPM as f64 / 1e6;

/// Time that a node without a start waits for a coordinator.
fn start_timeout(world: &World) -> Duration {
    world.scenario.start_timeout().mul_f64(DRIFT)
}

/// True time by which the test must have ended on every node.
fn deadline(world: &World, of: usize) -> Duration {
    let scenario = &world.scenario;
    let test = &world.tests[of];
    let hooks = test.plan.spec().hook_limit();
    let lease = for_waiter(scenario.timings().share_lease(world.machines.len()));
    // The start may be known where no engine received a share before the electors were lost.
    let named = world.running().filter_map(|m| {
        let start = m.test(test.id)?.start()?;
        m.spec.clock.truth(start)
    });
    let planned = match test.started_last.or(named.max()) {
        Some(started) => {
            let known = world.running().filter_map(|m| m.test(test.id));
            let pauses = known.map(|t| {
                let entries = &t.election().replicated().log.entries;
                paused_for(entries, scenario.timings().max_pause)
            });
            let pauses = pauses.max().unwrap_or_default();
            let over = test.plan.length + test.plan.grace + lease + pauses;
            let over = over + hooks;
            started + over.mul_f64(DRIFT)
        }
        None => world.healed_at().max(test.submitted.unwrap_or_default()) + start_timeout(world),
    };
    let stopped = test.stopped.filter(|(_, node, incarnation)| {
        let machine = &world.machines[*node];
        machine.state == State::Up && machine.incarnation == *incarnation && !machine.leaving
    });
    let stopped = stopped.map(|(at, _, _)| {
        let grace = STOP_TIMEOUT + NEXT_ADVERT + lease + hooks;
        at.max(world.healed_at()) + grace.mul_f64(DRIFT)
    });
    stopped.unwrap_or(planned).min(planned) + SLACK
}

impl Checker for Termination {
    fn name(&self) -> &'static str {
        "termination"
    }

    fn at_end(&mut self, world: &World) -> Result<(), Violation> {
        // With clocks that do not count suspension there is no deadline.
        if planted(Bug::ClockStops) {
            return Ok(());
        }
        let of = self.of;
        let common = deadline(world, of);
        let test_started = world.tests[of].started;
        for machine in world.running() {
            let Some(test) = machine.test(world.tests[of].id) else {
                continue;
            };
            let clock = machine.spec.clock;
            // No node may be left that can inform a node of what it missed: it may know no start,
            // or one from delayed beats.
            let started = test.worker().and_then(|w| w.start());
            let elected = world.majority_alive(of);
            let captured = world.scenario.faults.captured();
            // A captured node repeats old beats, by which a node that has no others takes the start
            // for later than it was.
            let misled = match (captured && !elected, test_started) {
                (true, Some(started)) => world.healed_at().saturating_sub(started),
                _ => Duration::ZERO,
            };
            let informed = (started.is_some() && !captured) || (test.start().is_some() && elected);
            // Without the plan a node does not know its length, and waits for its coordinator.
            let ignorant = test.spec().is_none();
            let inspection = machine.spec.inspection.unwrap_or_default();
            let patience = start_timeout(world) * u32::from(ignorant);
            let common = common + patience;
            let deadline = match clock.truth(test.announced_at()) {
                Some(announced) if !informed => {
                    let inspected = announced + inspection;
                    let last = inspected.max(world.healed_at()) + start_timeout(world);
                    (common + LONGEST_WAIT + misled).max(last + SLACK)
                }
                _ => common,
            };
            let ended = test.ended_at().and_then(|at| clock.truth(at));
            match ended {
                Some(at) if at <= deadline => {}
                Some(at) => {
                    return Err(world.violation(
                        self.name(),
                        format!(
                            "n{} ended at {:.3} s, due by {:.3} s",
                            machine.index,
                            at.as_secs_f64(),
                            deadline.as_secs_f64()
                        ),
                    ));
                }
                None => {
                    return Err(world.violation(
                        self.name(),
                        format!(
                            "n{} has not ended; due by {:.3} s",
                            machine.index,
                            deadline.as_secs_f64()
                        ),
                    ));
                }
            }
        }
        Ok(())
    }
}
