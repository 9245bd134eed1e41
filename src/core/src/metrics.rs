//! Counters and histograms that a worker measures, and how those of many workers are merged.
//!
//! A [`Snapshot`] is cumulative and numbered. It is sent in self-contained [`Piece`]s (all
//! counters, or one histogram of one step), so that no message exceeds the size limit. A receiver
//! keeps the newest of each piece per worker ([`crate::protocol::merge`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::protocol::id::{NodeId, TestId};
use crate::protocol::signature::Signature;

/// Smallest recorded value, in microseconds.
pub const LOWEST_US: u64 = 1;
/// Largest recorded value, in microseconds: one hour. Greater values are recorded as this one.
pub const HIGHEST_US: u64 = 3_600_000_000;
/// Significant decimal digits: a recorded value is reproduced within 0.1 %.
pub const DIGITS: u8 = 3;
/// Most distinct errors (kind and message) that a worker reports per step. The rest is counted
/// under the kind with an empty message.
pub const MAX_ERRORS: usize = 32;

/// A histogram of microseconds in the one configuration that every node uses, so that merging is
/// exact. About 190 KB of memory.
pub fn new_histogram() -> Histogram<u64> {
    match Histogram::new_with_bounds(LOWEST_US, HIGHEST_US, DIGITS) {
        Ok(h) => h,
        Err(_) => unreachable!("the bounds above are valid"),
    }
}

/// The time that a histogram records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TimeKind {
    /// From the intended send time to the end of the response, so without coordinated omission.
    Response,
    /// From the actual send to the end of the response.
    Service,
    /// From the intended to the actual send: the error of the generator itself.
    Lag,
}

impl TimeKind {
    /// All three, in display order.
    pub const ALL: [TimeKind; 3] = [TimeKind::Response, TimeKind::Service, TimeKind::Lag];
}

/// Reason why a request failed or an arrival was not sent.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ErrorKey {
    /// Fixed short word: `connect`, `timeout`, `status`, `reset`, `policy`, `tls`, `dns`, …
    pub kind: String,
    /// Description without parts that vary by request; at most 200 bytes.
    pub message: String,
}

/// Number and times of an error's occurrences.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ErrorCount {
    /// Occurrences.
    pub count: u64,
    /// First occurrence, milliseconds after the start of the profile.
    pub first_ms: u64,
    /// Last occurrence, milliseconds after the start of the profile.
    pub last_ms: u64,
}

/// Cumulative counters of a step, of one worker or summed over several.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Planned arrivals of this worker's share of the profile up to now.
    pub planned: u64,
    /// Iterations started: in a plan without scenarios, requests.
    pub iterations: u64,
    /// Requests written, warm-up included: `ok + failed + abandoned`, once none is in flight.
    pub sent: u64,
    /// Requests that succeeded.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests aborted in flight because the test was stopped.
    pub abandoned: u64,
    /// Requests of the warm-up, included in `sent` but in no histogram.
    pub warm_up: u64,
    /// Arrivals not sent because the lease had expired.
    pub dropped_lease: u64,
    /// Arrivals not sent because the generator was too late for them.
    pub dropped_late: u64,
    /// Arrivals not sent because `max_in_flight` was reached.
    pub dropped_full: u64,
    /// Requests waiting or in flight now.
    pub in_flight: u64,
    /// Bytes written to connections.
    pub bytes_sent: u64,
    /// Bytes read from connections.
    pub bytes_received: u64,
    /// Response checks that passed.
    pub checks_passed: u64,
    /// Response checks that failed.
    pub checks_failed: u64,
    /// Responses by HTTP status code.
    pub status_codes: BTreeMap<u16, u64>,
    /// Errors by kind and message; at most [`MAX_ERRORS`] per step.
    pub errors: BTreeMap<ErrorKey, ErrorCount>,
}

impl Counters {
    /// Arrivals not sent, for any reason.
    pub fn dropped(&self) -> u64 {
        self.dropped_lease + self.dropped_late + self.dropped_full
    }

    /// Adds another worker's counters of the same step.
    pub fn add(&mut self, other: &Counters) {
        self.planned += other.planned;
        self.iterations += other.iterations;
        self.sent += other.sent;
        self.ok += other.ok;
        self.failed += other.failed;
        self.abandoned += other.abandoned;
        self.warm_up += other.warm_up;
        self.dropped_lease += other.dropped_lease;
        self.dropped_late += other.dropped_late;
        self.dropped_full += other.dropped_full;
        self.in_flight += other.in_flight;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.checks_passed += other.checks_passed;
        self.checks_failed += other.checks_failed;
        for (code, n) in &other.status_codes {
            *self.status_codes.entry(*code).or_default() += n;
        }
        for (key, e) in &other.errors {
            let own = self
                .errors
                .entry(key.clone())
                .or_insert(ErrorCount { count: 0, ..*e });
            own.count += e.count;
            own.first_ms = own.first_ms.min(e.first_ms);
            own.last_ms = own.last_ms.max(e.last_ms);
        }
    }
}

/// A self-contained part of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// The counters of every step, in the plan's order.
    Counters(Vec<StepCounters>),
    /// One histogram of one step.
    Histogram {
        /// Index of the step in the plan.
        step: u32,
        /// Recorded time.
        kind: TimeKind,
        /// HdrHistogram's compressed V2 encoding, validated by the decoder of the message.
        data: Arc<[u8]>,
    },
}

impl Piece {
    /// Approximate memory that it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Piece::Counters(steps) => steps.iter().map(StepCounters::bytes).sum(),
            Piece::Histogram { data, .. } => data.len(),
        }
    }
}

impl StepCounters {
    /// Approximate memory that it takes.
    pub fn bytes(&self) -> usize {
        let Counters {
            status_codes,
            errors,
            ..
        } = &self.counters;
        let texts = errors.keys().map(|k| k.kind.len() + k.message.len());
        let entries = status_codes.len() * 16 + errors.len() * size_of::<(ErrorKey, ErrorCount)>();
        size_of::<StepCounters>() + self.name.len() + entries + texts.sum::<usize>()
    }
}

/// Name and counters of a step.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StepCounters {
    /// Name of the step in the plan.
    pub name: String,
    /// Its counters.
    pub counters: Counters,
}

/// Cumulative metrics of a worker, or some pieces of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// Test id.
    pub test: TestId,
    /// Worker that measured it.
    pub worker: NodeId,
    /// Snapshot number of this worker in this test, from 1.
    pub number: u64,
    /// Whether it is the worker's last snapshot.
    pub is_final: bool,
    /// Number of pieces of the whole snapshot.
    pub pieces_total: u32,
    /// Time since the start of the profile.
    pub elapsed: Duration,
    /// Share of the worker, in slots.
    pub slots: u32,
    /// Deviation from the planned start. `None` before the start.
    pub start_error: Option<StartError>,
    /// CPU time used by the engine threads since the start.
    pub engine_cpu: Duration,
    /// Number of engine threads.
    pub engine_threads: u32,
    /// All pieces, or those that fit the message.
    pub pieces: Vec<Piece>,
    /// The worker's signature of the whole snapshot.
    pub signature: Signature,
}

/// Deviation of the measured from the planned start, according to the best estimate of the
/// coordinator's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StartError {
    /// Deviation in microseconds; positive is late.
    pub us: i64,
    /// Error bound of `us` in microseconds: half of the estimate's round trip.
    pub within_us: u32,
}
