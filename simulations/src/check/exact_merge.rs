//! Exact merge: at the end all nodes have the same metrics of every surviving worker.

use super::checker::{Checker, end_unreachable};
use crate::violation::Violation;
use crate::world::World;

/// Compares the merged metrics at the end of a run.
#[derive(Debug)]
pub struct ExactMerge {
    /// Index of the test.
    pub of: usize,
}

impl Checker for ExactMerge {
    fn name(&self) -> &'static str {
        "exact merge"
    }

    fn at_end(&mut self, world: &World) -> Result<(), Violation> {
        let of = self.of;
        if !world.majority_alive(of) {
            return Ok(());
        }
        let views: Vec<_> = world
            .running()
            .filter_map(|m| Some((m.index, m.test(world.tests[of].id)?.merge())))
            .collect();
        for worker in world.running().filter(|w| !end_unreachable(world, of, w)) {
            let node = &worker.node.local().node;
            let shown: Vec<_> = views
                .iter()
                .map(|(i, merge)| (i, merge.workers().get(node)))
                .collect();
            let different = shown.windows(2).find(|w| w[0].1 != w[1].1);
            if let Some(pair) = different
                && worker.engine(of).is_some_and(|e| e.sent() > 0)
            {
                let number = |i: usize| pair[i].1.map(|m| (m.number, m.is_final));
                return Err(world.violation(
                    self.name(),
                    format!(
                        "nodes n{1} and n{2} have different snapshots of worker n{0}: {3:?} and {4:?}",
                        worker.index,
                        pair[0].0,
                        pair[1].0,
                        number(0),
                        number(1)
                    ),
                ));
            }
        }
        Ok(())
    }
}
