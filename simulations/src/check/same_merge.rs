//! Exact merge: at the end every node shows the same of every worker that lived.

use super::{Checker, given_up};
use crate::world::{TEST, World};

/// Compares the merged views at the end of a run.
#[derive(Debug, Default)]
pub struct SameMerge;

impl Checker for SameMerge {
    fn name(&self) -> &'static str {
        "exact merge"
    }

    fn at_end(&mut self, world: &World) -> Result<(), String> {
        if !world.majority_alive() {
            return Ok(());
        }
        let views: Vec<_> = world
            .running()
            .filter_map(|m| Some((m.index, m.test(TEST)?.merge())))
            .collect();
        for worker in world.running().filter(|w| !given_up(world, w)) {
            let node = &worker.node.myself().node;
            let shown: Vec<_> = views
                .iter()
                .map(|(i, merge)| (i, merge.workers().get(node)))
                .collect();
            let different = shown.windows(2).find(|w| w[0].1 != w[1].1);
            if let Some(pair) = different
                && worker.engine.as_ref().is_some_and(|e| e.sent() > 0)
            {
                let number = |i: usize| pair[i].1.map(|m| (m.number, m.is_final));
                return Err(format!(
                    "of worker n{} nodes n{} and n{} show different snapshots: {:?} and {:?}",
                    worker.index,
                    pair[0].0,
                    pair[1].0,
                    number(0),
                    number(1)
                ));
            }
        }
        Ok(())
    }
}
