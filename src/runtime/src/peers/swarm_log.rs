//! The history of the swarm: nodes that joined, left, disappeared or rejoined, as seen by this node.
//!
//! The membership is compared with its earlier state when an advert arrives, when a connection is
//! opened or breaks, and once per second, since missing adverts cause no event.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use vajra_core::protocol::membership::{Health, Known, Membership};
use vajra_core::protocol::messages::Status;
use vajra_core::protocol::{Incarnation, Peer, Time};
use vajra_network as network;
use vajra_results::{SwarmEvent, SwarmEventKind, rfc3339};

/// Events kept; older ones are dropped. Covers three hours of a swarm that loses a node per minute.
pub const MAX_EVENTS: usize = 200;

/// Whether a node takes part in the swarm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Presence {
    Present,
    Gone,
    Left,
}

#[derive(Clone, Debug)]
struct Seen {
    incarnation: Incarnation,
    presence: Presence,
    /// Time of the last change.
    since: Time,
}

/// The newest events of the swarm.
#[derive(Debug, Default)]
pub struct SwarmLog {
    seen: BTreeMap<Peer, Seen>,
    events: VecDeque<SwarmEvent>,
}

impl SwarmLog {
    /// Records the changes of all nodes, at an instant and its Unix time in milliseconds.
    pub fn check(&mut self, now: Time, unix_ms: u64, members: &Membership) {
        for known in members.all() {
            self.check_node(now, unix_ms, known);
        }
        self.seen.retain(|peer, _| members.get(peer).is_some());
    }

    /// Records the changes of one node.
    pub fn check_node(&mut self, now: Time, unix_ms: u64, known: &Known) {
        let node = &known.advert.node;
        let presence = presence_of(known, now);
        let before = self.seen.get(&node.peer);
        let is_same = |b: &Seen| {
            b.presence == presence
                && (b.incarnation == node.incarnation || presence != Presence::Present)
        };
        if before.is_some_and(is_same) {
            return;
        }
        let change = change(known, presence, before, now);
        let seen = Seen {
            incarnation: node.incarnation,
            presence,
            since: now,
        };
        self.seen.insert(node.peer.clone(), seen);
        if let Some((kind, text)) = change {
            let (peer, name) = (network::show_peer(&node.peer), known.advert.name.clone());
            tracing::info!(peer, event = kind.as_str(), "node {name} {kind}: {text}");
            self.push(SwarmEvent {
                at: rfc3339(unix_ms),
                kind,
                peer,
                name,
                text,
            });
        }
    }

    fn push(&mut self, event: SwarmEvent) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// The newest events, newest first.
    pub fn newest(&self, limit: usize) -> Vec<SwarmEvent> {
        self.events.iter().rev().take(limit).cloned().collect()
    }
}

fn presence_of(known: &Known, now: Time) -> Presence {
    match known.health(now) {
        _ if known.advert.status == Status::Leaving => Presence::Left,
        Health::Gone => Presence::Gone,
        Health::Healthy | Health::Late => Presence::Present,
    }
}

/// The event for a change. None for a node that is absent when it is first seen.
fn change(
    known: &Known,
    presence: Presence,
    before: Option<&Seen>,
    now: Time,
) -> Option<(SwarmEventKind, String)> {
    let version = &known.advert.version;
    let absent_for = |b: &Seen| whole_seconds(now.since(b.since));
    Some(match (presence, before) {
        (Presence::Present, None) => (SwarmEventKind::Joined, format!("version {version}")),
        (Presence::Present, Some(b)) if b.incarnation != known.advert.node.incarnation => (
            SwarmEventKind::Rejoined,
            format!("restarted, version {version}"),
        ),
        (Presence::Present, Some(b)) => {
            (SwarmEventKind::Rejoined, format!("after {}", absent_for(b)))
        }
        (Presence::Gone | Presence::Left, None) => return None,
        (Presence::Left, Some(_)) => (SwarmEventKind::Left, "announced".into()),
        (Presence::Gone, Some(b)) if b.presence == Presence::Left => return None,
        (Presence::Gone, Some(_)) if known.disconnected => {
            (SwarmEventKind::Gone, "connection lost".into())
        }
        (Presence::Gone, Some(_)) => {
            let silence = whole_seconds(now.since(known.received));
            (SwarmEventKind::Gone, format!("no advert for {silence}"))
        }
    })
}

fn whole_seconds(d: Duration) -> String {
    humantime::format_duration(Duration::from_secs(d.as_secs().max(1))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vajra_core::protocol::messages::Advert;

    const SECOND: i64 = 1_000_000_000;

    /// A membership and its history.
    #[derive(Default)]
    struct World {
        members: Membership,
        log: SwarmLog,
    }

    impl World {
        fn receive(&mut self, at_s: u64, advert: Advert) {
            self.members.advert(Time(at_s as i64 * SECOND), advert);
        }

        /// Checks the membership; returns the new events.
        fn check(&mut self, at_s: u64) -> Vec<(String, String)> {
            let before = self.log.events.len();
            let now = Time(at_s as i64 * SECOND);
            self.log.check(now, at_s * 1000, &self.members);
            let new = self.log.events.iter().skip(before);
            new.map(|e| (e.kind.to_string(), e.text.clone())).collect()
        }
    }

    fn advert(number: u64) -> Advert {
        vajra_fixtures::protocol::advert(1, number)
    }

    fn event(kind: &str, text: &str) -> (String, String) {
        (kind.into(), text.into())
    }

    #[test]
    fn a_node_joins_once() {
        let mut w = World::default();
        w.receive(0, advert(1));
        assert_eq!(w.check(0), [event("joined", "version 0")]);
        w.receive(2, advert(2));
        assert!(w.check(2).is_empty());
        let e = &w.log.newest(10)[0];
        assert_eq!(
            (e.at.as_str(), e.name.as_str()),
            ("1970-01-01T00:00:00.000Z", "n1")
        );
    }

    #[test]
    fn a_lost_connection_and_missing_adverts_are_distinguished() {
        let mut w = World::default();
        w.receive(0, advert(1));
        w.check(0);
        w.members.disconnected(&advert(1).node.peer);
        assert_eq!(w.check(1), [event("gone", "connection lost")]);
        w.receive(4, advert(2));
        assert_eq!(w.check(4), [event("rejoined", "after 3s")]);
        assert_eq!(w.check(13), [event("gone", "no advert for 9s")]);
        assert!(w.check(14).is_empty());
    }

    #[test]
    fn a_node_that_leaves_does_not_also_disappear() {
        let mut w = World::default();
        w.receive(0, advert(1));
        w.check(0);
        let leaving = Advert {
            status: Status::Leaving,
            ..advert(2)
        };
        w.receive(1, leaving);
        assert_eq!(w.check(1), [event("left", "announced")]);
        assert!(w.check(60).is_empty());
    }

    #[test]
    fn a_restarted_node_rejoins_even_if_its_absence_was_not_noticed() {
        let mut w = World::default();
        w.receive(0, advert(9));
        w.check(0);
        let mut restarted = advert(1);
        restarted.node.incarnation.0 += 1;
        w.receive(1, restarted);
        let rejoined = event("rejoined", "restarted, version 0");
        assert_eq!(w.check(1), [rejoined]);
    }

    #[test]
    fn the_oldest_events_are_dropped_and_the_newest_come_first() {
        let mut w = World::default();
        let peer = advert(1).node.peer;
        for i in 0..MAX_EVENTS as u64 {
            w.receive(2 * i, advert(i + 1));
            w.log.check(Time(2 * i as i64 * SECOND), 2 * i, &w.members);
            w.members.disconnected(&peer);
            w.log
                .check(Time((2 * i as i64 + 1) * SECOND), 2 * i, &w.members);
        }
        assert_eq!(w.log.events.len(), MAX_EVENTS);
        let kinds: Vec<String> = w
            .log
            .newest(3)
            .into_iter()
            .map(|e| e.kind.to_string())
            .collect();
        assert_eq!(kinds, ["gone", "rejoined", "gone"]);
    }
}
