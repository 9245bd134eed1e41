//! Which ended tests other nodes have results of. A node that joins late shows them too, and
//! fetches a result from whoever has it when somebody asks for it.
//!
//! Nodes tell each other only of results that they hold themselves, so what nobody holds any more
//! is forgotten everywhere. Nothing is fetched unasked, and only the newest tests are known: two
//! nodes with full stores do not hand each other what the other one has just thrown away.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::store::MAX_RESULTS;
use crate::protocol::{Peer, TestId};
use crate::report::{TestEntry, TestResult};

/// Most tests of others that are known: as many as a store keeps.
const MAX_OTHERS: usize = MAX_RESULTS;
/// Most holders that are remembered of a test: one is enough, the rest are for when it is gone.
const MAX_HOLDERS: usize = 8;
/// A test that seems to begin later than this in the future has a made-up id, and would be in
/// the way of real ones. Wall clocks differ by less.
const MAX_AHEAD_MS: u64 = 24 * 3600 * 1000;

/// An ended test in the list that nodes give each other.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Listed {
    /// As in every list.
    #[serde(flatten)]
    pub entry: TestEntry,
    /// Its result is complete.
    pub complete: bool,
    /// Its timeline is there, too.
    #[serde(default)]
    pub timeline: bool,
}

impl Listed {
    /// The entry of a result; whether there is a timeline is for others to add.
    pub fn of(result: &TestResult) -> Listed {
        Listed {
            entry: result.entry(),
            complete: result.complete,
            timeline: false,
        }
    }
}

/// What a holder has of a test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Holding {
    complete: bool,
    timeline: bool,
}

#[derive(Debug)]
struct Known {
    entry: TestEntry,
    holders: BTreeMap<Peer, Holding>,
}

/// The ended tests of other nodes.
#[derive(Debug, Default)]
pub struct Others {
    tests: BTreeMap<TestId, Known>,
}

impl Others {
    /// A node has told which results it holds, at this Unix time in milliseconds; what it told
    /// before is replaced.
    pub fn told(&mut self, peer: &Peer, tests: Vec<Listed>, unix_ms: u64) {
        self.gone(peer);
        let latest = unix_ms.saturating_add(MAX_AHEAD_MS);
        for listed in tests.into_iter().take(MAX_RESULTS) {
            let id = listed.entry.test_id.parse::<TestId>();
            if let Ok(id) = id
                && began_ms(id) <= latest
            {
                self.holds(peer, id, listed);
            }
        }
        while self.tests.len() > MAX_OTHERS {
            self.tests.pop_first();
        }
    }

    fn holds(&mut self, peer: &Peer, id: TestId, listed: Listed) {
        let holding = Holding {
            complete: listed.complete,
            timeline: listed.timeline,
        };
        let mut entry = listed.entry;
        // Whatever is told, only ended tests are in such a list, under their ids.
        entry.state = "ended".into();
        entry.test_id = id.to_string();
        let known = self.tests.entry(id).or_insert_with(|| Known {
            entry: entry.clone(),
            holders: BTreeMap::new(),
        });
        // An entry that is sure goes before one that is not.
        if holding.complete && !known.holders.values().any(|h| h.complete) {
            known.entry = entry;
        }
        if known.holders.len() < MAX_HOLDERS {
            known.holders.insert(peer.clone(), holding);
        }
    }

    /// A node is gone, or its word is not worth anything: it holds nothing.
    pub fn gone(&mut self, peer: &Peer) {
        self.tests.retain(|_, known| {
            known.holders.remove(peer);
            !known.holders.is_empty()
        });
    }

    /// A node did not have what it had told of a test.
    pub fn lacks(&mut self, peer: &Peer, test: TestId) {
        if let Some(known) = self.tests.get_mut(&test) {
            known.holders.remove(peer);
            if known.holders.is_empty() {
                self.tests.remove(&test);
            }
        }
    }

    /// Forgets whoever is not among these nodes.
    pub fn keep_only(&mut self, peers: &BTreeSet<Peer>) {
        self.tests.retain(|_, known| {
            known.holders.retain(|peer, _| peers.contains(peer));
            !known.holders.is_empty()
        });
    }

    /// Whether somebody holds a result of a test.
    pub fn knows(&self, test: TestId) -> bool {
        self.tests.contains_key(&test)
    }

    /// Whether somebody holds a complete result of a test.
    pub fn has_complete(&self, test: TestId) -> bool {
        self.any(test, |h| h.complete)
    }

    /// Whether somebody holds a timeline of a test.
    pub fn has_timeline(&self, test: TestId) -> bool {
        self.any(test, |h| h.timeline)
    }

    fn any(&self, test: TestId, what: impl Fn(&Holding) -> bool) -> bool {
        let known = self.tests.get(&test);
        known.is_some_and(|k| k.holders.values().any(what))
    }

    /// Whom to ask for a test: those with complete results first, and of them those with a
    /// timeline.
    pub fn holders(&self, test: TestId) -> Vec<Peer> {
        let known = self.tests.get(&test).into_iter();
        let mut holders: Vec<(&Peer, &Holding)> = known.flat_map(|k| &k.holders).collect();
        holders.sort_by_key(|(_, h)| (!h.complete, !h.timeline));
        holders.into_iter().map(|(peer, _)| peer.clone()).collect()
    }

    /// The tests, as lists show them.
    pub fn entries(&self) -> impl Iterator<Item = (TestId, &TestEntry)> {
        self.tests.iter().map(|(id, known)| (*id, &known.entry))
    }
}

/// When the test of an id began: a UUIDv7 has Unix milliseconds in its first six bytes (RFC
/// 9562, section 5.7).
fn began_ms(id: TestId) -> u64 {
    id.0[..6].iter().fold(0, |ms, b| ms << 8 | u64::from(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    /// A test that began so many milliseconds after a fixed time.
    fn id(after_ms: u64) -> TestId {
        let mut id = [7; 16];
        id[..6].copy_from_slice(&(NOW + after_ms).to_be_bytes()[2..]);
        TestId(id)
    }

    fn listed(id: TestId, complete: bool) -> Listed {
        Listed {
            entry: TestEntry {
                test_id: id.to_string(),
                name: None,
                state: "ended".into(),
                verdict: complete.then(|| "valid".into()),
                started_at: None,
            },
            complete,
            timeline: complete,
        }
    }

    fn peer(i: u8) -> Peer {
        Peer::new(&[i])
    }

    fn ids(others: &Others) -> Vec<TestId> {
        others.entries().map(|(id, _)| id).collect()
    }

    #[test]
    fn complete_results_are_asked_for_first_and_their_entry_is_shown() {
        let mut others = Others::default();
        others.told(&peer(1), vec![listed(id(0), false)], NOW);
        assert!(others.knows(id(0)) && !others.has_complete(id(0)));
        others.told(&peer(2), vec![listed(id(0), true)], NOW);
        others.told(&peer(3), vec![listed(id(0), false)], NOW);
        assert_eq!(others.holders(id(0)), [peer(2), peer(1), peer(3)]);
        assert!(others.has_complete(id(0)) && others.has_timeline(id(0)));
        let shown = others.entries().next().map(|(_, e)| e.verdict.clone());
        assert_eq!(shown, Some(Some("valid".into())));
    }

    #[test]
    fn a_node_that_no_longer_has_a_test_is_not_asked_for_it() {
        let mut others = Others::default();
        let both = || vec![listed(id(0), true), listed(id(1), true)];
        others.told(&peer(1), both(), NOW);
        others.told(&peer(2), both(), NOW);
        others.told(&peer(1), vec![listed(id(1), true)], NOW);
        assert_eq!(others.holders(id(0)), [peer(2)]);
        others.lacks(&peer(2), id(0));
        assert_eq!(ids(&others), [id(1)]);
        others.keep_only(&[peer(2)].into());
        assert_eq!(others.holders(id(1)), [peer(2)]);
        others.gone(&peer(2));
        assert!(!others.knows(id(1)) && others.holders(id(1)).is_empty());
    }

    #[test]
    fn only_the_newest_tests_and_a_few_holders_are_known() {
        let mut others = Others::default();
        let many = |from: u64| (0..150).map(|i| listed(id(from + i), true)).collect();
        others.told(&peer(1), many(0), NOW);
        others.told(&peer(2), many(1_000), NOW);
        assert_eq!(others.tests.len(), MAX_OTHERS);
        assert!(!others.knows(id(99)) && others.knows(id(100)));
        // What was pushed out comes back with the next telling only if there is room.
        others.told(&peer(1), many(0), NOW);
        assert_eq!(ids(&others).len(), MAX_OTHERS);
        for i in 0..100 {
            others.told(&peer(i), vec![listed(id(2_000), true)], NOW);
        }
        assert_eq!(others.holders(id(2_000)).len(), MAX_HOLDERS);
        let flood = (0..10_000).map(|i| listed(id(3_000 + i), true)).collect();
        others.told(&peer(9), flood, NOW);
        assert!(others.knows(id(3_199)) && !others.knows(id(3_200)));
    }

    #[test]
    fn ids_that_are_none_or_from_the_future_are_passed_over() {
        let mut others = Others::default();
        let mut strange = listed(id(0), true);
        strange.entry.test_id = "latest".into();
        let future = listed(id(MAX_AHEAD_MS + 1), true);
        let ahead = listed(id(MAX_AHEAD_MS), true);
        let mut running = listed(id(5), true);
        running.entry.state = "running".into();
        running.entry.test_id = running.entry.test_id.replace('-', "").to_uppercase();
        others.told(&peer(1), vec![strange, future, ahead, running], NOW);
        assert_eq!(ids(&others), [id(5), id(MAX_AHEAD_MS)]);
        let shown: Vec<&TestEntry> = others.entries().map(|(_, e)| e).collect();
        assert_eq!(shown[0].state, "ended");
        assert_eq!(shown[0].test_id, id(5).to_string());
    }

    #[test]
    fn a_listed_test_is_an_entry_with_two_words_more() {
        let json = serde_json::to_value(listed(id(0), true)).unwrap_or_default();
        assert_eq!(json["complete"], true);
        assert_eq!(json["state"], "ended");
        assert_eq!(json["name"], serde_json::Value::Null);
        let back: Option<Listed> = serde_json::from_value(json).ok();
        assert_eq!(back, Some(listed(id(0), true)));
    }
}
