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
use crate::world::{WHOLE, World};

/// Time until a node that missed the announcement learns of the test from an advert.
const NEXT_ADVERT: Duration = Duration::from_millis(2_100);

/// Checks the sum after the faults.
#[derive(Debug)]
pub struct Progress {
    of: usize,
    full: bool,
    checked_at: Option<Duration>,
}

/// Interval of the check in a large swarm; in a small one it follows every event.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);
const SMALL: usize = 20;

/// Two share leases, by the slowest clock; in the closed model also the time that removed users take
/// to finish.
pub fn bound(world: &World, of: usize) -> Duration {
    let lease = world.scenario.timings().share_lease(world.machines.len());
    let plan = &world.tests[of].plan;
    let drains = plan.load.users().map_or(Duration::ZERO, |_| plan.grace);
    (lease * 2 + drains).mul_f64(1.0 + MAX_DRIFT_PPM as f64 / 1e6)
}

/// Time of the last start or end of a fault, or at which a node could last begin to take part.
pub fn since(world: &World, of: usize) -> Option<Duration> {
    let last = world.tests[of].started_last?;
    let change = world.scenario.faults.last_change(world.now);
    let joined = world.tests[of].inspected_last;
    Some(change.unwrap_or_default().max(last).max(joined?))
}

fn ongoing(world: &World) -> impl Iterator<Item = &Timed> {
    let faults = world.scenario.faults.0.iter();
    faults.filter(|t| t.active(world.now) && !matches!(t.fault, Fault::Crash { .. }))
}

/// The connected machines with a majority of the electorate, if partitions are the only faults.
fn majority(world: &World, of: usize) -> Vec<&Machine> {
    let electorate = &world.tests[of].electorate;
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
            .filter(|m| electorate.contains(&m.node.local().node));
        if electors.count() * 2 > electorate.len() {
            return group;
        }
    }
    Vec::new()
}

impl Progress {
    /// For a test.
    pub fn new(of: usize) -> Progress {
        Progress {
            of,
            full: false,
            checked_at: None,
        }
    }

    /// Whether the invariant applies now.
    fn due(&self, world: &World, from: Duration) -> bool {
        let test = &world.tests[self.of];
        let plan = &test.plan;
        let Some(started) = test.started else {
            return false;
        };
        let until = started + plan.length.mul_f64(1.0 - MAX_DRIFT_PPM as f64 / 1e6);
        let none_ended = || {
            world
                .machines
                .iter()
                .filter_map(|m| m.test(test.id))
                .all(|t| t.state() < TestState::Stopping)
        };
        from + bound(world, self.of) <= world.now
            && world.now < until
            && plan.on_lost_worker == OnLoss::Reassign
            && test.stopped.is_none()
            && none_ended()
    }
}

/// Whether a machine can have a share: it has inspected the plan, does not drain, and has not given
/// up the test.
pub fn able(world: &World, of: usize, m: &Machine) -> bool {
    let test = m.test(world.tests[of].id);
    let inspected = test.is_some_and(|t| t.spec().is_some() && t.ended().is_none());
    m.spec.able() && !m.draining && inspected
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
        let of = self.of;
        let Some(from) = since(world, of) else {
            return Ok(());
        };
        if !self.due(world, from) {
            self.full = false;
            return Ok(());
        }
        let group = majority(world, of);
        if !group.iter().any(|m| able(world, of, m)) {
            return Ok(());
        }
        let sum = world.sending(of);
        let shares = || -> Vec<u32> {
            let all = world.machines.iter();
            all.map(|m| m.sending(of, world.now).count()).collect()
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
        if world.now < from + bound(world, of) + NEXT_ADVERT {
            return Ok(());
        }
        let without = |m: &&&Machine| able(world, of, m) && m.sending(of, world.now).is_empty();
        // In the closed model a worker may get no user.
        let closed = world.tests[of].plan.load.users().is_some();
        match group.iter().find(without).filter(|_| !closed) {
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
