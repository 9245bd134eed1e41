//! Never over: at every instant the slots that engines act on are at most the whole.

use super::Checker;
use crate::world::{WHOLE, World};

/// Watches the sum. What engines act on grows only in an event of their own machine and
/// shrinks with time, so the last known values bound the sum from above; only if the bound
/// is too high are all engines asked.
#[derive(Debug, Default)]
pub struct NeverOver {
    known: Vec<u32>,
    bound: u64,
}

impl NeverOver {
    fn learn(&mut self, world: &World, i: usize) {
        self.known.resize(world.machines.len(), 0);
        let now = world.machines[i].sending(world.now);
        self.bound = self.bound - u64::from(self.known[i]) + u64::from(now);
        self.known[i] = now;
    }
}

impl Checker for NeverOver {
    fn name(&self) -> &'static str {
        "never over"
    }

    fn after(&mut self, world: &World, touched: usize) -> Result<(), String> {
        self.learn(world, touched);
        if self.bound <= u64::from(WHOLE) {
            return Ok(());
        }
        for i in 0..world.machines.len() {
            self.learn(world, i);
        }
        if self.bound <= u64::from(WHOLE) {
            return Ok(());
        }
        Err(format!(
            "engines act on {} slots of {WHOLE}: {:?}",
            self.bound, self.known
        ))
    }
}
