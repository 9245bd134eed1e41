//! AssignTask.

use super::check;
use super::election::term;
use super::limits::*;
use super::parts;
use super::{Wire, WireError, pb, put};
use vajra_core::protocol::Incarnation;
use vajra_core::protocol::messages::{Assign, AssignReply, TaskDescription};

impl Wire for Assign {
    type Message = pb::worker::TaskAssignment;

    fn to_wire(&self) -> Self::Message {
        let task = &self.description;
        pb::worker::TaskAssignment {
            test_id: self.test.to_string(),
            task_type: put::text(&task.task_type, MAX_TASK_TYPE),
            parameters: put::map(&task.parameters, MAX_PARAMETERS, MAX_KEY, MAX_PARAMETER),
            target_tps: put::int32(put::rounded_up(task.target_rate_milli.into(), 1000)),
            duration_seconds: put::seconds(task.duration),
            ramp_up_seconds: put::int32(put::seconds(task.ramp_up)),
            max_concurrency: put::int32(task.max_concurrency),
            assigned_at_ms: parts::clock_ms(self.sent),
            term: self.term,
            incarnation: self.incarnation.0,
            registration: self.registration,
            plan_digest: self.digest.0.to_vec(),
            order: Some(self.order.to_wire()),
            target_rate_milli: task.target_rate_milli.min(MAX_RATE_MILLI),
            duration_ns: put::ns(task.duration),
            ramp_up_ns: put::ns(task.ramp_up),
            max_tasks: task.max_concurrency.min(MAX_TASKS),
            sent_ns: self.sent.0,
        }
    }

    fn from_wire(m: Self::Message) -> Result<Assign, WireError> {
        let rate = m.target_rate_milli;
        let description = TaskDescription {
            task_type: check::word("task_type", m.task_type, MAX_TASK_TYPE)?,
            parameters: check::map("parameters", m.parameters, MAX_PARAMETERS, MAX_PARAMETER)?,
            target_rate_milli: check::at_most("target_rate_milli", rate, MAX_RATE_MILLI)?,
            duration: check::span("duration_ns", m.duration_ns)?,
            ramp_up: check::span("ramp_up_ns", m.ramp_up_ns)?,
            max_concurrency: check::at_most("max_tasks", m.max_tasks, MAX_TASKS)?,
        };
        Ok(Assign {
            test: parts::test_by_text(&m.test_id)?,
            term: term(m.term)?,
            incarnation: Incarnation(m.incarnation),
            registration: check::number("registration", m.registration)?,
            digest: parts::digest(&m.plan_digest)?,
            order: check::required("order", m.order)?,
            description,
            sent: check::clock("sent_ns", m.sent_ns)?,
        })
    }
}

impl Wire for AssignReply {
    type Message = pb::worker::TaskAssignmentResponse;

    fn to_wire(&self) -> Self::Message {
        pb::worker::TaskAssignmentResponse {
            accepted: self.accepted,
            message: put::text(&self.message, MAX_TEXT),
            estimated_task_count: put::int64(self.estimated_tasks),
            test: self.test.0.to_vec(),
            estimated_tasks: self.estimated_tasks.min(MAX_COUNT),
        }
    }

    fn from_wire(m: Self::Message) -> Result<AssignReply, WireError> {
        Ok(AssignReply {
            test: parts::test(&m.test)?,
            accepted: m.accepted,
            message: check::text("message", m.message, MAX_TEXT)?,
            estimated_tasks: check::at_most("estimated_tasks", m.estimated_tasks, MAX_COUNT)?,
        })
    }
}
