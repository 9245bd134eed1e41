//! Only by right: a captured node changes nothing on others. Every node has the announcement that the
//! submitter made, counts only workers that exist, and no more than they sent.

use vajra_core::protocol::NodeId;

use super::checker::Checker;
use super::no_lost_counts::shown;
use crate::machine::{Machine, State, index};
use crate::violation::Violation;
use crate::world::World;

/// Compares announcements and counts at the end of a run.
#[derive(Debug)]
pub struct OnlyByRight {
    /// Index of the test.
    pub of: usize,
}

/// Requests that a process sent: none if it never existed.
fn sent(world: &World, of: usize, worker: &NodeId) -> Option<u64> {
    let machine: &Machine = world.machines.get(index(&worker.peer)?)?;
    let mut past = machine.past.iter().filter(|p| p.of == of);
    let ended = past.find(|p| p.node == *worker).map(|p| p.sent);
    let runs = machine.state != State::Down && machine.node.local().node == *worker;
    ended.or(runs.then(|| machine.engine(of).map_or(0, |e| e.sent())))
}

impl Checker for OnlyByRight {
    fn name(&self) -> &'static str {
        "only by right"
    }

    fn at_end(&mut self, world: &World) -> Result<(), Violation> {
        let test = &world.tests[self.of];
        for viewer in world.running() {
            let Some(seen) = viewer.test(test.id) else {
                continue;
            };
            let electorate = &seen.announcement().electorate;
            if *electorate != test.electorate {
                let text = format!(
                    "n{} has another announcement, with the electors {electorate:?}",
                    viewer.index
                );
                return Err(world.violation(self.name(), text));
            }
            for worker in seen.merge().workers().keys() {
                let counted = shown(seen.merge(), worker).unwrap_or_default();
                let sent = sent(world, self.of, worker);
                if sent.is_none_or(|sent| counted.0 > sent) {
                    let text = format!(
                        "n{} counts {} requests of {worker:?}, which sent {sent:?}",
                        viewer.index, counted.0
                    );
                    return Err(world.violation(self.name(), text));
                }
            }
        }
        Ok(())
    }
}
