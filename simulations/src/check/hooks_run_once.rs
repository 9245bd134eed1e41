//! Hooks run once: each hook is started at most once, by one node.

use super::checker::Checker;
use crate::violation::Violation;
use crate::world::World;

/// Checks the number of starts of each hook.
#[derive(Debug)]
pub struct HooksRunOnce {
    /// Index of the test.
    pub of: usize,
}

impl Checker for HooksRunOnce {
    fn name(&self) -> &'static str {
        "hooks run once"
    }

    fn after(&mut self, world: &World, _touched: usize) -> Result<(), Violation> {
        match world.tests[self.of]
            .ran
            .iter()
            .find(|(_, times)| **times > 1)
        {
            Some((hook, times)) => {
                Err(world.violation(self.name(), format!("{hook:?} was run {times} times")))
            }
            None => Ok(()),
        }
    }
}
