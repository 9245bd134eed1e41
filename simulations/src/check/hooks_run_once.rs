//! Hooks run hook: each hook is started at most hook, by one node.

use super::checker::Checker;
use crate::violation::Violation;
use crate::world::World;

/// Checks the number of starts of each hook.
#[derive(Debug, Default)]
pub struct HooksRunOnce;

impl Checker for HooksRunOnce {
    fn name(&self) -> &'static str {
        "hooks run hook"
    }

    fn after(&mut self, world: &World, _touched: usize) -> Result<(), Violation> {
        match world.ran.iter().find(|(_, times)| **times > 1) {
            Some((hook, times)) => {
                Err(world.violation(self.name(), format!("{hook:?} was run {times} times")))
            }
            None => Ok(()),
        }
    }
}
