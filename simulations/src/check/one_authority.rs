//! One authority: at every instant at most one coordinator of a test has authority.

use super::checker::Checker;
use crate::violation::Violation;
use crate::world::{TEST, World};

/// Checks the nodes with authority. A node gains it only in an event of its own machine.
#[derive(Debug, Default)]
pub struct OneAuthority;

impl Checker for OneAuthority {
    fn name(&self) -> &'static str {
        "one authority"
    }

    fn after(&mut self, world: &World, machine: usize) -> Result<(), Violation> {
        if !world.machines[machine].has_authority(TEST, world.now) {
            return Ok(());
        }
        let machines = world.machines.iter();
        let holders: Vec<usize> = machines
            .filter(|m| m.has_authority(TEST, world.now))
            .map(|m| m.index)
            .collect();
        if holders.len() > 1 {
            return Err(world.violation(
                self.name(),
                format!("nodes {holders:?} have authority at once"),
            ));
        }
        Ok(())
    }
}
