//! The end of a test: reason, roster, events and log.

use prost::Message as _;

use super::beat::certificate;
use super::common;
use super::decode;
use super::limits::*;
use super::log_entry;
use super::{Wire, WireError, encode, pb};
use vajra_core::protocol::messages::{EndReason, Ended, RosterEntry, TestEvent};
use vajra_core::protocol::{Incarnation, NodeId};

/// Bytes for the envelopes around the message.
const ENVELOPE: usize = 16;

/// Removes display data until the message fits gossip: first the last events (the first ones show the
/// cause of a failure), then the names of workers. The roster stays, since nodes need it to determine
/// whether a result is complete.
fn fit(m: &mut pb::v1::Ended) {
    let max = MAX_GOSSIP - ENVELOPE;
    while m.encoded_len() > max && !m.events.is_empty() {
        m.events.truncate(m.events.len() * 3 / 4);
    }
    if m.encoded_len() > max {
        m.roster.iter_mut().for_each(|r| r.name.clear());
    }
}

impl Wire for Ended {
    type Message = pb::v1::Ended;

    fn to_wire(&self) -> Self::Message {
        use pb::v1::EndReason as W;
        let (reason, message) = match &self.reason {
            EndReason::Completed => (W::Completed, String::new()),
            EndReason::Stopped => (W::Stopped, String::new()),
            EndReason::Failed(reason) => (W::Failed, encode::text(reason, MAX_TEXT)),
        };
        let mut ended = pb::v1::Ended {
            test: self.test.0.to_vec(),
            term: self.term,
            coordinator: Some(self.coordinator.to_wire()),
            reason: reason.into(),
            message,
            roster: self.roster.iter().map(Wire::to_wire).collect(),
            events: self
                .events
                .iter()
                .take(MAX_EVENTS)
                .map(Wire::to_wire)
                .collect(),
            log: log_entry::to_wire(&self.log),
            unused_numbers: self.unused_numbers.map(encode::number),
            certificate: Some(self.certificate.to_wire()),
            signature: self.signature.0.to_vec(),
        };
        fit(&mut ended);
        ended
    }

    /// The term may be 0, since the submitter can end a test that never had a coordinator.
    fn from_wire(m: Self::Message) -> Result<Ended, WireError> {
        use pb::v1::EndReason as W;
        let reason = match W::try_from(m.reason).unwrap_or_default() {
            W::Unknown => return Err(WireError::Unknown("reason")),
            W::Completed => EndReason::Completed,
            W::Stopped => EndReason::Stopped,
            W::Failed => EndReason::Failed(decode::text("message", m.message, MAX_TEXT)?),
        };
        let unused_numbers = m.unused_numbers;
        let unused_numbers = unused_numbers.map(|n| decode::number("unused_numbers", n));
        Ok(Ended {
            test: common::test(&m.test)?,
            term: decode::number("term", m.term)?,
            coordinator: decode::required("coordinator", m.coordinator)?,
            reason,
            roster: decode::list("roster", m.roster, MAX_ROSTER)?,
            events: decode::list("events", m.events, MAX_EVENTS)?,
            log: log_entry::from_wire(m.log)?,
            unused_numbers: unused_numbers.transpose()?,
            certificate: certificate(m.certificate)?,
            signature: common::signature(&m.signature)?,
        })
    }
}

impl Wire for RosterEntry {
    type Message = pb::v1::RosterEntry;

    fn to_wire(&self) -> Self::Message {
        pb::v1::RosterEntry {
            worker: Some(self.worker.to_wire()),
            name: encode::text(&self.name, MAX_NAME),
            last_snapshot: self.last_snapshot,
            r#final: self.is_final,
            lost_at_ns: self.lost_at.map(encode::ns),
        }
    }

    fn from_wire(m: Self::Message) -> Result<RosterEntry, WireError> {
        let last = m.last_snapshot.map(|n| decode::number("last_snapshot", n));
        let lost = m.lost_at_ns.map(|ns| decode::span("lost_at_ns", ns));
        Ok(RosterEntry {
            worker: decode::required("worker", m.worker)?,
            name: decode::text("name", m.name, MAX_NAME)?,
            last_snapshot: last.transpose()?,
            is_final: m.r#final,
            lost_at: lost.transpose()?,
        })
    }
}

impl Wire for TestEvent {
    type Message = pb::v1::TestEvent;

    fn to_wire(&self) -> Self::Message {
        let max = MAX_SPAN.as_millis() as i64;
        pb::v1::TestEvent {
            at_ms: self.at_ms.clamp(-max, max),
            kind: encode::text(self.kind.as_str(), MAX_WORD),
            peer: self.node.as_ref().map(|n| n.peer.as_bytes().to_vec()),
            incarnation: self.node.as_ref().map_or(0, |n| n.incarnation.0),
            text: encode::text(&self.text, MAX_TEXT),
        }
    }

    fn from_wire(m: Self::Message) -> Result<TestEvent, WireError> {
        let node = |peer| NodeId {
            peer,
            incarnation: Incarnation(m.incarnation),
        };
        let peer = m.peer.map(|p| common::peer("event.peer", &p));
        Ok(TestEvent {
            at_ms: decode::signed("at_ms", m.at_ms, MAX_SPAN.as_millis() as u64)?,
            kind: decode::word("event.kind", m.kind, MAX_WORD)?
                .as_str()
                .into(),
            node: peer.transpose()?.map(node),
            text: decode::text("event.text", m.text, MAX_TEXT)?,
        })
    }
}
