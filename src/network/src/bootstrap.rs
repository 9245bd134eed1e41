//! Bootstrap addresses: tried for as long as the node lives, whatever peer answers there. A
//! name is looked up anew for every round and each of its addresses dialled, since one of
//! them may be this node itself. A state machine without sockets; time is handed in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};

use super::address::{self, MAX_RESOLVED};
use super::backoff::Jitter;
use super::peers::ASIDE_FOR;

/// A satisfied seed is looked at again after this: names come to mean other addresses.
const RECHECK: Duration = Duration::from_secs(30);

/// A seed must be out of reach for this long before people are told: nodes that start
/// together need a moment to find each other.
const WARN_AFTER: Duration = Duration::from_secs(1);

/// People are not told again about the same seed before this has passed.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// After losing a seed's peer: the address book, which knows that peer, tries first.
const AFTER_LOSS: Duration = Duration::from_secs(1);

/// Who was found at an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    Oneself,
    Peer(PeerId),
    /// Not of this swarm; not dialled again until then.
    Stranger(Instant),
}

/// How a dial to one address of a seed ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Dialled {
    Oneself,
    Peer(PeerId),
    Failed(String),
}

#[derive(Debug)]
struct Seed {
    address: Multiaddr,
    expected: Option<PeerId>,
    found: BTreeMap<Multiaddr, Found>,
    failures: u32,
    failing_since: Option<Instant>,
    next: Instant,
    round: Option<Round>,
    warned: Option<Instant>,
}

#[derive(Debug)]
struct Round {
    began: Instant,
    dials: usize,
    reached: bool,
    failure: Option<String>,
}

/// All bootstrap addresses.
#[derive(Debug)]
pub(super) struct Seeds {
    seeds: Vec<Seed>,
    jitter: Jitter,
}

impl Seeds {
    pub(super) fn new(addresses: &[Multiaddr], now: Instant, seed: u64) -> Seeds {
        let seeds = addresses.iter().map(|address| {
            let (bare, expected) = address::split_peer(address);
            let found = BTreeMap::new();
            Seed {
                address: bare,
                expected,
                found,
                failures: 0,
                failing_since: None,
                next: now,
                round: None,
                warned: None,
            }
        });
        Seeds {
            seeds: seeds.collect(),
            jitter: Jitter::new(seed),
        }
    }

    /// Seeds whose round begins now, with the address to look up.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(usize, Multiaddr)> {
        let mut due = Vec::new();
        for (index, seed) in self.seeds.iter_mut().enumerate() {
            if seed.round.is_none() && seed.next <= now {
                seed.round = Some(Round {
                    began: now,
                    dials: 0,
                    reached: false,
                    failure: None,
                });
                due.push((index, seed.address.clone()));
            }
        }
        due
    }

    /// The peer that a seed's address names.
    pub(super) fn expected(&self, index: usize) -> Option<PeerId> {
        self.seeds[index].expected
    }

    /// A look-up ended; returns the addresses to dial: those where neither this node itself
    /// nor a connected peer was found before. Report each with [`Self::dialled`].
    pub(super) fn resolved(
        &mut self,
        index: usize,
        result: Result<Vec<Multiaddr>, String>,
        is_connected: impl Fn(&PeerId) -> bool,
        now: Instant,
    ) -> (Vec<Multiaddr>, Option<String>) {
        let seed = &mut self.seeds[index];
        let Some(round) = &mut seed.round else {
            return (Vec::new(), None);
        };
        let mut dials = Vec::new();
        match result {
            Err(why) => round.failure = Some(why),
            Ok(addresses) => {
                seed.found.retain(|address, _| addresses.contains(address));
                for address in addresses.into_iter().take(MAX_RESOLVED) {
                    match seed.found.get(&address) {
                        Some(Found::Oneself) => round.reached = true,
                        Some(Found::Stranger(until)) if *until > now => {}
                        Some(Found::Peer(peer)) if is_connected(peer) => round.reached = true,
                        _ => dials.push(address),
                    }
                }
            }
        }
        if seed.expected.is_some_and(|peer| is_connected(&peer)) {
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

    /// A dial ended. Returns a warning for people if the seed has been out of reach for a
    /// while.
    pub(super) fn dialled(
        &mut self,
        index: usize,
        address: Multiaddr,
        outcome: Dialled,
        now: Instant,
    ) -> Option<String> {
        let seed = &mut self.seeds[index];
        let round = seed.round.as_mut()?;
        match outcome {
            Dialled::Oneself => {
                seed.found.insert(address, Found::Oneself);
                round.reached = true;
            }
            Dialled::Peer(peer) => {
                seed.found.insert(address, Found::Peer(peer));
                round.reached = true;
            }
            Dialled::Failed(why) => round.failure = Some(why),
        }
        round.dials = round.dials.saturating_sub(1);
        if round.dials > 0 {
            None
        } else {
            self.end_round(index, now)
        }
    }

    /// A peer has turned out not to be of this swarm. Returns what people should read if it
    /// was a seed that led there.
    pub(super) fn stranger(&mut self, peer: &PeerId, now: Instant) -> Option<String> {
        let mut warning = None;
        for seed in &mut self.seeds {
            for found in seed
                .found
                .values_mut()
                .filter(|found| **found == Found::Peer(*peer))
            {
                *found = Found::Stranger(now + ASIDE_FOR);
                warning = Some(format!(
                    "the node at bootstrap address {} is not of this swarm; check that both have the same --swarm",
                    seed.address
                ));
            }
        }
        warning
    }

    /// The last connection to a peer is gone.
    pub(super) fn disconnected(&mut self, peer: &PeerId, now: Instant) {
        for seed in &mut self.seeds {
            if seed
                .found
                .values()
                .any(|found| *found == Found::Peer(*peer))
                || seed.expected == Some(*peer)
            {
                seed.failures = 0;
                seed.next = seed.next.min(now + AFTER_LOSS);
            }
        }
    }

    fn end_round(&mut self, index: usize, now: Instant) -> Option<String> {
        let seed = &mut self.seeds[index];
        let round = seed.round.take()?;
        if round.reached || round.failure.is_none() {
            seed.failing_since = None;
        }
        let Some(why) = round.failure else {
            seed.failures = 0;
            seed.next = now + RECHECK;
            return None;
        };
        seed.next = now + self.jitter.wait(seed.failures);
        seed.failures = seed.failures.saturating_add(1);
        if round.reached {
            return None;
        }
        let since = *seed.failing_since.get_or_insert(round.began);
        let long = now.saturating_duration_since(since) >= WARN_AFTER;
        let told = seed
            .warned
            .is_some_and(|at| now.saturating_duration_since(at) < WARN_EVERY);
        if told || !long {
            return None;
        }
        seed.warned = Some(now);
        Some(format!(
            "bootstrap address {} cannot be reached: {why}; check that a node listens there, with the same swarm key if any; trying again",
            seed.address
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

    fn nobody(_: &PeerId) -> bool {
        false
    }

    /// One round in which every address fails; the warning, if any.
    fn fail(seeds: &mut Seeds, now: Instant) -> Option<String> {
        let mut warning = None;
        for (index, addr) in seeds.due(now) {
            let (dials, w) = seeds.resolved(index, Ok(vec![addr]), nobody, now);
            warning = warning.or(w);
            for dial in dials {
                warning =
                    warning.or(seeds.dialled(index, dial, Dialled::Failed("refused".into()), now));
            }
        }
        warning
    }

    #[test]
    fn an_unreachable_seed_is_tried_for_ever_and_warned_about_now_and_then() {
        let mut now = Instant::now();
        let mut seeds = Seeds::new(&[address(1)], now, 1);
        let mut warnings = 0;
        for _ in 0..6000 {
            warnings += u32::from(fail(&mut seeds, now).is_some());
            now += Duration::from_millis(100);
        }
        assert!((5..=10).contains(&warnings), "{warnings}");
        assert_eq!(seeds.due(now + LONGEST).len(), 1);
    }

    #[test]
    fn every_address_of_a_name_is_dialled_but_oneself_only_once() {
        let now = Instant::now();
        let mut seeds = Seeds::new(&["/dns/seed/tcp/7400".parse().unwrap()], now, 1);
        let peer = PeerId::random();
        let both = vec![address(1), address(2)];
        assert_eq!(seeds.due(now).len(), 1);
        assert_eq!(seeds.resolved(0, Ok(both.clone()), nobody, now).0, both);
        assert_eq!(seeds.due(now), vec![], "the round is under way");
        seeds.dialled(0, address(1), Dialled::Oneself, now);
        seeds.dialled(0, address(2), Dialled::Peer(peer), now);
        let later = now + RECHECK;
        assert_eq!(seeds.due(later).len(), 1);
        assert_eq!(
            seeds.resolved(0, Ok(both), nobody, later).0,
            vec![address(2)]
        );
    }

    #[test]
    fn a_lost_peer_brings_its_seed_back_soon() {
        let now = Instant::now();
        let mut seeds = Seeds::new(&[address(1)], now, 1);
        let peer = PeerId::random();
        seeds.due(now);
        seeds.resolved(0, Ok(vec![address(1)]), nobody, now);
        seeds.dialled(0, address(1), Dialled::Peer(peer), now);
        assert_eq!(seeds.due(now + AFTER_LOSS), vec![]);
        seeds.disconnected(&peer, now);
        assert_eq!(seeds.due(now + AFTER_LOSS).len(), 1);
    }

    #[test]
    fn a_seed_whose_peer_is_connected_is_not_dialled() {
        let now = Instant::now();
        let peer = PeerId::random();
        let mut seeds = Seeds::new(&[address::with_peer(&address(1), peer)], now, 1);
        seeds.due(now);
        assert_eq!(
            seeds
                .resolved(0, Ok(vec![address(1)]), |p| *p == peer, now)
                .0,
            vec![]
        );
    }

    #[test]
    fn a_stranger_at_a_seed_is_told_of_and_left_alone_for_ten_minutes() {
        let now = Instant::now();
        let mut seeds = Seeds::new(&[address(1)], now, 1);
        let peer = PeerId::random();
        seeds.due(now);
        seeds.resolved(0, Ok(vec![address(1)]), nobody, now);
        seeds.dialled(0, address(1), Dialled::Peer(peer), now);
        assert!(
            seeds
                .stranger(&peer, now)
                .is_some_and(|text| text.contains("--swarm"))
        );
        assert_eq!(seeds.stranger(&peer, now), None);
        for (later, dials) in [(RECHECK, 0), (ASIDE_FOR, 1)] {
            assert_eq!(seeds.due(now + later).len(), 1);
            assert_eq!(
                seeds
                    .resolved(0, Ok(vec![address(1)]), nobody, now + later)
                    .0
                    .len(),
                dials
            );
        }
    }

    #[test]
    fn a_name_with_one_live_address_is_not_warned_about() {
        let mut now = Instant::now();
        let mut seeds = Seeds::new(&["/dns/seed/tcp/7400".parse().unwrap()], now, 1);
        let peer = PeerId::random();
        for _ in 0..20 {
            for (index, _) in seeds.due(now) {
                let (dials, warning) =
                    seeds.resolved(index, Ok(vec![address(1), address(2)]), |p| *p == peer, now);
                assert_eq!(warning, None);
                for dial in dials {
                    let live = dial == address(1);
                    let outcome = if live {
                        Dialled::Peer(peer)
                    } else {
                        Dialled::Failed("refused".into())
                    };
                    assert_eq!(seeds.dialled(index, dial, outcome, now), None);
                }
            }
            now += LONGEST;
        }
    }
}
