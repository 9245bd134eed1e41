//! No excess load: at every instant the slots that engines act on are at most the whole load.

use super::checker::Checker;
use crate::violation::Violation;
use crate::world::{WHOLE, World};

/// Checks the sum. An engine's slots grow only in an event of its own machine and shrink with time,
/// so the last known values are an upper bound; all engines are read only if that is too high.
#[derive(Debug, Default)]
pub struct NoExcessLoad {
    known: Vec<u32>,
    bound: u64,
}

impl NoExcessLoad {
    fn update(&mut self, world: &World, i: usize) {
        self.known.resize(world.machines.len(), 0);
        let now = world.machines[i].sending(world.now);
        self.bound = self.bound - u64::from(self.known[i]) + u64::from(now);
        self.known[i] = now;
    }
}

impl Checker for NoExcessLoad {
    fn name(&self) -> &'static str {
        "no excess load"
    }

    fn after(&mut self, world: &World, machine: usize) -> Result<(), Violation> {
        self.update(world, machine);
        if self.bound <= u64::from(WHOLE) {
            return Ok(());
        }
        for i in 0..world.machines.len() {
            self.update(world, i);
        }
        if self.bound <= u64::from(WHOLE) {
            return Ok(());
        }
        Err(world.violation(
            self.name(),
            format!(
                "engines act on {} slots of {WHOLE}: {:?}",
                self.bound, self.known
            ),
        ))
    }
}
