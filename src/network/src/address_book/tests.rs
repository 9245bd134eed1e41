//! Tests of the address book. Time is a value of the test.

#![allow(clippy::unwrap_used)]
use super::super::backoff::LONGEST;
use super::*;

struct World {
    book: AddressBook,
    own: PeerId,
    now: Instant,
}

impl World {
    fn new() -> World {
        let own = PeerId::random();
        World {
            book: AddressBook::new(own, 1),
            own,
            now: Instant::now(),
        }
    }

    fn learn(&mut self, peer: PeerId, source: Source) {
        self.book.learn(peer, address(1), source, self.now);
    }

    /// Fails every dial for a time. Returns the number of dials.
    fn fail_for(&mut self, span: Duration) -> u32 {
        let end = self.now + span;
        let mut dials = 0;
        while self.now < end {
            for (peer, _) in self.book.due(self.now, 100) {
                dials += 1;
                self.book.failed(&peer, self.now);
            }
            self.now += Duration::from_millis(100);
        }
        dials
    }
}

fn address(port: u16) -> Multiaddr {
    format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()
}

#[test]
fn a_peer_is_dialled_at_once_and_not_twice_at_a_time() {
    let mut w = World::new();
    let peer = PeerId::random();
    w.learn(peer, Source::Indirect);
    assert_eq!(w.book.due(w.now, 10), vec![(peer, vec![address(1)])]);
    assert_eq!(w.book.due(w.now + LONGEST, 10), vec![]);
}

#[test]
fn this_node_is_never_dialled() {
    let mut w = World::new();
    w.learn(w.own, Source::Mdns);
    w.book.connected(w.own, Some(&address(1)), w.now);
    assert_eq!(w.book.due(w.now, 10), vec![]);
}

#[test]
fn members_and_mdns_peers_are_redialled_forever_at_the_longest_delay() {
    let mut w = World::new();
    let (member, seen) = (PeerId::random(), PeerId::random());
    let known = KnownPeer {
        peer: member,
        addresses: vec![address(1)],
        seen_unix_s: 0,
    };
    w.book.restore(known, w.now);
    w.learn(seen, Source::Mdns);
    w.fail_for(Duration::from_secs(3600));
    let dials = w.fail_for(Duration::from_secs(600));
    assert!((40..=82).contains(&dials), "{dials}");
}

#[test]
fn peers_known_only_from_others_are_removed_after_some_failures() {
    let mut w = World::new();
    w.learn(PeerId::random(), Source::Indirect);
    assert_eq!(w.fail_for(Duration::from_secs(3600)), INDIRECT_FAILURES);
}

#[test]
fn peers_that_mdns_no_longer_reports_are_removed_after_some_failures() {
    let mut w = World::new();
    let peer = PeerId::random();
    w.learn(peer, Source::Mdns);
    w.fail_for(Duration::from_secs(3600));
    w.book.mdns_expired(&peer);
    assert_eq!(w.fail_for(Duration::from_secs(3600)), 1);
}

#[test]
fn a_lost_peer_is_redialled_soon_at_its_proven_address_first() {
    let mut w = World::new();
    let peer = PeerId::random();
    w.learn(peer, Source::Indirect);
    w.book.connected(peer, Some(&address(2)), w.now);
    w.now += MIN_CONNECTION;
    w.book.disconnected(&peer, 0, w.now);
    assert_eq!(w.book.due(w.now, 10), vec![]);
    w.now += super::super::backoff::FIRST;
    assert_eq!(
        w.book.due(w.now, 10),
        vec![(peer, vec![address(2), address(1)])]
    );
}

#[test]
fn a_peer_that_closes_connections_at_once_is_dialled_less_and_less_often() {
    let mut w = World::new();
    let peer = PeerId::random();
    w.learn(peer, Source::Mdns);
    let end = w.now + Duration::from_secs(60);
    let mut dials = 0;
    while w.now < end {
        for (peer, _) in w.book.due(w.now, 10) {
            dials += 1;
            w.book.connected(peer, Some(&address(1)), w.now);
            w.book.disconnected(&peer, 0, w.now);
        }
        w.now += Duration::from_millis(100);
    }
    assert!(dials < 15, "{dials}");
}

#[test]
fn a_blocked_peer_is_not_dialled_for_ten_minutes() {
    let mut w = World::new();
    let peer = PeerId::random();
    w.learn(peer, Source::Mdns);
    w.book.block(peer, w.now);
    w.learn(peer, Source::Mdns);
    assert_eq!(w.book.due(w.now, 10), vec![]);
    w.now += BLOCK_TIME;
    w.learn(peer, Source::Mdns);
    assert_eq!(w.book.due(w.now, 10).len(), 1);
}

#[test]
fn the_book_stays_bounded_and_keeps_members() {
    let mut w = World::new();
    let member = PeerId::random();
    w.book.connected(member, Some(&address(1)), w.now);
    w.book.add_member(&member);
    for _ in 0..2 * MAX_PEERS {
        w.learn(PeerId::random(), Source::Indirect);
        for (peer, _) in w.book.due(w.now, MAX_PEERS) {
            w.book.failed(&peer, w.now);
        }
    }
    assert_eq!(w.book.entries.len(), MAX_PEERS);
    assert_eq!(w.book.members(5)[0].peer, member);
}

#[test]
fn addresses_of_one_peer_are_bounded() {
    let mut w = World::new();
    let peer = PeerId::random();
    for port in 1..100 {
        w.book.learn(peer, address(port), Source::Indirect, w.now);
    }
    assert_eq!(w.book.due(w.now, 1)[0].1.len(), MAX_ADDRESSES);
}
