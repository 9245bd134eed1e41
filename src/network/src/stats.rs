//! What the network counts.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use vajra_core::protocol::Peer;

/// Most peers whose bad messages are counted one by one; others only in the totals.
pub const MAX_OFFENDERS: usize = 256;

/// Counters since the start.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct NetworkStats {
    /// Nodes of this swarm connected now.
    pub peers: usize,
    /// Gossip messages published.
    pub gossip_published: u64,
    /// Not published because nobody was there.
    pub gossip_unheard: u64,
    /// Not published because every peer's queue was full.
    pub gossip_unsent: u64,
    /// Not published because of their size.
    pub gossip_too_large: u64,
    /// Gossip messages handed to the driver.
    pub gossip_received: u64,
    /// Dropped because the driver was behind.
    pub gossip_dropped: u64,
    /// Refused: malformed or rejected by the driver.
    pub gossip_rejected: u64,
    /// Ignored by the driver.
    pub gossip_ignored: u64,
    /// Times that a peer did not keep up with our gossip.
    pub slow_peers: u64,
    /// Requests handed to the driver.
    pub requests_received: u64,
    /// Requests dropped because too many were unanswered or the driver was behind.
    pub requests_dropped: u64,
    /// Requests and replies whose bytes made no sense.
    pub requests_malformed: u64,
    /// Inbound connections that failed before they stood: scans, other keys, garbage.
    pub inbound_failed: u64,
    /// Peers closed for speaking another swarm's protocols.
    pub strangers: u64,
    /// Commands dropped because the queue was full or the network was shut down.
    pub commands_dropped: u64,
    /// Events that must not be lost, lost because the driver was far behind.
    pub events_lost: u64,
    /// Who forwarded or wrote bad gossip.
    pub offenders: BTreeMap<Peer, Offences>,
}

/// One peer's bad gossip.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Offences {
    /// Rejected messages that came from it.
    pub forwarded: u64,
    /// Rejected messages that it signed.
    pub authored: u64,
    /// Ignored messages that came from it.
    pub ignored: u64,
}

/// The counters, shared between the event loop and its handles.
#[derive(Default)]
pub(super) struct Stats(Mutex<NetworkStats>);

impl Stats {
    pub(super) fn update(&self, change: impl FnOnce(&mut NetworkStats)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn get(&self) -> NetworkStats {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl NetworkStats {
    /// One peer's offences, to be changed; `None` if too many peers are counted already.
    pub(super) fn offences(&mut self, peer: Peer) -> Option<&mut Offences> {
        if self.offenders.len() >= MAX_OFFENDERS && !self.offenders.contains_key(&peer) {
            return None;
        }
        Some(self.offenders.entry(peer).or_default())
    }
}
