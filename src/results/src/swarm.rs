//! The swarm as a whole, as JSON has it: what happened in it, and who is connected to whom.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::result::{NodeList, TestList};

/// What happened in the swarm.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct SwarmEvents {
    /// Newest first.
    pub events: Vec<SwarmEvent>,
}

/// Something that happened in the swarm, as the answering node saw it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SwarmEvent {
    /// When, by the answering node's wall clock: RFC 3339, UTC.
    pub at: String,
    /// `joined`, `left` (it said so), `gone` (it did not) or `returned`.
    pub kind: String,
    /// Whom it is about.
    pub peer: String,
    /// That node's name.
    pub name: String,
    /// For people.
    pub text: String,
}

/// Who is connected to whom.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct SwarmLinks {
    /// Each connection as each of its two ends tells it.
    pub links: Vec<SwarmLink>,
    /// Every live node was asked and has answered.
    pub complete: bool,
}

/// A connection, as one of its ends tells it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SwarmLink {
    /// The node that tells it.
    pub from: String,
    /// The other end.
    pub to: String,
    /// As last measured, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// Gossip goes over it: it is in the mesh of a topic.
    pub mesh: bool,
}

/// The swarm at a moment.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SwarmNow {
    /// The nodes.
    pub nodes: NodeList,
    /// The newest tests.
    pub tests: TestList,
    /// The newest events, newest first.
    pub events: Vec<SwarmEvent>,
}
