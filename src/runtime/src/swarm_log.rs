//! What happened in the swarm: who joined, left, was lost and came back, as this node saw it.
//!
//! What the membership knows of a node is compared with what it knew: when its adverts come, when
//! a connection comes or breaks, and once a second, since silence is no event.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use vajra_core::protocol::membership::{Health, Known, Membership};
use vajra_core::protocol::messages::Status;
use vajra_core::protocol::{Incarnation, Peer, Time};
use vajra_network as network;
use vajra_results::{SwarmEvent, SwarmEventKind, rfc3339};

/// Events kept; the oldest go. A swarm that loses a node a minute is told of for three hours.
pub const MAX_EVENTS: usize = 200;

/// Where a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Here,
    Gone,
    Left,
}

#[derive(Clone, Debug)]
struct Seen {
    incarnation: Incarnation,
    place: Place,
    /// Since when it is there.
    since: Time,
}

/// What happened in the swarm.
#[derive(Debug, Default)]
pub struct SwarmLog {
    seen: BTreeMap<Peer, Seen>,
    events: VecDeque<SwarmEvent>,
}

impl SwarmLog {
    /// Looks at all other nodes, at an instant and its Unix time in milliseconds.
    pub fn look(&mut self, now: Time, unix_ms: u64, members: &Membership) {
        for known in members.all() {
            self.look_at(now, unix_ms, known);
        }
        // Whoever the membership has forgotten is forgotten here.
        self.seen.retain(|peer, _| members.get(peer).is_some());
    }

    /// Looks at one of them.
    pub fn look_at(&mut self, now: Time, unix_ms: u64, known: &Known) {
        let node = &known.advert.node;
        let place = place_of(known, now);
        let before = self.seen.get(&node.peer);
        let same = |b: &Seen| {
            b.place == place && (b.incarnation == node.incarnation || place != Place::Here)
        };
        if before.is_some_and(same) {
            return;
        }
        let told = told(known, place, before, now);
        let seen = Seen {
            incarnation: node.incarnation,
            place,
            since: now,
        };
        self.seen.insert(node.peer.clone(), seen);
        if let Some((kind, text)) = told {
            self.push(SwarmEvent {
                at: rfc3339(unix_ms),
                kind,
                peer: network::show_peer(&node.peer),
                name: known.advert.name.clone(),
                text,
            });
        }
    }

    fn push(&mut self, event: SwarmEvent) {
        let (kind, name, text) = (&event.kind, &event.name, &event.text);
        tracing::info!(
            peer = event.peer,
            event = kind.as_str(),
            "node {name} {kind}: {text}"
        );
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

fn place_of(known: &Known, now: Time) -> Place {
    match known.health(now) {
        _ if known.advert.status == Status::Leaving => Place::Left,
        Health::Gone => Place::Gone,
        Health::Healthy | Health::Late => Place::Here,
    }
}

/// What a change is called, and how it is told. That a node which was never here is gone is no
/// news.
fn told(
    known: &Known,
    place: Place,
    before: Option<&Seen>,
    now: Time,
) -> Option<(SwarmEventKind, String)> {
    let version = &known.advert.version;
    let away = |b: &Seen| whole_seconds(now.since(b.since));
    Some(match (place, before) {
        (Place::Here, None) => (SwarmEventKind::Joined, format!("version {version}")),
        (Place::Here, Some(b)) if b.incarnation != known.advert.node.incarnation => (
            SwarmEventKind::Rejoined,
            format!("it was started again, version {version}"),
        ),
        (Place::Here, Some(b)) => (SwarmEventKind::Rejoined, format!("after {}", away(b))),
        (Place::Gone | Place::Left, None) => return None,
        (Place::Left, Some(_)) => (SwarmEventKind::Left, "it said so".into()),
        (Place::Gone, Some(b)) if b.place == Place::Left => return None,
        (Place::Gone, Some(_)) if known.disconnected => {
            (SwarmEventKind::Gone, "its connection broke".into())
        }
        (Place::Gone, Some(_)) => {
            let silent = whole_seconds(now.since(known.received));
            (
                SwarmEventKind::Gone,
                format!("it has said nothing for {silent}"),
            )
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

    const SECOND: u64 = 1_000_000_000;

    /// A membership that is looked at.
    #[derive(Default)]
    struct World {
        members: Membership,
        log: SwarmLog,
    }

    impl World {
        fn hears(&mut self, at_s: u64, advert: Advert) {
            self.members.advert(Time(at_s * SECOND), advert);
        }

        /// Looks, and tells what is new.
        fn look(&mut self, at_s: u64) -> Vec<(String, String)> {
            let before = self.log.events.len();
            let now = Time(at_s * SECOND);
            self.log.look(now, at_s * 1000, &self.members);
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
        w.hears(0, advert(1));
        assert_eq!(w.look(0), [event("joined", "version 0")]);
        w.hears(2, advert(2));
        assert!(w.look(2).is_empty());
        let e = &w.log.newest(10)[0];
        assert_eq!(
            (e.at.as_str(), e.name.as_str()),
            ("1970-01-01T00:00:00.000Z", "n1")
        );
    }

    #[test]
    fn a_broken_connection_and_silence_are_told_apart() {
        let mut w = World::default();
        w.hears(0, advert(1));
        w.look(0);
        w.members.disconnected(&advert(1).node.peer);
        assert_eq!(w.look(1), [event("gone", "its connection broke")]);
        w.hears(4, advert(2));
        assert_eq!(w.look(4), [event("rejoined", "after 3s")]);
        assert_eq!(w.look(13), [event("gone", "it has said nothing for 9s")]);
        assert!(w.look(14).is_empty());
    }

    #[test]
    fn a_node_that_says_that_it_leaves_is_not_lost_as_well() {
        let mut w = World::default();
        w.hears(0, advert(1));
        w.look(0);
        let leaving = Advert {
            status: Status::Leaving,
            ..advert(2)
        };
        w.hears(1, leaving);
        assert_eq!(w.look(1), [event("left", "it said so")]);
        assert!(w.look(60).is_empty());
    }

    #[test]
    fn a_node_that_was_started_again_returns_even_if_nobody_missed_it() {
        let mut w = World::default();
        w.hears(0, advert(9));
        w.look(0);
        let mut reborn = advert(1);
        reborn.node.incarnation.0 += 1;
        w.hears(1, reborn);
        let again = event("rejoined", "it was started again, version 0");
        assert_eq!(w.look(1), [again]);
    }

    #[test]
    fn the_oldest_events_go_and_the_newest_come_first() {
        let mut w = World::default();
        let peer = advert(1).node.peer;
        for i in 0..MAX_EVENTS as u64 {
            w.hears(2 * i, advert(i + 1));
            w.log.look(Time(2 * i * SECOND), 2 * i, &w.members);
            w.members.disconnected(&peer);
            w.log.look(Time((2 * i + 1) * SECOND), 2 * i, &w.members);
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
