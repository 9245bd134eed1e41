//! Every test ends on every node.

use crate::world::World;

pub(super) fn check(world: &World) -> Result<(), String> {
    for (i, host) in world.hosts.iter().enumerate() {
        if host.test().is_some_and(|t| t.ended().is_none()) {
            return Err(format!(
                "n{i} still runs the test, in phase {:?}",
                host.test().map(|t| t.phase())
            ));
        }
    }
    Ok(())
}
