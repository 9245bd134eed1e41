//! No lost counts: all requests of a worker that survives are in every node's result. Of one that
//! died, a result never contains more than it sent.

use hdrhistogram::serialization::Deserializer;
use vajra_core::metrics::TimeKind;
use vajra_core::protocol::NodeId;
use vajra_core::protocol::merge::Merge;

use super::checker::{Checker, end_unreachable};
use crate::violation::Violation;
use crate::world::World;

/// Compares the merged metrics with the counts of the engines.
#[derive(Debug)]
pub struct NoLostCounts {
    /// Index of the test.
    pub of: usize,
}

pub fn shown(merge: &Merge, worker: &NodeId) -> Option<(u64, u64)> {
    let m = merge.workers().get(worker)?;
    let sent = m.counters().iter().map(|s| s.counters.sent).sum();
    let recorded = m.histograms(TimeKind::Response).map(|(_, data)| {
        let histogram = Deserializer::new().deserialize::<u64, _>(&mut &data[..]);
        histogram.map_or(0, |h| h.len())
    });
    Some((sent, recorded.sum()))
}

impl Checker for NoLostCounts {
    fn name(&self) -> &'static str {
        "no lost counts"
    }

    fn at_end(&mut self, world: &World) -> Result<(), Violation> {
        let of = self.of;
        for viewer in world.running() {
            let Some(test) = viewer.test(world.tests[of].id) else {
                continue;
            };
            let ended = test.ended().is_some() && world.majority_alive(of);
            for worker in world
                .running()
                .filter(|w| ended && !end_unreachable(world, of, w))
            {
                let sent = worker.engine(of).map_or(0, |e| e.sent());
                let seen = shown(test.merge(), &worker.node.local().node).unwrap_or_default();
                if sent > 0 && seen != (sent, sent) {
                    return Err(world.violation(
                        self.name(),
                        format!(
                            "n{} sent {sent}, but n{} counts {} and has {} recorded",
                            worker.index, viewer.index, seen.0, seen.1
                        ),
                    ));
                }
            }
            let past = world.machines.iter().flat_map(|m| &m.past);
            for past in past.filter(|p| p.of == of) {
                let seen = shown(test.merge(), &past.node).unwrap_or_default();
                if seen.0.max(seen.1) > past.sent {
                    return Err(world.violation(
                        self.name(),
                        format!(
                            "{:?} sent {}, but n{} counts {seen:?}",
                            past.node, past.sent, viewer.index
                        ),
                    ));
                }
            }
        }
        Ok(())
    }
}
