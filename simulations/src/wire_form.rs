//! Messages in their wire form: encoded, decoded and checked like between nodes.

use vajra_core::protocol::messages::{Gossip, Reply, Request};
use vajra_wire as wire;

/// The messages that arrive when this one is gossiped: a snapshot in parts.
///
/// # Errors
/// If a receiver would reject one, or would read another value.
pub fn gossip(message: Gossip) -> Result<Vec<Gossip>, String> {
    let parts = match message {
        Gossip::Snapshot(snapshot) => {
            let (parts, _) = wire::split_snapshot(&snapshot);
            parts.into_iter().map(Gossip::Snapshot).collect()
        }
        other => vec![other],
    };
    let passed = parts.into_iter().map(|sent| {
        let (topic, bytes) = wire::encode_gossip(&sent);
        let length = bytes.len();
        let arrived = wire::decode_gossip(topic, &bytes);
        same(arrived, sent, length)
    });
    passed.collect()
}

/// The request that arrives.
///
/// # Errors
/// If the receiver would reject it, or would read another value.
pub fn request(sent: Request) -> Result<Request, String> {
    let bytes = wire::encode_request(&sent);
    let length = bytes.len();
    same(wire::decode_request(&bytes), sent, length)
}

/// The reply that arrives.
///
/// # Errors
/// If the receiver would reject it, or would read another value.
pub fn reply(sent: Reply) -> Result<Reply, String> {
    let bytes = wire::encode_reply(&sent);
    let length = bytes.len();
    same(wire::decode_reply(&bytes), sent, length)
}

fn same<T: PartialEq + std::fmt::Debug>(
    arrived: Result<T, wire::WireError>,
    sent: T,
    length: usize,
) -> Result<T, String> {
    match arrived {
        Ok(arrived) if arrived == sent => Ok(arrived),
        Ok(arrived) => Err(format!("{sent:?} arrives as {arrived:?}")),
        Err(why) => Err(format!(
            "a message of {length} bytes is refused: {why}: {sent:?}"
        )),
    }
}
