//! Finding and dialling peers: the address book and its dials, bootstrap addresses, mDNS, Kademlia
//! and the known peers on disk.

use std::collections::HashMap;
use std::io;
use std::time::Instant;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId, kad, mdns};

use super::address::{self, ResolveError};
use super::address_book::{AddressBook, Source};
use super::bootstrap::{Bootstrap, Dialled};
use super::config::NetworkConfig;
use super::event::NetworkEvent;
use super::io::Io;
use super::kademlia_walks::{Walk, Walks};
use super::known_peers_writer::KnownPeersWriter;
use super::wall_clock::unix_s;

/// Connections up to which found peers are dialled, so that a swarm of up to fifty nodes is fully
/// connected. Bootstrap addresses are always dialled, so that the halves of a split swarm find each
/// other again.
const DIAL_TARGET: usize = 50;

/// Most dials of found peers in progress: a fully connected swarm needs two rounds of them.
const MAX_DIALLING: usize = 32;

/// A DNS lookup, with the index of its bootstrap address.
type Lookup = BoxFuture<'static, (usize, Result<Vec<Multiaddr>, ResolveError>)>;

/// The origin of a dial.
#[derive(Clone, Debug)]
enum Dial {
    Peer(PeerId),
    Bootstrap(usize, Multiaddr),
}

/// State of discovery.
pub(super) struct Discovery {
    own: PeerId,
    book: AddressBook,
    bootstrap: Bootstrap,
    /// Dials in progress: at most [`MAX_DIALLING`], one for each request that waits for a
    /// connection, and one for each resolved bootstrap address.
    dials: HashMap<ConnectionId, Dial>,
    /// At most one per bootstrap address.
    lookups: FuturesUnordered<Lookup>,
    walks: Walks,
    known_peers: KnownPeersWriter,
}

impl Discovery {
    pub(super) fn new(config: &NetworkConfig, own: PeerId, now: Instant) -> Discovery {
        // Peer ids differ in their low bytes, and the seed is only for jitter.
        let seed = own
            .to_bytes()
            .iter()
            .fold(unix_s(), |seed, b| seed.rotate_left(8) ^ u64::from(*b));
        Discovery {
            own,
            book: AddressBook::new(own, seed),
            bootstrap: Bootstrap::new(&config.bootstrap, now, !seed),
            dials: HashMap::new(),
            lookups: FuturesUnordered::new(),
            walks: Walks::new(now),
            known_peers: KnownPeersWriter::new(config.known_peers.clone(), now),
        }
    }

    /// Adds the known peers from disk.
    pub(super) fn restore_known(&mut self, io: &mut Io, now: Instant) {
        match self.known_peers.load() {
            Ok(known) => known
                .into_iter()
                .for_each(|peer| self.book.restore(peer, now)),
            Err(error) => {
                let text = format!("known peers cannot be read, starting without them: {error}");
                io.outbox.send(NetworkEvent::Warning(text));
            }
        }
    }

    // ---- sources of addresses

    /// Adds addresses from the caller.
    pub(super) fn add_addresses(&mut self, io: &mut Io, addresses: Vec<Multiaddr>) {
        let now = Instant::now();
        for address in addresses {
            if let (bare, Some(peer)) = address::split_peer(&address) {
                self.book.learn(peer, bare, Source::Indirect, now);
            }
        }
        self.dial_due(io, now);
    }

    pub(super) fn on_mdns(&mut self, io: &mut Io, event: mdns::Event) {
        let now = Instant::now();
        match event {
            mdns::Event::Discovered(found) => {
                for (peer, address) in found {
                    self.book.learn(peer, address, Source::Mdns, now);
                }
                self.dial_due(io, now);
            }
            mdns::Event::Expired(expired) => {
                for (peer, _) in expired {
                    self.book.mdns_expired(&peer);
                }
            }
        }
    }

    pub(super) fn on_kad(&mut self, io: &mut Io, event: kad::Event) {
        let kad::Event::OutboundQueryProgressed {
            result: kad::QueryResult::GetClosestPeers(result),
            ..
        } = event
        else {
            return;
        };
        let found = match result {
            Ok(found) => found.peers,
            Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
        };
        let now = Instant::now();
        for peer in found {
            for address in peer.addrs {
                self.book
                    .learn(peer.peer_id, address, Source::Indirect, now);
            }
        }
        self.dial_due(io, now);
    }

    // ---- connections

    /// A connection was established; `dialled` is the address, if this node dialled.
    pub(super) fn connected(
        &mut self,
        io: &mut Io,
        peer: PeerId,
        id: ConnectionId,
        dialled: Option<&Multiaddr>,
        now: Instant,
    ) {
        self.book.connected(peer, dialled, now);
        if let Some(Dial::Bootstrap(index, address)) = self.dials.remove(&id) {
            self.bootstrap_dialled(io, index, address, Dialled::Peer(peer));
        }
    }

    /// The last connection to a peer was closed.
    pub(super) fn disconnected(&mut self, peer: &PeerId, was_member: bool, now: Instant) {
        self.book.disconnected(peer, unix_s(), now);
        self.bootstrap.disconnected(peer, now);
        if was_member {
            self.known_peers.mark_changed();
        }
    }

    /// A connected peer identified as a member of this swarm, with these addresses.
    pub(super) fn add_member(
        &mut self,
        io: &mut Io,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        speaks_kad: bool,
        now: Instant,
    ) {
        self.book.add_member(&peer);
        for address in addresses {
            let (bare, _) = address::split_peer(&address);
            self.book.learn(peer, bare.clone(), Source::Indirect, now);
            if speaks_kad && address::is_dialable(&bare) {
                io.swarm.behaviour_mut().kad.add_address(&peer, bare);
            }
        }
        self.known_peers.mark_changed();
    }

    /// A new member can be queried for peers.
    pub(super) fn walk_soon(&mut self, now: Instant) {
        self.walks.soon(now);
    }

    /// A connected peer belongs to another swarm.
    pub(super) fn block(&mut self, io: &mut Io, peer: PeerId, now: Instant) {
        self.book.block(peer, now);
        let warning = self.bootstrap.mark_other_swarm(&peer, now);
        warn_bootstrap(io, warning);
        io.swarm.behaviour_mut().kad.remove_peer(&peer);
    }

    // ---- dials

    /// Dials a peer now, for a request. Returns false if it has no known address.
    pub(super) fn dial_now(&mut self, io: &mut Io, peer: PeerId, now: Instant) -> bool {
        match self.book.start_dial(&peer) {
            Some(addresses) => {
                // If this fails, a dial for a bootstrap address may still connect the peer.
                self.dial_peer(io, peer, addresses, now);
                true
            }
            None => self.book.is_dialling(&peer),
        }
    }

    /// Starts the dials and lookups that are due.
    pub(super) fn dial_due(&mut self, io: &mut Io, now: Instant) {
        for (index, address) in self.bootstrap.due(now) {
            self.lookups.push(
                address::resolve(address)
                    .map(move |result| (index, result))
                    .boxed(),
            );
        }
        let dialling = self.book.dialling();
        let connected = io.swarm.network_info().num_peers();
        let max = MAX_DIALLING
            .saturating_sub(dialling)
            .min(DIAL_TARGET.saturating_sub(connected + dialling));
        for (peer, addresses) in self.book.due(now, max) {
            self.dial_peer(io, peer, addresses, now);
        }
    }

    /// Dials a peer that the address book has marked as being dialled.
    fn dial_peer(&mut self, io: &mut Io, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) {
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses)
            // Soon after a lost connection, a dial from the listening port would conflict with
            // the remains of the old connection.
            .allocate_new_port()
            .build();
        let id = opts.connection_id();
        match io.swarm.dial(opts) {
            Ok(()) => {
                self.dials.insert(id, Dial::Peer(peer));
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "not dialled");
                self.book.failed(&peer, now);
            }
        }
    }

    /// The next finished lookup. Pending while there is none.
    pub(super) async fn next_lookup(&mut self) -> (usize, Result<Vec<Multiaddr>, ResolveError>) {
        match self.lookups.next().await {
            Some(finished) => finished,
            None => std::future::pending().await,
        }
    }

    pub(super) fn on_resolved(
        &mut self,
        io: &mut Io,
        index: usize,
        result: Result<Vec<Multiaddr>, ResolveError>,
    ) {
        let is_connected = |peer: &PeerId| io.swarm.is_connected(peer);
        let (dials, warning) = self
            .bootstrap
            .resolved(index, result, is_connected, Instant::now());
        warn_bootstrap(io, warning);
        for address in dials {
            let opts = match self.bootstrap.expected(index) {
                Some(peer) => DialOpts::peer_id(peer)
                    .condition(PeerCondition::Always)
                    .addresses(vec![address.clone()])
                    .allocate_new_port()
                    .build(),
                None => DialOpts::unknown_peer_id()
                    .address(address.clone())
                    .allocate_new_port()
                    .build(),
            };
            let id = opts.connection_id();
            let result = match io.swarm.dial(opts) {
                Ok(()) => {
                    self.dials.insert(id, Dial::Bootstrap(index, address));
                    continue;
                }
                // The swarm removes the listen addresses of this node.
                Err(DialError::NoAddresses) => Dialled::ThisNode,
                Err(error) => Dialled::Failed(reason(&error)),
            };
            self.bootstrap_dialled(io, index, address, result);
        }
    }

    /// A dial failed. Returns the peer, if the dial was not for a bootstrap address.
    pub(super) fn on_dial_failed(
        &mut self,
        io: &mut Io,
        id: ConnectionId,
        error: &DialError,
    ) -> Option<PeerId> {
        match self.dials.remove(&id)? {
            Dial::Peer(peer) => {
                tracing::debug!(%peer, %error, "dial failed");
                self.book.failed(&peer, Instant::now());
                Some(peer)
            }
            Dial::Bootstrap(index, address) => {
                let result = match error {
                    DialError::LocalPeerId { .. } => Dialled::ThisNode,
                    DialError::WrongPeerId { obtained, .. } if *obtained == self.own => {
                        Dialled::ThisNode
                    }
                    error => Dialled::Failed(reason(error)),
                };
                self.bootstrap_dialled(io, index, address, result);
                None
            }
        }
    }

    fn bootstrap_dialled(
        &mut self,
        io: &mut Io,
        index: usize,
        address: Multiaddr,
        result: Dialled,
    ) {
        let warning = self
            .bootstrap
            .dialled(index, address, result, Instant::now());
        warn_bootstrap(io, warning);
    }

    // ---- background work

    /// Starts a Kademlia walk if one is due, and the swarm is neither empty nor large enough.
    pub(super) fn walk_due(&mut self, io: &mut Io, members: usize, now: Instant) {
        let useful = (1..DIAL_TARGET).contains(&members);
        let target = match self.walks.due(now, useful) {
            Some(Walk::NearThisNode) => self.own,
            Some(Walk::Random) => PeerId::random(),
            None => return,
        };
        io.swarm.behaviour_mut().kad.get_closest_peers(target);
    }

    /// Writes the known peers to disk if a write is due.
    pub(super) fn save_due(&mut self, io: &mut Io, now: Instant) {
        let known = || self.book.members(unix_s());
        if let Err(error) = self.known_peers.write_due(known, now) {
            let text = format!("known peers not saved: {error}");
            io.outbox.send(NetworkEvent::Warning(text));
        }
    }

    /// Writes the known peers to disk for the last time: those of the moment of the call.
    pub(super) fn finish(self) -> impl Future<Output = ()> {
        let known = self.book.members(unix_s());
        self.known_peers.finish(known)
    }
}

fn warn_bootstrap(io: &mut Io, warning: Option<String>) {
    if let Some(text) = warning {
        io.outbox.send(NetworkEvent::Bootstrap(text));
    }
}

/// A short text for a dial error.
fn reason(error: &DialError) -> String {
    match error {
        DialError::WrongPeerId { obtained, .. } => {
            format!("another node answers there, {obtained}")
        }
        DialError::Transport(errors) => match errors.first() {
            Some((_, libp2p::TransportError::Other(error))) => innermost(error),
            _ => "the address cannot be dialled".to_owned(),
        },
        error => error.to_string(),
    }
}

/// The text of the innermost cause, usually that of the operating system.
fn innermost(error: &io::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
