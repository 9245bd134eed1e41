//! A run of a scenario under all checkers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use vajra_core::protocol::planted::{Bug, plant};

use crate::check::{self, checker};
use crate::coverage::Coverage;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::violation::Violation;
use crate::world::World;

/// Time after the end on the last node, in which results are fetched.
const FETCHING: Duration = Duration::from_secs(12);
/// Shortest run, unless the test is over on all nodes.
const SHORTEST: Duration = Duration::from_secs(90);

/// Result of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Violated invariant, if any.
    pub violation: Option<Violation>,
    /// Situations that occurred.
    pub coverage: Coverage,
    /// Hash of all events.
    pub hash: u64,
    /// Events handled.
    pub events: u64,
    /// True time at the end.
    pub lasted: Duration,
}

/// Runs a scenario, optionally with a planted bug. A panic of the protocol counts as a violated
/// invariant.
pub fn run(scenario: Scenario, trace: Trace, bug: Option<Bug>) -> Outcome {
    plant(bug);
    let mut world = World::new(scenario, trace);
    let mut checkers = check::all(world.tests.len());
    let timings = world.scenario.timings();
    let lease = timings.share_lease(world.machines.len());
    let second = world.scenario.second.as_ref().map(|s| s.after);
    let longest = second.unwrap_or_default() + world.scenario.plan.length;
    let longest = longest + world.scenario.start_timeout() + world.scenario.longest_inspection();
    let end = world.healed_at() + longest + lease * 4 + FETCHING;
    let pauses = timings.max_pause * world.scenario.faults.0.len() as u32;
    let end = end + pauses + world.scenario.spec(0).hook_limit();
    let result = catch_unwind(AssertUnwindSafe(|| {
        checker::run(&mut world, end.max(SHORTEST), &mut checkers)
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
                description: text.unwrap_or_default(),
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
