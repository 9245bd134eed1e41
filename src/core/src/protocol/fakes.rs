//! Values shared by the tests of this module.
#![allow(clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

use super::id::{Incarnation, NodeId, Peer, TestId};
use super::messages::{Advert, Status, TaskDescription};
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
    Snapshot {
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
    }
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
