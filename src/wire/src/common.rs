//! Parts of many messages: nodes, tests, digests, orders, clock readings.

use super::decode;
use super::limits::{MAX_PEER, MAX_SLOTS};
use super::{Wire, WireError, encode, pb};
use vajra_core::protocol::messages::{ClockReply, Order, ShareReport, Status, StopOrder};
use vajra_core::protocol::{Digest, Incarnation, NodeId, Peer, RemoteTime, TestId};

/// Length of a UUID as text.
const UUID_TEXT: usize = 36;

/// Decodes a peer id.
pub fn peer(field: &'static str, bytes: &[u8]) -> Result<Peer, WireError> {
    if bytes.is_empty() {
        return Err(WireError::Missing(field));
    }
    decode::length(field, bytes.len(), MAX_PEER)?;
    Ok(Peer::new(bytes))
}

/// The peer id of a node in base58, as in the fixed set.
pub fn worker_id(node: &NodeId) -> String {
    bs58::encode(node.peer.as_bytes()).into_string()
}

/// Decodes a test id from its 16 bytes.
pub fn test(bytes: &[u8]) -> Result<TestId, WireError> {
    decode::exactly("test", bytes).map(TestId)
}

/// Decodes a test id from its UUID in lower case.
pub fn test_by_text(text: &str) -> Result<TestId, WireError> {
    decode::length("test_id", text.len(), UUID_TEXT)?;
    text.parse()
        .ok()
        .filter(|id: &TestId| id.to_string() == text)
        .ok_or(WireError::Invalid {
            field: "test_id",
            reason: "is not a UUID in lower case",
        })
}

/// Decodes a digest.
pub fn digest(bytes: &[u8]) -> Result<Digest, WireError> {
    decode::exactly("digest", bytes).map(Digest)
}

/// Checks the size and the start of a share.
fn share(slots: u32, offset: u32) -> Result<(u32, u32), WireError> {
    Ok((
        decode::at_most("slots", slots, MAX_SLOTS)?,
        decode::at_most("offset", offset, MAX_SLOTS)?,
    ))
}

impl Wire for NodeId {
    type Message = pb::worker::NodeId;

    fn to_wire(&self) -> Self::Message {
        pb::worker::NodeId {
            peer: self.peer.as_bytes().to_vec(),
            incarnation: self.incarnation.0,
        }
    }

    fn from_wire(m: Self::Message) -> Result<NodeId, WireError> {
        Ok(NodeId {
            peer: peer("peer", &m.peer)?,
            incarnation: Incarnation(m.incarnation),
        })
    }
}

impl Wire for StopOrder {
    type Message = pb::worker::StopOrder;

    fn to_wire(&self) -> Self::Message {
        pb::worker::StopOrder {
            graceful: self.graceful,
            timeout_ns: encode::ns(self.timeout),
        }
    }

    fn from_wire(m: Self::Message) -> Result<StopOrder, WireError> {
        Ok(StopOrder {
            graceful: m.graceful,
            timeout: decode::span("timeout_ns", m.timeout_ns)?,
        })
    }
}

impl Wire for ShareReport {
    type Message = pb::worker::ShareReport;

    fn to_wire(&self) -> Self::Message {
        pb::worker::ShareReport {
            slots: self.slots,
            offset: self.offset,
        }
    }

    fn from_wire(m: Self::Message) -> Result<ShareReport, WireError> {
        let (slots, offset) = share(m.slots, m.offset)?;
        Ok(ShareReport { slots, offset })
    }
}

impl Wire for Order {
    type Message = pb::worker::Order;

    fn to_wire(&self) -> Self::Message {
        pb::worker::Order {
            number: self.number,
            slots: self.slots,
            offset: self.offset,
            start_ns: self.start.map(|t| t.0),
        }
    }

    fn from_wire(m: Self::Message) -> Result<Order, WireError> {
        let (slots, offset) = share(m.slots, m.offset)?;
        let start = m.start_ns.map(|ns| decode::clock("start_ns", ns));
        Ok(Order {
            number: decode::number("order.number", m.number)?,
            slots,
            offset,
            start: start.transpose()?,
        })
    }
}

impl Wire for ClockReply {
    type Message = pb::worker::ClockReply;

    fn to_wire(&self) -> Self::Message {
        pb::worker::ClockReply {
            received_ns: self.received.0,
            sent_ns: self.sent.0,
        }
    }

    fn from_wire(m: Self::Message) -> Result<ClockReply, WireError> {
        Ok(ClockReply {
            received: decode::clock("received_ns", m.received_ns)?,
            sent: decode::clock("sent_ns", m.sent_ns)?,
        })
    }
}

impl Wire for Status {
    type Message = i32;

    fn to_wire(&self) -> i32 {
        use pb::worker::WorkerStatus as W;
        let status = match self {
            Status::Unknown => W::Unknown,
            Status::Idle => W::Idle,
            Status::Running => W::Running,
            Status::Overloaded => W::Overloaded,
            Status::Error => W::Error,
            Status::Draining => W::Draining,
            Status::Leaving => W::Leaving,
        };
        status.into()
    }

    /// A status of a newer version becomes [`Status::Unknown`], so that the message can be used.
    fn from_wire(m: i32) -> Result<Status, WireError> {
        use pb::worker::WorkerStatus as W;
        Ok(match W::try_from(m).unwrap_or_default() {
            W::Unknown => Status::Unknown,
            W::Idle => Status::Idle,
            W::Running => Status::Running,
            W::Overloaded => Status::Overloaded,
            W::Error => Status::Error,
            W::Draining => Status::Draining,
            W::Leaving => Status::Leaving,
        })
    }
}

/// A clock reading as a millisecond field of the fixed set.
pub fn clock_ms(t: RemoteTime) -> i64 {
    encode::int64(t.0 / 1_000_000)
}
