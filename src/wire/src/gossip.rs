//! Gossip messages and their topics.

use std::sync::Arc;

use pb::v1::gossip::Body;
use prost::Message as _;

use super::decode;
use super::limits::MAX_GOSSIP;
use super::{Wire, WireError, pb};
use vajra_core::protocol::messages::Gossip;

/// A gossip topic. Tests share the topics: a topic per test would need its own mesh, and gossipsub
/// delays subscribing again after unsubscribing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Adverts.
    Nodes,
    /// Announcements, elections, beats, commands and ends of tests.
    Tests,
    /// Snapshots.
    Metrics,
}

impl Topic {
    /// All topics.
    pub const ALL: [Topic; 3] = [Topic::Nodes, Topic::Tests, Topic::Metrics];
}

/// Encodes a gossip message, and returns its topic.
///
/// Two kinds may exceed [`MAX_GOSSIP`], which the caller must check: snapshots not split by
/// [`split_snapshot`](super::split_snapshot), and the end of a test with several hundred workers,
/// since its roster is never cut.
pub fn encode_gossip(message: &Gossip) -> (Topic, Vec<u8>) {
    let (topic, body) = match message {
        Gossip::Advert(a) => (Topic::Nodes, Body::Advert(a.to_wire())),
        Gossip::Test(t) => (Topic::Tests, Body::Test(t.to_wire())),
        Gossip::Snapshot(s) => (Topic::Metrics, Body::Snapshot(s.to_wire())),
    };
    (topic, pb::v1::Gossip { body: Some(body) }.encode_to_vec())
}

/// Decodes a gossip message of a topic.
///
/// # Errors
/// Any [`WireError`]. One [of a newer version](WireError::is_newer) is not a fault of the author.
pub fn decode_gossip(topic: Topic, bytes: &[u8]) -> Result<Gossip, WireError> {
    decode::size(bytes, MAX_GOSSIP)?;
    let message = pb::v1::Gossip::decode(bytes)?;
    match (topic, message.body.ok_or(WireError::Unknown("gossip"))?) {
        (Topic::Nodes, Body::Advert(a)) => Ok(Gossip::Advert(Arc::new(Wire::from_wire(a)?))),
        (Topic::Tests, Body::Test(t)) => Ok(Gossip::Test(Wire::from_wire(t)?)),
        (Topic::Metrics, Body::Snapshot(s)) => Ok(Gossip::Snapshot(Wire::from_wire(s)?)),
        _ => Err(WireError::WrongTopic),
    }
}
