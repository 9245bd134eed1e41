//! What goes wrong in a run, as a value made from the seed: it can be printed, replayed, and
//! later be made smaller.

use crate::clock::{MS, SECOND, TrueTime};
use crate::links::Weather;
use crate::rng::Rng;

/// A fault.
#[derive(Clone, PartialEq, Debug)]
pub enum Fault {
    /// A node is gone, with all it knew.
    Crash(usize),
    /// A crashed node starts again, in a new incarnation.
    Restart(usize),
    /// A node does nothing for a while; what arrives meanwhile waits for it.
    Pause(usize, TrueTime),
    /// Some nodes (a bit each) are cut off for a while; one-way: they are not heard.
    Partition {
        /// Which.
        side: u64,
        /// They still hear the others.
        one_way: bool,
        /// How long.
        length: TrueTime,
    },
    /// Messages travel differently for a while.
    Storm(Weather, TrueTime),
    /// A node leaves politely.
    Leave(usize),
    /// Somebody stops the test.
    Stop {
        /// Who.
        by: usize,
        /// How.
        graceful: bool,
    },
}

/// A whole run, before it runs.
#[derive(Clone, PartialEq, Debug)]
pub struct FaultPlan {
    /// Nodes.
    pub nodes: usize,
    /// Those that are there from the beginning; the others start later.
    pub late: Vec<(usize, TrueTime)>,
    /// Who starts the test.
    pub submitter: usize,
    /// What happens when.
    pub faults: Vec<(TrueTime, Fault)>,
}

/// When the test is submitted.
pub const SUBMITTED: TrueTime = 1_500 * MS;
/// When faults end and healing begins.
pub const HEALED: TrueTime = 14 * SECOND;
/// Length of the profile: long enough for all to come back after healing.
pub const LENGTH: TrueTime = 26 * SECOND;

impl FaultPlan {
    /// A run of `nodes` nodes in which nothing goes wrong.
    pub fn calm(nodes: usize, seed: u64) -> FaultPlan {
        let mut rng = Rng::new(seed);
        FaultPlan {
            nodes,
            late: Vec::new(),
            submitter: rng.between(0, nodes as u64 - 1) as usize,
            faults: Vec::new(),
        }
    }

    /// The run of a seed.
    pub fn of(seed: u64) -> FaultPlan {
        let mut rng = Rng::new(seed ^ 0x5eed_0ffa_u64);
        let nodes = rng.between(3, 8) as usize;
        let mut plan = FaultPlan::calm(nodes, rng.bits());
        if rng.chance(40.0) {
            let late = (plan.submitter + 1) % nodes;
            plan.late.push((late, rng.between(SUBMITTED, HEALED)));
        }
        for _ in 0..rng.between(0, 6) {
            let at = rng.between(SUBMITTED - 200 * MS, HEALED - SECOND);
            plan.add(&mut rng, at);
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }

    fn add(&mut self, rng: &mut Rng, at: TrueTime) {
        let nodes = self.nodes as u64;
        let node = rng.between(0, nodes - 1) as usize;
        let length = rng.between(100 * MS, HEALED - at);
        let fault = match rng.between(0, 99) {
            0..=19 => {
                if rng.chance(60.0) {
                    let again = at + rng.between(50 * MS, 4 * SECOND);
                    self.faults.push((again, Fault::Restart(node)));
                }
                Fault::Crash(node)
            }
            20..=44 => Fault::Pause(node, length.min(rng.between(100 * MS, 8 * SECOND))),
            45..=74 => Fault::Partition {
                side: rng.between(1, (1 << nodes) - 2),
                one_way: rng.chance(40.0),
                length,
            },
            75..=91 => Fault::Storm(
                Weather {
                    min: MS,
                    max: rng.between(2, 150) * MS,
                    loss: rng.between(0, 40) as f64,
                    doubled: rng.between(0, 20) as f64,
                    straggling: rng.between(0, 10) as f64,
                },
                length,
            ),
            92..=95 => Fault::Leave(node),
            _ => Fault::Stop {
                by: node,
                graceful: rng.chance(50.0),
            },
        };
        self.faults.push((at, fault));
    }
}
