//! Nothing lost, and nothing invented: what a worker that lived to the end has sent is in
//! every node's result, to the request; of one that died there is never more than it sent.

use hdrhistogram::serialization::Deserializer;
use vajra_core::metrics::TimeKind;
use vajra_core::protocol::NodeId;
use vajra_core::protocol::merge::Merge;

use super::{Checker, given_up};
use crate::world::{TEST, World};

/// Compares the merged views with what the engines know.
#[derive(Debug, Default)]
pub struct NothingLost;

fn shown(merge: &Merge, worker: &NodeId) -> Option<(u64, u64)> {
    let m = merge.workers().get(worker)?;
    let sent = m.counters().iter().map(|s| s.counters.sent).sum();
    let recorded = m.histograms(TimeKind::Response).map(|(_, data)| {
        let histogram = Deserializer::new().deserialize::<u64, _>(&mut &data[..]);
        histogram.map_or(0, |h| h.len())
    });
    Some((sent, recorded.sum()))
}

impl Checker for NothingLost {
    fn name(&self) -> &'static str {
        "nothing lost"
    }

    fn at_end(&mut self, world: &World) -> Result<(), String> {
        for viewer in world.running() {
            let Some(test) = viewer.test(TEST) else {
                continue;
            };
            let ended = test.ended().is_some() && world.majority_alive();
            for worker in world.running().filter(|w| ended && !given_up(world, w)) {
                let sent = worker.engine.as_ref().map_or(0, |e| e.sent());
                let seen = shown(test.merge(), &worker.node.myself().node).unwrap_or_default();
                if sent > 0 && seen != (sent, sent) {
                    return Err(format!(
                        "n{} sent {sent}, but n{} counts {} and has {} recorded",
                        worker.index, viewer.index, seen.0, seen.1
                    ));
                }
            }
            for past in world.machines.iter().flat_map(|m| &m.past) {
                let seen = shown(test.merge(), &past.node).unwrap_or_default();
                if seen.0.max(seen.1) > past.sent {
                    return Err(format!(
                        "{:?} sent {} in its life, but n{} counts {seen:?}",
                        past.node, past.sent, viewer.index
                    ));
                }
            }
        }
        Ok(())
    }
}
