//! A request counted by a worker that lives to the end is in every node's final result, and
//! the merge is exact: what it says of each worker is what that worker's engine counted.

use vajra_node::protocol::messages::EndReason;
use vajra_node::protocol::test::Test;

use crate::world::{Host, World};

/// Remembers who was there when the test ended.
#[derive(Default, Debug)]
pub(super) struct Results {
    /// A worker was lost, or cut off, at some time.
    lost: bool,
}

impl Results {
    pub(super) fn watch(&mut self, world: &World) {
        self.lost |= world.hosts.iter().any(|h| {
            h.restarted || h.left || (h.node.is_none() && world.now > crate::clock::SECOND)
        });
    }

    pub(super) fn check(&self, world: &World) -> Result<(), String> {
        let complete = |h: &&Host| h.test().is_some_and(|t| t.complete() && finished(t));
        for reader in world.hosts.iter().filter(complete) {
            let Some(test) = reader.test() else { continue };
            for (i, host) in world.hosts.iter().enumerate() {
                let Some(node) = &host.node else { continue };
                if !host.test().is_some_and(|t| t.complete()) {
                    continue;
                }
                let merged = test.merge().workers().get(&node.myself().node);
                let shown: u64 = merged
                    .iter()
                    .flat_map(|m| m.counters())
                    .map(|s| s.counters.sent)
                    .sum();
                let sent = host.engine.requests();
                if shown > sent {
                    return Err(format!("n{i} sent {sent}, but a result says {shown}"));
                }
                if shown < sent && !self.lost && listed(test, host) {
                    return Err(format!(
                        "n{i} sent {sent}, but a complete result says {shown}"
                    ));
                }
            }
        }
        Ok(())
    }
}

fn finished(t: &Test) -> bool {
    t.ended()
        .is_some_and(|e| !matches!(e.reason, EndReason::Failed(_)))
}

/// The roster says that this worker's final snapshot is part of the result.
fn listed(test: &Test, host: &Host) -> bool {
    let Some(node) = &host.node else { return false };
    let roster = test.ended().map(|e| &e.roster[..]).unwrap_or_default();
    roster
        .iter()
        .any(|r| r.worker == node.myself().node && r.is_final)
}
