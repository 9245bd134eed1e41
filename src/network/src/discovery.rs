//! Finding and reaching peers: dials from the address book and the bootstrap addresses, mDNS,
//! Kademlia walks, and the known peers on disk.

use std::io;
use std::time::{Duration, Instant};

use futures::FutureExt;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId, kad, mdns};
use tokio::task::JoinHandle;

use super::address;
use super::bootstrap::Dialled;
use super::event_loop::{EventLoop, unix_s};
use super::handle::NetworkEvent;
use super::known_peers::{KnownPeer, KnownPeers};
use super::peers::Source;

/// Up to this many connections peers are dialled as they are found: in a swarm of up to
/// fifty nodes everybody is connected to everybody. Bootstrap addresses are tried regardless,
/// so that the halves of a split swarm find each other again.
const DIAL_TARGET: usize = 50;

/// Dials from the address book at once.
const MAX_DIALLING: usize = 32;

/// Time between Kademlia walks when nothing happens.
const WALK_EVERY: Duration = Duration::from_secs(30);

/// After a new peer, a walk waits this long for others that arrive with it.
const WALK_SOON: Duration = Duration::from_millis(50);

/// Walks are at least this far apart.
const WALK_APART: Duration = Duration::from_millis(500);

/// Known peers are written at most this often.
const SAVE_EVERY: Duration = Duration::from_secs(2);

/// Why a dial was made.
#[derive(Clone, Debug)]
pub(super) enum Dial {
    Peer(PeerId),
    Seed(usize, Multiaddr),
}

/// When to ask Kademlia for more peers.
#[derive(Debug)]
pub(super) struct Walks {
    next: Instant,
    last: Instant,
    count: u64,
}

impl Walks {
    pub(super) fn new(now: Instant) -> Walks {
        Walks {
            next: now + WALK_EVERY,
            last: now,
            count: 0,
        }
    }

    /// There is somebody new to ask.
    pub(super) fn soon(&mut self, now: Instant) {
        self.next = self.next.min((now + WALK_SOON).max(self.last + WALK_APART));
    }
}

/// Writes known peers beside the event loop, one write at a time.
#[derive(Debug)]
pub(super) struct Saver {
    store: Option<KnownPeers>,
    changed: bool,
    next: Instant,
    writing: Option<JoinHandle<io::Result<()>>>,
}

impl Saver {
    pub(super) fn new(store: Option<KnownPeers>, now: Instant) -> Saver {
        Saver {
            store,
            changed: false,
            next: now,
            writing: None,
        }
    }

    /// Something has changed.
    pub(super) fn mark(&mut self) {
        self.changed = true;
    }

    /// Waits for the write under way, then writes for the last time.
    pub(super) async fn finish(mut self, known: Vec<KnownPeer>) {
        if let Some(writing) = self.writing.take() {
            let _ = writing.await;
        }
        if let Some(store) = self.store {
            match tokio::task::spawn_blocking(move || store.save(&known)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "known peers not saved"),
                Err(error) => tracing::warn!(%error, "known peers not saved"),
            }
        }
    }
}

impl EventLoop {
    /// Begins with the peers of an earlier life.
    pub(super) fn restore_known(&mut self, now: Instant) {
        let Some(store) = &self.saver.store else {
            return;
        };
        match store.load() {
            Ok(known) => known
                .into_iter()
                .for_each(|peer| self.book.restore(peer, now)),
            Err(error) => {
                let text = format!("known peers cannot be read, starting without them: {error}");
                self.outbox.send(NetworkEvent::Warning(text));
            }
        }
    }

    /// Addresses that the driver has heard of.
    pub(super) fn learn_addresses(&mut self, addresses: Vec<Multiaddr>) {
        let now = Instant::now();
        for address in addresses {
            if let (bare, Some(peer)) = address::split_peer(&address) {
                self.book.learn(peer, bare, Source::Hearsay, now);
            }
        }
        self.dial_due(now);
    }

    pub(super) fn on_mdns(&mut self, event: mdns::Event) {
        let now = Instant::now();
        match event {
            mdns::Event::Discovered(found) => {
                for (peer, address) in found {
                    self.book.learn(peer, address, Source::Mdns, now);
                }
                self.dial_due(now);
            }
            mdns::Event::Expired(gone) => {
                for (peer, _) in gone {
                    self.book.mdns_expired(&peer);
                }
            }
        }
    }

    pub(super) fn on_kad(&mut self, event: kad::Event) {
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
                self.book.learn(peer.peer_id, address, Source::Hearsay, now);
            }
        }
        self.dial_due(now);
    }

    /// Asks for peers near oneself and near random places in turn, so that a small swarm is
    /// seen whole and a large one from all sides.
    pub(super) fn walk_due(&mut self, now: Instant) {
        if now < self.walks.next {
            return;
        }
        self.walks.next = now + WALK_EVERY;
        self.walks.last = now;
        if self.links.members() == 0 || self.links.members() >= DIAL_TARGET {
            return;
        }
        let around = if self.walks.count.is_multiple_of(2) {
            self.own
        } else {
            PeerId::random()
        };
        self.walks.count += 1;
        self.swarm.behaviour_mut().kad.get_closest_peers(around);
    }

    pub(super) fn dial_due(&mut self, now: Instant) {
        for (seed, address) in self.seeds.due(now) {
            self.lookups.push(
                address::resolve(address)
                    .map(move |result| (seed, result))
                    .boxed(),
            );
        }
        let dialling = self.book.dialling();
        let room = MAX_DIALLING
            .saturating_sub(dialling)
            .min(DIAL_TARGET.saturating_sub(self.links.len() + dialling));
        for (peer, addresses) in self.book.due(now, room) {
            self.dial_peer(peer, addresses, now);
        }
    }

    /// Dials a peer taken from the address book.
    pub(super) fn dial_peer(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) {
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses)
            // From the listening port, a dial soon after a lost connection would meet the
            // old one's remains.
            .allocate_new_port()
            .build();
        let id = opts.connection_id();
        match self.swarm.dial(opts) {
            Ok(()) => {
                self.dials.insert(id, Dial::Peer(peer));
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "not dialled");
                self.book.failed(&peer, now);
            }
        }
    }

    pub(super) fn on_resolved(&mut self, seed: usize, result: Result<Vec<Multiaddr>, String>) {
        let now = Instant::now();
        let links = &self.links;
        let (dials, warning) =
            self.seeds
                .resolved(seed, result, |peer| links.is_connected(peer), now);
        self.warn_bootstrap(warning);
        for address in dials {
            let opts = match self.seeds.expected(seed) {
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
            match self.swarm.dial(opts) {
                Ok(()) => {
                    self.dials.insert(id, Dial::Seed(seed, address));
                }
                // The swarm takes out addresses that it listens on itself.
                Err(DialError::NoAddresses) => self.seed_dialled(seed, address, Dialled::Oneself),
                Err(error) => self.seed_dialled(seed, address, Dialled::Failed(reason(&error))),
            }
        }
    }

    /// A connection stands that may be the end of a dial.
    pub(super) fn on_dialled(&mut self, id: ConnectionId, peer: PeerId) {
        if let Some(Dial::Seed(seed, address)) = self.dials.remove(&id) {
            self.seed_dialled(seed, address, Dialled::Peer(peer));
        }
    }

    pub(super) fn on_dial_failed(&mut self, id: ConnectionId, error: &DialError) {
        match self.dials.remove(&id) {
            Some(Dial::Peer(peer)) => {
                tracing::debug!(%peer, %error, "dial failed");
                self.book.failed(&peer, Instant::now());
                self.fail_waiting(&peer);
            }
            Some(Dial::Seed(seed, address)) => {
                let outcome = match error {
                    DialError::LocalPeerId { .. } => Dialled::Oneself,
                    DialError::WrongPeerId { obtained, .. } if *obtained == self.own => {
                        Dialled::Oneself
                    }
                    error => Dialled::Failed(reason(error)),
                };
                self.seed_dialled(seed, address, outcome);
            }
            None => {}
        }
    }

    fn seed_dialled(&mut self, seed: usize, address: Multiaddr, outcome: Dialled) {
        let warning = self.seeds.dialled(seed, address, outcome, Instant::now());
        self.warn_bootstrap(warning);
    }

    pub(super) fn warn_bootstrap(&mut self, warning: Option<String>) {
        if let Some(text) = warning {
            self.outbox.send(NetworkEvent::Bootstrap(text));
        }
    }

    pub(super) fn save_due(&mut self, now: Instant) {
        if let Some(writing) = &mut self.saver.writing {
            let Some(result) = writing.now_or_never() else {
                return;
            };
            self.saver.writing = None;
            let failure = match result {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(why) = failure {
                self.outbox.send(NetworkEvent::Warning(format!(
                    "known peers not saved: {why}"
                )));
            }
        }
        let Some(store) = &self.saver.store else {
            return;
        };
        if !self.saver.changed || now < self.saver.next {
            return;
        }
        self.saver.changed = false;
        self.saver.next = now + SAVE_EVERY;
        let (store, known) = (store.clone(), self.book.members(unix_s()));
        self.saver.writing = Some(tokio::task::spawn_blocking(move || store.save(&known)));
    }
}

/// A dial error in a few words.
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

/// The innermost cause: what the system said, without the layers around it.
fn innermost(error: &io::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
