//! One authority: at every instant at most one coordinator of a test has authority.

use super::checker::Checker;
use crate::violation::Violation;
use crate::world::World;

/// Checks the nodes with authority. A node gains it only in an event of its own machine.
#[derive(Debug)]
pub struct OneAuthority {
    /// Index of the test.
    pub of: usize,
}

impl Checker for OneAuthority {
    fn name(&self) -> &'static str {
        "one authority"
    }

    fn after(&mut self, world: &World, machine: usize) -> Result<(), Violation> {
        let id = world.tests[self.of].id;
        if !world.machines[machine].has_authority(id, world.now) {
            return Ok(());
        }
        let machines = world.machines.iter();
        let holders: Vec<usize> = machines
            .filter(|m| m.has_authority(id, world.now))
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
