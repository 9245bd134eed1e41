//! Runs once: setup and teardown are run by one node, one time, whatever becomes of it.

use super::Checker;
use crate::world::World;

/// Looks at how often they were begun.
#[derive(Debug, Default)]
pub struct RunsOnce;

impl Checker for RunsOnce {
    fn name(&self) -> &'static str {
        "runs once"
    }

    fn after(&mut self, world: &World, _touched: usize) -> Result<(), String> {
        match world.ran.iter().find(|(_, times)| **times > 1) {
            Some((once, times)) => Err(format!("{once:?} was run {times} times")),
            None => Ok(()),
        }
    }
}
