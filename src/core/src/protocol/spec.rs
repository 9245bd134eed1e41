//! What the protocol needs of a plan, and of this node.

use std::collections::BTreeMap;
use std::time::Duration;

use super::id::{Incarnation, NodeId};
use super::log::{LogEntry, load_changed, paused_for};
use super::messages::TaskDescription;

pub use crate::SLOTS;

/// Most workers of a test: several times the size that a flat swarm is designed for. The list of
/// their shares fits a reply.
pub const MAX_WORKERS: usize = 4_000;
/// Most running tests on a node; announcements beyond it are ignored.
pub const MAX_LIVE_TESTS: usize = 32;

/// How the load is split.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Balance {
    /// In proportion to the capacity of each worker.
    #[default]
    Capacity,
    /// Equally.
    Equal,
}

/// Handling of a lost worker's share (`on_lost_worker`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnLost {
    /// The other workers take it over once its lease has certainly expired.
    #[default]
    Reassign,
    /// The worker keeps it and continues; its slots are never reassigned.
    Hold,
    /// The test ends.
    Fail,
}

/// The part of a plan that the protocol uses.
#[derive(Clone, PartialEq, Debug)]
pub struct TestSpec {
    /// Time from the start to the last arrival of the profile.
    pub length: Duration,
    /// Length of the profile; used once the load has been changed.
    pub end: Duration,
    /// Time limit of the setup, if there is one.
    pub setup: Option<Duration>,
    /// Time limit of the teardown, if there is one.
    pub teardown: Option<Duration>,
    /// Time limit of in-flight requests after the end or a graceful stop.
    pub grace: Duration,
    /// Minimum number of workers at the start.
    pub min_workers: u32,
    /// How the load is split.
    pub balance: Balance,
    /// Handling of a lost worker's share (`on_lost_worker`).
    pub on_lost: OnLost,
    /// Closed model: the highest number of users of the plan.
    pub users: Option<u32>,
    /// Closed model: number of requests after which the test ends, if the plan limits it.
    pub requests: Option<u64>,
    /// Labels that a worker must have.
    pub labels: BTreeMap<String, String>,
    /// Load of the whole swarm, in the terms of the WorkerService message set.
    pub task: TaskDescription,
}

impl TestSpec {
    /// Time limit of setup and teardown together.
    pub fn hook_limit(&self) -> Duration {
        self.setup.unwrap_or_default() + self.teardown.unwrap_or_default()
    }

    /// Duration of the load after the start, given the committed log entries.
    pub fn load_duration(&self, log: &[LogEntry], timings: &Timings) -> Duration {
        match load_changed(log) {
            false => self.length,
            true => self.end + paused_for(log, timings.max_pause),
        }
    }

    /// Reason why a node with these task types and labels cannot take part.
    pub fn exclusion(
        &self,
        task_types: &[String],
        labels: &BTreeMap<String, String>,
    ) -> Option<String> {
        if !task_types.contains(&self.task.task_type) {
            return Some(format!("cannot run {} tasks", self.task.task_type));
        }
        let missing = self
            .labels
            .iter()
            .find(|(k, v)| labels.get(*k) != Some(v))?;
        Some(format!("lacks the label {}={}", missing.0, missing.1))
    }
}

/// Description of this node.
#[derive(Clone, PartialEq, Debug)]
pub struct LocalNode {
    /// Peer and incarnation.
    pub node: NodeId,
    /// Display name.
    pub name: String,
    /// The binary's version.
    pub version: String,
    /// Number of tasks that it can run at once (at least 1).
    pub capacity: u32,
    /// Task types that it can run.
    pub task_types: Vec<String>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// Machine description for display: operating system, cores, memory.
    pub environment: String,
}

impl LocalNode {
    /// The incarnation.
    pub fn incarnation(&self) -> Incarnation {
        self.node.incarnation
    }
}

/// Timing profile of the protocol, for a LAN or a WAN. All nodes of a swarm must use the same.
#[derive(Clone, PartialEq, Debug)]
pub struct Timings {
    /// Length of a coordinator's authority and of an elector's promise. Beats and heartbeats are
    /// sent every quarter of it.
    pub authority_lease: Duration,
    /// Length of a worker's share lease. Longer than a fail-over takes (about 1.3 authority
    /// leases), so that surviving workers do not stop during one.
    pub share_lease: Duration,
    /// An elector of rank r waits r times this long before it may claim.
    pub rank_delay: Duration,
    /// Time between two polls, and between two claims.
    pub ask_interval: Duration,
    /// Most repetitions of one claim.
    pub max_claims: u32,
    /// Time between regular adverts of a node without a test in a small swarm. Whether the node is
    /// live is known from its connections.
    pub advert_interval: Duration,
    /// The same for a node with a running test: its adverts tell the test to nodes that missed the
    /// announcement or the end.
    pub busy_advert_interval: Duration,
    /// Time that registration waits for able nodes that have not registered.
    pub registration_window: Duration,
    /// Time within which a test must start, once a coordinator could read its plan; a setup has its
    /// own limit besides.
    pub start_limit: Duration,
    /// Time from the assignment of shares to the start of the profile, in which every worker must
    /// receive its share and a lease.
    pub start_delay: Duration,
    /// Most heartbeats per second that a coordinator answers. Beyond it, their interval is
    /// stretched.
    pub heartbeats_per_second: u32,
    /// Time between snapshots in a small swarm.
    pub metrics_interval: Duration,
    /// Most time that a pause adds to a test, which ends then.
    pub max_pause: Duration,
    /// Longest round trip that the profile is designed for.
    pub round_trip: Duration,
}

impl Timings {
    /// For a local network: round trips under 20 ms.
    pub fn lan() -> Timings {
        Timings {
            authority_lease: Duration::from_secs(1),
            share_lease: Duration::from_millis(2500),
            rank_delay: Duration::from_millis(200),
            ask_interval: Duration::from_millis(100),
            max_claims: 8,
            advert_interval: Duration::from_secs(10),
            busy_advert_interval: Duration::from_secs(2),
            registration_window: Duration::from_secs(3),
            start_limit: Duration::from_secs(60),
            start_delay: Duration::from_millis(400),
            heartbeats_per_second: 1_000,
            metrics_interval: Duration::from_secs(1),
            max_pause: Duration::from_secs(3600),
            round_trip: Duration::from_millis(20),
        }
    }

    /// Across continents: round trips up to 400 ms.
    pub fn wan() -> Timings {
        Timings {
            authority_lease: Duration::from_secs(4),
            share_lease: Duration::from_secs(10),
            rank_delay: Duration::from_secs(1),
            ask_interval: Duration::from_millis(400),
            registration_window: Duration::from_secs(10),
            start_limit: Duration::from_secs(240),
            start_delay: Duration::from_secs(2),
            round_trip: Duration::from_millis(400),
            ..Timings::lan()
        }
    }

    /// Time between a coordinator's beats.
    pub fn beat_interval(&self) -> Duration {
        self.authority_lease / 4
    }

    /// Time between a worker's heartbeats: a quarter of an authority lease, stretched so that the
    /// coordinator of `workers` workers answers at most `heartbeats_per_second`.
    pub fn heartbeat_interval(&self, workers: usize) -> Duration {
        self.beat_interval()
            .max(Duration::from_secs(workers as u64) / self.heartbeats_per_second.max(1))
    }

    /// Share lease, stretched like the heartbeats.
    pub fn share_lease(&self, workers: usize) -> Duration {
        self.share_lease.mul_f64(self.stretch(workers))
    }

    /// Time for which an answer to a heartbeat may stay unconfirmed: an authority lease, stretched.
    pub fn confirm_within(&self, workers: usize) -> Duration {
        self.authority_lease.mul_f64(self.stretch(workers))
    }

    fn stretch(&self, workers: usize) -> f64 {
        let base = self.beat_interval().as_secs_f64();
        self.heartbeat_interval(workers).as_secs_f64() / base
    }

    /// Time between adverts of a node, `busy` with a test or not: stretched so that a node receives
    /// at most 100 per second.
    pub fn advert_interval(&self, nodes: usize, busy: bool) -> Duration {
        let regular = match busy {
            true => self.busy_advert_interval,
            false => self.advert_interval,
        };
        regular.max(Duration::from_millis(10 * nodes as u64))
    }
}
