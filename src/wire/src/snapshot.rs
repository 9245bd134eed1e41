//! StreamMetrics: snapshots and their pieces.

use std::collections::{BTreeMap, BTreeSet};

use super::common;
use super::decode;
use super::limits::*;
use super::{Wire, WireError, encode, histogram, pb, snapshot_summary};
use vajra_core::metrics::{
    Counters, ErrorCount, ErrorKey, Piece, Snapshot, StartError, StepCounters, TimeKind,
};
use vajra_core::protocol::Signature;

/// The kind under which errors beyond the limit of a step are counted.
const OTHER: &str = "other";

impl Wire for Snapshot {
    type Message = pb::worker::WorkerMetrics;

    /// A snapshot has at most one piece with counters; of several only the last is encoded.
    fn to_wire(&self) -> Self::Message {
        let mut m = bare(self);
        snapshot_summary::fill(&mut m, self);
        m
    }

    /// The counters are the first piece. Every histogram is checked by decoding it once.
    fn from_wire(m: Self::Message) -> Result<Snapshot, WireError> {
        if m.number == 0 {
            return Err(WireError::Missing("number"));
        }
        let pieces = pieces(m.counters, m.errors, m.histograms)?;
        let total = decode::at_most("pieces_total", m.pieces_total, MAX_PIECES as u32)?;
        if pieces.len() > total as usize {
            return Err(WireError::Invalid {
                field: "pieces_total",
                reason: "is less than the number of pieces in the message",
            });
        }
        let start_error = match m.start_error_us {
            Some(us) => Some(StartError {
                us: decode::signed("start_error_us", us, MAX_SPAN.as_micros() as u64)?,
                within_us: m.start_error_within_us,
            }),
            None => None,
        };
        Ok(Snapshot {
            test: common::test_by_text(&m.test_id)?,
            worker: decode::required("worker", m.worker)?,
            number: decode::number("number", m.number)?,
            is_final: m.r#final,
            pieces_total: total,
            elapsed: decode::span("elapsed_ns", m.elapsed_ns)?,
            slots: decode::at_most("slots", m.slots, MAX_SLOTS)?,
            start_error,
            engine_cpu: std::time::Duration::from_nanos(decode::at_most(
                "engine_cpu_ns",
                m.engine_cpu_ns,
                MAX_NUMBER,
            )?),
            engine_threads: decode::at_most("engine_threads", m.engine_threads, MAX_THREADS)?,
            pieces,
            signature: Signature(decode::exactly("signature", &m.signature)?),
        })
    }
}

/// The message without the fields that [`snapshot_summary`] fills.
pub fn bare(s: &Snapshot) -> pb::worker::WorkerMetrics {
    let max_error = MAX_SPAN.as_micros() as i64;
    let mut m = pb::worker::WorkerMetrics {
        worker_id: common::worker_id(&s.worker),
        test_id: s.test.to_string(),
        timestamp_ms: encode::int64(s.elapsed.as_millis()),
        worker: Some(s.worker.to_wire()),
        number: s.number,
        r#final: s.is_final,
        pieces_total: s.pieces_total,
        elapsed_ns: encode::ns(s.elapsed),
        slots: s.slots,
        start_error_us: s.start_error.map(|e| e.us.clamp(-max_error, max_error)),
        start_error_within_us: s.start_error.map_or(0, |e| e.within_us),
        engine_cpu_ns: encode::number(u64::try_from(s.engine_cpu.as_nanos()).unwrap_or(u64::MAX)),
        engine_threads: s.engine_threads.min(MAX_THREADS),
        signature: s.signature.0.to_vec(),
        ..Default::default()
    };
    for piece in &s.pieces {
        match piece {
            Piece::Counters(steps) => {
                m.errors = (0..).zip(steps).flat_map(|(i, s)| errors(i, s)).collect();
                let steps = steps.iter().map(Wire::to_wire).collect();
                m.counters = Some(pb::worker::AllCounters { steps });
            }
            Piece::Histogram { step, kind, data } => {
                m.histograms.push(pb::worker::EncodedHistogram {
                    step: *step,
                    kind: kind.to_wire(),
                    data: data.to_vec(),
                });
            }
        }
    }
    m
}

/// The errors of a step, with texts and number cut to the limits. Errors that become equal are
/// added.
fn errors(step: u32, s: &StepCounters) -> Vec<pb::worker::ErrorDetail> {
    let max = match s.counters.errors.len() {
        n if n > MAX_STEP_ERRORS => MAX_STEP_ERRORS - 1,
        _ => MAX_STEP_ERRORS,
    };
    let mut cut: BTreeMap<ErrorKey, ErrorCount> = BTreeMap::new();
    for (key, e) in &s.counters.errors {
        let mut key = ErrorKey {
            kind: encode::text(&key.kind, MAX_WORD),
            message: encode::text(&key.message, MAX_ERROR_MESSAGE),
        };
        if key.kind.is_empty() || (cut.len() >= max && !cut.contains_key(&key)) {
            key = ErrorKey {
                kind: OTHER.into(),
                message: String::new(),
            };
        }
        let sum = cut.entry(key).or_insert(ErrorCount { count: 0, ..*e });
        sum.count = sum.count.saturating_add(e.count).min(MAX_COUNT);
        sum.first_ms = sum.first_ms.min(e.first_ms);
        sum.last_ms = sum.last_ms.max(e.last_ms);
    }
    let max_ms = MAX_SPAN.as_millis() as u64;
    cut.into_iter()
        .map(|(key, e)| pb::worker::ErrorDetail {
            message: key.message,
            error_type: key.kind,
            count: encode::int32(e.count),
            first_occurred_ms: encode::int64(e.first_ms.min(max_ms)),
            last_occurred_ms: encode::int64(e.last_ms.min(max_ms)),
            occurrences: e.count,
            step,
        })
        .collect()
}

fn pieces(
    counters: Option<pb::worker::AllCounters>,
    errors: Vec<pb::worker::ErrorDetail>,
    histograms: Vec<pb::worker::EncodedHistogram>,
) -> Result<Vec<Piece>, WireError> {
    let all = MAX_PIECES - 1;
    decode::count("histograms", histograms.len(), all)?;
    let mut pieces = Vec::with_capacity(1 + histograms.len());
    match counters {
        Some(counters) => pieces.push(Piece::Counters(steps(counters, errors)?)),
        None => decode::count("errors without counters", errors.len(), 0)?,
    }
    let mut seen = BTreeSet::new();
    for h in histograms {
        let step = decode::at_most("histogram.step", h.step, MAX_STEPS as u32 - 1)?;
        let kind = TimeKind::from_wire(h.kind)?;
        if !seen.insert((step, kind)) {
            return Err(WireError::Invalid {
                field: "histograms",
                reason: "contains one twice",
            });
        }
        histogram::check_histogram(&h.data)?;
        pieces.push(Piece::Histogram {
            step,
            kind,
            data: h.data.into(),
        });
    }
    Ok(pieces)
}

fn steps(
    counters: pb::worker::AllCounters,
    errors: Vec<pb::worker::ErrorDetail>,
) -> Result<Vec<StepCounters>, WireError> {
    let mut steps: Vec<StepCounters> = decode::list("steps", counters.steps, MAX_STEPS)?;
    for e in errors {
        let step = steps.get_mut(e.step as usize).ok_or(WireError::Invalid {
            field: "error.step",
            reason: "is not a step in the message",
        })?;
        let key = ErrorKey {
            kind: decode::word("error_type", e.error_type, MAX_WORD)?,
            message: decode::text("error.message", e.message, MAX_ERROR_MESSAGE)?,
        };
        let ms = |field, ms: i64| {
            u64::try_from(ms)
                .ok()
                .filter(|ms| u128::from(*ms) <= MAX_SPAN.as_millis())
                .ok_or(WireError::Invalid {
                    field,
                    reason: "is not a time within a test",
                })
        };
        let count = ErrorCount {
            count: decode::at_most("occurrences", e.occurrences, MAX_COUNT)?,
            first_ms: ms("first_occurred_ms", e.first_occurred_ms)?,
            last_ms: ms("last_occurred_ms", e.last_occurred_ms)?,
        };
        if step.counters.errors.insert(key, count).is_some() {
            return Err(WireError::Invalid {
                field: "errors",
                reason: "contains one twice",
            });
        }
        decode::count("errors", step.counters.errors.len(), MAX_STEP_ERRORS)?;
    }
    Ok(steps)
}

impl Wire for TimeKind {
    type Message = i32;

    fn to_wire(&self) -> i32 {
        use pb::worker::TimeKind as W;
        let kind = match self {
            TimeKind::Response => W::Response,
            TimeKind::Service => W::Service,
            TimeKind::Lag => W::Lag,
        };
        kind.into()
    }

    fn from_wire(m: i32) -> Result<TimeKind, WireError> {
        use pb::worker::TimeKind as W;
        Ok(match W::try_from(m).unwrap_or_default() {
            W::Unknown => return Err(WireError::Unknown("histogram.kind")),
            W::Response => TimeKind::Response,
            W::Service => TimeKind::Service,
            W::Lag => TimeKind::Lag,
        })
    }
}

impl Wire for StepCounters {
    type Message = pb::worker::StepCounters;

    fn to_wire(&self) -> Self::Message {
        let c = &self.counters;
        let codes = c
            .status_codes
            .iter()
            .filter(|(code, _)| STATUS_CODES.contains(code));
        let (status_codes, status_counts) = codes.map(|(code, n)| (u32::from(*code), n)).unzip();
        pb::worker::StepCounters {
            name: encode::text(&self.name, MAX_PLAN_NAME),
            planned: c.planned,
            iterations: c.iterations,
            sent: c.sent,
            ok: c.ok,
            failed: c.failed,
            abandoned: c.abandoned,
            warm_up: c.warm_up,
            dropped_lease: c.dropped_lease,
            dropped_late: c.dropped_late,
            dropped_full: c.dropped_full,
            in_flight: c.in_flight,
            bytes_sent: c.bytes_sent,
            bytes_received: c.bytes_received,
            checks_passed: c.checks_passed,
            checks_failed: c.checks_failed,
            status_codes,
            status_counts,
        }
    }

    /// Errors are not part of this message. The caller adds them.
    fn from_wire(m: Self::Message) -> Result<StepCounters, WireError> {
        let count = |field, n| decode::at_most(field, n, MAX_COUNT);
        Ok(StepCounters {
            name: decode::text("step.name", m.name, MAX_PLAN_NAME)?,
            counters: Counters {
                planned: count("planned", m.planned)?,
                iterations: count("iterations", m.iterations)?,
                sent: count("sent", m.sent)?,
                ok: count("ok", m.ok)?,
                failed: count("failed", m.failed)?,
                abandoned: count("abandoned", m.abandoned)?,
                warm_up: count("warm_up", m.warm_up)?,
                dropped_lease: count("dropped_lease", m.dropped_lease)?,
                dropped_late: count("dropped_late", m.dropped_late)?,
                dropped_full: count("dropped_full", m.dropped_full)?,
                in_flight: count("in_flight", m.in_flight)?,
                bytes_sent: count("bytes_sent", m.bytes_sent)?,
                bytes_received: count("bytes_received", m.bytes_received)?,
                checks_passed: count("checks_passed", m.checks_passed)?,
                checks_failed: count("checks_failed", m.checks_failed)?,
                status_codes: status_codes(&m.status_codes, &m.status_counts)?,
                errors: BTreeMap::new(),
            },
        })
    }
}

fn status_codes(codes: &[u32], counts: &[u64]) -> Result<BTreeMap<u16, u64>, WireError> {
    let field = "status_codes";
    if codes.len() != counts.len() || !codes.is_sorted_by(|a, b| a < b) {
        return Err(WireError::Invalid {
            field,
            reason: "is not ascending with one count per code",
        });
    }
    codes
        .iter()
        .zip(counts)
        .map(|(code, n)| {
            let code = u16::try_from(*code)
                .ok()
                .filter(|code| STATUS_CODES.contains(code))
                .ok_or(WireError::Invalid {
                    field,
                    reason: "contains one without three digits",
                })?;
            Ok((code, decode::at_most("status_counts", *n, MAX_COUNT)?))
        })
        .collect()
}
