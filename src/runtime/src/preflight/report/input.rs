//! What a report is made of: the plan, this node and the answers of all nodes.

use std::time::Duration;

use vajra_core::protocol::Digest;
use vajra_core::protocol::preflight::PreflightReply;
use vajra_network::RequestFailed;
use vajra_plan::Plan;

/// A node and its answer.
#[derive(Debug)]
pub struct CheckedNode {
    /// Its peer id.
    pub peer: String,
    /// Its name.
    pub name: String,
    /// It is this node.
    pub is_self: bool,
    /// Its version.
    pub version: String,
    /// Concurrent tasks that it offers.
    pub capacity: u32,
    /// It runs another test.
    pub running: bool,
    /// Its answer.
    pub answer: NodeAnswer,
    /// Milliseconds that its clock is ahead of this node's, and the round trip.
    pub clock: Option<(i64, Duration)>,
}

/// The answer of a node.
#[derive(Debug)]
pub enum NodeAnswer {
    /// Not asked: by its advert it takes no part.
    Unfit(String),
    /// Not asked, since there are too many nodes. By its advert it takes part.
    NotAsked,
    /// It checked the plan.
    Checked(PreflightReply),
    /// It is busy, or does not support pre-flight checks.
    Refused(String),
    /// The request failed.
    Failed(RequestFailed),
}

/// What the answers are compared with.
#[derive(Debug)]
pub struct SwarmContext<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its digest.
    pub digest: Digest,
    /// Longest round trip that the protocol timing profile is made for.
    pub round_trip: Duration,
    /// Authority lease of a coordinator.
    pub authority_lease: Duration,
    /// This node's version.
    pub version: &'a str,
}

impl CheckedNode {
    /// Whether it can take part in the test.
    pub fn is_able(&self) -> bool {
        match &self.answer {
            NodeAnswer::Checked(reply) => reply.able,
            NodeAnswer::NotAsked => true,
            NodeAnswer::Unfit(_) | NodeAnswer::Refused(_) | NodeAnswer::Failed(_) => false,
        }
    }
}
