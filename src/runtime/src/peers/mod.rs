//! The other nodes, beyond the protocol: connections, round trips, clocks and
//! the history of the swarm.
//!
//! | module | contents |
//! |---|---|
//! | `calls` | requests to other nodes |
//! | `clocks` | offsets of their wall clocks |
//! | `links` | the connections between the nodes |
//! | `swarm_log` | nodes that joined, left, disappeared or rejoined |

pub mod calls;
pub mod clocks;
mod links;
mod swarm_log;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use self::calls::PendingReply;
use self::clocks::{Clocks, Reading};
use self::links::Links;
use self::swarm_log::SwarmLog;
use crate::time::unix_ms;
use vajra_core::protocol::messages::Reply;
use vajra_core::protocol::{Node, Peer, Time};
use vajra_results::SwarmEvent;

/// Seconds between two clock readings, each of another node.
const CLOCK_INTERVAL_S: u32 = 2;
/// Timeout of a clock reading; a slower one is too inaccurate.
const CLOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// The other nodes.
pub struct Peers {
    /// Nodes with a connection.
    connected: BTreeSet<Peer>,
    /// Bootstrap addresses were given, and no peer has been connected yet.
    never_connected: bool,
    /// Round trips of connected nodes.
    round_trips: BTreeMap<Peer, Duration>,
    clocks: Clocks,
    log: SwarmLog,
    links: Links,
    seconds: u32,
}

/// The clock of a node.
pub struct ClockReading {
    peer: Peer,
    reading: Reading,
}

impl Peers {
    /// No peers. `has_bootstrap`: whether bootstrap addresses were given.
    pub fn new(has_bootstrap: bool) -> Peers {
        Peers {
            connected: BTreeSet::new(),
            never_connected: has_bootstrap,
            round_trips: BTreeMap::new(),
            clocks: Clocks::default(),
            log: SwarmLog::default(),
            links: Links::default(),
            seconds: 0,
        }
    }

    /// A node has connected.
    pub fn connected(&mut self, peer: Peer) {
        self.never_connected = false;
        self.connected.insert(peer);
    }

    /// The last connection to a node broke.
    pub fn disconnected(&mut self, peer: &Peer) {
        self.connected.remove(peer);
        self.round_trips.remove(peer);
    }

    /// The round trip to a node was measured.
    pub fn round_trip_measured(&mut self, peer: Peer, round_trip: Duration) {
        self.round_trips.insert(peer, round_trip);
    }

    /// The nodes with a connection.
    pub fn all_connected(&self) -> &BTreeSet<Peer> {
        &self.connected
    }

    /// Whether no bootstrap address has ever led to a peer.
    pub fn never_connected(&self) -> bool {
        self.never_connected
    }

    /// The round trip to a connected node.
    pub fn round_trip(&self, peer: &Peer) -> Option<Duration> {
        self.round_trips.get(peer).copied()
    }

    /// Milliseconds that a node's wall clock is ahead of this node's.
    pub fn clock_offset_ms(&self, peer: &Peer) -> Option<f64> {
        self.clocks.best(peer).map(|reading| reading.offset_ms)
    }

    /// The links between the nodes.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// The newest events of the swarm, newest first.
    pub fn events(&self, limit: usize) -> Vec<SwarmEvent> {
        self.log.newest(limit)
    }

    /// Records what has changed about one node.
    pub fn check(&mut self, core: &Node, now: Time, peer: &Peer) {
        if let Some(known) = core.members().get(peer) {
            self.log.check_node(now, unix_ms(), known);
        }
    }

    /// Called once per second: records what has changed. Returns the node whose clock is to be
    /// read, if any.
    pub fn every_second(&mut self, core: &Node, now: Time, live: &BTreeSet<Peer>) -> Option<Peer> {
        self.log.check(now, unix_ms(), core.members());
        self.clocks.retain(live);
        self.seconds = self.seconds.wrapping_add(1);
        match self.seconds.is_multiple_of(CLOCK_INTERVAL_S) {
            true => self.clocks.next(live),
            false => None,
        }
    }

    /// A clock was read.
    pub fn clock_read(&mut self, reading: ClockReading) {
        self.clocks.read(reading.peer, reading.reading);
    }
}

/// A clock reading from a request that was just sent.
pub fn read_clock(
    peer: Peer,
    reply: PendingReply,
) -> impl Future<Output = Option<ClockReading>> + Send {
    let (sent_unix_ms, sent) = (unix_ms(), Instant::now());
    async move {
        match timeout(CLOCK_TIMEOUT, reply).await {
            Ok(Ok(Ok(Reply::Clock { unix_ms }))) => Some(ClockReading {
                peer,
                reading: Reading::of(sent_unix_ms, sent.elapsed(), unix_ms),
            }),
            _ => None,
        }
    }
}
