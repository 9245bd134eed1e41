//! What goes wrong, as a value: a list of timed faults, each with its own end, so that any of
//! them can be left out and the rest still means the same.

use std::fmt;
use std::time::Duration;

use crate::rng::Rng;

/// In which directions a partition lets nothing through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ways {
    /// Neither.
    Both,
    /// Nothing from the side gets out; it still hears the others.
    Out,
    /// Nothing from the others gets in; they still hear the side.
    In,
}

/// Something that goes wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The process is killed. It may be started again, as a new incarnation.
    Crash {
        /// Which node.
        node: usize,
        /// After this long.
        restart_after: Option<Duration>,
    },
    /// The process stands still (SIGSTOP, a starved CPU); its clock goes on.
    Pause {
        /// Which node.
        node: usize,
        /// For this long.
        lasts: Duration,
    },
    /// Everything that the node does comes late; its engine threads go on.
    Slow {
        /// Which node.
        node: usize,
        /// By at most this much.
        by: Duration,
        /// For this long.
        lasts: Duration,
    },
    /// The network is cut.
    Partition {
        /// The nodes on one side.
        side: Vec<usize>,
        /// In which directions.
        ways: Ways,
        /// For this long.
        lasts: Duration,
    },
    /// The network loses, doubles and delays messages between all nodes.
    Weather {
        /// Messages lost, of a thousand.
        loss: u32,
        /// Messages doubled, of a thousand.
        doubled: u32,
        /// Messages delayed, of a thousand.
        late: u32,
        /// By at most this much.
        by: Duration,
        /// For this long.
        lasts: Duration,
    },
    /// The node is started only now.
    Join {
        /// Which node.
        node: usize,
    },
    /// The node leaves politely.
    Leave {
        /// Which node.
        node: usize,
    },
    /// Somebody stops the test.
    Stop {
        /// From which node.
        node: usize,
        /// In-flight requests may finish.
        graceful: bool,
    },
}

impl Fault {
    /// How long it lasts; what happens at once lasts no time.
    pub fn lasts(&self) -> Duration {
        match self {
            Fault::Crash { restart_after, .. } => restart_after.unwrap_or_default(),
            Fault::Pause { lasts, .. }
            | Fault::Slow { lasts, .. }
            | Fault::Partition { lasts, .. }
            | Fault::Weather { lasts, .. } => *lasts,
            Fault::Join { .. } | Fault::Leave { .. } | Fault::Stop { .. } => Duration::ZERO,
        }
    }
}

/// A fault and its time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timed {
    /// When it begins, in true time.
    pub at: Duration,
    /// What.
    pub fault: Fault,
}

impl Timed {
    /// When it is over.
    pub fn over(&self) -> Duration {
        self.at + self.fault.lasts()
    }
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8.3} s  {:?}", self.at.as_secs_f64(), self.fault)
    }
}

/// Everything that goes wrong in a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FaultPlan(pub Vec<Timed>);

impl FaultPlan {
    /// Nothing goes wrong after this; `None` if nothing does at all.
    pub fn healed_at(&self) -> Option<Duration> {
        self.0.iter().map(Timed::over).max()
    }

    /// When a node is started, if not at the beginning.
    pub fn joins_at(&self, who: usize) -> Option<Duration> {
        self.0.iter().find_map(|t| match t.fault {
            Fault::Join { node } if node == who => Some(t.at),
            _ => None,
        })
    }

    /// A plan for `nodes` nodes within the given time, in which node 0 is there from the
    /// beginning.
    pub fn random(rng: &mut Rng, nodes: usize, from: Duration, until: Duration) -> FaultPlan {
        let mut plan = Vec::new();
        let mut joined = Vec::new();
        for _ in 0..1 + rng.index(7) {
            let at = rng.time(from..until);
            let left = until - at;
            let lasts = rng
                .time(Duration::from_millis(5)..Duration::from_secs(9))
                .min(left);
            let node = rng.index(nodes);
            let fault = match rng.within(0..100) {
                0..20 => Fault::Crash {
                    node,
                    restart_after: rng.chance(500).then_some(lasts),
                },
                20..38 => Fault::Pause { node, lasts },
                38..46 => Fault::Slow {
                    node,
                    by: rng.time(Duration::from_millis(10)..Duration::from_millis(1_500)),
                    lasts,
                },
                46..72 => Fault::Partition {
                    side: {
                        let size = 1 + rng.index(nodes - 1);
                        rng.some_of(nodes, size)
                    },
                    ways: [Ways::Both, Ways::Both, Ways::Out, Ways::In][rng.index(4)],
                    lasts,
                },
                72..84 => Fault::Weather {
                    loss: rng.within(0..400) as u32,
                    doubled: rng.within(0..200) as u32,
                    late: rng.within(0..300) as u32,
                    by: rng.time(Duration::from_millis(20)..Duration::from_secs(6)),
                    lasts,
                },
                84..91 if node > 0 && !joined.contains(&node) => {
                    joined.push(node);
                    Fault::Join { node }
                }
                91..97 => Fault::Leave { node },
                97..99 => Fault::Stop {
                    node,
                    graceful: rng.chance(700),
                },
                _ => Fault::Pause {
                    node,
                    lasts: lasts / 2,
                },
            };
            plan.push(Timed { at, fault });
        }
        plan.sort_by_key(|t| t.at);
        FaultPlan(plan)
    }
}
