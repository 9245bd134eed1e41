//! Heartbeat.

use super::check;
use super::decision;
use super::election::term;
use super::limits::*;
use super::parts;
use super::{Wire, WireError, pb, put};
use vajra_core::protocol::Incarnation;
use vajra_core::protocol::messages::{Heartbeat, HeartbeatReply, Status};

impl Wire for Heartbeat {
    type Message = pb::worker::HeartbeatRequest;

    fn to_wire(&self) -> Self::Message {
        pb::worker::HeartbeatRequest {
            worker_id: parts::worker_id(&self.node),
            current_load: put::int32(self.load),
            status: self.status.to_wire(),
            timestamp_ms: parts::clock_ms(self.sent),
            test: self.test.0.to_vec(),
            term: self.term,
            node: Some(self.node.to_wire()),
            registration: self.registration,
            number: self.number,
            answered: self.answered,
            applied: self.applied,
            load: self.load.min(MAX_TASKS),
            finished: self.finished,
            sent_ns: self.sent.0,
            decisions: self.decisions,
        }
    }

    fn from_wire(m: Self::Message) -> Result<Heartbeat, WireError> {
        Ok(Heartbeat {
            test: parts::test(&m.test)?,
            term: term(m.term)?,
            node: check::required("node", m.node)?,
            registration: check::number("registration", m.registration)?,
            number: check::number("number", m.number)?,
            answered: check::number("answered", m.answered)?,
            applied: check::number("applied", m.applied)?,
            load: check::at_most("load", m.load, MAX_TASKS)?,
            status: Status::from_wire(m.status)?,
            finished: m.finished,
            decisions: check::at_most("decisions", m.decisions, MAX_DECISIONS as u32)?,
            sent: check::clock("sent_ns", m.sent_ns)?,
        })
    }
}

impl Wire for HeartbeatReply {
    type Message = pb::worker::HeartbeatResponse;

    fn to_wire(&self) -> Self::Message {
        pb::worker::HeartbeatResponse {
            healthy: self.lease.is_some(),
            message: put::text(&self.message, MAX_TEXT),
            test: self.test.0.to_vec(),
            term: self.term,
            incarnation: self.incarnation.0,
            registration: self.registration,
            number: self.number,
            lease_ns: self.lease.map(put::ns),
            register_again: self.register_again,
            order: self.order.as_ref().map(Wire::to_wire),
            stop: self.stop.as_ref().map(Wire::to_wire),
            clock: Some(self.clock.to_wire()),
            decisions: decision::to_wire(&self.decisions),
        }
    }

    fn from_wire(m: Self::Message) -> Result<HeartbeatReply, WireError> {
        let lease = m.lease_ns.map(|ns| check::span("lease_ns", ns));
        Ok(HeartbeatReply {
            test: parts::test(&m.test)?,
            term: term(m.term)?,
            incarnation: Incarnation(m.incarnation),
            registration: check::number("registration", m.registration)?,
            number: check::number("number", m.number)?,
            lease: lease.transpose()?,
            register_again: m.register_again,
            message: check::text("message", m.message, MAX_TEXT)?,
            order: check::optional(m.order)?,
            stop: check::optional(m.stop)?,
            decisions: decision::from_wire(m.decisions)?,
            clock: check::required("clock", m.clock)?,
        })
    }
}
