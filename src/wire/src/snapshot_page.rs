//! Pages of snapshots: the replies to FetchSnapshots.

use super::limits::*;
use super::snapshot_split::{fit_bulk, len_bound};
use super::{Wire, WireError, common, decode, pb};
use vajra_core::metrics::{Piece, Snapshot};
use vajra_core::protocol::TestId;
use vajra_core::protocol::messages::Reply;

/// Encodes the first snapshots, at least one and as many as fit a reply.
pub fn to_wire(test: TestId, snapshots: &[Snapshot], more: bool) -> pb::v1::FetchedSnapshots {
    let (mut len, mut histograms, mut nested) = (0, 0, 0);
    let mut page = Vec::new();
    for s in snapshots {
        let size = len_bound(s);
        let n = histograms_of(s);
        len += size;
        histograms += n;
        nested += nested_of(s) + n;
        let full = len > MAX_CHUNK
            || histograms > MAX_PAGE_HISTOGRAMS
            || nested > MAX_NESTED
            || page.len() == MAX_SNAPSHOTS;
        if full && !page.is_empty() {
            break;
        }
        page.push(if size > MAX_CHUNK {
            fit_bulk(s).to_wire()
        } else {
            s.to_wire()
        });
    }
    pb::v1::FetchedSnapshots {
        test: test.0.to_vec(),
        more: more || page.len() < snapshots.len(),
        snapshots: page,
    }
}

/// Decodes a page. All snapshots must be of one test, sorted by worker and without duplicates, so
/// that fetching page after page ends.
pub fn from_wire(m: pb::v1::FetchedSnapshots) -> Result<Reply, WireError> {
    let field = "snapshots";
    let histograms = m.snapshots.iter().map(|s| s.histograms.len()).sum();
    decode::count(
        "histograms of all snapshots",
        histograms,
        MAX_PAGE_HISTOGRAMS,
    )?;
    let test = common::test(&m.test)?;
    let snapshots: Vec<Snapshot> = decode::list(field, m.snapshots, MAX_SNAPSHOTS)?;
    if snapshots.iter().any(|s| s.test != test) {
        return Err(WireError::Invalid {
            field,
            reason: "contains one of another test",
        });
    }
    if !snapshots.is_sorted_by(|a, b| a.worker < b.worker) {
        return Err(WireError::Invalid {
            field,
            reason: "is not sorted by worker",
        });
    }
    if m.more && snapshots.is_empty() {
        return Err(WireError::Invalid {
            field,
            reason: "is empty, although more follow",
        });
    }
    Ok(Reply::Snapshots {
        test,
        snapshots,
        more: m.more,
    })
}

fn histograms_of(s: &Snapshot) -> usize {
    let is_histogram = |p: &&Piece| matches!(p, Piece::Histogram { .. });
    s.pieces.iter().filter(is_histogram).count()
}

/// Nested messages without histograms: the snapshot, worker, latency, counters, steps and errors.
fn nested_of(s: &Snapshot) -> usize {
    let steps = s.pieces.iter().map(|p| match p {
        Piece::Counters(steps) => steps.iter().map(|s| 1 + s.counters.errors.len()).sum(),
        Piece::Histogram { .. } => 0,
    });
    4 + steps.sum::<usize>()
}
