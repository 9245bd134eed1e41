//! Messages in their wire form: encoded, decoded and checked like between nodes. Some fields are
//! rounded there.

use vajra_core::protocol::messages::{Gossip, Reply, Request};
use vajra_wire as wire;

/// The messages that arrive when this one is gossiped: a snapshot in parts.
///
/// # Errors
/// If a receiver would reject one.
pub fn gossip(message: Gossip) -> Result<Vec<Gossip>, String> {
    let parts = match message {
        Gossip::Snapshot(snapshot) => {
            let (parts, _) = wire::split_snapshot(&snapshot);
            parts.into_iter().map(Gossip::Snapshot).collect()
        }
        other => vec![other],
    };
    let passed = parts.iter().map(|sent| {
        let (topic, bytes) = wire::encode_gossip(sent);
        let arrived = wire::decode_gossip(topic, &bytes);
        arrived.map_err(|why| refused(sent, bytes.len(), &why))
    });
    passed.collect()
}

/// The request that arrives.
///
/// # Errors
/// If the receiver would reject it.
pub fn request(sent: &Request) -> Result<Request, String> {
    let bytes = wire::encode_request(sent);
    wire::decode_request(&bytes).map_err(|why| refused(sent, bytes.len(), &why))
}

/// The reply that arrives.
///
/// # Errors
/// If the receiver would reject it.
pub fn reply(sent: &Reply) -> Result<Reply, String> {
    let bytes = wire::encode_reply(sent);
    wire::decode_reply(&bytes).map_err(|why| refused(sent, bytes.len(), &why))
}

fn refused(sent: &impl std::fmt::Debug, length: usize, why: &wire::WireError) -> String {
    format!("a message of {length} bytes is refused: {why}: {sent:?}")
}
