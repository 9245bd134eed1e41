//! Values shared by the tests of this module.
#![allow(clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

use super::announcement::{Announcement, Submission};
use super::beat::Beat;
use super::certificate::{Certificate, vote};
use super::id::{Incarnation, NodeId, Peer, TestId};
use super::messages::{Advert, Status, TaskDescription, TestState};
use super::rendezvous::Seed;
use super::signature::{Keys, Signature, Statement};
use super::spec::{Balance, OnLost, TestSpec};
use super::test_run::Measurement;
use crate::metrics::{Counters, Piece, Snapshot, StepCounters, TimeKind, new_histogram};

/// Node number `i`, at its first start.
pub fn node(i: u32) -> NodeId {
    NodeId {
        peer: Peer::new(&i.to_be_bytes()),
        incarnation: Incarnation(1),
    }
}

/// Keys of a node for tests: a hash in place of a signature.
#[derive(Debug)]
pub struct FakeKeys(Peer);

impl FakeKeys {
    /// Keys of this node.
    pub fn of(node: &NodeId) -> FakeKeys {
        FakeKeys(node.peer.clone())
    }

    fn signature(peer: &Peer, statement: &Statement) -> Signature {
        let hash = statement.clone().field(peer.as_bytes()).sha256().0;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&hash);
        Signature(signature)
    }
}

impl Keys for FakeKeys {
    fn sign(&self, statement: &Statement) -> Signature {
        FakeKeys::signature(&self.0, statement)
    }

    fn is_signed(&self, statement: &Statement, by: &Peer, signature: &Signature) -> bool {
        FakeKeys::signature(by, statement) == *signature
    }
}

/// Announcement of a test with this many electors: nodes 0, 1, 2, …
pub fn announcement(submitter: NodeId, electors: u32, plan: Option<&[u8]>) -> Announcement {
    let submission = Submission {
        name: "t".into(),
        plan: Arc::from(plan.unwrap_or(b"a plan")),
        unix_ms: 0,
        nonce: Seed([0; 16]),
    };
    let keys = FakeKeys::of(&submitter);
    let mut announcement = Announcement::new(&submission, &submitter, [], &keys);
    announcement.electorate = (0..electors).map(node).collect();
    announcement.plan = plan.map(Arc::from);
    announcement.seal(&keys);
    announcement
}

/// A signed beat of a certified coordinator in a test with this electorate.
pub fn beat(
    test: TestId,
    (term, by, number): (u64, u32, u64),
    electorate: &[NodeId],
    change: impl FnOnce(&mut Beat),
) -> Beat {
    let vote = |e: &NodeId| FakeKeys::of(e).sign(&vote(test, term, &node(by), e));
    let signatures: Vec<Signature> = electorate.iter().map(vote).collect();
    let mut beat = Beat {
        test,
        term,
        coordinator: node(by),
        number,
        share_lease: Duration::from_millis(2_500),
        since_start: None,
        ends_within: None,
        state: TestState::Running,
        log: Arc::from([]),
        committed: 0,
        events: Vec::new(),
        allocation: None,
        leased_until: Duration::ZERO,
        free: None,
        certificate: Certificate::new(electorate, electorate.iter().zip(&signatures)).into(),
        signature: Signature([0; 64]),
    };
    change(&mut beat);
    beat.signature = FakeKeys::of(&node(by)).sign(&beat.statement());
    beat
}

/// A snapshot with one step in which `sent` requests took `sent` microseconds each.
pub fn snapshot(worker: NodeId, number: u64, sent: u64) -> Snapshot {
    let mut histogram = new_histogram();
    histogram.saturating_record_n(sent.max(1), sent);
    let mut data = Vec::new();
    V2DeflateSerializer::new()
        .serialize(&histogram, &mut data)
        .expect("writing to memory");
    let data: Arc<[u8]> = data.into();
    let mut pieces = vec![Piece::Counters(vec![StepCounters {
        name: "step".into(),
        counters: Counters {
            sent,
            ok: sent,
            ..Counters::default()
        },
    }])];
    pieces.extend(TimeKind::ALL.map(|kind| Piece::Histogram {
        step: 0,
        kind,
        data: data.clone(),
    }));
    let keys = FakeKeys::of(&worker);
    let mut snapshot = Snapshot {
        test: TestId([1; 16]),
        worker,
        number,
        is_final: false,
        pieces_total: pieces.len() as u32,
        elapsed: Duration::from_secs(number),
        slots: 1,
        start_error: None,
        engine_cpu: Duration::ZERO,
        engine_threads: 1,
        pieces,
        signature: Signature([0; 64]),
    };
    snapshot.sign(&keys);
    snapshot
}

/// The advert of an idle node, due every 2 s.
pub fn advert(i: u32, number: u64) -> Advert {
    Advert {
        node: node(i),
        number,
        name: format!("n{i}"),
        version: "0".into(),
        addresses: Vec::new(),
        capacity: 100,
        load: 0,
        task_types: vec!["SLEEP".into()],
        labels: BTreeMap::new(),
        status: Status::Idle,
        interval: Duration::from_secs(2),
        tests: Vec::new(),
        environment: String::new(),
    }
}

/// A plan of SLEEP tasks of the given length.
pub fn spec(length: Duration) -> TestSpec {
    TestSpec {
        length,
        end: length,
        setup: None,
        teardown: None,
        grace: Duration::from_secs(1),
        min_workers: 1,
        balance: Balance::Equal,
        users: None,
        requests: None,
        on_lost: OnLost::Reassign,
        labels: BTreeMap::new(),
        task: TaskDescription {
            task_type: "SLEEP".into(),
            target_rate_milli: 1_000_000,
            duration: length,
            ..TaskDescription::default()
        },
    }
}

/// Metrics of an engine that has sent `sent` requests.
pub fn measurement(sent: u64, is_final: bool) -> Measurement {
    let s = snapshot(node(0), 1, sent);
    Measurement {
        is_final,
        elapsed: s.elapsed,
        engine_cpu: s.engine_cpu,
        engine_threads: 1,
        overloaded: false,
        pieces: s.pieces,
    }
}
