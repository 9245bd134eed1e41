//! The invariants of the design, each a checker in a file of its own. They look at the world
//! from outside, in true time, after every event; they know nothing of how the protocol
//! keeps them.

mod ends;
mod goes_on;
mod informed;
pub mod never_over;
mod nothing_lost;
pub mod one_authority;
mod runs_once;
mod same_merge;
mod starts_once;

use std::fmt;
use std::time::Duration;

use crate::machine::Machine;
use crate::world::{TEST, World};

/// An invariant that is watched.
pub trait Checker: fmt::Debug {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Something happened to one machine.
    ///
    /// # Errors
    /// What broke.
    fn after(&mut self, _world: &World, _touched: usize) -> Result<(), String> {
        Ok(())
    }

    /// The run is over.
    ///
    /// # Errors
    /// What broke.
    fn at_end(&mut self, _world: &World) -> Result<(), String> {
        Ok(())
    }
}

/// An invariant that broke.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// When, in true time.
    pub at: Duration,
    /// How.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.as_secs_f64();
        write!(
            f,
            "\"{}\" broke at {at:.6} s: {}",
            self.invariant, self.what
        )
    }
}

/// A worker that some result says was lost, by a coordinator that died after it ended the
/// test: there is nobody any more to whom it could bring what is missing.
fn given_up(world: &World, worker: &Machine) -> bool {
    let node = &worker.node.myself().node;
    let mut ends = world.running().filter_map(|m| m.test(TEST)?.ended());
    ends.any(|end| {
        let mut roster = end.roster.iter();
        let lost = roster.any(|e| e.worker == *node && e.lost_at.is_some());
        let mut alive = world.running().map(|m| &m.node.myself().node);
        lost && !alive.any(|n| *n == end.coordinator)
    })
}

/// All of them.
pub fn all() -> Vec<Box<dyn Checker>> {
    vec![
        Box::<never_over::NeverOver>::default(),
        Box::<one_authority::OneAuthority>::default(),
        Box::<starts_once::StartsOnce>::default(),
        Box::<informed::Informed>::default(),
        Box::<runs_once::RunsOnce>::default(),
        Box::<same_merge::SameMerge>::default(),
        Box::<nothing_lost::NothingLost>::default(),
        Box::<goes_on::GoesOn>::default(),
        Box::<ends::Ends>::default(),
    ]
}
