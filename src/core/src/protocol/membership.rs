//! The nodes of the swarm, from the adverts that every node gossips about itself.
//!
//! A node counts as live while its adverts keep arriving. A broken connection, reported by the
//! network, makes it count as gone at once; its next advert, by any route, reverts that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::id::{NodeId, Peer};
use super::messages::{Advert, Status};
use super::time::Time;

/// Most nodes known at once; more adverts are ignored.
pub const MAX_NODES: usize = 10_000;

/// Health of a node by the age of its newest advert.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Health {
    /// Its adverts arrive on time.
    Healthy,
    /// An advert is overdue.
    Late,
    /// Several adverts are missing, or its connection broke: it takes part in nothing new.
    Gone,
}

/// Another node as known here.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its newest advert.
    pub advert: Arc<Advert>,
    /// Time at which the advert arrived.
    pub received: Time,
    /// Whether its connection broke after that.
    pub disconnected: bool,
}

impl Known {
    /// Health at `now`. One second of slack covers the delay of gossip.
    pub fn health(&self, now: Time) -> Health {
        let silence = now.since(self.received);
        let slack = Duration::from_secs(1);
        if self.disconnected || silence > self.advert.interval * 3 + slack {
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
    version: u64,
}

/// Change made by an advert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AdvertChange {
    /// A new node or incarnation, or one that was gone.
    Joined,
    /// A newer advert of a known node.
    Updated,
    /// The node is leaving.
    Left,
    /// None: the advert is not newer than the known one.
    Stale,
}

impl Membership {
    /// Time without adverts after which a node is forgotten.
    const FORGET_AFTER: Duration = Duration::from_secs(600);

    /// Handles an advert.
    pub fn advert(&mut self, now: Time, advert: impl Into<Arc<Advert>>) -> AdvertChange {
        let advert: Arc<Advert> = advert.into();
        let known = self.nodes.get(&advert.node.peer);
        let version = |a: &Advert| (a.node.incarnation, a.number);
        if known.is_some_and(|k| version(&k.advert) >= version(&advert)) {
            return AdvertChange::Stale;
        }
        if known.is_none() && self.nodes.len() >= MAX_NODES {
            return AdvertChange::Stale;
        }
        if advert.status == Status::Leaving {
            let was_present = known.is_some_and(|k| k.advert.status != Status::Leaving);
            self.insert(now, advert, true);
            return if was_present {
                AdvertChange::Left
            } else {
                AdvertChange::Stale
            };
        }
        let known_live =
            known.is_some_and(|k| k.advert.node == advert.node && k.health(now) != Health::Gone);
        self.insert(now, advert, false);
        if known_live {
            AdvertChange::Updated
        } else {
            AdvertChange::Joined
        }
    }

    fn insert(&mut self, now: Time, advert: Arc<Advert>, disconnected: bool) {
        let same = self.nodes.get(&advert.node.peer).is_some_and(|k| {
            k.disconnected == disconnected
                && k.health(now) != Health::Gone
                && k.advert.node == advert.node
                && k.advert.status == advert.status
                && k.advert.task_types == advert.task_types
                && k.advert.labels == advert.labels
        });
        self.version += u64::from(!same);
        let known = Known {
            advert,
            received: now,
            disconnected,
        };
        self.nodes.insert(known.advert.node.peer.clone(), known);
    }

    /// The last connection to a peer broke.
    pub fn disconnected(&mut self, peer: &Peer) {
        if let Some(k) = self.nodes.get_mut(peer) {
            self.version += u64::from(!k.disconnected);
            k.disconnected = true;
        }
    }

    /// A connection to a peer was re-established.
    pub fn connected(&mut self, peer: &Peer) {
        if let Some(k) = self.nodes.get_mut(peer)
            && k.advert.status != Status::Leaving
        {
            self.version += u64::from(k.disconnected);
            k.disconnected = false;
        }
    }

    /// This node was suspended for `gap`: the missing adverts of that time do not count.
    pub fn suspended(&mut self, gap: Duration) {
        self.version += 1;
        for k in self.nodes.values_mut() {
            k.received = k.received + gap;
        }
    }

    /// Removes nodes that have been gone for long.
    pub fn forget(&mut self, now: Time) {
        let before = self.nodes.len();
        self.nodes
            .retain(|_, k| now.since(k.received) < Self::FORGET_AFTER);
        self.version += u64::from(self.nodes.len() < before);
    }

    /// Grows with each change of what the nodes can do or of their connections, and not with
    /// adverts that only repeat it. The passing of time, by which a silent node is gone, does not
    /// count.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// All known nodes, including gone ones.
    pub fn all(&self) -> impl Iterator<Item = &Known> {
        self.nodes.values()
    }

    /// Number of known nodes, including gone ones.
    #[expect(clippy::len_without_is_empty, reason = "no caller needs is_empty")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The known node of a peer.
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

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_node_is_late_then_gone_when_its_adverts_stop() {
        let mut m = Membership::default();
        assert_eq!(m.advert(Time(0), advert(1, 1)), AdvertChange::Joined);
        let health = |m: &Membership, s| m.all().next().map(|k| k.health(Time(s * SECOND)));
        assert_eq!(health(&m, 3), Some(Health::Healthy));
        assert_eq!(health(&m, 4), Some(Health::Late));
        assert_eq!(health(&m, 8), Some(Health::Gone));
        assert_eq!(m.live(Time(8 * SECOND)).count(), 0);
        assert_eq!(
            m.advert(Time(9 * SECOND), advert(1, 2)),
            AdvertChange::Joined
        );
    }

    #[test]
    fn older_adverts_and_incarnations_change_nothing() {
        let mut m = Membership::default();
        m.advert(Time(0), advert(1, 5));
        assert_eq!(m.advert(Time(1), advert(1, 5)), AdvertChange::Stale);
        assert_eq!(m.advert(Time(1), advert(1, 4)), AdvertChange::Stale);
        let mut restarted = advert(1, 1);
        restarted.node.incarnation.0 = 2;
        assert_eq!(m.advert(Time(1), restarted), AdvertChange::Joined);
        assert_eq!(m.advert(Time(2), advert(1, 99)), AdvertChange::Stale);
    }

    #[test]
    fn a_broken_connection_counts_until_the_next_advert() {
        let mut m = Membership::default();
        m.advert(Time(0), advert(1, 1));
        m.disconnected(&advert(1, 1).node.peer);
        assert_eq!(m.live(Time(1)).count(), 0);
        m.advert(Time(2), advert(1, 2));
        assert_eq!(m.live(Time(2)).count(), 1);
    }

    #[test]
    fn a_node_that_leaves_is_gone_at_once() {
        let mut m = Membership::default();
        m.advert(Time(0), advert(1, 1));
        let mut last = advert(1, 2);
        last.status = Status::Leaving;
        assert_eq!(m.advert(Time(1), last), AdvertChange::Left);
        assert_eq!(m.live(Time(1)).count(), 0);
    }
}
