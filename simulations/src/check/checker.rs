//! The interface of a checker, and the loop that runs a world under checkers.

use std::fmt;
use std::time::Duration;

use crate::machine::Machine;
use crate::violation::Violation;
use crate::world::{Step, World};

/// A checker of one invariant.
pub trait Checker: fmt::Debug {
    /// Name of the invariant.
    fn name(&self) -> &'static str;

    /// Checks the world after an event on one machine.
    ///
    /// # Errors
    /// If the invariant is violated.
    fn after(&mut self, _world: &World, _machine: usize) -> Result<(), Violation> {
        Ok(())
    }

    /// Checks the world at the end of a run.
    ///
    /// # Errors
    /// If the invariant is violated.
    fn at_end(&mut self, _world: &World) -> Result<(), Violation> {
        Ok(())
    }
}

/// Runs a world until `end`, or until the test is over on all nodes, without the checks at the
/// end.
///
/// # Errors
/// The first violated invariant.
pub fn run_until(
    world: &mut World,
    end: Duration,
    checkers: &mut [&mut dyn Checker],
) -> Result<(), Violation> {
    loop {
        match world.step(end)? {
            Step::End => return Ok(()),
            Step::World => {}
            Step::Machine(i) => {
                for checker in checkers.iter_mut() {
                    checker.after(world, i)?;
                }
            }
        }
    }
}

/// Runs a world until `end`, or until the test is over on all nodes, with the checks at the end.
///
/// # Errors
/// The first violated invariant.
pub fn run(
    world: &mut World,
    end: Duration,
    checkers: &mut [Box<dyn Checker>],
) -> Result<(), Violation> {
    let mut all: Vec<&mut dyn Checker> = Vec::new();
    for checker in checkers {
        all.push(checker.as_mut());
    }
    run_until(world, end, &mut all)?;
    world.record_stretched_leases();
    world.record_acts_done();
    for checker in all {
        checker.at_end(world)?;
    }
    Ok(())
}

/// Whether the coordinator that ended the test recorded this worker as lost and then died: there is
/// no node left to which the worker could deliver its missing snapshots.
pub fn end_unreachable(world: &World, of: usize, worker: &Machine) -> bool {
    let node = &worker.node.local().node;
    let id = world.tests[of].id;
    let mut ends = world.running().filter_map(|m| m.test(id)?.ended());
    ends.any(|end| {
        let mut roster = end.roster.iter();
        let lost = roster.any(|e| e.worker == *node && e.lost_at.is_some());
        let mut alive = world.running().map(|m| &m.node.local().node);
        lost && !alive.any(|n| *n == end.coordinator)
    })
}
