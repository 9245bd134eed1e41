//! Committed log: all nodes act on the same log and only on committed entries, and no worker sends
//! for longer than a share lease without a committed entry.

use std::time::Duration;

use vajra_core::protocol::log::LogEntry;
use vajra_core::protocol::time::for_waiter;

use super::checker::Checker;
use crate::clock::MAX_DRIFT_PPM;
use crate::scenario::OnLoss;
use crate::violation::Violation;
use crate::world::World;

/// The committed entries and the times at which they were.
#[derive(Debug)]
pub struct CommittedLog {
    of: usize,
    committed: Vec<(LogEntry, Duration)>,
}

impl CommittedLog {
    /// For a test.
    pub fn new(of: usize) -> CommittedLog {
        CommittedLog {
            of,
            committed: Vec::new(),
        }
    }

    fn differs(&self, list: &[LogEntry]) -> bool {
        let mut both = self.committed.iter().zip(list);
        both.any(|((known, _), other)| known != other)
    }
}

impl Checker for CommittedLog {
    fn name(&self) -> &'static str {
        "committed log"
    }

    fn after(&mut self, world: &World, touched: usize) -> Result<(), Violation> {
        let machine = &world.machines[touched];
        if let Some(test) = machine.test(world.tests[self.of].id) {
            let list = test.log();
            if self.differs(list) {
                return Err(
                    world.violation(self.name(), format!("n{touched} has another log: {list:?}"))
                );
            }
            for entry in list.iter().skip(self.committed.len()) {
                self.committed.push((entry.clone(), world.now));
            }
        }
        let lease = world.scenario.timings().share_lease(world.machines.len());
        let lease = for_waiter(lease).mul_f64(1.0 + MAX_DRIFT_PPM as f64 / 1e6);
        // Under `hold` an isolated worker continues without later entries.
        if world.tests[self.of].plan.on_lost_worker == OnLoss::Hold {
            return Ok(());
        }
        for machine in &world.machines {
            let log = machine.engine(self.of).map_or(&[][..], |e| e.log());
            if self.differs(log) || log.len() > self.committed.len() {
                return Err(
                    world.violation(self.name(), format!("n{} acts on {log:?}", machine.index))
                );
            }
            let next = self.committed.get(log.len());
            if let Some((entry, since)) = next
                && !machine.sending(self.of, world.now).is_empty()
                && world.now > *since + lease
            {
                return Err(world.violation(
                    self.name(),
                    format!(
                        "n{} still sends without {entry:?}, committed at {:.3} s",
                        machine.index,
                        since.as_secs_f64()
                    ),
                ));
            }
        }
        Ok(())
    }
}
