//! The state of the swarm: its events and connections. `docs/api.md` describes every field.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::kinds::SwarmEventKind;
use super::lists::{NodeList, TestList};

/// Events of the swarm.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct SwarmEvents {
    /// The events, newest first.
    pub events: Vec<SwarmEvent>,
}

/// An event of the swarm, as seen by the answering node.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SwarmEvent {
    /// Time on the answering node's wall clock: RFC 3339, UTC.
    pub at: String,
    /// Kind of the event.
    pub kind: SwarmEventKind,
    /// Peer id of the node concerned.
    pub peer: String,
    /// Name of that node.
    pub name: String,
    /// Description.
    pub text: String,
}

/// The connections between nodes.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct SwarmLinks {
    /// Each connection, as reported by each of its two ends.
    pub links: Vec<SwarmLink>,
    /// Whether every live node has reported its connections.
    pub complete: bool,
}

/// A connection, as reported by one of its ends.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SwarmLink {
    /// Peer id of the reporting node.
    pub from: String,
    /// Peer id of the other end.
    pub to: String,
    /// Last measured round trip, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// Whether gossip uses it: it is in the mesh of a topic.
    pub mesh: bool,
}

/// A snapshot of the swarm.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SwarmNow {
    /// The nodes.
    pub nodes: NodeList,
    /// The newest tests.
    pub tests: TestList,
    /// The newest events, newest first.
    pub events: Vec<SwarmEvent>,
}
