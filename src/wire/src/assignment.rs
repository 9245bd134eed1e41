//! AssignTask: the share of a worker, and its reply.

use std::sync::Arc;

use super::common;
use super::decode;
use super::limits::*;
use super::test_message::term;
use super::{Wire, WireError, encode, pb};
use vajra_core::protocol::Incarnation;
use vajra_core::protocol::messages::{Assign, AssignReply, TaskDescription};

impl Wire for Assign {
    type Message = pb::worker::TaskAssignment;

    fn to_wire(&self) -> Self::Message {
        let task = &self.description;
        pb::worker::TaskAssignment {
            test_id: self.test.to_string(),
            task_type: encode::text(&task.task_type, MAX_TASK_TYPE),
            parameters: encode::map(&task.parameters, MAX_PARAMETERS, MAX_KEY, MAX_PARAMETER),
            target_tps: encode::int32(encode::rounded_up(task.target_rate_milli.into(), 1000)),
            duration_seconds: encode::seconds(task.duration),
            ramp_up_seconds: encode::int32(encode::seconds(task.ramp_up)),
            max_concurrency: encode::int32(task.max_concurrency),
            assigned_at_ms: common::clock_ms(self.sent),
            term: self.term,
            incarnation: self.incarnation.0,
            registration: self.registration,
            plan_digest: self.digest.0.to_vec(),
            order: Some(self.order.to_wire()),
            target_rate_milli: task.target_rate_milli.min(MAX_RATE_MILLI),
            duration_ns: encode::ns(task.duration),
            ramp_up_ns: encode::ns(task.ramp_up),
            max_tasks: task.max_concurrency.min(MAX_TASKS),
            sent_ns: self.sent.0,
            allocation: Some(self.allocation.to_wire()),
            list: self.list.as_ref().map(|list| list.to_wire()),
        }
    }

    fn from_wire(m: Self::Message) -> Result<Assign, WireError> {
        let rate = m.target_rate_milli;
        let description = TaskDescription {
            task_type: decode::word("task_type", m.task_type, MAX_TASK_TYPE)?,
            parameters: decode::map("parameters", m.parameters, MAX_PARAMETERS, MAX_PARAMETER)?,
            target_rate_milli: decode::at_most("target_rate_milli", rate, MAX_RATE_MILLI)?,
            duration: decode::span("duration_ns", m.duration_ns)?,
            ramp_up: decode::span("ramp_up_ns", m.ramp_up_ns)?,
            max_concurrency: decode::at_most("max_tasks", m.max_tasks, MAX_TASKS)?,
        };
        Ok(Assign {
            test: common::test_by_text(&m.test_id)?,
            term: term(m.term)?,
            incarnation: Incarnation(m.incarnation),
            registration: decode::number("registration", m.registration)?,
            digest: common::digest(&m.plan_digest)?,
            order: decode::required("order", m.order)?,
            allocation: decode::required("allocation", m.allocation)?,
            list: decode::optional(m.list)?.map(Arc::new),
            description,
            sent: decode::clock("sent_ns", m.sent_ns)?,
        })
    }
}

impl Wire for AssignReply {
    type Message = pb::worker::TaskAssignmentResponse;

    fn to_wire(&self) -> Self::Message {
        pb::worker::TaskAssignmentResponse {
            accepted: self.accepted,
            message: encode::text(&self.message, MAX_TEXT),
            estimated_task_count: encode::int64(self.estimated_tasks),
            test: self.test.0.to_vec(),
            estimated_tasks: self.estimated_tasks.min(MAX_COUNT),
        }
    }

    fn from_wire(m: Self::Message) -> Result<AssignReply, WireError> {
        Ok(AssignReply {
            test: common::test(&m.test)?,
            accepted: m.accepted,
            message: decode::text("message", m.message, MAX_TEXT)?,
            estimated_tasks: decode::at_most("estimated_tasks", m.estimated_tasks, MAX_COUNT)?,
        })
    }
}
