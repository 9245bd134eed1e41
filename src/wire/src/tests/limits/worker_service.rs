//! Limits of the WorkerService messages.

use super::*;
use crate::limits::*;
use crate::tests::samples;
use vajra_core::metrics::{Counters, Piece, StepCounters};
use vajra_proto::worker;

#[test]
fn registration() {
    let good = samples::register();
    let bad =
        |field, spoil: fn(&mut worker::WorkerRegistrationRequest)| refused(&good, field, spoil);
    bad("test", |m| m.test.clear());
    bad("term", |m| m.term = 0);
    bad("node", |m| m.node = None);
    bad("number", |m| m.number = u64::MAX);
    bad("hostname", |m| m.hostname = long(MAX_NAME + 1));
    bad("capacity", |m| m.capacity = MAX_TASKS + 1);
    bad("supported_task_types", |m| {
        m.supported_task_types = vec!["A".into(); MAX_TASK_TYPES + 1]
    });
    bad("version", |m| m.version = long(MAX_VERSION + 1));
    bad("metadata", |m| m.metadata = many(MAX_LABELS + 1));
    bad("unable", |m| m.unable = Some(long(MAX_TEXT + 1)));
    bad("report.share", |m| {
        m.report = Some(worker::ShareReport {
            share: vec![0, MAX_SLOTS + 1],
            held: vec![0, 1],
        })
    });
    bad("report.held", |m| {
        m.report = Some(worker::ShareReport {
            share: vec![0, 1],
            held: vec![0, 1, 1, 2],
        })
    });
    bad("since_start_ns", |m| m.since_start_ns = Some(i64::MIN));
    bad("timeout_ns", |m| {
        m.stop = Some(crate::tests::samples::stop().to_wire());
        let order = m.stop.as_mut().unwrap().order.as_mut().unwrap();
        order.timeout_ns = u64::MAX;
    });
    bad("sent_ns", |m| m.sent_ns = MAX_CLOCK_NS as i64 + 1);

    let good = samples::register_reply();
    let bad =
        |field, spoil: fn(&mut worker::WorkerRegistrationResponse)| refused(&good, field, spoil);
    bad("term", |m| m.term = 0);
    bad("message", |m| m.message = long(MAX_TEXT + 1));
    bad("heartbeat_interval_ms", |m| m.heartbeat_interval_ms = 0);
    bad("metrics_interval_ms", |m| m.metrics_interval_ms = 0);
    bad("heartbeat_interval_ms", |m| {
        m.heartbeat_interval_ms = u64::MAX
    });
    bad("order_floor", |m| m.order_floor = u64::MAX);
    bad("clock", |m| m.clock = None);
    bad("received_ns", |m| {
        m.clock = Some(worker::ClockReply {
            received_ns: i64::MIN,
            sent_ns: 0,
        });
    });
}

#[test]
fn heartbeat() {
    let good = samples::heartbeat();
    let bad = |field, spoil: fn(&mut worker::HeartbeatRequest)| refused(&good, field, spoil);
    bad("term", |m| m.term = 0);
    bad("node", |m| m.node = None);
    bad("registration", |m| m.registration = u64::MAX);
    bad("number", |m| m.number = u64::MAX);
    bad("answered", |m| m.answered = u64::MAX);
    bad("applied", |m| m.applied = u64::MAX);
    bad("load", |m| m.load = u32::MAX);
    bad("sent_ns", |m| m.sent_ns = i64::MAX);
    // Sets: in order, in pairs, not empty, apart, within the whole, and not too many.
    bad("held", |m| m.held = vec![10, 20, 0, 5]);
    bad("held", |m| m.held = vec![10, 20, 30]);
    bad("held", |m| m.held = vec![10, 10]);
    bad("held", |m| m.held = vec![20, 10]);
    bad("held", |m| m.held = vec![10, 20, 20, 30]);
    bad("held", |m| m.held = vec![10, 20, 15, 30]);
    bad("held", |m| m.held = vec![10, MAX_SLOTS + 1]);
    bad("held", |m| {
        m.held = (0..2 * MAX_HELD_INTERVALS as u32 + 2).collect()
    });
    bad("handled_until_ns", |m| m.handled_until_ns = u64::MAX);
    bad("since_start_ns", |m| m.since_start_ns = Some(i64::MAX));
    bad("unused", |m| m.unused = vec![5, 4]);
    bad("unused", |m| m.unused = vec![5, u64::MAX]);
    bad("unused", |m| {
        m.unused = (0..2 * MAX_NUMBER_INTERVALS as u64 + 2).collect()
    });
    bad("returned", |m| m.returned = vec![5, 5]);

    let good = samples::heartbeat_reply();
    let bad = |field, spoil: fn(&mut worker::HeartbeatResponse)| refused(&good, field, spoil);
    bad("term", |m| m.term = 0);
    bad("registration", |m| m.registration = u64::MAX);
    bad("number", |m| m.number = u64::MAX);
    bad("lease_ns", |m| m.lease_ns = Some(u64::MAX));
    bad("message", |m| m.message = long(MAX_TEXT + 1));
    bad("order.share", |m| {
        m.order = m.order.take().map(|o| worker::Order {
            share: vec![0, MAX_SLOTS + 1],
            ..o
        })
    });
    bad("order.share", |m| {
        m.order = m.order.take().map(|o| worker::Order {
            share: (0..2 * MAX_INTERVALS as u32 + 2).collect(),
            ..o
        })
    });
    bad("floor_ns", |m| {
        m.order = m.order.take().map(|o| worker::Order {
            floor_ns: u64::MAX,
            ..o
        })
    });
    bad("digest", |m| {
        m.allocation = Some(worker::AllocationName {
            number: 1,
            digest: vec![0; 31],
        })
    });
    bad("allocation.number", |m| {
        m.allocation = Some(worker::AllocationName {
            number: u64::MAX,
            digest: vec![0; 32],
        })
    });
    bad("granted", |m| {
        m.numbers = Some(worker::NumbersGrant {
            granted: vec![3, 2],
            last: false,
        })
    });
    bad("order.number", |m| {
        m.order = m.order.take().map(|o| worker::Order {
            number: u64::MAX,
            ..o
        })
    });
    bad("start_ns", |m| {
        m.order = m.order.take().map(|o| worker::Order {
            start_ns: Some(i64::MAX),
            ..o
        })
    });
    bad("start_ns", |m| {
        m.order = m.order.take().map(|o| worker::Order {
            start_ns: Some(i64::MIN),
            ..o
        })
    });
    bad("clock", |m| m.clock = None);
}

#[test]
fn assignment() {
    let good = samples::assign();
    let bad = |field, spoil: fn(&mut worker::TaskAssignment)| refused(&good, field, spoil);
    bad("test_id", |m| m.test_id.clear());
    bad("test_id", |m| m.test_id.push('0'));
    bad("test_id", |m| m.test_id.make_ascii_uppercase());
    bad("test_id", |m| m.test_id = "-".repeat(36));
    bad("task_type", |m| m.task_type.clear());
    bad("parameters", |m| m.parameters = many(MAX_PARAMETERS + 1));
    bad("parameters", |m| {
        drop(m.parameters.insert("k".into(), long(MAX_PARAMETER + 1)))
    });
    bad("target_rate_milli", |m| {
        m.target_rate_milli = MAX_RATE_MILLI + 1
    });
    bad("duration_ns", |m| m.duration_ns = u64::MAX);
    bad("ramp_up_ns", |m| m.ramp_up_ns = u64::MAX);
    bad("max_tasks", |m| m.max_tasks = MAX_TASKS + 1);
    bad("digest", |m| m.plan_digest = vec![0; 20]);
    bad("order", |m| m.order = None);
    bad("term", |m| m.term = 0);
    bad("registration", |m| m.registration = u64::MAX);
    bad("sent_ns", |m| m.sent_ns = i64::MAX);
    bad("sent_ns", |m| m.sent_ns = i64::MIN);
    bad("allocation", |m| m.allocation = None);
    bad("coordinator", |m| {
        m.list = m.list.take().map(|l| worker::Allocation {
            coordinator: None,
            ..l
        })
    });
    bad("entries", |m| {
        m.list = m.list.take().map(|l| worker::Allocation {
            entries: vec![l.entries[0].clone(); MAX_ENTRIES + 1],
            ..l
        })
    });
    bad("entry.slots", |m| {
        if let Some(list) = &mut m.list {
            list.entries[0].slots = vec![0, MAX_SLOTS + 1];
        }
    });
    bad("worker", |m| {
        if let Some(list) = &mut m.list {
            list.entries[0].worker = None;
        }
    });
}

#[test]
fn snapshots() {
    let good = samples::snapshot();
    let bad = |field, spoil: fn(&mut worker::WorkerMetrics)| refused(&good, field, spoil);
    bad("test_id", |m| m.test_id.clear());
    bad("worker", |m| m.worker = None);
    bad("number", |m| m.number = 0);
    bad("number", |m| m.number = u64::MAX);
    bad("pieces_total", |m| m.pieces_total = MAX_PIECES as u32 + 1);
    bad("pieces_total", |m| m.pieces_total = 3);
    bad("elapsed_ns", |m| m.elapsed_ns = u64::MAX);
    bad("slots", |m| m.slots = MAX_SLOTS + 1);
    bad("start_error_us", |m| m.start_error_us = Some(i64::MIN));
    bad("engine_cpu_ns", |m| m.engine_cpu_ns = u64::MAX);
    bad("engine_threads", |m| m.engine_threads = MAX_THREADS + 1);
    bad("histograms", |m| {
        m.histograms = vec![m.histograms[0].clone(); MAX_PIECES]
    });
    bad("histograms", |m| m.histograms.push(m.histograms[0].clone()));
    bad("histogram.step", |m| {
        m.histograms[0].step = MAX_STEPS as u32
    });
    bad("histogram.kind", |m| m.histograms[0].kind = 0);
    bad("histogram", |m| m.histograms[0].data.clear());
    bad("histogram", |m| m.histograms[0].data[100] ^= 1);
    bad("errors without counters", |m| m.counters = None);
    bad("error_type", |m| m.errors[0].error_type.clear());
    bad("error_type", |m| {
        m.errors[0].error_type = long(MAX_WORD + 1)
    });
    bad("error.message", |m| {
        m.errors[0].message = long(MAX_ERROR_MESSAGE + 1)
    });
    bad("occurrences", |m| m.errors[0].occurrences = MAX_COUNT + 1);
    bad("first_occurred_ms", |m| m.errors[0].first_occurred_ms = -1);
    bad("last_occurred_ms", |m| {
        m.errors[0].last_occurred_ms = i64::MAX
    });
    bad("error.step", |m| m.errors[0].step = 2);
    bad("errors", |m| m.errors.push(m.errors[0].clone()));
    bad("errors", |m| {
        for i in 0..MAX_STEP_ERRORS {
            let mut error = m.errors[0].clone();
            error.message = i.to_string();
            m.errors.push(error);
        }
    });
}

#[test]
fn counters() {
    let good = match &samples::snapshot().pieces[0] {
        Piece::Counters(steps) => StepCounters {
            counters: Counters {
                errors: BTreeMap::new(),
                ..steps[0].counters.clone()
            },
            name: steps[0].name.clone(),
        },
        other => panic!("{other:?}"),
    };
    let bad = |field, spoil: fn(&mut worker::StepCounters)| refused(&good, field, spoil);
    bad("step.name", |m| m.name = long(MAX_PLAN_NAME + 1));
    bad("planned", |m| m.planned = MAX_COUNT + 1);
    bad("sent", |m| m.sent = MAX_COUNT + 1);
    bad("ok", |m| m.ok = MAX_COUNT + 1);
    bad("failed", |m| m.failed = MAX_COUNT + 1);
    bad("abandoned", |m| m.abandoned = MAX_COUNT + 1);
    bad("warm_up", |m| m.warm_up = MAX_COUNT + 1);
    bad("dropped_lease", |m| m.dropped_lease = MAX_COUNT + 1);
    bad("dropped_late", |m| m.dropped_late = MAX_COUNT + 1);
    bad("dropped_full", |m| m.dropped_full = MAX_COUNT + 1);
    bad("in_flight", |m| m.in_flight = MAX_COUNT + 1);
    bad("bytes_sent", |m| m.bytes_sent = MAX_COUNT + 1);
    bad("bytes_received", |m| m.bytes_received = MAX_COUNT + 1);
    bad("checks_passed", |m| m.checks_passed = MAX_COUNT + 1);
    bad("checks_failed", |m| m.checks_failed = MAX_COUNT + 1);
    bad("status_counts", |m| m.status_counts[0] = MAX_COUNT + 1);
    bad("status_codes", |m| m.status_codes[0] = 99);
    bad("status_codes", |m| m.status_codes[2] = 1000);
    bad("status_codes", |m| m.status_codes[2] = 65_536 + 503);
    bad("status_codes", |m| m.status_codes[1] = 200);
    bad("status_codes", |m| m.status_counts.truncate(2));

    let too_many = worker::AllCounters {
        steps: vec![good.to_wire(); MAX_STEPS + 1],
    };
    refused(&samples::snapshot(), "steps", |m| {
        m.counters = Some(too_many)
    });
}
