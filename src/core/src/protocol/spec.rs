//! What the protocol must know of a plan, and of this node's part in it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::decisions::{LogEntry, prolonged, steered};
use super::id::{Digest, Incarnation, NodeId, TestId};
use super::messages::TaskDescription;

/// The whole of a plan's load, in slots.
pub const SLOTS: u32 = 1_000_000;

/// How the load is split.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Balance {
    /// In proportion to the capacity that each worker states.
    #[default]
    Capacity,
    /// The same for each worker.
    Equal,
}

/// What happens to the share of a lost worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnLost {
    /// The others take it over once its lease has certainly lapsed.
    #[default]
    Reassign,
    /// It keeps it and runs on; its slots are never given away.
    Hold,
    /// The test ends.
    Fail,
}

/// A plan, as far as the protocol is concerned.
#[derive(Clone, PartialEq, Debug)]
pub struct TestSpec {
    /// Until the last arrival of the profile.
    pub length: Duration,
    /// Length of the profile, which counts once the load was changed.
    pub end: Duration,
    /// The longest that the setup may take, if there is one.
    pub setup: Option<Duration>,
    /// The longest that the teardown may take, if there is one.
    pub teardown: Option<Duration>,
    /// How long in-flight requests may take after the end or a graceful stop.
    pub grace: Duration,
    /// Fewest workers to start with.
    pub min_workers: u32,
    /// How the load is split.
    pub balance: Balance,
    /// What happens to the share of a lost worker.
    pub on_lost: OnLost,
    /// Only nodes with all these labels take part.
    pub labels: BTreeMap<String, String>,
    /// The load in the message set's terms, for the whole swarm.
    pub task: TaskDescription,
}

impl TestSpec {
    /// The longest that setup and teardown may take together.
    pub fn around(&self) -> Duration {
        self.setup.unwrap_or_default() + self.teardown.unwrap_or_default()
    }

    /// How long load is made, after the start, with what was decided on the way.
    pub fn lasts(&self, decisions: &[LogEntry], timings: &Timings) -> Duration {
        match steered(decisions) {
            false => self.length,
            true => self.end + prolonged(decisions, timings.max_pause),
        }
    }

    /// Why a node with these task types and labels takes no part, if so.
    pub fn unfit(
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

/// This node, as it describes itself.
#[derive(Clone, PartialEq, Debug)]
pub struct LocalNode {
    /// Peer and incarnation.
    pub node: NodeId,
    /// A name for people.
    pub name: String,
    /// The binary's version.
    pub version: String,
    /// How many tasks it can run at once (at least 1).
    pub capacity: u32,
    /// Task types it can run.
    pub task_types: Vec<String>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// What the machine is, for people: operating system, cores, memory.
    pub environment: String,
}

/// A plan's bytes and digest, as the submitter hands them in.
#[derive(Clone, PartialEq, Debug)]
pub struct Submission {
    /// The new test's id.
    pub test: TestId,
    /// The plan's name, for people.
    pub name: String,
    /// The plan's canonical bytes.
    pub plan: std::sync::Arc<[u8]>,
    /// Unix time in milliseconds; for people only.
    pub unix_ms: u64,
}

impl Submission {
    /// SHA-256 of the plan.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.plan)
    }
}

impl LocalNode {
    /// The incarnation.
    pub fn incarnation(&self) -> Incarnation {
        self.node.incarnation
    }
}

/// The protocol's clockwork. There is one for a LAN and one for a WAN; all
/// nodes of a swarm must use the same.
#[derive(Clone, PartialEq, Debug)]
pub struct Timings {
    /// How long a coordinator's authority, and an elector's promise, lasts. Beats and
    /// heartbeats come every quarter of it.
    pub authority_lease: Duration,
    /// How long a worker's share lasts unrenewed. Longer than a fail-over takes (about 1.3
    /// authority leases), so that no surviving worker stops for one.
    pub share_lease: Duration,
    /// An elector of rank r waits r times this before it may claim.
    pub rank_delay: Duration,
    /// Time between two polls, and between two sendings of a claim.
    pub ask_interval: Duration,
    /// Most sendings of one claim.
    pub max_claims: u32,
    /// Time between regular adverts in a small swarm.
    pub advert_interval: Duration,
    /// How long registration waits for nodes that are known and able, but silent.
    pub registration_window: Duration,
    /// From the assignment of shares to the start of the profile: time for every worker to
    /// receive its share and have a lease.
    pub start_delay: Duration,
    /// Most heartbeats a second that a coordinator answers; beyond it, they stretch.
    pub heartbeats_a_second: u32,
    /// Time between snapshots in a small swarm.
    pub metrics_interval: Duration,
    /// By how much a test's end moves at most while it is paused; then it ends.
    pub max_pause: Duration,
    /// The longest round trip that all of this is meant for.
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
            advert_interval: Duration::from_secs(2),
            registration_window: Duration::from_secs(3),
            start_delay: Duration::from_millis(400),
            heartbeats_a_second: 1_000,
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
            start_delay: Duration::from_secs(2),
            round_trip: Duration::from_millis(400),
            ..Timings::lan()
        }
    }

    /// Time between beats of a coordinator.
    pub fn beat_interval(&self) -> Duration {
        self.authority_lease / 4
    }

    /// Time between heartbeats of each of `workers` workers: a quarter of an authority lease,
    /// stretched so that a coordinator answers no more a second than it can.
    pub fn heartbeat_interval(&self, workers: usize) -> Duration {
        self.beat_interval()
            .max(Duration::from_secs(workers as u64) / self.heartbeats_a_second.max(1))
    }

    /// The share lease, stretched as the heartbeats are.
    pub fn share_lease(&self, workers: usize) -> Duration {
        self.share_lease.mul_f64(self.stretch(workers))
    }

    /// How long an answer to a heartbeat may stay unconfirmed: an authority lease, stretched.
    pub fn confirm_within(&self, workers: usize) -> Duration {
        self.authority_lease.mul_f64(self.stretch(workers))
    }

    fn stretch(&self, workers: usize) -> f64 {
        let base = self.beat_interval().as_secs_f64();
        self.heartbeat_interval(workers).as_secs_f64() / base
    }

    /// Time between adverts: stretched so that a node receives at most 100 a second.
    pub fn advert_interval(&self, nodes: usize) -> Duration {
        self.advert_interval
            .max(Duration::from_millis(10 * nodes as u64))
    }
}
