//! The address book: which peers are known, where, and when to dial them next. A state
//! machine without sockets; time and randomness are handed in.
//!
//! Members (peers that were once identified as ours, in this life or, from disk, an earlier
//! one) and peers that mDNS currently shows are dialled again for as long as the node lives.
//! What is only hearsay (Kademlia, adverts) is forgotten after some failures.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};

use super::address;
use super::backoff::Jitter;
use super::known_peers::KnownPeer;

/// Most peers in the book; idle ones with the most failures make room.
pub(super) const MAX_PEERS: usize = 1024;

/// Most addresses of one peer: a handful of interfaces.
pub(super) const MAX_ADDRESSES: usize = 8;

/// Most peers left alone at a time; beyond it the first to come back is forgotten early.
const MAX_ASIDE: usize = 1024;

/// Peers that turned out not to be ours are left alone for this long.
pub(super) const ASIDE_FOR: Duration = Duration::from_secs(600);

/// Failures after which hearsay is forgotten: about a minute of trying.
const HEARSAY_FAILURES: u32 = 9;

/// A connection shorter than this counts as a failure: whoever closes each of our
/// connections at once is not to be dialled every 200 ms.
const GOOD_CONNECTION: Duration = Duration::from_secs(5);

/// Where an address comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// mDNS shows it now.
    Mdns,
    /// Kademlia, an advert, or the peer itself.
    Hearsay,
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

/// All peers known.
#[derive(Debug)]
pub(super) struct AddressBook {
    own: PeerId,
    entries: BTreeMap<PeerId, Entry>,
    aside: BTreeMap<PeerId, Instant>,
    jitter: Jitter,
}

impl AddressBook {
    pub(super) fn new(own: PeerId, seed: u64) -> AddressBook {
        AddressBook {
            own,
            entries: BTreeMap::new(),
            aside: BTreeMap::new(),
            jitter: Jitter::new(seed),
        }
    }

    /// A member of an earlier life.
    pub(super) fn restore(&mut self, known: KnownPeer, now: Instant) {
        for address in known.addresses {
            self.learn(known.peer, address, Source::Hearsay, now);
        }
        if let Some(entry) = self.entries.get_mut(&known.peer) {
            entry.member = true;
            entry.seen_unix_s = known.seen_unix_s;
        }
    }

    /// Somebody says that a peer is at an address. What can't be dialled, this node itself
    /// and peers left alone are ignored. A new address of an idle peer is tried at once.
    pub(super) fn learn(&mut self, peer: PeerId, address: Multiaddr, source: Source, now: Instant) {
        let (address, _) = address::split_peer(&address);
        if peer == self.own || self.is_aside(&peer, now) || !address::is_dialable(&address) {
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

    /// mDNS no longer shows a peer.
    pub(super) fn mdns_expired(&mut self, peer: &PeerId) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.mdns = false;
        }
    }

    /// Peers to dial now, at most `room`, each with all its addresses. Each is taken as being
    /// dialled until [`Self::connected`] or [`Self::failed`].
    pub(super) fn due(&mut self, now: Instant, room: usize) -> Vec<(PeerId, Vec<Multiaddr>)> {
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
        due.truncate(room);
        due.into_iter()
            .filter_map(|(_, peer)| Some((peer, self.take(&peer)?)))
            .collect()
    }

    /// A peer's addresses for a dial right now, whatever its back-off says; `None` if it has
    /// none or is not idle.
    pub(super) fn take(&mut self, peer: &PeerId) -> Option<Vec<Multiaddr>> {
        let entry = self.entries.get_mut(peer)?;
        if entry.addresses.is_empty() || !matches!(entry.state, State::Idle { .. }) {
            return None;
        }
        entry.state = State::Dialling;
        Some(entry.addresses.clone())
    }

    /// How many dials are under way.
    pub(super) fn dialling(&self) -> usize {
        self.entries
            .values()
            .filter(|entry| entry.state == State::Dialling)
            .count()
    }

    /// Whether a dial to the peer is under way.
    pub(super) fn is_dialling(&self, peer: &PeerId) -> bool {
        self.entries
            .get(peer)
            .is_some_and(|entry| entry.state == State::Dialling)
    }

    /// A connection stands; `proven` is the address that was dialled for it.
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

    /// A connected peer has shown that it is ours.
    pub(super) fn is_member(&mut self, peer: &PeerId) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.member = true;
        }
    }

    /// The last connection to a peer is gone; it is dialled again soon.
    pub(super) fn disconnected(&mut self, peer: &PeerId, unix_s: u64, now: Instant) {
        let Some(entry) = self.entries.get_mut(peer) else {
            return;
        };
        let State::Connected { since } = entry.state else {
            return;
        };
        if now.saturating_duration_since(since) >= GOOD_CONNECTION {
            entry.failures = 0;
        } else {
            entry.failures = entry.failures.saturating_add(1);
        }
        entry.seen_unix_s = unix_s;
        entry.state = State::Idle {
            next: now + self.jitter.wait(entry.failures),
        };
        self.drop_if_worthless(peer);
    }

    /// A dial led nowhere.
    pub(super) fn failed(&mut self, peer: &PeerId, now: Instant) {
        let Some(entry) = self.entries.get_mut(peer) else {
            return;
        };
        if entry.state != State::Dialling {
            return;
        }
        entry.state = State::Idle {
            next: now + self.jitter.wait(entry.failures),
        };
        entry.failures = entry.failures.saturating_add(1);
        self.drop_if_worthless(peer);
    }

    /// A peer is not ours: it is forgotten and not dialled for [`ASIDE_FOR`].
    pub(super) fn set_aside(&mut self, peer: PeerId, now: Instant) {
        self.entries.remove(&peer);
        if self.aside.len() >= MAX_ASIDE
            && let Some(first) = self
                .aside
                .iter()
                .min_by_key(|(_, until)| **until)
                .map(|(peer, _)| *peer)
        {
            self.aside.remove(&first);
        }
        self.aside.insert(peer, now + ASIDE_FOR);
    }

    /// A peer that was set aside has shown that it is ours after all.
    pub(super) fn readmit(&mut self, peer: &PeerId) {
        self.aside.remove(peer);
    }

    /// Whether a peer is being left alone.
    pub(super) fn is_aside(&mut self, peer: &PeerId, now: Instant) -> bool {
        match self.aside.get(peer) {
            Some(until) if *until > now => true,
            Some(_) => {
                self.aside.remove(peer);
                false
            }
            None => false,
        }
    }

    /// Members for the disk, the latest seen first.
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

    /// The peer's entry, made if there is room or somebody less useful can go.
    fn entry(&mut self, peer: PeerId, state: State) -> Option<&mut Entry> {
        if peer == self.own {
            return None;
        }
        if !self.entries.contains_key(&peer) && self.entries.len() >= MAX_PEERS {
            let victim = self
                .entries
                .iter()
                .filter(|(_, entry)| {
                    matches!(entry.state, State::Idle { .. }) && entry.failures > 0
                })
                .max_by_key(|(_, entry)| (!entry.member && !entry.mdns, entry.failures))
                .map(|(peer, _)| *peer)?;
            self.entries.remove(&victim);
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

    fn drop_if_worthless(&mut self, peer: &PeerId) {
        let worthless = self.entries.get(peer).is_some_and(|entry| {
            let hopeless = !entry.member && !entry.mdns && entry.failures >= HEARSAY_FAILURES;
            hopeless || entry.addresses.is_empty()
        });
        if worthless {
            self.entries.remove(peer);
        }
    }
}

#[cfg(test)]
mod tests;
