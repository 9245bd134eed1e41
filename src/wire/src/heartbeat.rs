//! Heartbeat of a worker, and its reply.

use super::common;
use super::decode;
use super::limits::*;
use super::log_entry;
use super::test_message::term;
use super::{Wire, WireError, encode, pb};
use vajra_core::protocol::Incarnation;
use vajra_core::protocol::messages::{Heartbeat, HeartbeatReply, Status};

impl Wire for Heartbeat {
    type Message = pb::worker::HeartbeatRequest;

    fn to_wire(&self) -> Self::Message {
        pb::worker::HeartbeatRequest {
            worker_id: common::worker_id(&self.node),
            current_load: encode::int32(self.load),
            status: self.status.to_wire(),
            timestamp_ms: common::clock_ms(self.sent),
            test: self.test.0.to_vec(),
            term: self.term,
            node: Some(self.node.to_wire()),
            registration: self.registration,
            number: self.number,
            answered: self.answered,
            applied: self.applied,
            load: self.load.min(MAX_TASKS),
            finished: self.finished,
            idle: self.idle,
            stop: self.stop.as_ref().map(Wire::to_wire),
            sent_ns: self.sent.0,
            log_entries: self.log_len,
            held: common::bounds(self.held.intervals()),
            handled_until_ns: encode::ns(self.handled_until),
            since_start_ns: self.since_start.map(encode::signed_ns),
            unused: common::number_bounds(&self.unused),
            returned: common::number_bounds(&self.returned),
        }
    }

    fn from_wire(m: Self::Message) -> Result<Heartbeat, WireError> {
        Ok(Heartbeat {
            test: common::test(&m.test)?,
            term: term(m.term)?,
            node: decode::required("node", m.node)?,
            registration: decode::number("registration", m.registration)?,
            number: decode::number("number", m.number)?,
            answered: decode::number("answered", m.answered)?,
            applied: decode::number("applied", m.applied)?,
            held: common::held("held", &m.held)?,
            handled_until: decode::span("handled_until_ns", m.handled_until_ns)?,
            since_start: m
                .since_start_ns
                .map(|ns| decode::signed_ns("since_start_ns", ns))
                .transpose()?,
            unused: common::numbers("unused", &m.unused)?,
            returned: common::numbers("returned", &m.returned)?,
            load: decode::at_most("load", m.load, MAX_TASKS)?,
            status: Status::from_wire(m.status)?,
            finished: m.finished,
            idle: m.idle,
            stop: decode::optional(m.stop)?,
            log_len: decode::at_most("log_entries", m.log_entries, MAX_LOG_ENTRIES as u32)?,
            sent: decode::clock("sent_ns", m.sent_ns)?,
        })
    }
}

impl Wire for HeartbeatReply {
    type Message = pb::worker::HeartbeatResponse;

    fn to_wire(&self) -> Self::Message {
        pb::worker::HeartbeatResponse {
            healthy: self.lease.is_some(),
            message: encode::text(&self.message, MAX_TEXT),
            test: self.test.0.to_vec(),
            term: self.term,
            incarnation: self.incarnation.0,
            registration: self.registration,
            number: self.number,
            lease_ns: self.lease.map(encode::ns),
            register_again: self.register_again,
            order: self.order.as_ref().map(Wire::to_wire),
            allocation: self.allocation.as_ref().map(Wire::to_wire),
            numbers: self.numbers.as_ref().map(Wire::to_wire),
            stop: self.stop.as_ref().map(Wire::to_wire),
            clock: Some(self.clock.to_wire()),
            log: log_entry::to_wire(&self.log),
        }
    }

    fn from_wire(m: Self::Message) -> Result<HeartbeatReply, WireError> {
        let lease = m.lease_ns.map(|ns| decode::span("lease_ns", ns));
        Ok(HeartbeatReply {
            test: common::test(&m.test)?,
            term: term(m.term)?,
            incarnation: Incarnation(m.incarnation),
            registration: decode::number("registration", m.registration)?,
            number: decode::number("number", m.number)?,
            lease: lease.transpose()?,
            register_again: m.register_again,
            message: decode::text("message", m.message, MAX_TEXT)?,
            order: decode::optional(m.order)?,
            allocation: decode::optional(m.allocation)?,
            numbers: decode::optional(m.numbers)?,
            stop: decode::optional(m.stop)?,
            log: log_entry::from_wire(m.log)?,
            clock: decode::required("clock", m.clock)?,
        })
    }
}
