//! RegisterWorker.

use super::check;
use super::election::term;
use super::limits::*;
use super::parts;
use super::{Wire, WireError, pb, put};
use vajra_core::protocol::Incarnation;
use vajra_core::protocol::messages::{Register, RegisterReply};

impl Wire for Register {
    type Message = pb::worker::WorkerRegistrationRequest;

    fn to_wire(&self) -> Self::Message {
        pb::worker::WorkerRegistrationRequest {
            worker_id: parts::worker_id(&self.node),
            hostname: put::text(&self.name, MAX_NAME),
            max_capacity: put::int32(self.capacity),
            supported_task_types: put::texts(&self.task_types, MAX_TASK_TYPES, MAX_TASK_TYPE),
            version: put::text(&self.version, MAX_VERSION),
            metadata: put::map(&self.labels, MAX_LABELS, MAX_KEY, MAX_LABEL),
            test: self.test.0.to_vec(),
            term: self.term,
            node: Some(self.node.to_wire()),
            number: self.number,
            unable: self.unable.as_ref().map(|why| put::text(why, MAX_TEXT)),
            report: self.report.as_ref().map(Wire::to_wire),
            since_start_ns: self.since_start.map(put::signed_ns),
            stop: self.stop.as_ref().map(Wire::to_wire),
            finished: self.finished,
            sent_ns: self.sent.0,
            capacity: self.capacity.min(MAX_TASKS),
        }
    }

    fn from_wire(m: Self::Message) -> Result<Register, WireError> {
        let unable = m.unable.map(|why| check::text("unable", why, MAX_TEXT));
        let since_start = m
            .since_start_ns
            .map(|ns| check::signed_ns("since_start_ns", ns));
        Ok(Register {
            test: parts::test(&m.test)?,
            term: term(m.term)?,
            node: check::required("node", m.node)?,
            number: check::number("number", m.number)?,
            name: check::text("hostname", m.hostname, MAX_NAME)?,
            capacity: check::at_most("capacity", m.capacity, MAX_TASKS)?,
            task_types: check::words(
                "supported_task_types",
                m.supported_task_types,
                MAX_TASK_TYPES,
                MAX_TASK_TYPE,
            )?,
            version: check::text("version", m.version, MAX_VERSION)?,
            labels: check::map("metadata", m.metadata, MAX_LABELS, MAX_LABEL)?,
            unable: unable.transpose()?,
            report: check::optional(m.report)?,
            since_start: since_start.transpose()?,
            stop: check::optional(m.stop)?,
            finished: m.finished,
            sent: check::clock("sent_ns", m.sent_ns)?,
        })
    }
}

impl Wire for RegisterReply {
    type Message = pb::worker::WorkerRegistrationResponse;

    fn to_wire(&self) -> Self::Message {
        pb::worker::WorkerRegistrationResponse {
            accepted: self.accepted,
            message: put::text(&self.message, MAX_TEXT),
            heartbeat_interval_seconds: put::int32(put::seconds(self.heartbeat_interval)),
            metrics_interval_seconds: put::int32(put::seconds(self.metrics_interval)),
            assigned_worker_id: String::new(),
            test: self.test.0.to_vec(),
            term: self.term,
            incarnation: self.incarnation.0,
            number: self.number,
            heartbeat_interval_ms: put::ms(self.heartbeat_interval),
            metrics_interval_ms: put::ms(self.metrics_interval),
            order_floor: put::number(self.order_floor),
            honoured: self.honoured.as_ref().map(Wire::to_wire),
            clock: Some(self.clock.to_wire()),
        }
    }

    /// A refusal need not name intervals.
    fn from_wire(m: Self::Message) -> Result<RegisterReply, WireError> {
        let interval = |field, ms| {
            if m.accepted {
                check::some_ms(field, ms)
            } else {
                check::ms(field, ms)
            }
        };
        Ok(RegisterReply {
            heartbeat_interval: interval("heartbeat_interval_ms", m.heartbeat_interval_ms)?,
            metrics_interval: interval("metrics_interval_ms", m.metrics_interval_ms)?,
            test: parts::test(&m.test)?,
            term: term(m.term)?,
            incarnation: Incarnation(m.incarnation),
            number: check::number("number", m.number)?,
            accepted: m.accepted,
            message: check::text("message", m.message, MAX_TEXT)?,
            order_floor: check::number("order_floor", m.order_floor)?,
            honoured: check::optional(m.honoured)?,
            clock: check::required("clock", m.clock)?,
        })
    }
}
