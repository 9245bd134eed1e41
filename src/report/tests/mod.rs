//! What the tests of this room share: workers that measured what a test says they did.
#![allow(clippy::unwrap_used)]

mod data;
mod labels;
mod merging;
mod recording;
mod shape;
mod summaries;
mod totals;
mod verdicts;

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

use super::compose::{ResultInput, WorkerInput};
use super::result::TestResult;
use crate::plan::{Load, Plan, Task};
use crate::protocol::merge::Merge;
use crate::protocol::messages::{EndReason, Phase};
use crate::protocol::metrics::{
    Counters, Piece, Snapshot, StartError, StepCounters, TimeKind, new_histogram,
};
use crate::protocol::spec::SLOTS;
use crate::protocol::{Incarnation, NodeId, Peer, TestId};

/// What one worker of a test measured.
struct Measured {
    name: &'static str,
    slots: u32,
    counters: Counters,
    /// Microseconds, in the order of [`TimeKind::ALL`].
    times: [Vec<u64>; 3],
    elapsed: Duration,
    start_error: Option<StartError>,
    is_final: bool,
    lost_at: Option<Duration>,
}

fn start_error(us: i64, within_us: u32) -> Option<StartError> {
    Some(StartError { us, within_us })
}

/// A worker that sent what it had to, each in a millisecond.
fn worker(name: &'static str, sent: u64) -> Measured {
    Measured {
        name,
        slots: SLOTS / 2,
        counters: Counters {
            planned: sent,
            sent,
            ok: sent,
            ..Counters::default()
        },
        times: [
            vec![1_000; sent as usize],
            vec![900; sent as usize],
            vec![10; sent as usize],
        ],
        elapsed: Duration::from_secs(10),
        start_error: start_error(0, 100),
        is_final: true,
        lost_at: None,
    }
}

impl Measured {
    fn input(self) -> WorkerInput {
        let mut pieces = vec![Piece::Counters(vec![StepCounters {
            name: "step".into(),
            counters: self.counters,
        }])];
        for (kind, times) in TimeKind::ALL.into_iter().zip(&self.times) {
            let mut h = new_histogram();
            times.iter().for_each(|us| h.record(*us).unwrap());
            let mut data = Vec::new();
            V2DeflateSerializer::new().serialize(&h, &mut data).unwrap();
            pieces.push(Piece::Histogram {
                step: 0,
                kind,
                data: data.into(),
            });
        }
        let node = NodeId {
            peer: Peer::new(self.name.as_bytes()),
            incarnation: Incarnation(7),
        };
        let mut merge = Merge::default();
        merge.take(&Snapshot {
            test: TestId([1; 16]),
            worker: node.clone(),
            number: 1,
            is_final: self.is_final,
            pieces_total: pieces.len() as u32,
            elapsed: self.elapsed,
            slots: self.slots,
            start_error: self.start_error,
            engine_cpu: Duration::ZERO,
            engine_threads: 1,
            pieces,
        });
        WorkerInput {
            peer: format!("peer-{}", self.name),
            incarnation: 7,
            name: self.name.into(),
            metrics: merge.workers()[&node].clone(),
            lost_at: self.lost_at,
            environment: String::new(),
        }
    }
}

/// An ended test of 100 arrivals a second over 10 s, completely carried out.
fn input(workers: Vec<Measured>) -> ResultInput {
    ResultInput {
        test: TestId([1; 16]),
        name: "checkout".into(),
        phase: Phase::Ended,
        complete: true,
        reason: Some(EndReason::Completed),
        plan: plan(Load::open(100.0, Duration::from_secs(10))),
        started_unix_ms: Some(1_767_323_045_678),
        coordinators: Vec::new(),
        workers: workers.into_iter().map(Measured::input).collect(),
        events: Vec::new(),
        changes: Vec::new(),
        values: Default::default(),
    }
}

fn plan(load: Load) -> Arc<Plan> {
    Arc::new(Plan::new(Task::Sleep { ms: 1 }, load))
}

/// Two workers that carried the plan of [`input`] out.
fn good() -> Vec<Measured> {
    vec![worker("alpha", 500), worker("beta", 500)]
}

fn result(workers: Vec<Measured>) -> TestResult {
    input(workers).build()
}
