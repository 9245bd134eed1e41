//! The workers that count in a test, and the snapshots that are kept aside until their worker does.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::metrics::{Piece, Snapshot};
use crate::protocol::allocation::{Allocation, AllocationName};
use crate::protocol::id::NodeId;
use crate::protocol::merge::Merge;
use crate::protocol::time::Time;

/// Most workers whose snapshots are kept aside, with one incarnation each.
const MAX_ASIDE: usize = 64;
/// Most bytes of the snapshots that are kept aside, of all workers.
const MAX_ASIDE_BYTES: usize = 4 << 20;

/// The workers that count, and the snapshots of others.
#[derive(Debug, Default)]
pub(super) struct Granted {
    /// Workers in any allocation, or in the end.
    pub(super) workers: BTreeSet<NodeId>,
    pub(super) aside: Merge,
    /// Newest allocation that this node knows to exist.
    pub(super) named: Option<AllocationName>,
    /// Newest allocation whose list this node has seen, and its term.
    pub(super) seen: Option<(u64, u64)>,
    /// Newest list that names this node: with it, others know that this node counts.
    pub(super) proof: Option<Arc<Allocation>>,
    /// Number of requests for lists.
    pub(super) asked: usize,
    /// Earliest time of the next request for a list.
    pub(super) next_fetch: Time,
}

impl Granted {
    /// Keeps a snapshot of a worker that does not count yet. Returns whether it was new.
    pub(super) fn keep_aside(&mut self, snapshot: &Snapshot) -> bool {
        let worker = &snapshot.worker;
        if !self.aside.workers().contains_key(worker) {
            let of_peer = |n: &&NodeId| n.peer == worker.peer;
            let other = self.aside.workers().keys().find(of_peer).cloned();
            match other {
                Some(newer) if newer.incarnation > worker.incarnation => return false,
                Some(older) => drop(self.aside.remove(&older)),
                None if self.aside.workers().len() >= MAX_ASIDE => return false,
                None => {}
            }
        }
        let added: usize = snapshot.pieces.iter().map(Piece::bytes).sum();
        let kept: usize = self.aside.workers().values().map(|m| m.bytes()).sum();
        kept + added <= MAX_ASIDE_BYTES && self.aside.take(snapshot)
    }
}
