//! RegisterWorker: registration of a worker, and its reply.

use super::common;
use super::decode;
use super::limits::*;
use super::test_message::term;
use super::{Wire, WireError, encode, pb};
use vajra_core::protocol::Incarnation;
use vajra_core::protocol::messages::{Register, RegisterReply};

impl Wire for Register {
    type Message = pb::worker::WorkerRegistrationRequest;

    fn to_wire(&self) -> Self::Message {
        pb::worker::WorkerRegistrationRequest {
            worker_id: common::worker_id(&self.node),
            hostname: encode::text(&self.name, MAX_NAME),
            max_capacity: encode::int32(self.capacity),
            supported_task_types: encode::texts(&self.task_types, MAX_TASK_TYPES, MAX_TASK_TYPE),
            version: encode::text(&self.version, MAX_VERSION),
            metadata: encode::map(&self.labels, MAX_LABELS, MAX_KEY, MAX_LABEL),
            test: self.test.0.to_vec(),
            term: self.term,
            node: Some(self.node.to_wire()),
            number: self.number,
            unable: self
                .unable
                .as_ref()
                .map(|reason| encode::text(reason, MAX_TEXT)),
            report: self.report.as_ref().map(Wire::to_wire),
            since_start_ns: self.since_start.map(encode::signed_ns),
            stop: self.stop.as_ref().map(Wire::to_wire),
            finished: self.finished,
            sent_ns: self.sent.0,
            capacity: self.capacity.min(MAX_TASKS),
        }
    }

    fn from_wire(m: Self::Message) -> Result<Register, WireError> {
        let unable = m
            .unable
            .map(|reason| decode::text("unable", reason, MAX_TEXT));
        let since_start = m
            .since_start_ns
            .map(|ns| decode::signed_ns("since_start_ns", ns));
        Ok(Register {
            test: common::test(&m.test)?,
            term: term(m.term)?,
            node: decode::required("node", m.node)?,
            number: decode::number("number", m.number)?,
            name: decode::text("hostname", m.hostname, MAX_NAME)?,
            capacity: decode::at_most("capacity", m.capacity, MAX_TASKS)?,
            task_types: decode::words(
                "supported_task_types",
                m.supported_task_types,
                MAX_TASK_TYPES,
                MAX_TASK_TYPE,
            )?,
            version: decode::text("version", m.version, MAX_VERSION)?,
            labels: decode::map("metadata", m.metadata, MAX_LABELS, MAX_LABEL)?,
            unable: unable.transpose()?,
            report: decode::optional(m.report)?,
            since_start: since_start.transpose()?,
            stop: decode::optional(m.stop)?,
            finished: m.finished,
            sent: decode::clock("sent_ns", m.sent_ns)?,
        })
    }
}

impl Wire for RegisterReply {
    type Message = pb::worker::WorkerRegistrationResponse;

    fn to_wire(&self) -> Self::Message {
        pb::worker::WorkerRegistrationResponse {
            accepted: self.accepted,
            message: encode::text(&self.message, MAX_TEXT),
            heartbeat_interval_seconds: encode::int32(encode::seconds(self.heartbeat_interval)),
            metrics_interval_seconds: encode::int32(encode::seconds(self.metrics_interval)),
            assigned_worker_id: String::new(),
            test: self.test.0.to_vec(),
            term: self.term,
            incarnation: self.incarnation.0,
            number: self.number,
            heartbeat_interval_ms: encode::ms(self.heartbeat_interval),
            metrics_interval_ms: encode::ms(self.metrics_interval),
            order_floor: encode::number(self.order_floor),
            honoured: self.honoured,
            clock: Some(self.clock.to_wire()),
        }
    }

    /// A refusal may lack the intervals.
    fn from_wire(m: Self::Message) -> Result<RegisterReply, WireError> {
        let interval = |field, ms| {
            if m.accepted {
                decode::nonzero_ms(field, ms)
            } else {
                decode::ms(field, ms)
            }
        };
        Ok(RegisterReply {
            heartbeat_interval: interval("heartbeat_interval_ms", m.heartbeat_interval_ms)?,
            metrics_interval: interval("metrics_interval_ms", m.metrics_interval_ms)?,
            test: common::test(&m.test)?,
            term: term(m.term)?,
            incarnation: Incarnation(m.incarnation),
            number: decode::number("number", m.number)?,
            accepted: m.accepted,
            message: decode::text("message", m.message, MAX_TEXT)?,
            order_floor: decode::number("order_floor", m.order_floor)?,
            honoured: m.honoured,
            clock: decode::required("clock", m.clock)?,
        })
    }
}
