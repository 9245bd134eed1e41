//! One run: a scenario, a world, the checkers, and what came of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use vajra_core::protocol::planted::{Bug, plant};

use crate::check::{self, Violation};
use crate::coverage::Coverage;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::world::World;

/// After the last node should have ended: time to fetch what a result lacks.
const FETCHING: Duration = Duration::from_secs(12);
/// No run is shorter than this, unless everything is over.
const SHORTEST: Duration = Duration::from_secs(90);

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The invariant that broke, if one did.
    pub violation: Option<Violation>,
    /// What was seen.
    pub coverage: Coverage,
    /// The hash of everything that happened.
    pub hash: u64,
    /// Events handled.
    pub events: u64,
    /// True time at the end.
    pub lasted: Duration,
}

/// Runs a scenario, with a bug planted in the protocol if one is given. A panic of the protocol counts as a broken invariant.
pub fn run(scenario: Scenario, trace: Trace, bug: Option<Bug>) -> Outcome {
    plant(bug);
    let mut world = World::new(scenario, trace);
    let mut checkers = check::all();
    let timings = world.scenario.timings();
    let patience = timings.registration_window + timings.share_lease * 8;
    let lease = timings.share_lease(world.machines.len());
    let end = world.healed_at() + world.scenario.plan.length.max(patience) + lease * 4 + FETCHING;
    let pauses = timings.max_pause * world.scenario.faults.0.len() as u32;
    let end = end + pauses + world.scenario.spec().around();
    let result = catch_unwind(AssertUnwindSafe(|| {
        world.run(end.max(SHORTEST), &mut checkers)
    }));
    plant(None);
    let violation = match result {
        Ok(result) => result.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Some(Violation {
                invariant: "no panic",
                at: world.now,
                what: text.unwrap_or_default(),
            })
        }
    };
    Outcome {
        violation,
        hash: world.trace_hash(),
        events: world.events,
        lasted: world.now,
        coverage: world.coverage,
    }
}
