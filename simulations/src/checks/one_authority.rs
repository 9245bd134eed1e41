//! At most one coordinator has authority.

use crate::world::World;

pub(super) fn check(world: &World) -> Result<(), String> {
    let has = |i: &usize| {
        let host = &world.hosts[*i];
        host.test().is_some_and(|t| {
            t.ended().is_none() && t.election().has_authority(host.clock.local(world.now))
        })
    };
    let all: Vec<usize> = (0..world.hosts.len()).filter(has).collect();
    if all.len() > 1 {
        return Err(format!("nodes {all:?} have authority"));
    }
    Ok(())
}
