//! Lists of all messages: every variant, and every optional field set and unset.

use super::*;

pub fn gossip() -> Vec<Gossip> {
    let (test, term, sending) = (TEST, 6, 3);
    let (candidate, elector) = (node(1), node(2));
    let coordinator = node(1);
    let mut all = vec![
        Gossip::Advert(advert().into()),
        Gossip::Snapshot(snapshot()),
        Gossip::Snapshot(Snapshot {
            start_error: None,
            is_final: false,
            pieces: Vec::new(),
            ..snapshot()
        }),
    ];
    let tests = [
        TestMessage::Announced(announcement()),
        TestMessage::Announced(Announcement {
            plan: None,
            plan_len: 1 << 20,
            ..announcement()
        }),
        TestMessage::Poll {
            test,
            term,
            candidate: candidate.clone(),
            sending,
        },
        TestMessage::PollAnswer {
            test,
            term,
            candidate: candidate.clone(),
            elector: elector.clone(),
            sending,
            yes: true,
            seen_term: 5,
        },
        TestMessage::Claim {
            test,
            term,
            candidate: candidate.clone(),
            sending,
        },
        TestMessage::Vote {
            test,
            term,
            candidate,
            elector: elector.clone(),
            sending,
            stop: Some(stop()),
            start: Some(RelayedStart {
                term: 2,
                since: -77_000_001,
            }),
            beat: Some(Arc::new(beat())),
            signature: signature(9),
        },
        TestMessage::BeatAck {
            test,
            term,
            coordinator: coordinator.clone(),
            elector,
            number: 8,
        },
        TestMessage::Resign {
            test,
            term,
            node: node(1),
        },
        TestMessage::Stop { test, stop: stop() },
        TestMessage::LoadCommand {
            test,
            by: node(2),
            id: u64::MAX,
            command: LoadCommand::Load { level_milli: 7 },
        },
        TestMessage::LoadCommand {
            test,
            by: node(2),
            id: 1,
            command: LoadCommand::Resume,
        },
        TestMessage::Ended(ended()),
    ];
    all.extend(tests.map(Gossip::Test));
    for reason in [EndReason::Completed, EndReason::Stopped] {
        all.push(Gossip::Test(TestMessage::Ended(Ended {
            reason,
            ..ended()
        })));
    }
    for state in [
        TestState::Electing,
        TestState::Registering,
        TestState::Running,
        TestState::Stopping,
        TestState::Ended,
    ] {
        let beat = Beat {
            since_start: (state != TestState::Electing).then_some(-3),
            ends_within: (state != TestState::Ended).then_some(Duration::from_secs(70)),
            state,
            events: super::ended().events,
            allocation: (state == TestState::Running).then(|| super::allocation().name()),
            free: (state != TestState::Electing).then(|| Arc::new(Numbers::range(2, 9))),
            ..beat()
        };
        all.push(Gossip::Test(TestMessage::Beat(beat.into())));
    }
    all
}

fn record(record: RecordName) -> Request {
    let offset = 1 << 20;
    Request::FetchRecord { record, offset }
}

pub fn requests() -> Vec<Request> {
    let mut all = vec![
        Request::Register(register()),
        Request::Register(Register {
            unable: None,
            report: None,
            since_start: None,
            stop: None,
            ..register()
        }),
        Request::Assign(assign()),
        Request::Stop {
            test: TEST,
            term: 2,
            stop: stop(),
        },
        Request::Metrics(snapshot()),
        Request::FetchAnnouncement(TEST),
        Request::FetchEnd(TEST),
        Request::FetchPlan(Digest([5; 32])),
        Request::FetchAllocation {
            test: TEST,
            digest: Some(Digest([8; 32])),
        },
        Request::FetchAllocation {
            test: TEST,
            digest: None,
        },
        Request::FetchSnapshots {
            test: TEST,
            after: Some(node(3)),
        },
        Request::FetchSnapshots {
            test: TEST,
            after: None,
        },
        Request::Drain,
        Request::Preflight(preflight()),
        Request::Clock,
        Request::FetchBlob {
            digest: Digest([6; 32]),
            offset: 1 << 20,
        },
        Request::TakeData(Arc::from(&b"{}"[..])),
        record(RecordName::Tests),
        record(RecordName::Result(TEST)),
        record(RecordName::Timeline(TEST)),
        record(RecordName::Links),
    ];
    for message in gossip() {
        match message {
            Gossip::Test(m) if m.receiver().is_some() => all.push(Request::Election(m)),
            _ => {}
        }
    }
    for status in [
        Status::Unknown,
        Status::Idle,
        Status::Running,
        Status::Overloaded,
        Status::Error,
        Status::Draining,
        Status::Leaving,
    ] {
        all.push(Request::Heartbeat(Heartbeat {
            status,
            ..heartbeat()
        }));
    }
    all
}

pub fn replies() -> Vec<Reply> {
    let later = Snapshot {
        worker: node(9),
        ..snapshot()
    };
    vec![
        Reply::Register(register_reply()),
        Reply::Register(RegisterReply {
            accepted: false,
            heartbeat_interval: Duration::ZERO,
            metrics_interval: Duration::ZERO,
            honoured: false,
            ..register_reply()
        }),
        Reply::Heartbeat(heartbeat_reply()),
        Reply::Heartbeat(HeartbeatReply {
            lease: None,
            order: Some(Order {
                start: None,
                ..order()
            }),
            allocation: None,
            numbers: None,
            stop: None,
            log: Vec::new(),
            ..heartbeat_reply()
        }),
        Reply::Assign(AssignReply {
            test: TEST,
            accepted: true,
            message: "yes".into(),
            estimated_tasks: 1 << 40,
        }),
        Reply::Stop {
            stopped: true,
            message: "stopping".into(),
            interrupted: 4,
        },
        Reply::Metrics {
            test: TEST,
            number: 12,
            received: true,
        },
        Reply::Announcement(Some(announcement())),
        Reply::Announcement(None),
        Reply::Plan(Some(Arc::from(&b"{}"[..]))),
        Reply::Plan(None),
        Reply::End(Some(ended())),
        Reply::End(None),
        Reply::Snapshots {
            test: TEST,
            snapshots: vec![snapshot(), later],
            more: true,
        },
        Reply::Snapshots {
            test: TEST,
            snapshots: Vec::new(),
            more: false,
        },
        Reply::Allocation {
            test: TEST,
            list: Some(Arc::new(super::allocation())),
            certificate: super::certificate(),
        },
        Reply::Allocation {
            test: TEST,
            list: None,
            certificate: Arc::default(),
        },
        Reply::Noted,
        Reply::Drained,
        Reply::Preflight(preflight_reply()),
        Reply::Clock {
            unix_ms: 1_700_000_000_123,
        },
        Reply::Blob(Some(BlobPart {
            total: 1 << 26,
            bytes: Arc::from(&b"name,pass"[..]),
        })),
        Reply::Blob(None),
        Reply::Data {
            missing: 1 << 28,
            unable: None,
        },
        Reply::Data {
            missing: 0,
            unable: Some("the target is not allowed here".into()),
        },
        Reply::Record(Some(RecordPart {
            digest: Digest([7; 32]),
            total: 1 << 21,
            bytes: Arc::from(&b"{}"[..]),
        })),
        Reply::Record(None),
        Reply::Refused("no such test here".into()),
    ]
}
