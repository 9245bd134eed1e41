//! The invariants, each in a file of its own. They look at the world from outside, in true
//! time: at what engines send, and at who believes to have authority.

mod ends;
mod goes_on;
mod never_over;
mod one_authority;
mod result;
mod starts_once;

use crate::clock::{SECOND, TrueTime};
use crate::world::World;

/// A broken invariant.
#[derive(Clone, PartialEq, Debug)]
pub struct Broken {
    /// Which.
    pub invariant: &'static str,
    /// When, in true time.
    pub at: TrueTime,
    /// How.
    pub how: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = self.at as f64 / SECOND as f64;
        write!(f, "{} at {at:.3} s: {}", self.invariant, self.how)
    }
}

/// All checkers.
#[derive(Default, Debug)]
pub struct Checks {
    goes_on: goes_on::GoesOn,
    result: result::Results,
}

fn broken(world: &World, invariant: &'static str, how: Result<(), String>) -> Option<Broken> {
    how.err().map(|how| Broken {
        invariant,
        at: world.now,
        how,
    })
}

impl Checks {
    /// Looks at the world after an event.
    pub fn after_event(&mut self, world: &World) -> Option<Broken> {
        self.result.watch(world);
        broken(world, "never over", never_over::check(world))
            .or_else(|| broken(world, "one authority", one_authority::check(world)))
            .or_else(|| broken(world, "starts once", starts_once::check(world)))
            .or_else(|| broken(world, "goes on", self.goes_on.check(world)))
    }

    /// Looks at the world when all should be over.
    pub fn at_the_end(&mut self, world: &World) -> Option<Broken> {
        broken(world, "ends", ends::check(world))
            .or_else(|| broken(world, "nothing lost", self.result.check(world)))
    }
}
