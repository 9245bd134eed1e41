//! The lists of nodes and tests. `docs/result.md` describes every field.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::kinds::{NodeHealth, NodeStatus, Verdict, state_text};
use super::result::TestResult;
use vajra_core::protocol::messages::TestState;

/// The nodes of the swarm.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct NodeList {
    /// The nodes, the answering one first.
    pub nodes: Vec<NodeEntry>,
    /// Their capacity together.
    pub pool: Pool,
}

/// A node in a list.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct NodeEntry {
    /// Peer id.
    pub peer: String,
    /// Incarnation: greater after every restart.
    pub incarnation: u64,
    /// Name for display, unique in this list: with a number or the short peer id where others have
    /// the same name.
    pub name: String,
    /// Name that the node advertises: the configured one, or else its default name. Not unique.
    #[serde(default)]
    pub configured_name: String,
    /// Whether this is the answering node.
    #[serde(rename = "self")]
    pub is_self: bool,
    /// Multiaddresses at which it can be dialled.
    pub addresses: Vec<String>,
    /// Version of the node.
    pub version: String,
    /// What it is doing.
    pub status: NodeStatus,
    /// Whether its adverts arrive.
    pub health: NodeHealth,
    /// Tasks it can run at once.
    pub capacity: u32,
    /// Tasks it runs now.
    pub load: u32,
    /// Task types it can run.
    pub task_types: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Milliseconds since its last advert; null for the answering node.
    #[serde(default)]
    pub last_seen_ms: Option<u64>,
    /// Last measured round trip, in milliseconds; null without a connection.
    #[serde(default)]
    pub round_trip_ms: Option<f64>,
    /// Offset of its wall clock from the answering node's, in milliseconds; positive if ahead.
    #[serde(default)]
    pub clock_offset_ms: Option<f64>,
    /// Operating system, cores and memory of its machine.
    #[serde(default)]
    pub environment: String,
    /// 99th percentile of its lag in the running tests, in milliseconds, the largest of them;
    /// null if it runs none.
    #[serde(default)]
    pub lag_p99_ms: Option<f64>,
    /// Its share of each running test, 0 to 1, by test id.
    #[serde(default)]
    pub shares: BTreeMap<String, f64>,
}

/// The capacity of several nodes together.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Pool {
    /// Known nodes, including gone ones.
    pub total: u32,
    /// Healthy nodes.
    pub healthy: u32,
    /// Capacity of the healthy nodes, in tasks.
    pub capacity: u64,
    /// Free part of it. Draining and leaving nodes have none: they accept no new share.
    pub available: u64,
    /// Used part of it.
    pub load: u64,
}

impl Pool {
    /// The sums over `nodes`.
    pub fn of(nodes: &[NodeEntry]) -> Pool {
        let mut pool = Pool {
            total: nodes.len() as u32,
            ..Pool::default()
        };
        for n in nodes.iter().filter(|n| n.health == NodeHealth::Healthy) {
            pool.healthy += 1;
            pool.capacity += u64::from(n.capacity);
            pool.load += u64::from(n.load);
            if !matches!(n.status, NodeStatus::Draining | NodeStatus::Leaving) {
                // A node above its capacity does not reduce the free capacity of the others.
                pool.available += u64::from(n.capacity.saturating_sub(n.load));
            }
        }
        pool
    }
}

/// The tests that a node knows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TestList {
    /// The tests, newest first.
    pub tests: Vec<TestEntry>,
}

/// A page of the tests that a node knows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TestPage {
    /// The tests, newest first.
    pub tests: Vec<TestEntry>,
    /// Id of the last of these tests if older ones follow: the value of `before` for the next
    /// page.
    pub next: Option<String>,
}

/// A test in a list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TestEntry {
    /// Test id.
    pub test_id: String,
    /// Name of the plan.
    pub name: Option<String>,
    /// As in [`TestResult`].
    #[serde(with = "state_text")]
    #[schema(value_type = String)]
    pub state: TestState,
    /// As in [`TestResult`].
    pub verdict: Option<Verdict>,
    /// As in [`TestResult`].
    pub started_at: Option<String>,
}

impl From<&TestResult> for TestEntry {
    fn from(result: &TestResult) -> TestEntry {
        TestEntry {
            test_id: result.test_id.clone(),
            name: result.name.clone(),
            state: result.state,
            verdict: result.verdict,
            started_at: result.started_at.clone(),
        }
    }
}

impl TestResult {
    /// The test's entry in a list.
    pub fn entry(&self) -> TestEntry {
        TestEntry::from(self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_with_words_of_a_newer_version_can_be_read() {
        let text = r#"{"test_id": "t", "name": null, "state": "archiving", "verdict": "doubtful",
            "started_at": null}"#;
        let read: TestEntry = serde_json::from_str(text).unwrap();
        assert_eq!(read.verdict, Some(Verdict::Unknown));
        assert_eq!(read.state, TestState::Running);
    }
}
