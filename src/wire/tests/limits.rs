//! Each limit, one step beyond it: every case starts from a message that is accepted.

use std::collections::BTreeMap;

use prost::Message as _;

use super::samples;
use crate::protocol::messages::*;
use crate::protocol::metrics::Snapshot;
use crate::wire::limits::*;
use crate::wire::pb::{v1, worker};
use crate::wire::*;

/// Breaks a good message in one place, and gives the field that is named for it.
#[track_caller]
fn refused<T: Wire + std::fmt::Debug>(good: &T, field: &str, spoil: impl FnOnce(&mut T::Message)) {
    let mut m = good.to_wire();
    assert!(T::from_wire(good.to_wire()).is_ok());
    spoil(&mut m);
    let error = T::from_wire(m).expect_err(field);
    let named = match error {
        WireError::Missing(field)
        | WireError::Unknown(field)
        | WireError::TooLong { field, .. }
        | WireError::TooMany { field, .. }
        | WireError::TooLarge { field, .. }
        | WireError::Invalid { field, .. } => field,
        WireError::Oversize { .. } | WireError::Malformed(_) | WireError::WrongTopic => "",
    };
    assert_eq!(named, field, "{error}");
}

fn many(n: usize) -> BTreeMap<String, String> {
    (0..n).map(|i| (i.to_string(), String::new())).collect()
}

fn long(n: usize) -> String {
    "x".repeat(n)
}

fn span() -> u64 {
    MAX_SPAN.as_nanos() as u64
}

#[test]
fn advert() {
    let good = samples::advert();
    let bad = |field, spoil: fn(&mut v1::Advert)| refused(&good, field, spoil);
    bad("node", |m| m.node = None);
    bad("number", |m| m.number = MAX_NUMBER + 1);
    bad("name", |m| m.name = long(MAX_NAME + 1));
    bad("name", |m| m.name = "a\u{1b}[2J".into());
    bad("version", |m| m.version = long(MAX_VERSION + 1));
    bad("addresses", |m| {
        m.addresses = vec!["/ip4/1.2.3.4".into(); MAX_ADDRESSES + 1]
    });
    bad("addresses", |m| {
        m.addresses[0] = format!("/{}", long(MAX_ADDRESS))
    });
    bad("addresses", |m| m.addresses[0] = "10.0.0.1:80".into());
    bad("addresses", |m| {
        m.addresses[0] = "/ip4/10.0.0.1 /tcp/1".into()
    });
    bad("capacity", |m| m.capacity = MAX_TASKS + 1);
    bad("load", |m| m.load = MAX_TASKS + 1);
    bad("task_types", |m| {
        m.task_types = vec!["A".into(); MAX_TASK_TYPES + 1]
    });
    bad("task_types", |m| m.task_types[0] = long(MAX_TASK_TYPE + 1));
    bad("task_types", |m| m.task_types[0].clear());
    bad("labels", |m| m.labels = many(MAX_LABELS + 1));
    bad("labels", |m| {
        drop(m.labels.insert(long(MAX_KEY + 1), String::new()))
    });
    bad("labels", |m| {
        drop(m.labels.insert("k".into(), long(MAX_LABEL + 1)))
    });
    bad("labels", |m| {
        drop(m.labels.insert(String::new(), String::new()))
    });
    bad("interval_ns", |m| m.interval_ns = 0);
    bad("interval_ns", |m| {
        m.interval_ns = MAX_SPAN.as_nanos() as u64 + 1
    });
    bad("tests", |m| {
        m.tests = vec![m.tests[0].clone(); MAX_KNOWN_TESTS + 1]
    });
    bad("test", |m| m.tests[0].test = vec![1; 17]);
    bad("test", |m| m.tests[0].test = vec![1; 15]);
    bad("test", |m| m.tests[0].test.clear());
    bad("term", |m| m.tests[0].term = MAX_NUMBER + 1);
    bad("digest", |m| m.tests[0].digest = vec![1; 31]);
}

#[test]
fn node_names() {
    let good = samples::node(1);
    refused(&good, "peer", |m| m.peer.clear());
    refused(&good, "peer", |m| m.peer = vec![1; MAX_PEER + 1]);
}

#[test]
fn announcement() {
    let good = samples::announcement();
    let bad = |field, spoil: fn(&mut v1::Announcement)| refused(&good, field, spoil);
    bad("submitter", |m| m.submitter = None);
    bad("name", |m| m.name = long(MAX_PLAN_NAME + 1));
    bad("digest", |m| m.digest = vec![0; 33]);
    bad("plan_len", |m| (m.plan, m.plan_len) = (None, 0));
    bad("plan_len", |m| {
        (m.plan, m.plan_len) = (None, MAX_PLAN as u32 + 1)
    });
    bad("plan", |m| m.plan = Some(vec![0; MAX_INLINE_PLAN + 1]));
    bad("plan", |m| m.plan_len += 1);
    bad("plan", |m| m.digest[0] ^= 1);
    bad("electorate", |m| m.electorate.clear());
    bad("electorate", |m| m.electorate.truncate(2));
    bad("electorate", |m| {
        m.electorate = (0..9).map(|n| samples::node(n).to_wire()).collect();
    });
    // The same peer in another incarnation is the same voter.
    bad("electorate", |m| {
        m.electorate[2] = m.electorate[0].clone();
        m.electorate[2].incarnation += 1;
    });
    bad("submitted_unix_ms", |m| {
        m.submitted_unix_ms = MAX_UNIX_MS + 1
    });
}

#[test]
fn elections() {
    use v1::test_message::Body;
    let all = samples::gossip();
    let messages: Vec<&TestMessage> = all
        .iter()
        .filter_map(|g| match g {
            Gossip::Test(t) => Some(t),
            _ => None,
        })
        .collect();
    for good in messages {
        let bad = |field, spoil: fn(&mut v1::TestMessage)| refused(good, field, spoil);
        macro_rules! spoil {
            ($body:ident, $field:literal, $m:ident => $change:expr) => {
                bad($field, |m| {
                    if let Some(Body::$body($m)) = &mut m.body {
                        $change
                    }
                })
            };
        }
        match good {
            TestMessage::Poll { .. } => {
                spoil!(Poll, "term", m => m.term = 0);
                spoil!(Poll, "term", m => m.term = MAX_NUMBER + 1);
                spoil!(Poll, "candidate", m => m.candidate = None);
            }
            TestMessage::PollAnswer { .. } => {
                spoil!(PollAnswer, "term", m => m.term = 0);
                spoil!(PollAnswer, "seen_term", m => m.seen_term = MAX_NUMBER + 1);
                spoil!(PollAnswer, "elector", m => m.elector = None);
            }
            TestMessage::Claim { .. } => {
                spoil!(Claim, "term", m => m.term = 0);
                spoil!(Claim, "test", m => m.test = vec![0; 5]);
            }
            TestMessage::Vote { .. } => {
                spoil!(Vote, "term", m => m.term = 0);
                spoil!(Vote, "share_lease_ns", m => m.share_lease_ns = span() + 1);
                spoil!(Vote, "timeout_ns", m => {
                    m.stop = Some(worker::StopOrder { graceful: true, timeout_ns: u64::MAX });
                });
            }
            TestMessage::Beat { .. } => {
                spoil!(Beat, "term", m => m.term = 0);
                spoil!(Beat, "number", m => m.number = u64::MAX);
                spoil!(Beat, "share_lease_ns", m => m.share_lease_ns = u64::MAX);
                spoil!(Beat, "since_start_ns", m => m.since_start_ns = Some(i64::MIN));
                spoil!(Beat, "since_start_ns", m => m.since_start_ns = Some(i64::MAX));
                spoil!(Beat, "phase", m => m.phase = 0);
                spoil!(Beat, "phase", m => m.phase = 99);
            }
            TestMessage::BeatAck { .. } => {
                spoil!(BeatAck, "term", m => m.term = 0);
                spoil!(BeatAck, "number", m => m.number = u64::MAX);
            }
            TestMessage::Resign { .. } => {
                spoil!(Resign, "term", m => m.term = 0);
                spoil!(Resign, "node", m => m.node = None);
            }
            TestMessage::Stop { .. } => {
                spoil!(Stop, "by", m => m.by = None);
                spoil!(Stop, "order", m => m.order = None);
            }
            TestMessage::Announced(_) | TestMessage::Ended(_) => {}
        }
    }
}

#[test]
fn the_end() {
    let good = samples::ended();
    let bad = |field, spoil: fn(&mut v1::Ended)| refused(&good, field, spoil);
    bad("term", |m| m.term = MAX_NUMBER + 1);
    bad("coordinator", |m| m.coordinator = None);
    bad("reason", |m| m.reason = 0);
    bad("reason", |m| m.reason = 50);
    bad("message", |m| m.message = long(MAX_TEXT + 1));
    bad("roster", |m| {
        m.roster = vec![m.roster[0].clone(); MAX_ROSTER + 1]
    });
    bad("worker", |m| m.roster[0].worker = None);
    bad("name", |m| m.roster[0].name = long(MAX_NAME + 1));
    bad("last_snapshot", |m| {
        m.roster[0].last_snapshot = Some(u64::MAX)
    });
    bad("lost_at_ns", |m| m.roster[0].lost_at_ns = Some(u64::MAX));
    bad("events", |m| {
        m.events = vec![m.events[0].clone(); MAX_EVENTS + 1]
    });
    bad("at_ms", |m| m.events[0].at_ms = i64::MIN);
    bad("event.kind", |m| m.events[0].kind = long(MAX_WORD + 1));
    bad("event.peer", |m| {
        m.events[0].peer = Some(vec![0; MAX_PEER + 1])
    });
    bad("event.text", |m| m.events[0].text = long(MAX_TEXT + 1));
}

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
    bad("slots", |m| {
        m.report = Some(worker::ShareReport {
            slots: 1_000_001,
            offset: 0,
        })
    });
    bad("offset", |m| {
        m.report = Some(worker::ShareReport {
            slots: 1,
            offset: 1_000_001,
        })
    });
    bad("since_start_ns", |m| m.since_start_ns = Some(i64::MIN));
    bad("timeout_ns", |m| {
        m.stop = Some(worker::StopOrder {
            graceful: true,
            timeout_ns: u64::MAX,
        });
    });
    bad("sent_ns", |m| m.sent_ns = MAX_CLOCK_NS + 1);

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
            received_ns: u64::MAX,
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
    bad("sent_ns", |m| m.sent_ns = u64::MAX);

    let good = samples::heartbeat_reply();
    let bad = |field, spoil: fn(&mut worker::HeartbeatResponse)| refused(&good, field, spoil);
    bad("term", |m| m.term = 0);
    bad("registration", |m| m.registration = u64::MAX);
    bad("number", |m| m.number = u64::MAX);
    bad("lease_ns", |m| m.lease_ns = Some(u64::MAX));
    bad("message", |m| m.message = long(MAX_TEXT + 1));
    bad("slots", |m| {
        m.order = m.order.map(|o| worker::Order {
            slots: MAX_SLOTS + 1,
            ..o
        })
    });
    bad("order.number", |m| {
        m.order = m.order.map(|o| worker::Order {
            number: u64::MAX,
            ..o
        })
    });
    bad("start_ns", |m| {
        m.order = m.order.map(|o| worker::Order {
            start_ns: Some(u64::MAX),
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
    bad("sent_ns", |m| m.sent_ns = u64::MAX);
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
        crate::protocol::metrics::Piece::Counters(steps) => {
            crate::protocol::metrics::StepCounters {
                counters: crate::protocol::metrics::Counters {
                    errors: BTreeMap::new(),
                    ..steps[0].counters.clone()
                },
                name: steps[0].name.clone(),
            }
        }
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

#[track_caller]
fn refused_reply(body: v1::reply::Body, field: &str) {
    let bytes = v1::Reply { body: Some(body) }.encode_to_vec();
    let error = decode_reply(&bytes).expect_err(field);
    assert!(error.to_string().contains(&format!("`{field}`")), "{error}");
}

#[test]
fn replies() {
    use v1::reply::Body;
    refused_reply(
        Body::Assign(worker::TaskAssignmentResponse {
            test: vec![0; 16],
            estimated_tasks: u64::MAX,
            ..Default::default()
        }),
        "estimated_tasks",
    );
    refused_reply(
        Body::Stop(worker::StopTestResponse {
            interrupted: u32::MAX,
            ..Default::default()
        }),
        "interrupted",
    );
    refused_reply(
        Body::Metrics(worker::MetricsAcknowledgment {
            test: vec![0; 16],
            number: u64::MAX,
            ..Default::default()
        }),
        "number",
    );
    refused_reply(
        Body::Plan(v1::FetchedPlan {
            plan: Some(vec![0; MAX_PLAN + 1]),
        }),
        "plan",
    );
    refused_reply(
        Body::Refused(v1::Refused {
            message: long(MAX_TEXT + 1),
        }),
        "message",
    );
}

#[test]
fn pages() {
    use v1::reply::Body;
    let of = |snapshots: Vec<worker::WorkerMetrics>, more| v1::FetchedSnapshots {
        test: samples::TEST.0.to_vec(),
        snapshots,
        more,
    };
    let empty = |worker| {
        let pieces = Vec::new();
        Snapshot {
            worker,
            pieces,
            ..samples::snapshot()
        }
        .to_wire()
    };
    refused_reply(Body::Snapshots(of(vec![], true)), "snapshots");
    refused_reply(
        Body::Snapshots(of(
            vec![empty(samples::node(2)), empty(samples::node(1))],
            false,
        )),
        "snapshots",
    );
    refused_reply(
        Body::Snapshots(of(vec![empty(samples::node(2)); 2], false)),
        "snapshots",
    );
    let mut other = of(vec![empty(samples::node(2))], false);
    other.test[0] ^= 1;
    refused_reply(Body::Snapshots(other), "snapshots");
    let many = (0..=MAX_SNAPSHOTS as u64).map(|i| {
        let mut node = samples::node(1);
        node.incarnation.0 = i;
        empty(node)
    });
    refused_reply(Body::Snapshots(of(many.collect(), false)), "snapshots");
    let full = worker::WorkerMetrics {
        histograms: vec![Default::default(); MAX_PAGE_HISTOGRAMS + 1],
        ..Default::default()
    };
    refused_reply(
        Body::Snapshots(of(vec![full], false)),
        "histograms of all snapshots",
    );
}

#[test]
fn a_stop_needs_its_term_and_a_bounded_timeout() {
    use v1::request::Body;
    let stop = worker::StopTestRequest {
        test_id: samples::TEST.to_string(),
        term: 1,
        ..Default::default()
    };
    let decode = |m: worker::StopTestRequest| {
        let body = Some(Body::Stop(m));
        decode_request(&v1::Request { body }.encode_to_vec())
    };
    assert!(decode(stop.clone()).is_ok());
    let no_term = worker::StopTestRequest {
        term: 0,
        ..stop.clone()
    };
    assert_eq!(decode(no_term), Err(WireError::Missing("term")));
    let endless = worker::StopTestRequest {
        timeout_ns: u64::MAX,
        ..stop
    };
    assert!(matches!(decode(endless), Err(WireError::TooLarge { .. })));
}

#[test]
fn an_unknown_status_is_no_reason_to_refuse_the_rest() {
    let mut m = samples::advert().to_wire();
    m.status = 77;
    assert_eq!(Advert::from_wire(m).map(|a| a.status), Ok(Status::Unknown));
}
