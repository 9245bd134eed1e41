//! What a node shows to a monitoring system: everything that `/metrics` tells, as it is at one
//! instant. Taking it is cheap: histograms stay encoded, and are shared.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use libp2p::metrics::Registry;

use super::driver::Driver;
use vajra_core::protocol::membership::{Health, Known};
use vajra_core::protocol::merge::WorkerMetrics;
use vajra_core::protocol::messages::TestState;
use vajra_core::protocol::test_run::TestRun;
use vajra_core::protocol::{NodeId, TestId};
use vajra_network::NetworkStats;
use vajra_plan::Limits;
use vajra_results::{NodeList, Verdict, state_name};

/// How long a test is shown after its end: several scrapes of a minute apart see its last
/// figures, and then its series end.
pub const SHOWN_AFTER_END: Duration = Duration::from_secs(300);
/// Most tests shown at once, the newest: more would be more series than anybody reads.
pub const MAX_SHOWN: usize = 32;

/// What a node is and sees.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The swarm, the answering node first.
    pub nodes: NodeList,
    /// How many tests there are of each state that any is in.
    pub by_state: BTreeMap<&'static str, u64>,
    /// The tests that go on, and those that ended less than [`SHOWN_AFTER_END`] ago.
    pub tests: Vec<ObservedTest>,
    /// What the network counted; none when standing alone.
    pub network: Option<NetworkStats>,
    /// What libp2p counted.
    pub libp2p: Option<Arc<Registry>>,
    /// Engine threads that a test gets here.
    pub engine_threads: usize,
}

/// A test, as this node sees it.
#[derive(Clone, PartialEq, Debug)]
pub struct ObservedTest {
    /// Which.
    pub id: TestId,
    /// Its name; may be empty.
    pub name: String,
    /// How far it is.
    pub phase: TestState,
    /// `valid`, `degraded`, `invalid`; none before the result is there.
    pub verdict: Option<Verdict>,
    /// Since the start of the profile; zero before it.
    pub elapsed: Duration,
    /// Length of the profile.
    pub duration: Duration,
    /// Arrivals a second that the plan asks for now; 0 in the closed model, for scenarios and
    /// after the end.
    pub asked: f64,
    /// Users that the plan asks for now; 0 in the open model and after the end.
    pub users: u32,
    /// The newest term in which somebody was elected; 0 before.
    pub term: u64,
    /// How often a coordinator followed another one.
    pub coordinator_changes: u64,
    /// What the plan allows before the result is invalid.
    pub limits: Limits,
    /// The workers' newest metrics.
    pub workers: Vec<ObservedWorker>,
}

/// A worker of a test.
#[derive(Clone, PartialEq, Debug)]
pub struct ObservedWorker {
    /// It is the node that answers, in this life.
    pub is_self: bool,
    /// What it measured.
    pub metrics: WorkerMetrics,
    /// Its test's coordinator lost it, or it is gone from the swarm. Its metrics still say what
    /// share it had.
    pub lost: bool,
}

impl ObservedWorker {
    /// It carries a share of the load now.
    pub fn carries(&self) -> bool {
        !self.lost && self.metrics.slots > 0
    }
}

impl Driver {
    pub(super) fn observe(&self) -> Observation {
        let now = self.now();
        let recent = self.core.tests().values().filter(|t| {
            t.ended_at()
                .is_none_or(|at| now.since(at) <= SHOWN_AFTER_END)
        });
        // Ids sort by the time of their start.
        let shown = recent.rev().take(MAX_SHOWN);
        let mut by_state: BTreeMap<&'static str, u64> = BTreeMap::new();
        for test in self.core.tests().values() {
            *by_state.entry(state_name(test.state())).or_default() += 1;
        }
        let forgotten = self.old.keys();
        let forgotten = forgotten.filter(|id| !self.core.tests().contains_key(id));
        *by_state.entry(state_name(TestState::Ended)).or_default() += forgotten.count() as u64;
        Observation {
            nodes: self.nodes(),
            by_state,
            tests: shown.map(|t| self.observe_test(t)).collect(),
            network: self.net().map(|net| net.stats()),
            libp2p: self.net().map(|net| net.libp2p_metrics()),
            engine_threads: self.room.threads,
        }
    }

    fn observe_test(&self, t: &TestRun) -> ObservedTest {
        let served = self.tests.get(&t.id());
        let plan = served.and_then(|s| s.plan.as_deref());
        let started = t.start().map_or(0, |s| self.now().signed_since(s));
        let result = served.and_then(|s| s.result.as_ref());
        let mut elapsed = Duration::from_nanos(started.max(0) as u64);
        if let Some(result) = result {
            elapsed = Duration::from_secs_f64(result.duration_s.max(0.0));
        }
        let (mut asked, mut users, duration_s) = self.asked(t.id(), t, elapsed);
        if t.state() == TestState::Ended {
            (asked, users) = (0.0, 0);
        }
        let reigns = t.tenures();
        ObservedTest {
            id: t.id(),
            name: t.announcement().name.clone(),
            phase: t.state(),
            verdict: result.and_then(|r| r.verdict),
            elapsed,
            duration: Duration::from_secs_f64(duration_s),
            asked,
            users,
            term: reigns.iter().map(|r| r.term).max().unwrap_or(0),
            coordinator_changes: reigns.len().saturating_sub(1) as u64,
            limits: plan.map(|plan| plan.limits.clone()).unwrap_or_default(),
            workers: self.observe_workers(t),
        }
    }

    fn observe_workers(&self, t: &TestRun) -> Vec<ObservedWorker> {
        let (me, lost) = (&self.core.local().node, t.lost());
        let carrying = t.merge().workers().iter().filter(|(_, m)| m.had_load());
        let workers = carrying.map(|(node, metrics)| ObservedWorker {
            is_self: node == me,
            metrics: metrics.clone(),
            lost: lost.contains_key(node) || self.is_away(node),
        });
        workers.collect()
    }

    fn is_away(&self, node: &NodeId) -> bool {
        let here = |k: &Known| k.advert.node == *node && k.health(self.now()) != Health::Gone;
        *node != self.core.local().node && !self.core.members().get(&node.peer).is_some_and(here)
    }
}
