//! The shares that engines act on add up to at most the whole.

use vajra_node::protocol::spec::SLOTS;

use crate::world::World;

pub(super) fn check(world: &World) -> Result<(), String> {
    let shares: Vec<u32> = world.hosts.iter().map(|h| h.sending(world.now)).collect();
    let sum: u64 = shares.iter().map(|s| u64::from(*s)).sum();
    if sum > u64::from(SLOTS) {
        return Err(format!("{sum} of {SLOTS} slots are sent: {shares:?}"));
    }
    Ok(())
}
