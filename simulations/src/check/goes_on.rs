//! Goes on: two share leases after the last fault the whole load is carried again, and stays
//! carried, while a majority of the electorate lives.

use std::time::Duration;

use vajra_node::protocol::messages::Phase;
use vajra_node::protocol::spec::OnLost;

use super::Checker;
use crate::clock::MAX_DRIFT_PPM;
use crate::world::{TEST, WHOLE, World};

/// Watches the sum after the faults.
#[derive(Debug, Default)]
pub struct GoesOn {
    whole: bool,
}

/// Two share leases, by the slowest clock.
fn bound(world: &World) -> Duration {
    let lease = world.scenario.timings.share_lease(world.machines.len());
    (lease * 2).mul_f64(1.0 + MAX_DRIFT_PPM as f64 / 1e6)
}

impl GoesOn {
    /// Whether the invariant promises anything at this moment.
    fn due(world: &World) -> bool {
        let spec = &world.scenario.spec;
        let (Some(started), Some(last)) = (world.started, world.started_last) else {
            return false;
        };
        let from = world.healed_at().max(last);
        let until = started + spec.length.mul_f64(1.0 - MAX_DRIFT_PPM as f64 / 1e6);
        let promised = world.majority_alive() && world.stopped.is_none();
        let nobody_ended = || {
            world
                .machines
                .iter()
                .filter_map(|m| m.test(TEST))
                .all(|t| t.phase() < Phase::Stopping)
        };
        let somebody_able = || {
            world
                .running()
                .any(|m| m.spec.unable.is_none() && m.test(TEST).is_some())
        };
        from + bound(world) <= world.now
            && world.now < until
            && spec.on_lost == OnLost::Reassign
            && promised
            && somebody_able()
            && nobody_ended()
    }
}

impl Checker for GoesOn {
    fn name(&self) -> &'static str {
        "goes on"
    }

    fn after(&mut self, world: &World, _touched: usize) -> Result<(), String> {
        if world.now < world.healed_at() || !GoesOn::due(world) {
            return Ok(());
        }
        let sum = world.sending();
        if sum == WHOLE {
            self.whole = true;
            return Ok(());
        }
        let shares: Vec<u32> = world
            .machines
            .iter()
            .map(|m| m.sending(world.now))
            .collect();
        let again = if self.whole { "no longer" } else { "not yet" };
        Err(format!(
            "the load is {again} whole, {:.3} s after the last fault: {shares:?}",
            (world.now - world.healed_at()).as_secs_f64()
        ))
    }
}
