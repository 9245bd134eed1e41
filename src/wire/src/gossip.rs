//! The three topics.

use pb::v1::gossip::Body;
use prost::Message as _;

use super::decode;
use super::limits::MAX_GOSSIP;
use super::{Wire, WireError, pb};
use vajra_core::protocol::messages::Gossip;

/// A gossip topic. There are three whatever the number of tests: unsubscribing has
/// back-offs, and a topic per test would need a mesh of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Adverts.
    Nodes,
    /// What concerns tests: announcements, elections, beats, ends.
    Tests,
    /// Snapshots.
    Metrics,
}

impl Topic {
    /// All three.
    pub const ALL: [Topic; 3] = [Topic::Nodes, Topic::Tests, Topic::Metrics];
}

/// A gossip message's topic and bytes.
///
/// They are at most [`MAX_GOSSIP`] long, except for snapshots that did not come out of
/// [`split_snapshot`](super::split_snapshot) and for the end of a test with several hundred
/// workers, whose roster is sent whole or not at all: compare before publishing.
pub fn encode_gossip(message: &Gossip) -> (Topic, Vec<u8>) {
    let (topic, body) = match message {
        Gossip::Advert(a) => (Topic::Nodes, Body::Advert(a.to_wire())),
        Gossip::Test(t) => (Topic::Tests, Body::Test(t.to_wire())),
        Gossip::Snapshot(s) => (Topic::Metrics, Body::Snapshot(s.to_wire())),
    };
    (topic, pb::v1::Gossip { body: Some(body) }.encode_to_vec())
}

/// A gossip message from its topic and bytes.
///
/// # Errors
/// Any [`WireError`]; one that [is newer](WireError::is_newer) is nobody's fault.
pub fn decode_gossip(topic: Topic, bytes: &[u8]) -> Result<Gossip, WireError> {
    decode::size(bytes, MAX_GOSSIP)?;
    let message = pb::v1::Gossip::decode(bytes)?;
    match (topic, message.body.ok_or(WireError::Unknown("gossip"))?) {
        (Topic::Nodes, Body::Advert(a)) => Ok(Gossip::Advert(Wire::from_wire(a)?)),
        (Topic::Tests, Body::Test(t)) => Ok(Gossip::Test(Wire::from_wire(t)?)),
        (Topic::Metrics, Body::Snapshot(s)) => Ok(Gossip::Snapshot(Wire::from_wire(s)?)),
        _ => Err(WireError::WrongTopic),
    }
}
