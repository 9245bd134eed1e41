//! Proportional shares: once a swarm has been without faults for a while, the shares are in
//! proportion to the capacities, and a node that drains has none.

use std::time::Duration;

use super::checker::Checker;
use super::progress::{able, bound, since};
use crate::fault::Fault;
use crate::machine::{Machine, State};
use crate::scenario::OnLoss;
use crate::violation::Violation;
use crate::world::{WHOLE, World};

/// Compares the shares at intervals.
#[derive(Debug)]
pub struct Proportional {
    of: usize,
    next: Duration,
}

const INTERVAL: Duration = Duration::from_millis(250);
/// Time for adverts to arrive, and for several moves of slots.
const SLACK: Duration = Duration::from_secs(5);
/// Largest swarm whose shares are exact.
const EXACT_UP_TO: usize = 32;

impl Proportional {
    /// For a test.
    pub fn new(of: usize) -> Proportional {
        Proportional {
            of,
            next: Duration::ZERO,
        }
    }
}

impl Checker for Proportional {
    fn name(&self) -> &'static str {
        "proportional shares"
    }

    fn after(&mut self, world: &World, _touched: usize) -> Result<(), Violation> {
        if world.now < self.next {
            return Ok(());
        }
        self.next = world.now + INTERVAL;
        let of = self.of;
        let test = &world.tests[of];
        let Some(from) = since(world, of) else {
            return Ok(());
        };
        let settled = from + bound(world, of) + SLACK;
        let faults = &world.scenario.faults.0;
        let overloaded = faults
            .iter()
            .any(|t| matches!(t.fault, Fault::Overload { .. }));
        // By the clock of one node the load is over before it is by those of the others, and its
        // slots move.
        let finished = |m: &Machine| {
            let worker = m.test(test.id).and_then(|t| t.worker());
            worker.is_some_and(|w| w.finished())
        };
        if world.now < settled
            || world.running().any(finished)
            || !world.scenario.faults.quiet(world.now, world.now)
            || test.plan.on_lost_worker != OnLoss::Reassign
            || world.machines.len() > EXACT_UP_TO
            || !world.majority_alive(of)
            || world.sending(of) != WHOLE
        {
            return Ok(());
        }
        let count = |m: &Machine| m.sending(of, world.now).count();
        let drained = world.running().find(|m| m.draining && count(m) > 0);
        if let Some(m) = drained {
            let text = format!("n{} drains and still has {} slots", m.index, count(m));
            return Err(world.violation("drain", text));
        }
        if overloaded {
            return Ok(());
        }
        let takers = world.machines.iter().filter(|m| m.state == State::Up);
        let takers: Vec<&Machine> = takers.filter(|m| able(world, of, m)).collect();
        let weight = |m: &Machine| match test.plan.equal {
            true => 1.0,
            false => f64::from(m.spec.capacity.max(1)),
        };
        let sum: f64 = takers.iter().map(|m| weight(m)).sum();
        // In the closed model shares consist of whole users.
        let total = test.plan.load.users().unwrap_or(WHOLE);
        let units = |m: &Machine| match test.plan.load.users() {
            Some(_) => m
                .engine(of)
                .map_or(0, |e| e.users(m.sending(of, world.now))),
            None => count(m),
        };
        for m in &takers {
            let exact = f64::from(total) * weight(m) / sum;
            if (f64::from(units(m)) - exact).abs() > 1.0 {
                return Err(world.violation(
                    self.name(),
                    format!(
                        "n{} has {} of {total}, and by its capacity it gets {exact:.2}: {:?}",
                        m.index,
                        units(m),
                        takers
                            .iter()
                            .map(|m| (units(m), weight(m)))
                            .collect::<Vec<_>>()
                    ),
                ));
            }
        }
        Ok(())
    }
}
