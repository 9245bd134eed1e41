//! Parts of many messages: nodes, tests, digests, orders, clock readings.

use super::decode;
use super::limits::{
    MAX_ENTRY_INTERVALS, MAX_HELD_INTERVALS, MAX_INTERVALS, MAX_NUMBER_INTERVALS, MAX_PEER,
};
use super::{Wire, WireError, encode, pb};
use vajra_core::intervals::{Interval, Intervals, Value};
use vajra_core::protocol::messages::{ClockReply, Order, ShareReport, Status, StopOrder};
use vajra_core::protocol::stop::SignedStop;
use vajra_core::protocol::{Digest, Incarnation, NodeId, Peer, RemoteTime, Signature, TestId};
use vajra_core::{Numbers, Slots};

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

/// Decodes a signature.
pub fn signature(bytes: &[u8]) -> Result<Signature, WireError> {
    decode::exactly("signature", bytes).map(Signature)
}

/// The bounds of a set.
pub fn bounds<T: Copy>(intervals: &[Interval<T>]) -> Vec<T> {
    intervals.iter().flat_map(|i| [i.from, i.to]).collect()
}

/// The set with these bounds, in at most `max` intervals.
fn set<T: Value>(field: &'static str, bounds: &[T], max: usize) -> Result<Intervals<T>, WireError> {
    decode::count(field, bounds.len(), 2 * max)?;
    let (pairs, rest) = bounds.as_chunks::<2>();
    let list = pairs.iter().map(|[from, to]| Interval {
        from: *from,
        to: *to,
    });
    let set = Intervals::from_sorted(list.collect()).filter(|_| rest.is_empty());
    set.ok_or(WireError::Invalid {
        field,
        reason: "is not a list of intervals in order",
    })
}

fn slots(field: &'static str, bounds: &[u32], max: usize) -> Result<Slots, WireError> {
    let set = set(field, bounds, max)?;
    match set.within_whole() {
        true => Ok(set),
        false => Err(WireError::Invalid {
            field,
            reason: "has slots beyond the whole load",
        }),
    }
}

/// Decodes a share.
pub fn share(field: &'static str, bounds: &[u32]) -> Result<Slots, WireError> {
    slots(field, bounds, MAX_INTERVALS)
}

/// Decodes all slots that a worker may act on.
pub fn held(field: &'static str, bounds: &[u32]) -> Result<Slots, WireError> {
    slots(field, bounds, MAX_HELD_INTERVALS)
}

/// Decodes the slots of a worker in an allocation.
pub fn entry(field: &'static str, bounds: &[u32]) -> Result<Slots, WireError> {
    slots(field, bounds, MAX_ENTRY_INTERVALS)
}

/// The bounds of request numbers. Intervals beyond the limit are left out: a number that is not
/// reported counts as used.
pub fn number_bounds(numbers: &Numbers) -> Vec<u64> {
    let intervals = numbers.intervals();
    bounds(&intervals[..intervals.len().min(MAX_NUMBER_INTERVALS)])
}

/// Decodes request numbers.
pub fn numbers(field: &'static str, bounds: &[u64]) -> Result<Numbers, WireError> {
    for bound in bounds {
        decode::number(field, *bound)?;
    }
    set(field, bounds, MAX_NUMBER_INTERVALS)
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

impl Wire for SignedStop {
    type Message = pb::worker::SignedStop;

    fn to_wire(&self) -> Self::Message {
        pb::worker::SignedStop {
            order: Some(self.order.to_wire()),
            by: Some(self.by.to_wire()),
            signature: self.signature.0.to_vec(),
        }
    }

    fn from_wire(m: Self::Message) -> Result<SignedStop, WireError> {
        Ok(SignedStop {
            order: decode::required("order", m.order)?,
            by: decode::required("by", m.by)?,
            signature: signature(&m.signature)?,
        })
    }
}

impl Wire for ShareReport {
    type Message = pb::worker::ShareReport;

    fn to_wire(&self) -> Self::Message {
        pb::worker::ShareReport {
            share: bounds(self.share.intervals()),
            held: bounds(self.held.intervals()),
        }
    }

    fn from_wire(m: Self::Message) -> Result<ShareReport, WireError> {
        Ok(ShareReport {
            share: share("report.share", &m.share)?,
            held: entry("report.held", &m.held)?,
        })
    }
}

impl Wire for Order {
    type Message = pb::worker::Order;

    fn to_wire(&self) -> Self::Message {
        pb::worker::Order {
            number: self.number,
            share: bounds(self.share.intervals()),
            floor_ns: encode::ns(self.floor),
            start_ns: self.start.map(|t| t.0),
        }
    }

    fn from_wire(m: Self::Message) -> Result<Order, WireError> {
        let start = m.start_ns.map(|ns| decode::clock("start_ns", ns));
        Ok(Order {
            number: decode::number("order.number", m.number)?,
            share: share("order.share", &m.share)?,
            floor: decode::span("floor_ns", m.floor_ns)?,
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
