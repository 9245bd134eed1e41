//! While a majority of the electorate can talk, the full load is carried again within two
//! share leases of the last fault.

use vajra_node::protocol::spec::{SLOTS, Timings};

use crate::clock::{SECOND, TrueTime};
use crate::faults::HEALED;
use crate::world::World;

/// Remembers that the full load was seen after healing.
#[derive(Default, Debug)]
pub(super) struct GoesOn {
    seen: bool,
}

/// Two share leases, and what an election and the clocks' drift add.
fn patience() -> TrueTime {
    Timings::lan().share_lease.as_nanos() as TrueTime * 2 * 103 / 100 + 3 * SECOND / 2
}

impl GoesOn {
    pub(super) fn check(&mut self, world: &World) -> Result<(), String> {
        if self.seen || world.now < HEALED {
            return Ok(());
        }
        let sum: u32 = world.hosts.iter().map(|h| h.sending(world.now)).sum();
        self.seen = sum == SLOTS;
        if self.seen || world.now < HEALED + patience() || !expected(world) {
            return Ok(());
        }
        Err(format!(
            "{} s after healing only {sum} of {SLOTS} slots are sent",
            (world.now - HEALED) as f64 / SECOND as f64
        ))
    }
}

/// The test lives, and most of its electors are up in the life in which they were chosen.
fn expected(world: &World) -> bool {
    let mut known = world.hosts.iter().filter_map(|h| h.test());
    if world.stop_asked || known.clone().any(|t| t.ended().is_some()) {
        return false;
    }
    let Some(test) = known.next() else {
        return false;
    };
    let electorate = test.election().electorate();
    let up = |id| {
        world
            .hosts
            .iter()
            .filter_map(|h| h.node.as_ref())
            .any(|n| n.myself().node == id)
    };
    electorate.iter().filter(|n| up((*n).clone())).count() > electorate.len() / 2
}
