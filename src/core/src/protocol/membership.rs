//! Who is in the swarm, from the adverts that every node gossips about itself.
//!
//! An advert is a claim with a date: a node counts as live while its adverts keep coming.
//! The network's word that a connection broke is a hint that ends that at once; the next
//! advert, by whatever way, takes it back.

use std::collections::BTreeMap;
use std::time::Duration;

use super::id::{NodeId, Peer};
use super::messages::{Advert, Status};
use super::time::Time;

/// Most nodes known at once; more adverts are ignored.
pub const MAX_NODES: usize = 10_000;

/// How recently a node was heard of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Health {
    /// Its adverts come as announced.
    Healthy,
    /// One is overdue.
    Late,
    /// Several are missing, or its connection broke: it takes part in nothing new.
    Gone,
}

/// What is known of another node.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its newest advert.
    pub advert: Advert,
    /// When that arrived.
    pub heard: Time,
    /// Its connection broke since.
    pub cut_off: bool,
}

impl Known {
    /// Its health at `now`. Slack of one second covers gossip's own delay.
    pub fn health(&self, now: Time) -> Health {
        let silence = now.since(self.heard);
        let slack = Duration::from_secs(1);
        if self.cut_off || silence > self.advert.interval * 3 + slack {
            Health::Gone
        } else if silence > self.advert.interval + slack {
            Health::Late
        } else {
            Health::Healthy
        }
    }
}

/// The other nodes of the swarm.
#[derive(Debug, Default)]
pub struct Membership {
    nodes: BTreeMap<Peer, Known>,
}

/// What an advert changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// A node, or an incarnation, not known before.
    Joined,
    /// A known node's newer advert.
    Updated,
    /// The node says that it leaves.
    Left,
    /// Older than what is known: nothing.
    Stale,
}

impl Membership {
    /// Time without adverts after which a node is forgotten.
    const FORGET_AFTER: Duration = Duration::from_secs(600);

    /// Takes in an advert.
    pub fn heard(&mut self, now: Time, advert: Advert) -> News {
        let known = self.nodes.get(&advert.node.peer);
        let dated = |a: &Advert| (a.node.incarnation, a.number);
        if known.is_some_and(|k| dated(&k.advert) >= dated(&advert)) {
            return News::Stale;
        }
        if known.is_none() && self.nodes.len() >= MAX_NODES {
            return News::Stale;
        }
        if advert.status == Status::Leaving {
            let was = known.is_some_and(|k| k.advert.status != Status::Leaving);
            self.keep(now, advert, true);
            return if was { News::Left } else { News::Stale };
        }
        let again =
            known.is_some_and(|k| k.advert.node == advert.node && k.health(now) != Health::Gone);
        self.keep(now, advert, false);
        if again { News::Updated } else { News::Joined }
    }

    fn keep(&mut self, now: Time, advert: Advert, cut_off: bool) {
        let known = Known {
            advert,
            heard: now,
            cut_off,
        };
        self.nodes.insert(known.advert.node.peer.clone(), known);
    }

    /// The last connection to a peer broke.
    pub fn disconnected(&mut self, peer: &Peer) {
        if let Some(k) = self.nodes.get_mut(peer) {
            k.cut_off = true;
        }
    }

    /// A connection to a peer is there again.
    pub fn connected(&mut self, peer: &Peer) {
        if let Some(k) = self.nodes.get_mut(peer)
            && k.advert.status != Status::Leaving
        {
            k.cut_off = false;
        }
    }

    /// This node slept for `gap`: the others are not to blame for that silence.
    pub fn slept(&mut self, gap: Duration) {
        for k in self.nodes.values_mut() {
            k.heard = k.heard + gap;
        }
    }

    /// Forgets nodes that have been gone for long.
    pub fn forget(&mut self, now: Time) {
        self.nodes
            .retain(|_, k| now.since(k.heard) < Self::FORGET_AFTER);
    }

    /// Every node known, gone ones included.
    pub fn all(&self) -> impl Iterator<Item = &Known> {
        self.nodes.values()
    }

    /// How many nodes are known, gone ones included.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// What is known of a peer.
    pub fn get(&self, peer: &Peer) -> Option<&Known> {
        self.nodes.get(peer)
    }

    /// The nodes that are not gone.
    pub fn live(&self, now: Time) -> impl Iterator<Item = &Known> {
        self.nodes
            .values()
            .filter(move |k| k.health(now) != Health::Gone)
    }

    /// The ids of the nodes that are not gone.
    pub fn live_ids(&self, now: Time) -> impl Iterator<Item = NodeId> + '_ {
        self.live(now).map(|k| k.advert.node.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fakes::advert;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_node_is_late_then_gone_when_its_adverts_stop() {
        let mut m = Membership::default();
        assert_eq!(m.heard(Time(0), advert(1, 1)), News::Joined);
        let health = |m: &Membership, s| m.all().next().map(|k| k.health(Time(s * SECOND)));
        assert_eq!(health(&m, 3), Some(Health::Healthy));
        assert_eq!(health(&m, 4), Some(Health::Late));
        assert_eq!(health(&m, 8), Some(Health::Gone));
        assert_eq!(m.live(Time(8 * SECOND)).count(), 0);
        assert_eq!(m.heard(Time(9 * SECOND), advert(1, 2)), News::Joined);
    }

    #[test]
    fn older_adverts_and_incarnations_change_nothing() {
        let mut m = Membership::default();
        m.heard(Time(0), advert(1, 5));
        assert_eq!(m.heard(Time(1), advert(1, 5)), News::Stale);
        assert_eq!(m.heard(Time(1), advert(1, 4)), News::Stale);
        let mut reborn = advert(1, 1);
        reborn.node.incarnation.0 = 2;
        assert_eq!(m.heard(Time(1), reborn), News::Joined);
        assert_eq!(m.heard(Time(2), advert(1, 99)), News::Stale);
    }

    #[test]
    fn a_broken_connection_counts_until_the_next_advert() {
        let mut m = Membership::default();
        m.heard(Time(0), advert(1, 1));
        m.disconnected(&advert(1, 1).node.peer);
        assert_eq!(m.live(Time(1)).count(), 0);
        m.heard(Time(2), advert(1, 2));
        assert_eq!(m.live(Time(2)).count(), 1);
    }

    #[test]
    fn a_node_that_leaves_is_gone_at_once() {
        let mut m = Membership::default();
        m.heard(Time(0), advert(1, 1));
        let mut last = advert(1, 2);
        last.status = Status::Leaving;
        assert_eq!(m.heard(Time(1), last), News::Left);
        assert_eq!(m.live(Time(1)).count(), 0);
    }
}
