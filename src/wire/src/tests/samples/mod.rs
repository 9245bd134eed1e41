//! One sample of every message, with a distinct value in every field.

mod all;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

use vajra_core::Hook;
use vajra_core::metrics::*;
use vajra_core::protocol::allocation::{Allocation, AllocationEntry};
use vajra_core::protocol::beat::Beat;
use vajra_core::protocol::certificate::Certificate;
use vajra_core::protocol::log::*;
use vajra_core::protocol::messages::*;
use vajra_core::protocol::preflight::{Check, Finding, Preflight, PreflightReply};
use vajra_core::protocol::rendezvous::Seed;
use vajra_core::protocol::signature::SIGNATURE_LEN;
use vajra_core::protocol::stop::SignedStop;
use vajra_core::protocol::{Digest, Incarnation, NodeId, Peer, RemoteTime, Signature, TestId};
use vajra_core::{Numbers, Slots};

pub use all::{gossip, replies, requests};

pub const TEST: TestId = TestId([0xa7; 16]);

pub fn node(n: u8) -> NodeId {
    NodeId {
        peer: Peer::new(&[n; 38]),
        incarnation: Incarnation(0x0123_4567_89ab_cdef + u64::from(n)),
    }
}

/// One log entry of every kind.
pub fn decisions() -> Vec<LogEntry> {
    let all = [
        EntryKind::HookStarted(Hook::Setup),
        EntryKind::SetupValues(Arc::from(&br#"{"token":"t"}"#[..])),
        EntryKind::LoadChanged(LoadCommand::Load { level_milli: 1_500 }),
        EntryKind::LoadChanged(LoadCommand::Pause),
        EntryKind::LoadChanged(LoadCommand::Resume),
        EntryKind::HookStarted(Hook::Teardown),
    ];
    let log = (0u64..).zip(all).map(|(i, kind)| LogEntry {
        id: i << 40,
        at: Duration::from_nanos(i * 1_000_000_007),
        max_delay: Duration::from_millis(2_550 * i),
        kind,
    });
    log.collect()
}

pub fn stop() -> SignedStop {
    SignedStop {
        order: StopOrder {
            graceful: true,
            timeout: Duration::from_nanos(2_500_000_001),
        },
        by: node(2),
        signature: signature(4),
    }
}

fn texts<const N: usize>(list: [&str; N]) -> Vec<String> {
    list.map(String::from).into()
}

fn map<const N: usize>(list: [(&str, &str); N]) -> BTreeMap<String, String> {
    list.map(|(k, v)| (k.to_string(), v.to_string())).into()
}

pub fn advert() -> Advert {
    Advert {
        node: node(1),
        number: 77,
        name: "weaver-ü".into(),
        version: "0.1.0".into(),
        addresses: texts(["/ip4/127.0.0.1/tcp/7400", "/ip6/::1/tcp/7400/p2p/12D3KooW"]),
        capacity: 1000,
        load: 10,
        task_types: texts(["HTTP", "SLEEP"]),
        labels: map([("region", "eu"), ("empty", "")]),
        status: Status::Draining,
        interval: Duration::from_nanos(2_000_000_007),
        tests: vec![
            KnownTest {
                test: TEST,
                term: 3,
                coordinator: Some(node(2)),
                digest: Digest([9; 32]),
            },
            KnownTest {
                test: TestId([1; 16]),
                term: 0,
                coordinator: None,
                digest: Digest([8; 32]),
            },
        ],
        environment: "Linux 6.1 x86_64, 8 cores, 15.6 GiB".into(),
    }
}

pub fn signature(of: u8) -> Signature {
    Signature([of; SIGNATURE_LEN])
}

pub fn certificate() -> Arc<Certificate> {
    let votes = vec![(0, signature(1)), (2, signature(2))];
    Arc::new(Certificate { votes })
}

/// A beat with every field, in its relayed form.
pub fn beat() -> Beat {
    Beat {
        test: TEST,
        term: 2,
        coordinator: node(3),
        number: 8,
        share_lease: Duration::from_nanos(2_500_000_001),
        since_start: Some(-3),
        ends_within: Some(Duration::from_secs(70)),
        state: TestState::Running,
        log: decisions().into(),
        committed: 4,
        events: Vec::new(),
        allocation: Some(allocation().name()),
        leased_until: Duration::from_nanos(8_000_000_005),
        free: Some(Arc::new(Numbers::range(5, 1 << 41))),
        certificate: certificate(),
        signature: signature(3),
    }
}

pub fn announcement() -> Announcement {
    let plan = br#"{"task":{"type":"SLEEP","ms":5}}"#;
    Announcement {
        test: TEST,
        submitter: node(1),
        name: "a plan".into(),
        digest: Digest::of(plan),
        plan_len: plan.len() as u32,
        plan: Some(Arc::from(&plan[..])),
        electorate: vec![node(3), node(1), node(2)],
        submitted_unix_ms: 1_790_000_000_123,
        nonce: Seed([6; 16]),
        signature: signature(7),
    }
}

pub fn encoded(h: &Histogram<u64>) -> Arc<[u8]> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(h, &mut bytes).unwrap();
    bytes.into()
}

/// A histogram of `n` pseudorandom values over the whole range.
pub fn histogram(n: u64) -> Arc<[u8]> {
    let mut h = new_histogram();
    for i in 0..n {
        let value = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % HIGHEST_US;
        h.saturating_record_n(value >> (i % 32), 1 + i * i % 1009);
    }
    encoded(&h)
}

pub fn counters() -> Counters {
    let error = |kind: &str, message: &str| ErrorKey {
        kind: kind.into(),
        message: message.into(),
    };
    let count = |n| ErrorCount {
        count: n,
        first_ms: n % 97,
        last_ms: n % 97 + 5,
    };
    Counters {
        iterations: 9,
        planned: 1 << 40,
        sent: 2,
        ok: 3,
        failed: 4,
        abandoned: 5,
        warm_up: 6,
        dropped_lease: 7,
        dropped_late: 8,
        dropped_full: 9,
        in_flight: 10,
        bytes_sent: 11,
        bytes_received: 12,
        checks_passed: 15,
        checks_failed: 16,
        status_codes: [(200, 13), (503, 14), (999, 1)].into(),
        errors: [
            (error("connect", "refused"), count(1 << 33)),
            (error("timeout", ""), count(20)),
        ]
        .into(),
    }
}

pub fn snapshot() -> Snapshot {
    let step = |name: &str| StepCounters {
        name: name.into(),
        counters: counters(),
    };
    let mut pieces = vec![Piece::Counters(vec![step("first"), step("second")])];
    for (i, kind) in (1..).zip(TimeKind::ALL) {
        pieces.push(Piece::Histogram {
            step: 1,
            kind,
            data: histogram(50 * i),
        });
    }
    Snapshot {
        test: TEST,
        worker: node(4),
        number: 12,
        is_final: true,
        pieces_total: 9,
        elapsed: Duration::from_nanos(12_000_000_034),
        slots: 250_000,
        start_error: Some(StartError {
            us: -321,
            within_us: 45,
        }),
        engine_cpu: Duration::from_nanos(987_654_321),
        engine_threads: 3,
        pieces,
        signature: signature(9),
    }
}

pub fn ended() -> Ended {
    Ended {
        test: TEST,
        term: 2,
        coordinator: node(3),
        reason: EndReason::Failed("too few workers: 1 of 3".into()),
        roster: vec![
            RosterEntry {
                worker: node(4),
                name: "four".into(),
                last_snapshot: Some(12),
                is_final: true,
                lost_at: None,
            },
            RosterEntry {
                worker: node(5),
                name: "five".into(),
                last_snapshot: None,
                is_final: false,
                lost_at: Some(Duration::from_nanos(4_000_000_005)),
            },
        ],
        events: vec![
            TestEvent {
                at_ms: -5,
                kind: "elected".into(),
                node: Some(node(3)),
                text: "term 2".into(),
            },
            TestEvent {
                at_ms: 100,
                kind: "ended".into(),
                node: None,
                text: String::new(),
            },
        ],
        log: decisions(),
        unused_numbers: Some(77),
        certificate: certificate(),
        signature: signature(5),
    }
}

pub fn register() -> Register {
    Register {
        test: TEST,
        term: 2,
        node: node(4),
        number: 3,
        name: "four".into(),
        capacity: 1500,
        task_types: texts(["HTTP"]),
        version: "0.1.0".into(),
        labels: map([("region", "eu")]),
        unable: Some("the target is not allowed here".into()),
        report: Some(ShareReport {
            share: Slots::range(600_000, 1_000_000),
            held: Slots::range(0, 10).union(&Slots::range(600_000, 1_000_000)),
        }),
        since_start: Some(-1_500_000_001),
        stop: Some(stop()),
        finished: true,
        sent: RemoteTime(-(1 << 61)),
    }
}

pub fn register_reply() -> RegisterReply {
    RegisterReply {
        test: TEST,
        term: 2,
        incarnation: Incarnation(u64::MAX),
        number: 3,
        accepted: true,
        message: "welcome".into(),
        heartbeat_interval: Duration::from_millis(250),
        metrics_interval: Duration::from_millis(1001),
        order_floor: 44,
        honoured: true,
        clock: ClockReply {
            received: RemoteTime(5_000_000_001),
            sent: RemoteTime(5_000_000_002),
        },
    }
}

pub fn heartbeat() -> Heartbeat {
    Heartbeat {
        test: TEST,
        term: 2,
        node: node(4),
        registration: 3,
        number: 40,
        answered: 39,
        applied: 7,
        held: Slots::range(5, 7).union(&Slots::range(10, 333_344)),
        handled_until: Duration::from_nanos(4_000_000_001),
        since_start: Some(-5_000_000_002),
        unused: Numbers::range(1 << 40, (1 << 40) + 5),
        returned: Numbers::range(3, 4),
        load: 12,
        status: Status::Overloaded,
        finished: true,
        stop: Some(stop()),
        idle: true,
        sent: RemoteTime(7_000_000_009),
        log_len: 3,
    }
}

pub fn order() -> Order {
    Order {
        number: 7,
        share: Slots::range(666_666, 1_000_000),
        floor: Duration::from_nanos(3_000_000_007),
        start: Some(RemoteTime(9_000_000_001)),
    }
}

pub fn allocation() -> Allocation {
    let entry = |i, from, to| AllocationEntry {
        worker: node(i),
        slots: Slots::range(from, to),
    };
    Allocation {
        test: TEST,
        term: 2,
        number: 7,
        coordinator: node(1),
        entries: vec![entry(4, 666_666, 1_000_000), entry(5, 0, 300_000)],
        signature: signature(8),
    }
}

pub fn heartbeat_reply() -> HeartbeatReply {
    HeartbeatReply {
        test: TEST,
        term: 2,
        incarnation: Incarnation(5),
        registration: 3,
        number: 40,
        lease: Some(Duration::from_nanos(2_500_000_003)),
        register_again: true,
        message: "well".into(),
        order: Some(order()),
        allocation: Some(allocation().name()),
        numbers: Some(NumbersGrant {
            granted: Numbers::range(9, 12),
            last: true,
        }),
        stop: Some(stop()),
        clock: ClockReply {
            received: RemoteTime(1),
            sent: RemoteTime(2),
        },
        log: decisions(),
    }
}

pub fn assign() -> Assign {
    Assign {
        test: TEST,
        term: 2,
        incarnation: Incarnation(5),
        registration: 3,
        digest: Digest([6; 32]),
        order: order(),
        allocation: allocation().name(),
        list: Some(Arc::new(allocation())),
        description: TaskDescription {
            task_type: "HTTP".into(),
            parameters: map([("url", "http://127.0.0.1:8080/")]),
            target_rate_milli: 1_234_567,
            duration: Duration::from_millis(30_500),
            ramp_up: Duration::from_millis(1),
            max_concurrency: 100,
        },
        sent: RemoteTime(3_000_000_000),
    }
}

pub fn preflight() -> Preflight {
    Preflight {
        digest: Digest([5; 32]),
        plan: Arc::from(&b"{}"[..]),
        slots: 333_333,
    }
}

pub fn check() -> Check {
    Check {
        name: "target".into(),
        subject: "10.0.0.5:8080".into(),
        finding: Finding::Fail,
        value: Some(300),
        limit: Some(1 << 40),
        text: "10.0.0.5:8080 can't be reached: Connection refused".into(),
        hint: "start it".into(),
    }
}

/// A check with each finding.
pub fn preflight_reply() -> PreflightReply {
    let all = [Finding::Skip, Finding::Pass, Finding::Warn, Finding::Fail];
    let without_figures = |finding| Check {
        finding,
        value: None,
        limit: None,
        ..check()
    };
    PreflightReply {
        able: true,
        checks: all
            .map(without_figures)
            .into_iter()
            .chain([check()])
            .collect(),
    }
}
