//! Informed: all act on the same decisions, nobody on one that is not settled, and nobody for
//! longer than a share lease without one that is.

use std::time::Duration;

use vajra_core::protocol::decisions::LogEntry;
use vajra_core::protocol::time::awaited;

use super::Checker;
use crate::clock::MAX_DRIFT_PPM;
use crate::scenario::OnLoss;
use crate::world::{TEST, World};

/// Remembers what was settled first, and when.
#[derive(Debug, Default)]
pub struct Informed {
    settled: Vec<(LogEntry, Duration)>,
}

impl Informed {
    fn differs(&self, list: &[LogEntry]) -> bool {
        let mut both = self.settled.iter().zip(list);
        both.any(|((known, _), other)| known != other)
    }
}

impl Checker for Informed {
    fn name(&self) -> &'static str {
        "informed"
    }

    fn after(&mut self, world: &World, touched: usize) -> Result<(), String> {
        let machine = &world.machines[touched];
        if let Some(test) = machine.test(TEST) {
            let list = test.decisions();
            if self.differs(list) {
                return Err(format!("n{touched} has decided otherwise: {list:?}"));
            }
            for decided in list.iter().skip(self.settled.len()) {
                self.settled.push((decided.clone(), world.now));
            }
        }
        let lease = world.scenario.timings().share_lease(world.machines.len());
        let lease = awaited(lease).mul_f64(1.0 + MAX_DRIFT_PPM as f64 / 1e6);
        // An isolated worker runs on under `hold`, whatever is decided elsewhere.
        if world.scenario.plan.on_lost_worker == OnLoss::Hold {
            return Ok(());
        }
        for machine in &world.machines {
            let acts = machine.engine.as_ref().map_or(&[][..], |e| e.decisions());
            if self.differs(acts) || acts.len() > self.settled.len() {
                return Err(format!("n{} acts on {acts:?}", machine.index));
            }
            let next = self.settled.get(acts.len());
            if let Some((decided, since)) = next
                && machine.sending(world.now) > 0
                && world.now > *since + lease
            {
                return Err(format!(
                    "n{} still sends without {decided:?}, settled at {:.3} s",
                    machine.index,
                    since.as_secs_f64()
                ));
            }
        }
        Ok(())
    }
}
