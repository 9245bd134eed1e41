//! What goes wrong, as a value: a list of timed faults, each with its own end, so that any of
//! them can be left out and the rest still means the same.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::rng::Rng;
use crate::seconds;

/// In which directions a partition lets nothing through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ways {
    /// Neither.
    Both,
    /// Nothing from the side gets out; it still hears the others.
    Out,
    /// Nothing from the others gets in; they still hear the side.
    In,
}

/// Something that goes wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase", deny_unknown_fields)]
pub enum Fault {
    /// The process is killed. It may be started again, as a new incarnation.
    Crash {
        /// Which node.
        node: usize,
        /// After this long.
        #[serde(
            default,
            with = "seconds::maybe",
            skip_serializing_if = "Option::is_none"
        )]
        restart_after: Option<Duration>,
    },
    /// The process stands still (SIGSTOP, a starved CPU); its clock goes on.
    Pause {
        /// Which node.
        node: usize,
        /// For this long.
        #[serde(with = "seconds")]
        lasts: Duration,
    },
    /// Everything that the node does comes late; its engine threads go on.
    Slow {
        /// Which node.
        node: usize,
        /// By at most this much.
        #[serde(with = "seconds")]
        by: Duration,
        /// For this long.
        #[serde(with = "seconds")]
        lasts: Duration,
    },
    /// The network is cut.
    Partition {
        /// The nodes on one side.
        side: Vec<usize>,
        /// In which directions.
        ways: Ways,
        /// For this long.
        #[serde(with = "seconds")]
        lasts: Duration,
    },
    /// Two nodes cannot talk to each other; gossip finds a way around.
    Link {
        /// One.
        a: usize,
        /// The other.
        b: usize,
        /// For this long.
        #[serde(with = "seconds")]
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
        #[serde(with = "seconds")]
        by: Duration,
        /// For this long.
        #[serde(with = "seconds")]
        lasts: Duration,
    },
    /// The node's engine cannot time its load well.
    Overload {
        /// Which node.
        node: usize,
        /// For this long.
        #[serde(with = "seconds")]
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
    /// The node is to take no new share.
    Drain {
        /// Which node.
        node: usize,
    },
    /// Somebody changes the load.
    Scale {
        /// From which node.
        node: usize,
        /// To so many percent of the plan's.
        percent: u32,
    },
    /// Somebody lets the load stand still, and go on after a while.
    Hold {
        /// From which node.
        node: usize,
        /// For this long.
        #[serde(with = "seconds")]
        lasts: Duration,
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
            | Fault::Link { lasts, .. }
            | Fault::Overload { lasts, .. }
            | Fault::Hold { lasts, .. }
            | Fault::Weather { lasts, .. } => *lasts,
            Fault::Join { .. }
            | Fault::Leave { .. }
            | Fault::Drain { .. }
            | Fault::Scale { .. }
            | Fault::Stop { .. } => Duration::ZERO,
        }
    }

    /// The same, over sooner; what happens at once stays as it is.
    pub fn lasting(&self, shorter: Duration) -> Fault {
        let mut fault = self.clone();
        match &mut fault {
            Fault::Pause { lasts, .. }
            | Fault::Slow { lasts, .. }
            | Fault::Partition { lasts, .. }
            | Fault::Link { lasts, .. }
            | Fault::Overload { lasts, .. }
            | Fault::Hold { lasts, .. }
            | Fault::Weather { lasts, .. } => *lasts = shorter,
            Fault::Crash {
                restart_after: Some(after),
                ..
            } => *after = shorter,
            _ => {}
        }
        fault
    }

    /// Which nodes it is about; weather is about all.
    pub fn nodes(&self) -> Vec<usize> {
        match self {
            Fault::Crash { node, .. }
            | Fault::Pause { node, .. }
            | Fault::Slow { node, .. }
            | Fault::Overload { node, .. }
            | Fault::Join { node }
            | Fault::Leave { node }
            | Fault::Drain { node }
            | Fault::Scale { node, .. }
            | Fault::Hold { node, .. }
            | Fault::Stop { node, .. } => vec![*node],
            Fault::Partition { side, .. } => side.clone(),
            Fault::Link { a, b, .. } => vec![*a, *b],
            Fault::Weather { .. } => Vec::new(),
        }
    }

    /// It without a node, the later ones moved down by one; none if nothing is left of it.
    pub fn without(&self, gone: usize) -> Option<Fault> {
        let moved = |n: usize| if n > gone { n - 1 } else { n };
        let mut fault = self.clone();
        match &mut fault {
            Fault::Partition { side, .. } => {
                side.retain(|n| *n != gone);
                side.iter_mut().for_each(|n| *n = moved(*n));
                if side.is_empty() {
                    return None;
                }
            }
            Fault::Weather { .. } => {}
            Fault::Link { a, b, .. } => {
                if *a == gone || *b == gone {
                    return None;
                }
                (*a, *b) = (moved(*a), moved(*b));
            }
            Fault::Crash { node, .. }
            | Fault::Pause { node, .. }
            | Fault::Slow { node, .. }
            | Fault::Overload { node, .. }
            | Fault::Join { node }
            | Fault::Leave { node }
            | Fault::Drain { node }
            | Fault::Scale { node, .. }
            | Fault::Hold { node, .. }
            | Fault::Stop { node, .. } => {
                if *node == gone {
                    return None;
                }
                *node = moved(*node);
            }
        }
        Some(fault)
    }
}

/// A fault and its time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Timed {
    /// When it begins, in true time.
    #[serde(with = "seconds")]
    pub at: Duration,
    /// What.
    #[serde(flatten)]
    pub fault: Fault,
}

impl Timed {
    /// When it is over.
    pub fn over(&self) -> Duration {
        self.at + self.fault.lasts()
    }

    /// It goes on at this time.
    pub fn active(&self, now: Duration) -> bool {
        self.at <= now && now < self.over()
    }
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8.3} s  {:?}", self.at.as_secs_f64(), self.fault)
    }
}

/// Everything that goes wrong in a run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultPlan(pub Vec<Timed>);

impl FaultPlan {
    /// Nothing goes wrong after this; `None` if nothing does at all.
    pub fn healed_at(&self) -> Option<Duration> {
        self.0.iter().map(Timed::over).max()
    }

    /// When something last began or ended before `now`.
    pub fn last_change(&self, now: Duration) -> Option<Duration> {
        let changes = self.0.iter().flat_map(|t| [t.at, t.over()]);
        changes.filter(|at| *at <= now).max()
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
            let fault = match rng.within(0..117) {
                0..18 => Fault::Crash {
                    node,
                    restart_after: rng.chance(500).then_some(lasts),
                },
                18..34 => Fault::Pause { node, lasts },
                34..41 => Fault::Slow {
                    node,
                    by: rng.time(Duration::from_millis(10)..Duration::from_millis(1_500)),
                    lasts,
                },
                41..66 => Fault::Partition {
                    side: {
                        let size = 1 + rng.index(nodes - 1);
                        rng.some_of(nodes, size)
                    },
                    ways: [Ways::Both, Ways::Both, Ways::Out, Ways::In][rng.index(4)],
                    lasts,
                },
                66..71 => Fault::Link {
                    a: node,
                    b: (node + 1 + rng.index(nodes - 1)) % nodes,
                    lasts,
                },
                71..82 => Fault::Weather {
                    loss: rng.within(0..400) as u32,
                    doubled: rng.within(0..200) as u32,
                    late: rng.within(0..300) as u32,
                    by: rng.time(Duration::from_millis(20)..Duration::from_secs(6)),
                    lasts,
                },
                82..88 if node > 0 && !joined.contains(&node) => {
                    joined.push(node);
                    Fault::Join { node }
                }
                88..93 => Fault::Leave { node },
                93..95 => Fault::Drain { node },
                95..97 => Fault::Overload { node, lasts },
                97..99 => Fault::Stop {
                    node,
                    graceful: rng.chance(700),
                },
                99..108 => Fault::Scale {
                    node,
                    percent: rng.within(10..400) as u32,
                },
                108..116 => Fault::Hold { node, lasts },
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
