//! Figures for a monitoring system: the contents of `/metrics` at one instant. Taking them is cheap,
//! since histograms stay encoded and are shared.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use libp2p::metrics::Registry;

use vajra_core::protocol::TestId;
use vajra_core::protocol::merge::WorkerMetrics;
use vajra_core::protocol::messages::TestState;
use vajra_network::NetworkStats;
use vajra_plan::Limits;
use vajra_results::NodeList;
use vajra_results::Verdict;

/// How long a test is included after its end, so that several scrapes one minute apart see its last
/// figures.
pub const SHOWN_AFTER_END: Duration = Duration::from_secs(300);
/// Most tests included, the newest; it limits the number of series.
pub const MAX_SHOWN: usize = 32;

/// The figures of a node.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The nodes of the swarm, this one first.
    pub nodes: NodeList,
    /// Number of tests by state.
    pub by_state: BTreeMap<TestState, u64>,
    /// The running tests, and those that ended less than [`SHOWN_AFTER_END`] ago.
    pub tests: Vec<ObservedTest>,
    /// Counters of the network; none without a swarm.
    pub network: Option<NetworkStats>,
    /// Metrics of libp2p; none without a swarm.
    pub libp2p: Option<Arc<Registry>>,
    /// Engine threads per test.
    pub engine_threads: usize,
}

/// A test, as seen by this node.
#[derive(Clone, PartialEq, Debug)]
pub struct ObservedTest {
    /// Its id.
    pub id: TestId,
    /// Its name; may be empty.
    pub name: String,
    /// Its state.
    pub state: TestState,
    /// `valid`, `degraded` or `invalid`; none before the result is final.
    pub verdict: Option<Verdict>,
    /// Time since the start of the profile; zero before it.
    pub elapsed: Duration,
    /// Length of the profile.
    pub duration: Duration,
    /// Planned arrivals per second; 0 in the closed model, for scenarios and after the end.
    pub planned: f64,
    /// Planned users; 0 in the open model and after the end.
    pub users: u32,
    /// Newest term with an elected coordinator; 0 before the first.
    pub term: u64,
    /// Number of coordinator changes.
    pub coordinator_changes: u64,
    /// Limits of the plan for a valid result.
    pub limits: Limits,
    /// The newest metrics of the workers.
    pub workers: Vec<ObservedWorker>,
}

/// A worker of a test.
#[derive(Clone, PartialEq, Debug)]
pub struct ObservedWorker {
    /// It is this node, in its current incarnation.
    pub is_self: bool,
    /// Its metrics.
    pub metrics: WorkerMetrics,
    /// The coordinator counts it as lost, or it has disappeared from the swarm. Its metrics still
    /// contain its last share.
    pub lost: bool,
}

impl ObservedWorker {
    /// Whether it has a share of the load now.
    pub fn carries(&self) -> bool {
        !self.lost && self.metrics.slots > 0
    }
}
