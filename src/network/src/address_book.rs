//! The address book: known peers, their addresses, and when to dial them next. A state machine
//! without sockets; time and seed are passed in.
//!
//! Members (peers once identified as part of this swarm, in this run or, from disk, an earlier one)
//! and peers that mDNS reports are redialled as long as the node runs. Peers known only from others
//! (Kademlia, adverts) are removed after some failures.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};

use super::address;
use super::backoff::Backoff;
use super::known_peers::KnownPeer;

/// Most peers in the book: twice the largest number of connections that are kept when idle. Idle peers
/// with the most failures are replaced.
pub(super) const MAX_PEERS: usize = 1024;

/// Most addresses of one peer: those of a few interfaces.
pub(super) const MAX_ADDRESSES: usize = 8;

/// Most blocked peers: as many as the book can have. Beyond it the oldest block ends early.
const MAX_BLOCKED: usize = MAX_PEERS;

/// How long a peer of another swarm is not dialled.
pub(super) const BLOCK_TIME: Duration = Duration::from_secs(600);

/// Failures after which a peer known only from others is removed: about a minute of dialling.
const INDIRECT_FAILURES: u32 = 9;

/// Shorter connections count as failures. Otherwise a peer that closes each connection at once would
/// be dialled every 200 ms.
const MIN_CONNECTION: Duration = Duration::from_secs(5);

/// The source of an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// mDNS.
    Mdns,
    /// Kademlia, an advert, or the peer itself.
    Indirect,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Idle { next: Instant },
    Dialling,
    Connected { since: Instant },
}

#[derive(Debug)]
struct Entry {
    /// Best first, without `/p2p/`.
    addresses: Vec<Multiaddr>,
    member: bool,
    mdns: bool,
    failures: u32,
    state: State,
    seen_unix_s: u64,
}

/// All known peers.
#[derive(Debug)]
pub(super) struct AddressBook {
    own: PeerId,
    entries: BTreeMap<PeerId, Entry>,
    /// Peers of other swarms, and when they may be dialled again.
    blocked: BTreeMap<PeerId, Instant>,
    backoff: Backoff,
}

impl AddressBook {
    pub(super) fn new(own: PeerId, seed: u64) -> AddressBook {
        AddressBook {
            own,
            entries: BTreeMap::new(),
            blocked: BTreeMap::new(),
            backoff: Backoff::new(seed),
        }
    }

    /// Adds a member from an earlier run.
    pub(super) fn restore(&mut self, known: KnownPeer, now: Instant) {
        for address in known.addresses {
            self.learn(known.peer, address, Source::Indirect, now);
        }
        if let Some(entry) = self.entries.get_mut(&known.peer) {
            entry.member = true;
            entry.seen_unix_s = known.seen_unix_s;
        }
    }

    /// Adds an address of a peer. Ignores addresses that cannot be dialled, this node itself and
    /// blocked peers. A new address of an idle peer is dialled at once.
    pub(super) fn learn(&mut self, peer: PeerId, address: Multiaddr, source: Source, now: Instant) {
        let (address, _) = address::split_peer(&address);
        if peer == self.own || self.is_blocked(&peer, now) || !address::is_dialable(&address) {
            return;
        }
        let Some(entry) = self.entry(peer, State::Idle { next: now }) else {
            return;
        };
        entry.mdns |= source == Source::Mdns;
        if entry.addresses.contains(&address) {
            return;
        }
        if entry.addresses.len() == MAX_ADDRESSES {
            entry.addresses.pop();
        }
        entry.addresses.push(address);
        if let State::Idle { next } = &mut entry.state {
            *next = now;
        }
    }

    /// mDNS no longer reports a peer.
    pub(super) fn mdns_expired(&mut self, peer: &PeerId) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.mdns = false;
        }
    }

    /// Peers to dial now, at most `max`, each with all its addresses. Each counts as being dialled
    /// until [`Self::connected`] or [`Self::failed`].
    pub(super) fn due(&mut self, now: Instant, max: usize) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let mut due: Vec<(Instant, PeerId)> = self
            .entries
            .iter()
            .filter(|(_, entry)| !entry.addresses.is_empty())
            .filter_map(|(peer, entry)| match entry.state {
                State::Idle { next } if next <= now => Some((next, *peer)),
                _ => None,
            })
            .collect();
        due.sort();
        due.truncate(max);
        due.into_iter()
            .filter_map(|(_, peer)| Some((peer, self.start_dial(&peer)?)))
            .collect()
    }

    /// The addresses of a peer for a dial now, regardless of its back-off. `None` if it has no
    /// address or is not idle.
    pub(super) fn start_dial(&mut self, peer: &PeerId) -> Option<Vec<Multiaddr>> {
        let entry = self.entries.get_mut(peer)?;
        if entry.addresses.is_empty() || !matches!(entry.state, State::Idle { .. }) {
            return None;
        }
        entry.state = State::Dialling;
        Some(entry.addresses.clone())
    }

    /// Number of dials in progress.
    pub(super) fn dialling(&self) -> usize {
        self.entries
            .values()
            .filter(|entry| entry.state == State::Dialling)
            .count()
    }

    /// Whether the peer is being dialled.
    pub(super) fn is_dialling(&self, peer: &PeerId) -> bool {
        self.entries
            .get(peer)
            .is_some_and(|entry| entry.state == State::Dialling)
    }

    /// A connection was established; `proven` is the address that this node dialled.
    pub(super) fn connected(&mut self, peer: PeerId, proven: Option<&Multiaddr>, now: Instant) {
        let Some(entry) = self.entry(peer, State::Connected { since: now }) else {
            return;
        };
        if !matches!(entry.state, State::Connected { .. }) {
            entry.state = State::Connected { since: now };
        }
        let Some(proven) = proven else { return };
        let (proven, _) = address::split_peer(proven);
        if address::is_dialable(&proven) {
            entry.addresses.retain(|address| *address != proven);
            entry.addresses.insert(0, proven);
            entry.addresses.truncate(MAX_ADDRESSES);
        }
    }

    /// A connected peer identified as a member of this swarm. Ends its block, if any.
    pub(super) fn add_member(&mut self, peer: &PeerId) {
        self.blocked.remove(peer);
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.member = true;
        }
    }

    /// The last connection to a peer was closed. It is redialled soon.
    pub(super) fn disconnected(&mut self, peer: &PeerId, unix_s: u64, now: Instant) {
        let Some(entry) = self.entries.get_mut(peer) else {
            return;
        };
        let State::Connected { since } = entry.state else {
            return;
        };
        if now.saturating_duration_since(since) >= MIN_CONNECTION {
            entry.failures = 0;
        } else {
            entry.failures = entry.failures.saturating_add(1);
        }
        entry.seen_unix_s = unix_s;
        entry.state = State::Idle {
            next: now + self.backoff.delay(entry.failures),
        };
        self.remove_if_useless(peer);
    }

    /// A dial failed.
    pub(super) fn failed(&mut self, peer: &PeerId, now: Instant) {
        let Some(entry) = self.entries.get_mut(peer) else {
            return;
        };
        if entry.state != State::Dialling {
            return;
        }
        entry.state = State::Idle {
            next: now + self.backoff.delay(entry.failures),
        };
        entry.failures = entry.failures.saturating_add(1);
        self.remove_if_useless(peer);
    }

    /// A peer belongs to another swarm: it is removed and not dialled for [`BLOCK_TIME`].
    pub(super) fn block(&mut self, peer: PeerId, now: Instant) {
        self.entries.remove(&peer);
        if self.blocked.len() >= MAX_BLOCKED
            && let Some(first) = self
                .blocked
                .iter()
                .min_by_key(|(_, until)| **until)
                .map(|(peer, _)| *peer)
        {
            self.blocked.remove(&first);
        }
        self.blocked.insert(peer, now + BLOCK_TIME);
    }

    /// Whether a peer is blocked.
    fn is_blocked(&mut self, peer: &PeerId, now: Instant) -> bool {
        match self.blocked.get(peer) {
            Some(until) if *until > now => true,
            Some(_) => {
                self.blocked.remove(peer);
                false
            }
            None => false,
        }
    }

    /// The members, those seen last first.
    pub(super) fn members(&self, unix_s: u64) -> Vec<KnownPeer> {
        let mut members: Vec<KnownPeer> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.member && !entry.addresses.is_empty())
            .map(|(peer, entry)| KnownPeer {
                peer: *peer,
                addresses: entry.addresses.clone(),
                seen_unix_s: match entry.state {
                    State::Connected { .. } => unix_s,
                    _ => entry.seen_unix_s,
                },
            })
            .collect();
        members.sort_by_key(|known| std::cmp::Reverse(known.seen_unix_s));
        members
    }

    /// The entry of a peer. Created if the book is not full or a less useful peer can be removed.
    fn entry(&mut self, peer: PeerId, state: State) -> Option<&mut Entry> {
        if peer == self.own {
            return None;
        }
        if !self.entries.contains_key(&peer) && self.entries.len() >= MAX_PEERS {
            let removed = self
                .entries
                .iter()
                .filter(|(_, entry)| {
                    matches!(entry.state, State::Idle { .. }) && entry.failures > 0
                })
                .max_by_key(|(_, entry)| (!entry.member && !entry.mdns, entry.failures))
                .map(|(peer, _)| *peer)?;
            self.entries.remove(&removed);
        }
        Some(self.entries.entry(peer).or_insert(Entry {
            addresses: Vec::new(),
            member: false,
            mdns: false,
            failures: 0,
            state,
            seen_unix_s: 0,
        }))
    }

    fn remove_if_useless(&mut self, peer: &PeerId) {
        let useless = self.entries.get(peer).is_some_and(|entry| {
            let failed = !entry.member && !entry.mdns && entry.failures >= INDIRECT_FAILURES;
            failed || entry.addresses.is_empty()
        });
        if useless {
            self.entries.remove(peer);
        }
    }
}

#[cfg(test)]
mod tests;
