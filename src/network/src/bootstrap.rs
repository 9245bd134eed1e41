//! Bootstrap addresses. As long as the node runs, each is dialled whenever no peer found there is
//! connected. A DNS name is looked up again in every round and all its addresses are dialled, since
//! one of them may be this node itself. A state machine without sockets; time and seed are passed in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};

use super::address::{self, MAX_RESOLVED, ResolveError};
use super::address_book::BLOCK_TIME;
use super::backoff::Backoff;

/// Interval of rounds after a success, since a DNS name may get other addresses.
const RECHECK: Duration = Duration::from_secs(30);

/// Time without success before a warning: nodes that start together need a moment to connect.
const WARN_AFTER: Duration = Duration::from_secs(1);

/// Shortest interval between warnings about one bootstrap address.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// Delay of the next round after the peer at a bootstrap address was lost. The address book, which
/// also has the peer, dials first.
const AFTER_LOSS: Duration = Duration::from_secs(1);

/// What answers at an IP address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    ThisNode,
    Peer(PeerId),
    /// A node of another swarm; not dialled until the given instant.
    OtherSwarm(Instant),
}

/// The result of a dial.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Dialled {
    ThisNode,
    Peer(PeerId),
    Failed(String),
}

#[derive(Debug)]
struct Target {
    address: Multiaddr,
    /// The peer that the address names.
    expected: Option<PeerId>,
    /// By resolved address; at most [`MAX_RESOLVED`].
    found: BTreeMap<Multiaddr, Found>,
    failures: u32,
    failing_since: Option<Instant>,
    next: Instant,
    round: Option<Round>,
    warned: Option<Instant>,
}

/// One lookup and the dials that follow.
#[derive(Debug)]
struct Round {
    started: Instant,
    /// Dials in progress.
    dials: usize,
    reached: bool,
    failure: Option<String>,
}

/// All bootstrap addresses, by their index in the settings.
#[derive(Debug)]
pub(super) struct Bootstrap {
    targets: Vec<Target>,
    backoff: Backoff,
}

impl Bootstrap {
    pub(super) fn new(addresses: &[Multiaddr], now: Instant, seed: u64) -> Bootstrap {
        let targets = addresses.iter().map(|address| {
            let (bare, expected) = address::split_peer(address);
            Target {
                address: bare,
                expected,
                found: BTreeMap::new(),
                failures: 0,
                failing_since: None,
                next: now,
                round: None,
                warned: None,
            }
        });
        Bootstrap {
            targets: targets.collect(),
            backoff: Backoff::new(seed),
        }
    }

    /// Starts the rounds that are due. Returns the addresses to look up; report each result with
    /// [`Self::resolved`].
    pub(super) fn due(&mut self, now: Instant) -> Vec<(usize, Multiaddr)> {
        let mut due = Vec::new();
        for (index, target) in self.targets.iter_mut().enumerate() {
            if target.round.is_none() && target.next <= now {
                target.round = Some(Round {
                    started: now,
                    dials: 0,
                    reached: false,
                    failure: None,
                });
                due.push((index, target.address.clone()));
            }
        }
        due
    }

    /// The peer that a bootstrap address names.
    pub(super) fn expected(&self, index: usize) -> Option<PeerId> {
        self.targets[index].expected
    }

    /// A lookup ended. Returns the addresses to dial, without those of this node, of connected peers
    /// and of other swarms; report each result with [`Self::dialled`]. Also returns a warning for the
    /// operator, if one is due.
    pub(super) fn resolved(
        &mut self,
        index: usize,
        result: Result<Vec<Multiaddr>, ResolveError>,
        is_connected: impl Fn(&PeerId) -> bool,
        now: Instant,
    ) -> (Vec<Multiaddr>, Option<String>) {
        let target = &mut self.targets[index];
        let Some(round) = &mut target.round else {
            return (Vec::new(), None);
        };
        let mut dials = Vec::new();
        match result {
            Err(error) => round.failure = Some(error.to_string()),
            Ok(addresses) => {
                target
                    .found
                    .retain(|address, _| addresses.contains(address));
                for address in addresses.into_iter().take(MAX_RESOLVED) {
                    match target.found.get(&address) {
                        Some(Found::ThisNode) => round.reached = true,
                        Some(Found::OtherSwarm(until)) if *until > now => {}
                        Some(Found::Peer(peer)) if is_connected(peer) => round.reached = true,
                        _ => dials.push(address),
                    }
                }
            }
        }
        if target.expected.is_some_and(|peer| is_connected(&peer)) {
            round.reached = true;
            dials.clear();
        }
        round.dials = dials.len();
        let warning = if dials.is_empty() {
            self.end_round(index, now)
        } else {
            None
        };
        (dials, warning)
    }

    /// A dial ended. Returns a warning for the operator, if one is due.
    pub(super) fn dialled(
        &mut self,
        index: usize,
        address: Multiaddr,
        result: Dialled,
        now: Instant,
    ) -> Option<String> {
        let target = &mut self.targets[index];
        let round = target.round.as_mut()?;
        match result {
            Dialled::ThisNode => {
                target.found.insert(address, Found::ThisNode);
                round.reached = true;
            }
            Dialled::Peer(peer) => {
                target.found.insert(address, Found::Peer(peer));
                round.reached = true;
            }
            Dialled::Failed(reason) => round.failure = Some(reason),
        }
        round.dials = round.dials.saturating_sub(1);
        if round.dials > 0 {
            None
        } else {
            self.end_round(index, now)
        }
    }

    /// A peer belongs to another swarm. Returns a warning for the operator if a bootstrap address
    /// leads to it.
    pub(super) fn mark_other_swarm(&mut self, peer: &PeerId, now: Instant) -> Option<String> {
        let mut warning = None;
        for target in &mut self.targets {
            for found in target
                .found
                .values_mut()
                .filter(|found| **found == Found::Peer(*peer))
            {
                *found = Found::OtherSwarm(now + BLOCK_TIME);
                warning = Some(format!(
                    "the node at bootstrap address {} belongs to another swarm; check that both have the same --swarm",
                    target.address
                ));
            }
        }
        warning
    }

    /// The last connection to a peer was closed.
    pub(super) fn disconnected(&mut self, peer: &PeerId, now: Instant) {
        for target in &mut self.targets {
            if target
                .found
                .values()
                .any(|found| *found == Found::Peer(*peer))
                || target.expected == Some(*peer)
            {
                target.failures = 0;
                target.next = target.next.min(now + AFTER_LOSS);
            }
        }
    }

    fn end_round(&mut self, index: usize, now: Instant) -> Option<String> {
        let target = &mut self.targets[index];
        let round = target.round.take()?;
        if round.reached || round.failure.is_none() {
            target.failing_since = None;
        }
        let Some(reason) = round.failure else {
            target.failures = 0;
            target.next = now + RECHECK;
            return None;
        };
        target.next = now + self.backoff.delay(target.failures);
        target.failures = target.failures.saturating_add(1);
        if round.reached {
            return None;
        }
        let since = *target.failing_since.get_or_insert(round.started);
        let warned_recently = target
            .warned
            .is_some_and(|at| now.saturating_duration_since(at) < WARN_INTERVAL);
        if warned_recently || now.saturating_duration_since(since) < WARN_AFTER {
            return None;
        }
        target.warned = Some(now);
        Some(format!(
            "bootstrap address {} cannot be reached: {reason}; check that a node listens there and uses the same swarm key; retrying",
            target.address
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::backoff::LONGEST;
    use super::*;

    fn address(last: u8) -> Multiaddr {
        format!("/ip4/10.0.0.{last}/tcp/7400").parse().unwrap()
    }

    fn not_connected(_: &PeerId) -> bool {
        false
    }

    /// Runs one round in which every address fails. Returns the warning, if any.
    fn fail(bootstrap: &mut Bootstrap, now: Instant) -> Option<String> {
        let mut warning = None;
        for (index, addr) in bootstrap.due(now) {
            let (dials, w) = bootstrap.resolved(index, Ok(vec![addr]), not_connected, now);
            warning = warning.or(w);
            for dial in dials {
                warning = warning.or(bootstrap.dialled(
                    index,
                    dial,
                    Dialled::Failed("refused".into()),
                    now,
                ));
            }
        }
        warning
    }

    #[test]
    fn an_unreachable_address_is_dialled_forever_with_at_most_one_warning_a_minute() {
        let mut now = Instant::now();
        let mut bootstrap = Bootstrap::new(&[address(1)], now, 1);
        let mut warnings = 0;
        for _ in 0..6000 {
            warnings += u32::from(fail(&mut bootstrap, now).is_some());
            now += Duration::from_millis(100);
        }
        assert!((5..=10).contains(&warnings), "{warnings}");
        assert_eq!(bootstrap.due(now + LONGEST).len(), 1);
    }

    #[test]
    fn every_address_of_a_name_is_dialled_but_that_of_this_node_only_once() {
        let now = Instant::now();
        let mut bootstrap = Bootstrap::new(&["/dns/name/tcp/7400".parse().unwrap()], now, 1);
        let peer = PeerId::random();
        let both = vec![address(1), address(2)];
        assert_eq!(bootstrap.due(now).len(), 1);
        assert_eq!(
            bootstrap
                .resolved(0, Ok(both.clone()), not_connected, now)
                .0,
            both
        );
        assert_eq!(bootstrap.due(now), vec![], "the round is in progress");
        bootstrap.dialled(0, address(1), Dialled::ThisNode, now);
        bootstrap.dialled(0, address(2), Dialled::Peer(peer), now);
        let later = now + RECHECK;
        assert_eq!(bootstrap.due(later).len(), 1);
        assert_eq!(
            bootstrap.resolved(0, Ok(both), not_connected, later).0,
            vec![address(2)]
        );
    }

    #[test]
    fn after_a_lost_peer_its_address_is_dialled_soon() {
        let now = Instant::now();
        let mut bootstrap = Bootstrap::new(&[address(1)], now, 1);
        let peer = PeerId::random();
        bootstrap.due(now);
        bootstrap.resolved(0, Ok(vec![address(1)]), not_connected, now);
        bootstrap.dialled(0, address(1), Dialled::Peer(peer), now);
        assert_eq!(bootstrap.due(now + AFTER_LOSS), vec![]);
        bootstrap.disconnected(&peer, now);
        assert_eq!(bootstrap.due(now + AFTER_LOSS).len(), 1);
    }

    #[test]
    fn an_address_whose_peer_is_connected_is_not_dialled() {
        let now = Instant::now();
        let peer = PeerId::random();
        let mut bootstrap = Bootstrap::new(&[address::with_peer(&address(1), peer)], now, 1);
        bootstrap.due(now);
        assert_eq!(
            bootstrap
                .resolved(0, Ok(vec![address(1)]), |p| *p == peer, now)
                .0,
            vec![]
        );
    }

    #[test]
    fn a_node_of_another_swarm_causes_a_warning_and_is_not_dialled_for_ten_minutes() {
        let now = Instant::now();
        let mut bootstrap = Bootstrap::new(&[address(1)], now, 1);
        let peer = PeerId::random();
        bootstrap.due(now);
        bootstrap.resolved(0, Ok(vec![address(1)]), not_connected, now);
        bootstrap.dialled(0, address(1), Dialled::Peer(peer), now);
        assert!(
            bootstrap
                .mark_other_swarm(&peer, now)
                .is_some_and(|text| text.contains("--swarm"))
        );
        assert_eq!(bootstrap.mark_other_swarm(&peer, now), None);
        for (later, dials) in [(RECHECK, 0), (BLOCK_TIME, 1)] {
            assert_eq!(bootstrap.due(now + later).len(), 1);
            assert_eq!(
                bootstrap
                    .resolved(0, Ok(vec![address(1)]), not_connected, now + later)
                    .0
                    .len(),
                dials
            );
        }
    }

    #[test]
    fn a_name_with_one_live_address_is_not_warned_about() {
        let mut now = Instant::now();
        let mut bootstrap = Bootstrap::new(&["/dns/name/tcp/7400".parse().unwrap()], now, 1);
        let peer = PeerId::random();
        for _ in 0..20 {
            for (index, _) in bootstrap.due(now) {
                let (dials, warning) = bootstrap.resolved(
                    index,
                    Ok(vec![address(1), address(2)]),
                    |p| *p == peer,
                    now,
                );
                assert_eq!(warning, None);
                for dial in dials {
                    let live = dial == address(1);
                    let result = if live {
                        Dialled::Peer(peer)
                    } else {
                        Dialled::Failed("refused".into())
                    };
                    assert_eq!(bootstrap.dialled(index, dial, result, now), None);
                }
            }
            now += LONGEST;
        }
    }
}
