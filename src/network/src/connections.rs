//! Connections: who is connected, how far away, who of them has shown to be of this swarm, and
//! who is sent away.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use libp2p::core::ConnectedPoint;
use libp2p::multiaddr::Multiaddr;
use libp2p::swarm::{ConnectionId, StreamUpgradeError};
use libp2p::{PeerId, identify, ping};

use super::address;
use super::behaviour::KEEP_UP_TO;
use super::event_loop::{EventLoop, unix_s};
use super::handle::{LinkSeen, NetworkEvent};
use super::peers::MAX_ADDRESSES;

/// A peer that has not said who it is by then is sent away.
const IDENTIFY_TIMEOUT: Duration = Duration::from_secs(10);

/// Pings that must fail in a row before a connection counts as dead. One may fail because
/// either end was suspended for a moment.
const PINGS_LOST: u32 = 2;

/// All connected peers.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: HashMap<PeerId, Link>,
    members: usize,
}

#[derive(Debug)]
struct Link {
    since: Instant,
    member: bool,
    connections: HashMap<ConnectionId, Connection>,
    /// As last measured, on whichever connection.
    round_trip: Option<Duration>,
}

#[derive(Debug)]
struct Connection {
    remote: Multiaddr,
    dialled: bool,
    pings_lost: u32,
}

impl Links {
    /// How many peers are connected, identified or not.
    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    /// How many of them are of this swarm.
    pub(super) fn members(&self) -> usize {
        self.members
    }

    pub(super) fn is_connected(&self, peer: &PeerId) -> bool {
        self.links.contains_key(peer)
    }
}

impl EventLoop {
    pub(super) fn on_connected(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        endpoint: &ConnectedPoint,
    ) {
        let now = Instant::now();
        let dialled = endpoint.is_dialer();
        let remote = endpoint.get_remote_address().clone();
        self.book.connected(peer, dialled.then_some(&remote), now);
        let link = self.links.links.entry(peer).or_insert_with(|| Link {
            since: now,
            member: false,
            connections: HashMap::new(),
            round_trip: None,
        });
        link.connections.insert(
            id,
            Connection {
                remote,
                dialled,
                pings_lost: 0,
            },
        );
        self.on_dialled(id, peer);
        self.send_waiting(&peer);
    }

    pub(super) fn on_disconnected(&mut self, peer: PeerId, id: ConnectionId) {
        let Some(link) = self.links.links.get_mut(&peer) else {
            return;
        };
        link.connections.remove(&id);
        if !link.connections.is_empty() {
            return;
        }
        let member = link.member;
        self.links.links.remove(&peer);
        let now = Instant::now();
        self.book.disconnected(&peer, unix_s(), now);
        self.seeds.disconnected(&peer, now);
        if member {
            self.links.members -= 1;
            self.members_changed();
            self.saver.mark();
            self.outbox
                .send(NetworkEvent::PeerDisconnected(address::peer(&peer)));
        }
    }

    pub(super) fn on_identify(&mut self, event: identify::Event) {
        match event {
            identify::Event::Received { peer_id, info, .. } => self.on_identified(peer_id, info),
            identify::Event::Error { peer_id, error, .. } => {
                // A peer of ours always speaks identify; a lost stream says nothing.
                if matches!(error, StreamUpgradeError::NegotiationFailed) {
                    self.send_away(peer_id, "it does not speak identify");
                }
            }
            identify::Event::Sent { .. } | identify::Event::Pushed { .. } => {}
        }
    }

    fn on_identified(&mut self, peer: PeerId, info: identify::Info) {
        if info.protocol_version != self.identify {
            self.send_away(peer, &info.protocol_version);
            return;
        }
        let Some(link) = self.links.links.get_mut(&peer) else {
            return;
        };
        let now = Instant::now();
        let new = !link.member;
        link.member = true;
        let round_trip = link.round_trip;
        // Loopback addresses mean something only to those on the same machine.
        let near = link
            .connections
            .values()
            .any(|c| address::is_loopback(&c.remote));
        let proven = link
            .connections
            .values()
            .filter(|c| c.dialled)
            .map(|c| c.remote.clone());
        let told = info
            .listen_addrs
            .into_iter()
            .filter(|a| near || !address::is_loopback(a));
        let addresses: Vec<Multiaddr> = proven.chain(told).take(MAX_ADDRESSES).collect();

        self.book.readmit(&peer);
        self.book.is_member(&peer);
        let speaks_kad = info
            .protocols
            .iter()
            .any(|p| self.swarm.behaviour().kad.protocol_names().contains(p));
        for address in addresses {
            let (bare, _) = address::split_peer(&address);
            self.book
                .learn(peer, bare.clone(), super::peers::Source::Hearsay, now);
            if speaks_kad && address::is_dialable(&bare) {
                self.swarm.behaviour_mut().kad.add_address(&peer, bare);
            }
        }
        // After the addresses: whoever reacts to the event can rely on them.
        if new {
            self.links.members += 1;
            self.members_changed();
            self.walks.soon(now);
            self.outbox
                .send(NetworkEvent::PeerConnected(address::peer(&peer)));
            if let Some(round_trip) = round_trip {
                self.tell_round_trip(&peer, round_trip);
            }
        }
        self.saver.mark();
    }

    /// It is measured again soon: if the driver is behind, this one may be lost.
    fn tell_round_trip(&mut self, peer: &PeerId, round_trip: Duration) {
        let peer = address::peer(peer);
        let _ = self
            .outbox
            .offer(NetworkEvent::RoundTrip { peer, round_trip });
    }

    /// The members that are connected.
    pub(super) fn links_seen(&self) -> Vec<LinkSeen> {
        let mesh: HashSet<&PeerId> = self.swarm.behaviour().gossip.all_mesh_peers().collect();
        let members = self.links.links.iter().filter(|(_, link)| link.member);
        members
            .map(|(peer, link)| LinkSeen {
                peer: address::peer(peer),
                round_trip: link.round_trip,
                mesh: mesh.contains(peer),
            })
            .collect()
    }

    pub(super) fn on_ping(&mut self, event: ping::Event) {
        let Some(link) = self.links.links.get_mut(&event.peer) else {
            return;
        };
        let Some(connection) = link.connections.get_mut(&event.connection) else {
            return;
        };
        if let Ok(round_trip) = event.result {
            connection.pings_lost = 0;
            link.round_trip = Some(round_trip);
            if link.member {
                self.tell_round_trip(&event.peer, round_trip);
            }
            return;
        }
        connection.pings_lost += 1;
        if connection.pings_lost >= PINGS_LOST {
            tracing::debug!(peer = %event.peer, "pings lost, closing the connection");
            self.swarm.close_connection(event.connection);
        }
    }

    /// Sends those away who never said who they are.
    pub(super) fn close_unidentified(&mut self, now: Instant) {
        let silent: Vec<PeerId> = self
            .links
            .links
            .iter()
            .filter(|(_, link)| {
                !link.member && now.saturating_duration_since(link.since) > IDENTIFY_TIMEOUT
            })
            .map(|(peer, _)| *peer)
            .collect();
        for peer in silent {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    /// Closes a peer that is not of this swarm, and leaves it alone for a while. If it comes
    /// by itself it is looked at again: it may have been restarted with another name.
    fn send_away(&mut self, peer: PeerId, why: &str) {
        tracing::debug!(%peer, why, "not of this swarm");
        self.stats.update(|s| s.strangers += 1);
        let now = Instant::now();
        self.book.set_aside(peer, now);
        let warning = self.seeds.stranger(&peer, now);
        self.warn_bootstrap(warning);
        self.swarm.behaviour_mut().kad.remove_peer(&peer);
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    fn members_changed(&mut self) {
        let members = self.links.members;
        self.stats.update(|s| s.peers = members);
        self.swarm.behaviour_mut().keep.set(members <= KEEP_UP_TO);
    }
}
