//! Connections: the connected peers, which of them are members of this swarm, their round-trip
//! times, and closing those of other swarms.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use libp2p::core::ConnectedPoint;
use libp2p::multiaddr::Multiaddr;
use libp2p::swarm::{ConnectionId, StreamUpgradeError};
use libp2p::{PeerId, identify, ping};

use super::address;
use super::address_book::MAX_ADDRESSES;
use super::behaviour::KEEP_UP_TO;
use super::discovery::Discovery;
use super::event::{Link, NetworkEvent};
use super::io::Io;

/// Time after which a peer that has not identified is disconnected.
const IDENTIFY_TIMEOUT: Duration = Duration::from_secs(10);

/// Pings that must fail in a row before a connection is closed. One may fail because either node
/// was suspended for a moment.
const MAX_PINGS_LOST: u32 = 2;

/// All connected peers.
#[derive(Debug)]
pub(super) struct Connections {
    /// What members send in identify.
    protocol_version: String,
    peers: HashMap<PeerId, ConnectedPeer>,
    members: usize,
}

#[derive(Debug)]
struct ConnectedPeer {
    since: Instant,
    /// Whether the peer identified as a member of this swarm.
    member: bool,
    connections: HashMap<ConnectionId, Connection>,
    /// Of the last ping on any of its connections.
    round_trip: Option<Duration>,
}

#[derive(Debug)]
struct Connection {
    remote: Multiaddr,
    dialled: bool,
    pings_lost: u32,
}

impl Connections {
    pub(super) fn new(protocol_version: String) -> Connections {
        Connections {
            protocol_version,
            peers: HashMap::new(),
            members: 0,
        }
    }

    /// Number of connected members of this swarm.
    pub(super) fn members(&self) -> usize {
        self.members
    }

    pub(super) fn on_connected(
        &mut self,
        io: &mut Io,
        discovery: &mut Discovery,
        peer: PeerId,
        id: ConnectionId,
        endpoint: &ConnectedPoint,
    ) {
        let now = Instant::now();
        let dialled = endpoint.is_dialer();
        let remote = endpoint.get_remote_address().clone();
        discovery.connected(io, peer, id, dialled.then_some(&remote), now);
        let entry = self.peers.entry(peer).or_insert_with(|| ConnectedPeer {
            since: now,
            member: false,
            connections: HashMap::new(),
            round_trip: None,
        });
        entry.connections.insert(
            id,
            Connection {
                remote,
                dialled,
                pings_lost: 0,
            },
        );
    }

    pub(super) fn on_disconnected(
        &mut self,
        io: &mut Io,
        discovery: &mut Discovery,
        peer: PeerId,
        id: ConnectionId,
    ) {
        let Some(entry) = self.peers.get_mut(&peer) else {
            return;
        };
        entry.connections.remove(&id);
        if !entry.connections.is_empty() {
            return;
        }
        let member = entry.member;
        self.peers.remove(&peer);
        discovery.disconnected(&peer, member, Instant::now());
        if member {
            self.members -= 1;
            self.members_changed(io);
            io.outbox
                .send(NetworkEvent::PeerDisconnected(address::peer(&peer)));
        }
    }

    pub(super) fn on_identify(
        &mut self,
        io: &mut Io,
        discovery: &mut Discovery,
        event: identify::Event,
    ) {
        match event {
            identify::Event::Received { peer_id, info, .. } => {
                if info.protocol_version == self.protocol_version {
                    self.on_member(io, discovery, peer_id, info);
                } else {
                    block(io, discovery, peer_id, &info.protocol_version);
                }
            }
            identify::Event::Error { peer_id, error, .. } => {
                // All members support identify. Other errors, as of a lost stream, prove nothing.
                if matches!(error, StreamUpgradeError::NegotiationFailed) {
                    block(io, discovery, peer_id, "it does not support identify");
                }
            }
            identify::Event::Sent { .. } | identify::Event::Pushed { .. } => {}
        }
    }

    fn on_member(
        &mut self,
        io: &mut Io,
        discovery: &mut Discovery,
        peer: PeerId,
        info: identify::Info,
    ) {
        let Some(entry) = self.peers.get_mut(&peer) else {
            return;
        };
        let now = Instant::now();
        let new = !entry.member;
        entry.member = true;
        let round_trip = entry.round_trip;
        let addresses = addresses(entry, info.listen_addrs);
        let own_kad = io.swarm.behaviour().kad.protocol_names();
        let speaks_kad = info.protocols.iter().any(|p| own_kad.contains(p));
        discovery.add_member(io, peer, addresses, speaks_kad, now);
        // After its addresses, so that the caller can send requests to it.
        if new {
            self.members += 1;
            self.members_changed(io);
            discovery.walk_soon(now);
            io.outbox
                .send(NetworkEvent::PeerConnected(address::peer(&peer)));
            if let Some(round_trip) = round_trip {
                send_round_trip(io, &peer, round_trip);
            }
        }
    }

    pub(super) fn on_ping(&mut self, io: &mut Io, event: ping::Event) {
        let Some(entry) = self.peers.get_mut(&event.peer) else {
            return;
        };
        let Some(connection) = entry.connections.get_mut(&event.connection) else {
            return;
        };
        if let Ok(round_trip) = event.result {
            connection.pings_lost = 0;
            entry.round_trip = Some(round_trip);
            if entry.member {
                send_round_trip(io, &event.peer, round_trip);
            }
            return;
        }
        connection.pings_lost += 1;
        if connection.pings_lost >= MAX_PINGS_LOST {
            tracing::debug!(peer = %event.peer, "pings lost, closing the connection");
            io.swarm.close_connection(event.connection);
        }
    }

    /// Disconnects the peers that have not identified in time.
    pub(super) fn close_unidentified(&self, io: &mut Io, now: Instant) {
        for (peer, entry) in &self.peers {
            if !entry.member && now.saturating_duration_since(entry.since) > IDENTIFY_TIMEOUT {
                let _ = io.swarm.disconnect_peer_id(*peer);
            }
        }
    }

    /// The connected members.
    pub(super) fn links(&self, io: &Io) -> Vec<Link> {
        let mesh: HashSet<&PeerId> = io.swarm.behaviour().gossip.all_mesh_peers().collect();
        let members = self.peers.iter().filter(|(_, entry)| entry.member);
        members
            .map(|(peer, entry)| Link {
                peer: address::peer(peer),
                round_trip: entry.round_trip,
                mesh: mesh.contains(peer),
            })
            .collect()
    }

    fn members_changed(&self, io: &mut Io) {
        let members = self.members;
        io.stats.update(|s| s.peers = members);
        io.swarm.behaviour_mut().keep.set(members <= KEEP_UP_TO);
    }
}

/// The addresses of a peer: those that this node dialled, then those that the peer listens on.
/// Loopback addresses count only if the peer is on this machine.
fn addresses(entry: &ConnectedPeer, listening: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let connections = entry.connections.values();
    let local = connections.clone().any(|c| address::is_loopback(&c.remote));
    let dialled = connections.filter(|c| c.dialled).map(|c| c.remote.clone());
    let listening = listening
        .into_iter()
        .filter(|a| local || !address::is_loopback(a));
    dialled.chain(listening).take(MAX_ADDRESSES).collect()
}

/// Disconnects and blocks a peer of another swarm. If it connects by itself it is identified again,
/// since it may have been restarted with another name.
fn block(io: &mut Io, discovery: &mut Discovery, peer: PeerId, reason: &str) {
    tracing::debug!(%peer, reason, "not of this swarm");
    io.stats.update(|s| s.strangers += 1);
    discovery.block(io, peer, Instant::now());
    let _ = io.swarm.disconnect_peer_id(peer);
}

/// May be lost, since the next ping follows soon.
fn send_round_trip(io: &mut Io, peer: &PeerId, round_trip: Duration) {
    let peer = address::peer(peer);
    let _ = io
        .outbox
        .offer(NetworkEvent::RoundTrip { peer, round_trip });
}
