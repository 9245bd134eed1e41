//! No excess load: at every instant the slots that engines may act on are disjoint.

use vajra_core::Slots;

use super::checker::Checker;
use crate::machine::State;
use crate::violation::Violation;
use crate::world::World;

/// Checks the slots of a machine whenever they may have grown, which happens only in an event of its
/// own. With time they only shrink.
#[derive(Debug)]
pub struct NoExcessLoad {
    of: usize,
    /// Version and incarnation of each engine when it was last checked.
    checked: Vec<Option<(u64, u64)>>,
    /// Slots that each machine had then.
    known: Vec<Slots>,
}

impl NoExcessLoad {
    /// For a test.
    pub fn new(of: usize) -> NoExcessLoad {
        NoExcessLoad {
            of,
            checked: Vec::new(),
            known: Vec::new(),
        }
    }
}

impl Checker for NoExcessLoad {
    fn name(&self) -> &'static str {
        "no excess load"
    }

    fn after(&mut self, world: &World, i: usize) -> Result<(), Violation> {
        let machine = &world.machines[i];
        let engine = machine
            .engine(self.of)
            .filter(|_| machine.state != State::Down);
        let version = engine.map(|e| (e.version(), machine.incarnation));
        self.checked.resize(world.machines.len(), None);
        self.known.resize(world.machines.len(), Slots::EMPTY);
        if version.is_none() || version == self.checked[i] {
            return Ok(());
        }
        self.checked[i] = version;
        let acting = machine.acting(self.of, world.now);
        self.known[i] = acting.clone();
        for other in (0..world.machines.len()).filter(|j| *j != i) {
            if self.known[other].is_disjoint(&acting) {
                continue;
            }
            let others = world.machines[other].acting(self.of, world.now);
            let both = others.intersection(&acting);
            self.known[other] = others;
            if !both.is_empty() {
                return Err(world.violation(
                    self.name(),
                    format!("n{other} and n{i} act on the same slots: {both:?}"),
                ));
            }
        }
        Ok(())
    }
}
