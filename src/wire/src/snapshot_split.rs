//! Splits a snapshot into messages of limited size.

use prost::Message as _;

use super::limits::{MAX_CHUNK, MAX_GOSSIP};
use super::{snapshot, snapshot_summary};
use vajra_core::metrics::{Piece, Snapshot};

/// Bytes of the envelope around the metrics: key and length of its field.
const ENVELOPE: usize = 8;
/// Most bytes by which length prefixes grow when pieces share a message.
const SLACK: usize = 8;

/// Splits a snapshot into parts of at most [`MAX_GOSSIP`] bytes each, by first fit decreasing. Each
/// part is a snapshot of the same number with some of the pieces. Also returns the number of pieces
/// that are too large for gossip. They are in no part; nodes fetch them instead.
///
/// A snapshot without pieces is one part.
pub fn split_snapshot(snapshot: &Snapshot) -> (Vec<Snapshot>, usize) {
    split(snapshot, MAX_GOSSIP)
}

/// The snapshot with the pieces that fit a bulk message: all of them in a plan with a few steps.
pub(super) fn fit_bulk(snapshot: &Snapshot) -> Snapshot {
    let part = split(snapshot, MAX_CHUNK).0.into_iter().next();
    part.unwrap_or_else(|| with(snapshot, Vec::new()))
}

/// Largest encoded length of a snapshot in its envelope.
pub(super) fn len_bound(snapshot: &Snapshot) -> usize {
    snapshot::bare(snapshot).encoded_len() + snapshot_summary::MAX_LEN + ENVELOPE
}

fn with(snapshot: &Snapshot, pieces: Vec<Piece>) -> Snapshot {
    Snapshot {
        test: snapshot.test,
        worker: snapshot.worker.clone(),
        pieces,
        ..*snapshot
    }
}

fn split(snapshot: &Snapshot, max: usize) -> (Vec<Snapshot>, usize) {
    if len_bound(snapshot) <= max {
        return (vec![snapshot.clone()], 0);
    }
    let base = len_bound(&with(snapshot, Vec::new()));
    let mut sized: Vec<(usize, &Piece)> = snapshot
        .pieces
        .iter()
        .map(|p| {
            (
                len_bound(&with(snapshot, vec![p.clone()])) - base + SLACK,
                p,
            )
        })
        .collect();
    sized.sort_by_key(|(len, _)| std::cmp::Reverse(*len));

    let mut too_large = 0;
    let mut parts: Vec<(usize, Vec<Piece>)> = Vec::new();
    for (len, piece) in sized {
        if base + len > max {
            too_large += 1;
            continue;
        }
        match parts.iter_mut().find(|(used, _)| used + len <= max) {
            Some((used, pieces)) => {
                *used += len;
                pieces.push(piece.clone());
            }
            None => parts.push((base + len, vec![piece.clone()])),
        }
    }
    let parts = parts.into_iter().map(|(_, pieces)| with(snapshot, pieces));
    (parts.collect(), too_large)
}
