//! Goes on: two share leases after the last fault the whole load is carried again, and stays
//! carried, while a majority of the electorate can talk; and whoever can carry load then has
//! a part of it again.
//!
//! A partition that lasts is a fault that happened when it began: two share leases later the
//! side that holds a majority must carry the whole, whatever still goes wrong elsewhere.

use std::time::Duration;

use vajra_core::protocol::messages::TestState;

use super::Checker;
use crate::clock::MAX_DRIFT_PPM;
use crate::fault::{Fault, Timed};
use crate::machine::{Machine, State};
use crate::scenario::OnLoss;
use crate::world::{TEST, WHOLE, World};

/// A node that missed the announcement learns of the test from the next advert.
const NEXT_ADVERT: Duration = Duration::from_millis(2_100);

/// Watches the sum after the faults.
#[derive(Debug, Default)]
pub struct GoesOn {
    whole: bool,
    looked: Option<Duration>,
}

/// In a large swarm the whole is looked at this often, in a small one after every event.
const LOOKS: Duration = Duration::from_millis(10);
const SMALL: usize = 20;

/// Two share leases, by the slowest clock.
fn bound(world: &World) -> Duration {
    let lease = world.scenario.timings().share_lease(world.machines.len());
    (lease * 2).mul_f64(1.0 + MAX_DRIFT_PPM as f64 / 1e6)
}

/// The last thing that went wrong, or right again.
fn since(world: &World) -> Option<Duration> {
    let last = world.started_last?;
    let change = world.scenario.faults.last_change(world.now);
    Some(change.unwrap_or_default().max(last))
}

fn ongoing(world: &World) -> impl Iterator<Item = &Timed> {
    let faults = world.scenario.faults.0.iter();
    faults.filter(|t| t.active(world.now) && !matches!(t.fault, Fault::Crash { .. }))
}

/// The machines that can talk to each other and hold a majority of the electorate, if nothing
/// but partitions is wrong.
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
    let place = |m: &Machine| -> Vec<bool> { sides.iter().map(|s| s.contains(&m.index)).collect() };
    let sound = |m: &&Machine| m.state == State::Up && !m.leaving;
    for one in world.machines.iter().filter(sound) {
        let group: Vec<&Machine> = world
            .machines
            .iter()
            .filter(sound)
            .filter(|m| place(m) == place(one))
            .collect();
        let electors = group
            .iter()
            .filter(|m| world.electorate.contains(&m.node.myself().node));
        if electors.count() * 2 > world.electorate.len() {
            return group;
        }
    }
    Vec::new()
}

impl GoesOn {
    /// Whether the invariant promises anything at this moment.
    fn due(world: &World, from: Duration) -> bool {
        let plan = &world.scenario.plan;
        let Some(started) = world.started else {
            return false;
        };
        let until = started + plan.length.mul_f64(1.0 - MAX_DRIFT_PPM as f64 / 1e6);
        let nobody_ended = || {
            world
                .machines
                .iter()
                .filter_map(|m| m.test(TEST))
                .all(|t| t.phase() < TestState::Stopping)
        };
        from + bound(world) <= world.now
            && world.now < until
            && plan.on_lost_worker == OnLoss::Reassign
            && world.stopped.is_none()
            && nobody_ended()
    }
}

fn able(m: &Machine) -> bool {
    m.spec.unable.is_none() && !m.draining && m.test(TEST).is_some()
}

impl Checker for GoesOn {
    fn name(&self) -> &'static str {
        "goes on"
    }

    fn after(&mut self, world: &World, _touched: usize) -> Result<(), String> {
        let large = world.machines.len() > SMALL;
        if large && self.looked.is_some_and(|at| world.now < at + LOOKS) {
            return Ok(());
        }
        self.looked = Some(world.now);
        let Some(from) = since(world) else {
            return Ok(());
        };
        if !GoesOn::due(world, from) {
            self.whole = false;
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
            let again = if self.whole { "no longer" } else { "not yet" };
            return Err(format!(
                "the load is {again} whole, {after:.3} s after the last fault: {:?}",
                shares()
            ));
        }
        self.whole = true;
        if world.now < from + bound(world) + NEXT_ADVERT {
            return Ok(());
        }
        match group.iter().find(|m| able(m) && m.sending(world.now) == 0) {
            Some(m) => Err(format!(
                "n{} still has no share, {after:.3} s after the last fault: {:?}",
                m.index,
                shares()
            )),
            None => Ok(()),
        }
    }
}
