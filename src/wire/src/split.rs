//! Fitting a snapshot's pieces into messages of limited size.

use prost::Message as _;

use super::limits::{MAX_CHUNK, MAX_GOSSIP};
use super::{snapshot, summary};
use vajra_core::metrics::{Piece, Snapshot};

/// Room for what surrounds the metrics: key and length of the envelope's field.
const ENVELOPE: usize = 8;
/// Lengths grow by at most this much when pieces share a message instead of having one each.
const SLACK: usize = 8;

/// Splits a snapshot over as few messages as its pieces need, each at most [`MAX_GOSSIP`]
/// bytes once encoded (first fit, largest first: seldom one more than the fewest). Each part
/// is a snapshot of the same number with some of the pieces. Also says how many pieces are
/// too large for gossip; those are in none of the parts and are fetched instead.
///
/// A snapshot without pieces is one part.
pub fn split_snapshot(snapshot: &Snapshot) -> (Vec<Snapshot>, usize) {
    split(snapshot, MAX_GOSSIP)
}

/// The pieces of a snapshot that fit a bulk message: all of them, for any plan of a few steps.
pub(super) fn fit_bulk(snapshot: &Snapshot) -> Snapshot {
    let whole = split(snapshot, MAX_CHUNK).0.into_iter().next();
    whole.unwrap_or_else(|| with(snapshot, Vec::new()))
}

/// Most bytes that a snapshot takes in a message that carries it.
pub(super) fn len_bound(snapshot: &Snapshot) -> usize {
    snapshot::bare(snapshot).encoded_len() + summary::MAX_LEN + ENVELOPE
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
