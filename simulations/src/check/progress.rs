//! Progress: from two share leases after the last fault on, the full load is sent while a majority
//! of the electorate can communicate, and every able worker has a share again.
//!
//! A lasting partition counts as a fault at its start: two share leases later the side with a
//! majority must send the full load, regardless of other faults elsewhere.

use std::time::Duration;

use vajra_core::protocol::messages::TestState;

use super::checker::Checker;
use crate::clock::MAX_DRIFT_PPM;
use crate::fault::{Fault, Timed};
use crate::machine::{Machine, State};
use crate::scenario::OnLoss;
use crate::violation::Violation;
use crate::world::{TEST, WHOLE, World};

/// Time until a node that missed the announcement learns of the test from an advert.
const NEXT_ADVERT: Duration = Duration::from_millis(2_100);

/// Checks the sum after the faults.
#[derive(Debug, Default)]
pub struct Progress {
    full: bool,
    checked_at: Option<Duration>,
}

/// Interval of the check in a large swarm; in a small one it follows every event.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);
const SMALL: usize = 20;

/// Two share leases, by the slowest clock.
fn bound(world: &World) -> Duration {
    let lease = world.scenario.timings().share_lease(world.machines.len());
    (lease * 2).mul_f64(1.0 + MAX_DRIFT_PPM as f64 / 1e6)
}

/// Time of the last start or end of a fault.
fn since(world: &World) -> Option<Duration> {
    let last = world.started_last?;
    let change = world.scenario.faults.last_change(world.now);
    Some(change.unwrap_or_default().max(last))
}

fn ongoing(world: &World) -> impl Iterator<Item = &Timed> {
    let faults = world.scenario.faults.0.iter();
    faults.filter(|t| t.active(world.now) && !matches!(t.fault, Fault::Crash { .. }))
}

/// The connected machines with a majority of the electorate, if partitions are the only faults.
fn majority(world: &World) -> Vec<&Machine> {
    let sides: Option<Vec<&Vec<usize>>> = ongoing(world)
        .map(|t| match &t.fault {
            Fault::Partition { side, .. } => Some(side),
            _ => None,
        })
        .collect();
    let Some(sides) = sides else {
        return Vec::new();
    };
    let sides_of =
        |m: &Machine| -> Vec<bool> { sides.iter().map(|s| s.contains(&m.index)).collect() };
    let healthy = |m: &&Machine| m.state == State::Up && !m.leaving;
    for one in world.machines.iter().filter(healthy) {
        let group: Vec<&Machine> = world
            .machines
            .iter()
            .filter(healthy)
            .filter(|m| sides_of(m) == sides_of(one))
            .collect();
        let electors = group
            .iter()
            .filter(|m| world.electorate.contains(&m.node.local().node));
        if electors.count() * 2 > world.electorate.len() {
            return group;
        }
    }
    Vec::new()
}

impl Progress {
    /// Whether the invariant applies now.
    fn due(world: &World, from: Duration) -> bool {
        let plan = &world.scenario.plan;
        let Some(started) = world.started else {
            return false;
        };
        let until = started + plan.length.mul_f64(1.0 - MAX_DRIFT_PPM as f64 / 1e6);
        let none_ended = || {
            world
                .machines
                .iter()
                .filter_map(|m| m.test(TEST))
                .all(|t| t.state() < TestState::Stopping)
        };
        from + bound(world) <= world.now
            && world.now < until
            && plan.on_lost_worker == OnLoss::Reassign
            && world.stopped.is_none()
            && none_ended()
    }
}

fn able(m: &Machine) -> bool {
    m.spec.unable.is_none() && !m.draining && m.test(TEST).is_some()
}

impl Checker for Progress {
    fn name(&self) -> &'static str {
        "progress"
    }

    fn after(&mut self, world: &World, _touched: usize) -> Result<(), Violation> {
        let large = world.machines.len() > SMALL;
        if large
            && self
                .checked_at
                .is_some_and(|at| world.now < at + CHECK_INTERVAL)
        {
            return Ok(());
        }
        self.checked_at = Some(world.now);
        let Some(from) = since(world) else {
            return Ok(());
        };
        if !Progress::due(world, from) {
            self.full = false;
            return Ok(());
        }
        let group = majority(world);
        if !group.iter().any(|m| able(m)) {
            return Ok(());
        }
        let sum = world.sending();
        let shares = || -> Vec<u32> {
            let all = world.machines.iter();
            all.map(|m| m.sending(world.now)).collect()
        };
        let after = (world.now - from).as_secs_f64();
        if sum != WHOLE {
            let again = if self.full { "no longer" } else { "not yet" };
            return Err(world.violation(
                self.name(),
                format!(
                    "the load is {again} full, {after:.3} s after the last fault: {:?}",
                    shares()
                ),
            ));
        }
        self.full = true;
        if world.now < from + bound(world) + NEXT_ADVERT {
            return Ok(());
        }
        match group.iter().find(|m| able(m) && m.sending(world.now) == 0) {
            Some(m) => Err(world.violation(
                self.name(),
                format!(
                    "n{} still has no share, {after:.3} s after the last fault: {:?}",
                    m.index,
                    shares()
                ),
            )),
            None => Ok(()),
        }
    }
}
