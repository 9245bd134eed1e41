//! The field numbers of the fixed set, checked against handwritten bytes as an implementation with
//! only the fixed set would send and expect them.

use prost::Message as _;

use super::samples;
use crate::*;
use vajra_core::protocol::Signature;
use vajra_core::protocol::certificate::Certificate;
use vajra_core::protocol::messages::{Assign, Reply, Request, TaskDescription};
use vajra_proto::worker as pb;

/// A field with a number below 16 and a value of at most 127 bytes.
fn text(number: u8, value: &str) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2, value.len() as u8];
    bytes.extend(value.as_bytes());
    bytes
}

fn small(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

fn double(number: u8, value: f64) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 1];
    bytes.extend(value.to_le_bytes());
    bytes
}

fn pair(number: u8, key: &str, value: &str) -> Vec<u8> {
    let entry = [text(1, key), text(2, value)].concat();
    let mut bytes = vec![number << 3 | 2, entry.len() as u8];
    bytes.extend(entry);
    bytes
}

#[track_caller]
fn check<M: prost::Message + Default + PartialEq + std::fmt::Debug>(
    bytes: &[Vec<u8>],
    expected: &M,
) {
    let bytes = bytes.concat();
    assert_eq!(&M::decode(bytes.as_slice()).unwrap(), expected);
    assert_eq!(expected.encode_to_vec(), bytes);
}

#[test]
fn registration() {
    check(
        &[
            text(1, "worker"),
            text(2, "host"),
            small(3, 100),
            text(4, "HTTP"),
            text(4, "CPU"),
            text(5, "1.0"),
            pair(6, "region", "eu"),
        ],
        &pb::WorkerRegistrationRequest {
            worker_id: "worker".into(),
            hostname: "host".into(),
            max_capacity: 100,
            supported_task_types: vec!["HTTP".into(), "CPU".into()],
            version: "1.0".into(),
            metadata: [("region".into(), "eu".into())].into(),
            ..Default::default()
        },
    );
    check(
        &[
            small(1, 1),
            text(2, "welcome"),
            small(3, 5),
            small(4, 6),
            text(5, "you"),
        ],
        &pb::WorkerRegistrationResponse {
            accepted: true,
            message: "welcome".into(),
            heartbeat_interval_seconds: 5,
            metrics_interval_seconds: 6,
            assigned_worker_id: "you".into(),
            ..Default::default()
        },
    );
}

#[test]
fn heartbeat() {
    check(
        &[text(1, "worker"), small(2, 7), small(3, 3), small(4, 99)],
        &pb::HeartbeatRequest {
            worker_id: "worker".into(),
            current_load: 7,
            status: pb::WorkerStatus::Overloaded.into(),
            timestamp_ms: 99,
            ..Default::default()
        },
    );
    check(
        &[small(1, 1), text(2, "well")],
        &pb::HeartbeatResponse {
            healthy: true,
            message: "well".into(),
            ..Default::default()
        },
    );
}

#[test]
fn worker_status() {
    use pb::WorkerStatus as S;
    let fixed = [S::Unknown, S::Idle, S::Running, S::Overloaded, S::Error];
    assert_eq!(fixed.map(|s| s as i32), [0, 1, 2, 3, 4]);
    assert_eq!([S::Draining, S::Leaving].map(|s| s as i32), [20, 21]);
    assert_eq!(S::Overloaded.as_str_name(), "WORKER_STATUS_OVERLOADED");
}

#[test]
fn assignment() {
    check(
        &[
            text(1, "test"),
            text(2, "HTTP"),
            pair(3, "url", "http://a"),
            small(4, 1),
            small(5, 2),
            small(6, 3),
            small(7, 4),
            small(8, 5),
        ],
        &pb::TaskAssignment {
            test_id: "test".into(),
            task_type: "HTTP".into(),
            parameters: [("url".into(), "http://a".into())].into(),
            target_tps: 1,
            duration_seconds: 2,
            ramp_up_seconds: 3,
            max_concurrency: 4,
            assigned_at_ms: 5,
            ..Default::default()
        },
    );
    check(
        &[small(1, 1), text(2, "yes"), small(3, 9)],
        &pb::TaskAssignmentResponse {
            accepted: true,
            message: "yes".into(),
            estimated_task_count: 9,
            ..Default::default()
        },
    );
}

#[test]
fn stop() {
    check(
        &[text(1, "test"), small(2, 1), small(3, 30)],
        &pb::StopTestRequest {
            test_id: "test".into(),
            graceful: true,
            timeout_seconds: 30,
            ..Default::default()
        },
    );
    check(
        &[small(1, 1), text(2, "yes"), small(3, 9)],
        &pb::StopTestResponse {
            stopped: true,
            message: "yes".into(),
            tasks_interrupted: 9,
            ..Default::default()
        },
    );
}

#[test]
fn metrics() {
    let latency: Vec<u8> = (1..=9).flat_map(|n| double(n, f64::from(n))).collect();
    let error = [
        text(1, "refused"),
        text(2, "connect"),
        small(3, 1),
        small(4, 2),
        small(5, 3),
    ]
    .concat();
    check(
        &[
            text(1, "worker"),
            text(2, "test"),
            small(3, 1),
            small(4, 2),
            small(5, 3),
            small(6, 4),
            double(7, 5.5),
            small(8, 6),
            vec![9 << 3 | 2, latency.len() as u8],
            latency,
            vec![10 << 3 | 2, error.len() as u8],
            error,
        ],
        &pb::WorkerMetrics {
            worker_id: "worker".into(),
            test_id: "test".into(),
            timestamp_ms: 1,
            total_requests: 2,
            successful_requests: 3,
            failed_requests: 4,
            current_tps: 5.5,
            active_tasks: 6,
            latency: Some(pb::LatencyStatistics {
                p50_ms: 1.0,
                p75_ms: 2.0,
                p90_ms: 3.0,
                p95_ms: 4.0,
                p99_ms: 5.0,
                p999_ms: 6.0,
                avg_ms: 7.0,
                min_ms: 8.0,
                max_ms: 9.0,
            }),
            errors: vec![pb::ErrorDetail {
                message: "refused".into(),
                error_type: "connect".into(),
                count: 1,
                first_occurred_ms: 2,
                last_occurred_ms: 3,
                ..Default::default()
            }],
            ..Default::default()
        },
    );
    check(
        &[small(1, 1), text(2, "got it")],
        &pb::MetricsAcknowledgment {
            received: true,
            message: "got it".into(),
            ..Default::default()
        },
    );
}

fn assignment_of(description: TaskDescription) -> pb::TaskAssignment {
    Assign {
        description,
        ..samples::assign()
    }
    .to_wire()
}

/// Values are rounded up, at least 1 unless 0, and saturated.
#[test]
fn an_assignment_has_its_rounded_values_in_the_fixed_set() {
    let m = samples::assign().to_wire();
    assert_eq!(m.test_id, "a7a7a7a7-a7a7-a7a7-a7a7-a7a7a7a7a7a7");
    assert_eq!((m.task_type.as_str(), m.target_tps), ("HTTP", 1235));
    assert_eq!((m.duration_seconds, m.ramp_up_seconds), (31, 1));
    assert_eq!((m.max_concurrency, m.assigned_at_ms), (100, 3000));
    assert_eq!(m.parameters["url"], "http://127.0.0.1:8080/");

    let slow = assignment_of(TaskDescription {
        target_rate_milli: 1,
        ..samples::assign().description
    });
    assert_eq!((slow.target_tps, slow.target_rate_milli), (1, 1));

    let huge = assignment_of(TaskDescription {
        target_rate_milli: u64::MAX,
        duration: std::time::Duration::MAX,
        ramp_up: std::time::Duration::MAX,
        max_concurrency: u32::MAX,
        ..samples::assign().description
    });
    assert_eq!(
        (huge.target_tps, huge.ramp_up_seconds),
        (i32::MAX, i32::MAX)
    );
    assert_eq!(
        (huge.max_concurrency, huge.duration_seconds),
        (i32::MAX, i64::MAX)
    );

    let closed = assignment_of(TaskDescription {
        target_rate_milli: 0,
        ..samples::assign().description
    });
    assert_eq!(closed.target_tps, 0);
}

#[test]
fn only_the_exact_values_are_decoded() {
    let mut assign = samples::assign().to_wire();
    (assign.target_tps, assign.duration_seconds) = (9, 9);
    (assign.ramp_up_seconds, assign.max_concurrency) = (9, 9);
    assert_eq!(Assign::from_wire(assign), Ok(samples::assign()));

    let mut metrics = samples::snapshot().to_wire();
    assert!(metrics.latency.is_some());
    metrics.latency = None;
    metrics.current_tps = f64::NAN;
    (metrics.total_requests, metrics.active_tasks) = (-1, -1);
    assert_eq!(Wire::from_wire(metrics), Ok(samples::snapshot()));
}

#[test]
fn metrics_have_totals_and_percentiles_in_the_fixed_set() {
    use vajra_core::metrics::{Piece, TimeKind, new_histogram};
    let mut s = samples::snapshot();
    for (step, range) in [(0, 1..=500u64), (1, 501..=1000)] {
        let mut h = new_histogram();
        range.for_each(|ms| h.saturating_record(ms * 1000));
        s.pieces
            .retain(|p| !matches!(p, Piece::Histogram { step: i, .. } if *i == step));
        s.pieces.push(Piece::Histogram {
            step,
            kind: TimeKind::Response,
            data: samples::encoded(&h),
        });
    }
    let m = s.to_wire();
    assert_eq!((m.total_requests, m.successful_requests), (4, 6));
    assert_eq!((m.failed_requests, m.active_tasks), (8, 20));
    assert!((m.current_tps - 4.0 / 12.0).abs() < 1e-6);
    assert_eq!(m.timestamp_ms, 12_000);
    assert_eq!(m.errors.len(), 4);
    assert_eq!(m.errors[0].count, i32::MAX);
    let latency = m.latency.unwrap();
    for (actual, exact) in [
        (latency.p50_ms, 500.0),
        (latency.p75_ms, 750.0),
        (latency.p90_ms, 900.0),
        (latency.p95_ms, 950.0),
        (latency.p99_ms, 990.0),
        (latency.p999_ms, 999.0),
        (latency.avg_ms, 500.5),
        (latency.min_ms, 1.0),
        (latency.max_ms, 1000.0),
    ] {
        assert!(
            (actual - exact).abs() <= exact / 1000.0,
            "{actual} is not {exact}"
        );
    }
}

#[test]
fn the_worker_id_is_the_peer_id_in_base58() {
    let identity = [&[0, 36, 8, 1, 18, 32][..], &[7; 32]].concat();
    let mut register = samples::register();
    register.node.peer = vajra_core::protocol::Peer::new(&identity);
    let name = register.to_wire().worker_id;
    assert_eq!(
        name,
        libp2p::PeerId::from_bytes(&identity).unwrap().to_base58()
    );
}

#[test]
fn replies_have_rounded_values_in_the_fixed_set() {
    let m = samples::register_reply().to_wire();
    assert_eq!(
        (m.heartbeat_interval_seconds, m.metrics_interval_seconds),
        (1, 2)
    );
    assert!(samples::heartbeat_reply().to_wire().healthy);
    let stop = encode_request(&Request::Stop {
        test: samples::TEST,
        term: 1,
        stop: samples::stop(),
    });
    let m = vajra_proto::v1::Request::decode(stop.as_slice()).unwrap();
    let Some(vajra_proto::v1::request::Body::Stop(m)) = m.body else {
        panic!("no stop");
    };
    assert_eq!((m.graceful, m.timeout_seconds), (true, 3));
}

/// Handwritten bytes, so that the field numbers cannot change.
#[test]
fn a_preflight_keeps_its_field_numbers() {
    let mut request = samples::preflight();
    request.plan = std::sync::Arc::from(&b"{}"[..]);
    let body = [
        vec![1 << 3 | 2, 32],
        vec![5; 32],
        text(2, "{}"),
        vec![3 << 3, 0x95, 0xac, 0x14],
    ]
    .concat();
    let bytes = [vec![0x92, 0x03, body.len() as u8], body].concat();
    assert_eq!(encode_request(&Request::Preflight(request)), bytes);
    assert_eq!(encode_request(&Request::Clock), [0x9a, 0x03, 0x00]);
    let clock = encode_reply(&Reply::Clock { unix_ms: 5 });
    assert_eq!(clock, [0x9a, 0x03, 0x02, 0x08, 0x05]);
}

/// Handwritten bytes, so that the field numbers and kinds cannot change.
#[test]
fn records_keep_their_field_numbers_and_kinds() {
    use vajra_core::protocol::messages::{RecordName, RecordPart};
    use vajra_core::protocol::{Digest, TestId};
    let encoded_request = |record, offset| encode_request(&Request::FetchRecord { record, offset });
    assert_eq!(
        encoded_request(RecordName::Tests, 0),
        [0xe2, 0x03, 2, 1 << 3, 1]
    );
    assert_eq!(
        encoded_request(RecordName::Links, 0),
        [0xe2, 0x03, 2, 1 << 3, 4]
    );
    let test = TestId([9; 16]);
    for (record, kind) in [
        (RecordName::Result(test), 2),
        (RecordName::Timeline(test), 3),
    ] {
        let head = vec![0xe2, 0x03, 22, 1 << 3, kind, 2 << 3 | 2, 16];
        let bytes = [head, vec![9; 16], small(3, 5)].concat();
        assert_eq!(encoded_request(record, 5), bytes);
    }
    let part = RecordPart {
        digest: Digest([7; 32]),
        total: 3,
        bytes: std::sync::Arc::from(&b"{}"[..]),
    };
    let body = [
        vec![1 << 3 | 2, 32],
        vec![7; 32],
        small(2, 3),
        text(3, "{}"),
    ]
    .concat();
    let head = [0xe2, 0x03, 42, 1 << 3 | 2, body.len() as u8].to_vec();
    assert_eq!(
        encode_reply(&Reply::Record(Some(part))),
        [head, body].concat()
    );
    assert_eq!(encode_reply(&Reply::Record(None)), [0xe2, 0x03, 0]);
}

/// Handwritten bytes, so that the field numbers and the form of sets cannot change.
#[test]
fn shares_and_allocations_keep_their_field_numbers() {
    use vajra_core::protocol::allocation::{Allocation, AllocationEntry};
    use vajra_core::protocol::messages::{NumbersGrant, Order, ShareReport};
    use vajra_core::protocol::{Digest, Incarnation, NodeId, Peer, RemoteTime, TestId};
    use vajra_core::{Numbers, Slots};
    let bytes = |number: u8, value: &[u8]| {
        let mut bytes = vec![number << 3 | 2, value.len() as u8];
        bytes.extend(value);
        bytes
    };
    // 0..=99 and 999,999: the bound 1,000,000 takes three bytes.
    let share = Slots::range(0, 100).union(&Slots::range(999_999, 1_000_000));
    let bounds = [0, 100, 0xbf, 0x84, 0x3d, 0xc0, 0x84, 0x3d];
    let order = Order {
        number: 7,
        share: share.clone(),
        floor: std::time::Duration::from_nanos(9),
        start: Some(RemoteTime(-2)),
    };
    let start = [vec![4 << 3 | 1, 0xfe], vec![0xff; 7]].concat();
    assert_eq!(
        order.to_wire().encode_to_vec(),
        [small(1, 7), bytes(2, &bounds), small(3, 9), start].concat()
    );
    let report = ShareReport {
        share: Slots::range(1, 2),
        held: share.clone(),
    };
    assert_eq!(
        report.to_wire().encode_to_vec(),
        [bytes(1, &[1, 2]), bytes(2, &bounds)].concat()
    );
    let grant = NumbersGrant {
        granted: Numbers::range(3, 1 << 14),
        last: true,
    };
    assert_eq!(
        grant.to_wire().encode_to_vec(),
        [bytes(1, &[3, 0x80, 0x80, 0x01]), small(2, 1)].concat()
    );
    let node = |n| NodeId {
        peer: Peer::new(&[n; 2]),
        incarnation: Incarnation(u64::from(n)),
    };
    let encoded_node = |n: u8| [bytes(1, &[n; 2]), small(2, n)].concat();
    let test = TestId([9; 16]);
    let list = Allocation {
        test,
        term: 2,
        number: 7,
        coordinator: node(1),
        entries: vec![AllocationEntry {
            worker: node(4),
            slots: share,
        }],
        signature: Signature([6; 64]),
    };
    let name = list.name();
    assert_eq!(
        name.to_wire().encode_to_vec(),
        [small(1, 7), bytes(2, &name.digest.0)].concat()
    );
    let entry = [bytes(1, &encoded_node(4)), bytes(2, &bounds)].concat();
    let list_bytes = [
        bytes(1, &[9; 16]),
        small(2, 2),
        small(3, 7),
        bytes(4, &encoded_node(1)),
        bytes(5, &entry),
        bytes(6, &[6; 64]),
    ]
    .concat();
    let certificate = bytes(1, &bytes(2, &[5; 64]));
    let body = [
        bytes(1, &[9; 16]),
        bytes(2, &list_bytes),
        bytes(3, &certificate),
    ]
    .concat();
    let reply = Reply::Allocation {
        test,
        list: Some(std::sync::Arc::new(list)),
        certificate: std::sync::Arc::new(Certificate {
            votes: vec![(0, Signature([5; 64]))],
        }),
    };
    assert_eq!(
        encode_reply(&reply),
        [vec![0xc2, 0x01, 0xce, 0x01], body].concat()
    );
    let request = Request::FetchAllocation {
        test,
        digest: Some(Digest([8; 32])),
    };
    let body = [bytes(1, &[9; 16]), bytes(2, &[8; 32])].concat();
    assert_eq!(
        encode_request(&request),
        [vec![0xc2, 0x01, body.len() as u8], body].concat()
    );
}

/// Added fields are ignored. Unknown kinds are distinguished from malformed messages.
#[test]
fn newer_messages_are_recognised() {
    let mut bytes = encode_reply(&Reply::Drained);
    bytes.extend([0x98, 0x06, 0x01]);
    assert_eq!(decode_reply(&bytes), Ok(Reply::Drained));
    let newer = [0x9a, 0x06, 0x00];
    assert!(decode_request(&newer).unwrap_err().is_newer());
    assert!(decode_reply(&newer).unwrap_err().is_newer());
    assert!(decode_gossip(Topic::Tests, &newer).unwrap_err().is_newer());
    assert!(
        decode_gossip(Topic::Tests, &[0x12, 0x00])
            .unwrap_err()
            .is_newer()
    );
    assert!(!decode_request(&[0xff]).unwrap_err().is_newer());
}
