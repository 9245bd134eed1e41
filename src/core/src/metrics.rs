//! What a worker measures, and how measurements of many workers become one.
//!
//! A [`Snapshot`] is cumulative and numbered. It travels in self-contained [`Piece`]s (all
//! counters, or one histogram of one step), so that no message outgrows its limit; a receiver
//! keeps the newest of each piece per worker ([`crate::protocol::merge`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::protocol::id::{NodeId, TestId};

/// Smallest value told apart, in microseconds.
pub const LOWEST_US: u64 = 1;
/// Largest value recorded, in microseconds: one hour. Longer ones are recorded as this.
pub const HIGHEST_US: u64 = 3_600_000_000;
/// Significant decimal digits: a value read back is within 0.1 % of the one recorded.
pub const DIGITS: u8 = 3;
/// Most distinct errors (kind and message) a worker reports for a step; the rest is summed
/// under the kind with an empty message.
pub const MAX_ERRORS: usize = 32;

/// A histogram of microseconds in the one configuration used everywhere, so that merging
/// is exact. About 190 KB of memory.
pub fn new_histogram() -> Histogram<u64> {
    match Histogram::new_with_bounds(LOWEST_US, HIGHEST_US, DIGITS) {
        Ok(h) => h,
        Err(_) => unreachable!("the bounds above are valid"),
    }
}

/// Which of the three times a histogram holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TimeKind {
    /// From the intended send time to the end of the response: free of coordinated omission.
    Response,
    /// From the actual send to the end of the response.
    Service,
    /// From the intended to the actual send: the generator's own error.
    Lag,
}

impl TimeKind {
    /// All three, in the order they are shown.
    pub const ALL: [TimeKind; 3] = [TimeKind::Response, TimeKind::Service, TimeKind::Lag];
}

/// Why a request failed, or an arrival was not sent: what is counted under a common heading.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ErrorKey {
    /// A short fixed word: `connect`, `timeout`, `status`, `reset`, `policy`, `tls`, `dns`, …
    pub kind: String,
    /// What happened, without anything that varies by request; at most 200 bytes.
    pub message: String,
}

/// How often and when an error occurred.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ErrorCount {
    /// Occurrences.
    pub count: u64,
    /// First occurrence, milliseconds after the start of the profile.
    pub first_ms: u64,
    /// Last occurrence, milliseconds after the start of the profile.
    pub last_ms: u64,
}

/// A step's cumulative counters on one worker, or summed over several.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Arrivals that this worker's share of the profile has asked for so far.
    pub planned: u64,
    /// Requests written, warm-up included: `ok + failed + abandoned`, once none is in flight.
    pub sent: u64,
    /// Requests that succeeded.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests given up while in flight, because the test was stopped.
    pub abandoned: u64,
    /// Requests of the warm-up among `sent`; no histogram holds them.
    pub warm_up: u64,
    /// Arrivals not sent because the lease had lapsed.
    pub dropped_lease: u64,
    /// Arrivals not sent because the generator itself was too late for them.
    pub dropped_late: u64,
    /// Arrivals not sent because `max_in_flight` was reached.
    pub dropped_full: u64,
    /// Requests waiting or in flight at this moment.
    pub in_flight: u64,
    /// Bytes written to connections.
    pub bytes_sent: u64,
    /// Bytes read from connections.
    pub bytes_received: u64,
    /// Checks of responses that held.
    pub checks_passed: u64,
    /// Checks of responses that did not.
    pub checks_failed: u64,
    /// Responses by HTTP status code.
    pub status_codes: BTreeMap<u16, u64>,
    /// Errors by kind and message; at most [`MAX_ERRORS`] a step.
    pub errors: BTreeMap<ErrorKey, ErrorCount>,
}

impl Counters {
    /// Arrivals not sent, for whatever reason.
    pub fn dropped(&self) -> u64 {
        self.dropped_lease + self.dropped_late + self.dropped_full
    }

    /// Adds another worker's counters of the same step.
    pub fn add(&mut self, other: &Counters) {
        self.planned += other.planned;
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
            let mine = self
                .errors
                .entry(key.clone())
                .or_insert(ErrorCount { count: 0, ..*e });
            mine.count += e.count;
            mine.first_ms = mine.first_ms.min(e.first_ms);
            mine.last_ms = mine.last_ms.max(e.last_ms);
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
        /// Which time.
        kind: TimeKind,
        /// HdrHistogram's compressed V2 encoding, checked where it came in.
        data: Arc<[u8]>,
    },
}

/// A step's name and counters.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StepCounters {
    /// The step's name in the plan.
    pub name: String,
    /// What was counted.
    pub counters: Counters,
}

/// A worker's cumulative metrics, or some pieces of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// Of which test.
    pub test: TestId,
    /// Whose.
    pub worker: NodeId,
    /// Rises with every snapshot of this worker and test, from 1.
    pub number: u64,
    /// No later one follows.
    pub is_final: bool,
    /// How many pieces the whole snapshot has.
    pub pieces_total: u32,
    /// Time since the start of the profile.
    pub elapsed: Duration,
    /// The share that the worker acts on, in slots.
    pub slots: u32,
    /// Measured start against planned start. Absent before the start.
    pub start_error: Option<StartError>,
    /// CPU time that the engine threads have used since the start.
    pub engine_cpu: Duration,
    /// The engine threads.
    pub engine_threads: u32,
    /// All pieces, or as many as fit a message.
    pub pieces: Vec<Piece>,
}

/// Measured start against planned start, by the best estimate so far of the clock that named
/// the planned one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StartError {
    /// In microseconds; positive is late.
    pub us: i64,
    /// The true value is at most so far from it, in microseconds: half of the estimate's
    /// round trip.
    pub within_us: u32,
}
