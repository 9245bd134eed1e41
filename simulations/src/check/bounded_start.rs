//! Bounded start: in a healthy swarm a test starts, or ends with a reason, within a few seconds; in
//! any swarm within the start limit.

use std::time::Duration;

use super::checker::Checker;
use crate::machine::Machine;
use crate::scenario::Setting;
use crate::violation::Violation;
use crate::world::World;

/// Compares the time of the start with the bound.
#[derive(Debug)]
pub struct BoundedStart {
    /// Index of the test.
    pub of: usize,
}

/// Time to elect a coordinator, and for its shares to arrive.
const ELECTION: Duration = Duration::from_secs(6);

impl Checker for BoundedStart {
    fn name(&self) -> &'static str {
        "bounded start"
    }

    fn at_end(&mut self, world: &World) -> Result<(), Violation> {
        let of = self.of;
        let test = &world.tests[of];
        let Some(submitted) = test.submitted else {
            return Ok(());
        };
        let timings = world.scenario.timings();
        let slow = match world.scenario.setting {
            Setting::Lan => 1,
            Setting::Wan => 5,
        };
        let lease = timings.share_lease(world.machines.len());
        let hooks = test.plan.spec().hook_limit();
        let inspected = test.inspected_last.unwrap_or_default();
        let healthy = world.healed_at().max(submitted).max(inspected);
        let due = healthy + ELECTION * slow + timings.registration_window * 2 + lease * 2 + hooks;
        let leads = |m: &&Machine| {
            let elector = test.electorate.contains(&m.node.local().node);
            let inspected = m.test(test.id).is_some_and(|t| t.spec().is_some());
            elector && inspected && !m.leaving
        };
        let leader = world.running().find(leads);
        if !world.majority_alive(of) || leader.is_none() || due > world.now {
            return Ok(());
        }
        let started = test.started.is_some_and(|at| at <= due);
        // Where it ended on one node, another invariant bounds the end on the others.
        let ended = world.machines.iter().any(|m| {
            let at = m.test(test.id).and_then(|t| t.ended_at());
            let at = at.and_then(|at| m.spec.clock.truth(at));
            at.is_some_and(|at| at <= due)
        });
        if started || ended {
            return Ok(());
        }
        Err(world.violation(
            self.name(),
            format!(
                "by {:.3} s the load had not started, nor had the test ended on any node",
                due.as_secs_f64()
            ),
        ))
    }
}
