//! Faults: a list of timed faults, each with its own end, so that any of them can be removed
//! without changing the others.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::rng::Rng;
use crate::seconds;

/// Directions in which a partition blocks messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ways {
    /// Both directions.
    Both,
    /// From the side to the others.
    Out,
    /// From the others to the side.
    In,
}

/// A fault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase", deny_unknown_fields)]
pub enum Fault {
    /// The process is killed, and optionally restarted as a new incarnation.
    Crash {
        /// Affected node.
        node: usize,
        /// Delay of the restart.
        #[serde(
            default,
            with = "seconds::maybe",
            skip_serializing_if = "Option::is_none"
        )]
        restart_after: Option<Duration>,
    },
    /// The machine reboots: its process is killed and started again, and its clock starts anew.
    Reboot {
        /// Affected node.
        node: usize,
        /// Time until the process runs again.
        #[serde(with = "seconds")]
        off_for: Duration,
        /// What the clock shows then.
        #[serde(with = "seconds")]
        uptime: Duration,
    },
    /// The control threads of these nodes run only now and then, and then handle all inputs that
    /// have arrived, in order (a starved CPU). Their engine threads are not affected.
    Stall {
        /// Affected nodes.
        nodes: Vec<usize>,
        /// Longest time between two runs.
        #[serde(with = "seconds")]
        by: Duration,
        /// Duration.
        #[serde(with = "seconds")]
        lasts: Duration,
    },
    /// The process is paused (SIGSTOP, a starved CPU); its clock continues.
    Pause {
        /// Affected node.
        node: usize,
        /// Duration.
        #[serde(with = "seconds")]
        lasts: Duration,
    },
    /// The node also sends forged messages, signed with its own key.
    Captured {
        /// Affected node.
        node: usize,
        /// Duration.
        #[serde(with = "seconds")]
        lasts: Duration,
    },
    /// The process is slow; its engine threads are not.
    Slow {
        /// Affected node.
        node: usize,
        /// Longest delay.
        #[serde(with = "seconds")]
        by: Duration,
        /// Duration.
        #[serde(with = "seconds")]
        lasts: Duration,
    },
    /// The network is partitioned.
    Partition {
        /// Nodes on one side.
        side: Vec<usize>,
        /// Blocked directions.
        ways: Ways,
        /// Duration.
        #[serde(with = "seconds")]
        lasts: Duration,
    },
    /// A link between two nodes is cut; gossip is relayed around it.
    Link {
        /// First node.
        a: usize,
        /// Second node.
        b: usize,
        /// Duration.
        #[serde(with = "seconds")]
        lasts: Duration,
    },
    /// The network loses, duplicates and delays messages between all nodes.
    Weather {
        /// Lost messages per thousand.
        loss: u32,
        /// Duplicated messages per thousand.
        doubled: u32,
        /// Delayed messages per thousand.
        late: u32,
        /// Longest delay.
        #[serde(with = "seconds")]
        by: Duration,
        /// Duration.
        #[serde(with = "seconds")]
        lasts: Duration,
    },
    /// The node's engine cannot time its load well.
    Overload {
        /// Affected node.
        node: usize,
        /// Duration.
        #[serde(with = "seconds")]
        lasts: Duration,
    },
    /// The node starts at this time.
    Join {
        /// Affected node.
        node: usize,
    },
    /// The node leaves gracefully.
    Leave {
        /// Affected node.
        node: usize,
    },
    /// The node is drained.
    Drain {
        /// Affected node.
        node: usize,
    },
    /// The load is scaled.
    Scale {
        /// Requesting node.
        node: usize,
        /// Percent of the plan's load.
        percent: u32,
    },
    /// The load is paused and later resumed.
    Hold {
        /// Requesting node.
        node: usize,
        /// Duration.
        #[serde(with = "seconds")]
        lasts: Duration,
    },
    /// The test is stopped.
    Stop {
        /// Requesting node.
        node: usize,
        /// Whether in-flight requests may finish.
        graceful: bool,
    },
}

impl Fault {
    /// Duration; zero for an instantaneous fault.
    pub fn duration(&self) -> Duration {
        match self {
            Fault::Crash { restart_after, .. } => restart_after.unwrap_or_default(),
            Fault::Reboot { off_for, .. } => *off_for,
            Fault::Pause { lasts, .. }
            | Fault::Stall { lasts, .. }
            | Fault::Slow { lasts, .. }
            | Fault::Partition { lasts, .. }
            | Fault::Link { lasts, .. }
            | Fault::Overload { lasts, .. }
            | Fault::Captured { lasts, .. }
            | Fault::Hold { lasts, .. }
            | Fault::Weather { lasts, .. } => *lasts,
            Fault::Join { .. }
            | Fault::Leave { .. }
            | Fault::Drain { .. }
            | Fault::Scale { .. }
            | Fault::Stop { .. } => Duration::ZERO,
        }
    }

    /// The same fault with another duration, unless it is instantaneous.
    pub fn with_duration(&self, shorter: Duration) -> Fault {
        let mut fault = self.clone();
        match &mut fault {
            Fault::Pause { lasts, .. }
            | Fault::Stall { lasts, .. }
            | Fault::Slow { lasts, .. }
            | Fault::Partition { lasts, .. }
            | Fault::Link { lasts, .. }
            | Fault::Overload { lasts, .. }
            | Fault::Captured { lasts, .. }
            | Fault::Hold { lasts, .. }
            | Fault::Weather { lasts, .. } => *lasts = shorter,
            Fault::Reboot { off_for, .. } => *off_for = shorter,
            Fault::Crash {
                restart_after: Some(after),
                ..
            } => *after = shorter,
            _ => {}
        }
        fault
    }

    /// Affected nodes; none for a fault of the whole network.
    pub fn nodes(&self) -> Vec<usize> {
        match self {
            Fault::Crash { node, .. }
            | Fault::Reboot { node, .. }
            | Fault::Pause { node, .. }
            | Fault::Slow { node, .. }
            | Fault::Overload { node, .. }
            | Fault::Captured { node, .. }
            | Fault::Join { node }
            | Fault::Leave { node }
            | Fault::Drain { node }
            | Fault::Scale { node, .. }
            | Fault::Hold { node, .. }
            | Fault::Stop { node, .. } => vec![*node],
            Fault::Partition { side: nodes, .. } | Fault::Stall { nodes, .. } => nodes.clone(),
            Fault::Link { a, b, .. } => vec![*a, *b],
            Fault::Weather { .. } => Vec::new(),
        }
    }

    /// The fault without a node, with later nodes renumbered; `None` if nothing is left of it.
    pub fn without(&self, gone: usize) -> Option<Fault> {
        let moved = |n: usize| if n > gone { n - 1 } else { n };
        let mut fault = self.clone();
        match &mut fault {
            Fault::Partition { side: nodes, .. } | Fault::Stall { nodes, .. } => {
                nodes.retain(|n| *n != gone);
                nodes.iter_mut().for_each(|n| *n = moved(*n));
                if nodes.is_empty() {
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
            | Fault::Reboot { node, .. }
            | Fault::Pause { node, .. }
            | Fault::Slow { node, .. }
            | Fault::Overload { node, .. }
            | Fault::Captured { node, .. }
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

/// A fault and its start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Timed {
    /// True time of the start.
    #[serde(with = "seconds")]
    pub at: Duration,
    /// Fault.
    #[serde(flatten)]
    pub fault: Fault,
}

impl Timed {
    /// Time of its end.
    pub fn over(&self) -> Duration {
        self.at + self.fault.duration()
    }

    /// Whether it is active at this time.
    pub fn active(&self, now: Duration) -> bool {
        self.at <= now && now < self.over()
    }
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8.3} s  {:?}", self.at.as_secs_f64(), self.fault)
    }
}

/// All faults of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultPlan(pub Vec<Timed>);

impl FaultPlan {
    /// End of the last fault; `None` without faults.
    pub fn healed_at(&self) -> Option<Duration> {
        self.0.iter().map(Timed::over).max()
    }

    /// Last start or end of a fault before `now`.
    pub fn last_change(&self, now: Duration) -> Option<Duration> {
        let changes = self.0.iter().flat_map(|t| [t.at, t.over()]);
        changes.filter(|at| *at <= now).max()
    }

    /// Whether no fault is active in this time and none that lasts begins in it. Commands of
    /// operators are no faults, and captured nodes disturb nothing.
    pub fn quiet(&self, from: Duration, to: Duration) -> bool {
        let disturbs = |f: &Fault| {
            !matches!(
                f,
                Fault::Scale { .. } | Fault::Hold { .. } | Fault::Captured { .. }
            )
        };
        let mut faults = self.0.iter().filter(|t| disturbs(&t.fault));
        !faults.any(|t| t.at <= to && t.over() >= from)
    }

    /// Start of a node that does not run from the beginning.
    pub fn joins_at(&self, who: usize) -> Option<Duration> {
        self.0.iter().find_map(|t| match t.fault {
            Fault::Join { node } if node == who => Some(t.at),
            _ => None,
        })
    }

    /// Random faults for `nodes` nodes within the given time. Node 0 runs from the beginning.
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

    /// Whether any node is captured.
    pub fn captured(&self) -> bool {
        let mut faults = self.0.iter();
        faults.any(|t| matches!(t.fault, Fault::Captured { .. }))
    }

    /// A captured node in a part of the runs.
    pub fn capture(rng: &mut Rng, nodes: usize, from: Duration, until: Duration) -> Option<Timed> {
        let at = rng.time(from..until);
        let fault = Fault::Captured {
            node: rng.index(nodes),
            lasts: rng.time(Duration::from_secs(1)..Duration::from_secs(25)),
        };
        rng.chance(250).then_some(Timed { at, fault })
    }

    /// Faults of machines: reboots and starved control threads. They have a stream of their own, so
    /// that the others of a seed stay the same.
    pub fn of_machines(rng: &mut Rng, nodes: usize, from: Duration, until: Duration) -> Vec<Timed> {
        let count = [0, 0, 1, 1, 2][rng.index(5)];
        let faults = (0..count).map(|_| {
            let at = rng.time(from..until);
            let lasts = rng
                .time(Duration::from_millis(200)..Duration::from_secs(9))
                .min(until - at);
            let node = rng.index(nodes);
            let fault = match rng.within(0..2) {
                0 => Fault::Reboot {
                    node,
                    off_for: lasts,
                    uptime: rng.time(Duration::from_millis(100)..Duration::from_secs(40)),
                },
                _ => Fault::Stall {
                    nodes: {
                        let size = 1 + rng.index(nodes);
                        rng.some_of(nodes, size)
                    },
                    by: rng.time(Duration::from_millis(20)..Duration::from_millis(1_200)),
                    lasts,
                },
            };
            Timed { at, fault }
        });
        faults.collect()
    }
}
