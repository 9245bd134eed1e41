//! Counters of the network.

use std::collections::BTreeMap;
use std::sync::Mutex;

use vajra_core::protocol::Peer;
use vajra_core::sync::lock;

/// Most peers with counters of their own, so that a flood of forged peer ids does not use memory.
/// Messages of further peers are only in the totals.
pub const MAX_OFFENDERS: usize = 256;

/// Counters since the start.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct NetworkStats {
    /// Connected nodes of this swarm. Not a counter.
    pub peers: usize,
    /// Gossip messages published.
    pub gossip_published: u64,
    /// Gossip messages not published because no connected peer subscribes to the topic.
    pub gossip_no_peers: u64,
    /// Gossip messages not published because the queues of all peers were full.
    pub gossip_queue_full: u64,
    /// Gossip messages not published because of their size.
    pub gossip_too_large: u64,
    /// Gossip messages delivered to the caller.
    pub gossip_received: u64,
    /// Gossip messages dropped because the event queue was full.
    pub gossip_dropped: u64,
    /// Gossip messages that were malformed or rejected by the caller.
    pub gossip_rejected: u64,
    /// Gossip messages of newer versions, or ignored by the caller.
    pub gossip_ignored: u64,
    /// Times that gossip to a peer was dropped because the peer was slow.
    pub slow_peers: u64,
    /// Requests delivered to the caller.
    pub requests_received: u64,
    /// Requests dropped because too many were unanswered or the event queue was full.
    pub requests_dropped: u64,
    /// Malformed requests and replies.
    pub requests_malformed: u64,
    /// Inbound connections that failed during the handshake: port scans, another swarm key.
    pub inbound_failed: u64,
    /// Peers disconnected because they belong to another swarm.
    pub strangers: u64,
    /// Commands dropped because the queue was full or the network was shut down.
    pub commands_dropped: u64,
    /// Events lost because the caller was far behind.
    pub events_lost: u64,
    /// Peers that forwarded or wrote rejected or ignored gossip.
    pub offenders: BTreeMap<Peer, Offences>,
}

/// Rejected and ignored gossip of one peer.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Offences {
    /// Rejected messages that it forwarded.
    pub forwarded: u64,
    /// Rejected messages that it signed.
    pub authored: u64,
    /// Ignored messages that it forwarded.
    pub ignored: u64,
}

/// The counters, shared by the event loop and its handles.
#[derive(Default)]
pub(super) struct Stats(Mutex<NetworkStats>);

impl Stats {
    pub(super) fn update(&self, change: impl FnOnce(&mut NetworkStats)) {
        change(&mut lock(&self.0));
    }

    pub(super) fn get(&self) -> NetworkStats {
        lock(&self.0).clone()
    }
}

impl NetworkStats {
    /// The counters of one peer. `None` beyond [`MAX_OFFENDERS`] peers.
    pub(super) fn offences(&mut self, peer: Peer) -> Option<&mut Offences> {
        if self.offenders.len() >= MAX_OFFENDERS && !self.offenders.contains_key(&peer) {
            return None;
        }
        Some(self.offenders.entry(peer).or_default())
    }
}
