//! The fields of the fixed set in a snapshot: totals, mean rate and percentiles. They are written for
//! compatibility and never read.

use hdrhistogram::Histogram;

use super::{encode, histogram, pb};
use vajra_core::metrics::{Piece, Snapshot, StepCounters, TimeKind, new_histogram};

/// Most bytes that [`fill`] adds: three counters, rate, tasks and nine latency values.
pub const MAX_LEN: usize = 3 * 11 + 9 + 6 + 2 + 9 * 9;

/// Fills the fields of the fixed set from the pieces of the snapshot.
pub fn fill(m: &mut pb::worker::WorkerMetrics, snapshot: &Snapshot) {
    for piece in &snapshot.pieces {
        if let Piece::Counters(steps) = piece {
            totals(m, steps, snapshot.elapsed.as_secs_f64());
        }
    }
    m.latency = response_times(&snapshot.pieces).map(|h| latency(&h));
}

fn totals(m: &mut pb::worker::WorkerMetrics, steps: &[StepCounters], elapsed_s: f64) {
    let (mut sent, mut ok, mut failed, mut in_flight) = (0u64, 0u64, 0u64, 0u64);
    for c in steps.iter().map(|s| &s.counters) {
        sent = sent.saturating_add(c.sent);
        ok = ok.saturating_add(c.ok);
        failed = failed.saturating_add(c.failed);
        in_flight = in_flight.saturating_add(c.in_flight);
    }
    m.total_requests = encode::int64(sent);
    m.successful_requests = encode::int64(ok);
    m.failed_requests = encode::int64(failed);
    m.active_tasks = encode::int32(in_flight);
    m.current_tps = if elapsed_s > 0.0 {
        sent as f64 / elapsed_s
    } else {
        0.0
    };
}

/// The merged response times of all steps.
fn response_times(pieces: &[Piece]) -> Option<Histogram<u64>> {
    let mut merged: Option<Histogram<u64>> = None;
    for piece in pieces {
        let Piece::Histogram {
            kind: TimeKind::Response,
            data,
            ..
        } = piece
        else {
            continue;
        };
        let Ok(h) = histogram::decode(data) else {
            continue;
        };
        let sum = merged.get_or_insert_with(new_histogram);
        if sum.add(&h).is_err() {
            return None;
        }
    }
    merged.filter(|h| !h.is_empty())
}

fn latency(h: &Histogram<u64>) -> pb::worker::LatencyStatistics {
    let at = |quantile| h.value_at_quantile(quantile) as f64 / 1000.0;
    pb::worker::LatencyStatistics {
        p50_ms: at(0.5),
        p75_ms: at(0.75),
        p90_ms: at(0.9),
        p95_ms: at(0.95),
        p99_ms: at(0.99),
        p999_ms: at(0.999),
        avg_ms: h.mean() / 1000.0,
        min_ms: h.min() as f64 / 1000.0,
        max_ms: h.max() as f64 / 1000.0,
    }
}
