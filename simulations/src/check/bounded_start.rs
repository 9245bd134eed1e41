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
        for machine in world.running().filter(|m| m.spec.able()) {
            let Some(t) = machine.test(test.id) else {
                continue;
            };
            let ended = t.ended_at().and_then(|at| machine.spec.clock.truth(at));
            if !started && ended.is_none_or(|at| at > due) {
                return Err(world.violation(
                    self.name(),
                    format!(
                        "the load had not started by {:.3} s, and the test had not ended on n{}",
                        due.as_secs_f64(),
                        machine.index
                    ),
                ));
            }
        }
        Ok(())
    }
}
