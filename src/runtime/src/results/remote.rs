//! Results that other nodes hold. A node that joins late lists them too, and fetches a result from
//! its holder on request.
//!
//! Nodes list only results that they hold themselves, so a result without holders disappears from
//! all lists. Nothing is fetched without a request. No single node can fill the list: when it is
//! full, the node that listed most loses its oldest entries.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::store::MAX_RESULTS;
use vajra_core::protocol::messages::TestState;
use vajra_core::protocol::{Peer, TestId};
use vajra_results::{TestEntry, TestResult};
use vajra_wire::limits::MAX_PLAN_NAME;

/// Most remote tests in the list: as many as a store keeps.
const MAX_REMOTE: usize = MAX_RESULTS;
/// Most holders per test: one is enough, the others are spares.
const MAX_HOLDERS: usize = 8;
/// A test id with a later start has a forged time, and would displace real ones. Wall clocks differ
/// by less.
const MAX_AHEAD_MS: u64 = 5 * 60 * 1000;
/// Longest start time in an entry, in bytes.
const MAX_ENTRY_WORD: usize = 64;
/// How long a failed search is cached.
const NEGATIVE_FOR: Duration = Duration::from_secs(10);
/// Most failed searches in the cache; invented ids push out only each other.
const MAX_NEGATIVE: usize = 256;
/// Weight of a test, shared evenly by its holders; divisible by every number of them.
const WEIGHT: u32 = 840;
const _: () = assert!(MAX_HOLDERS == 8 && WEIGHT.is_multiple_of(8 * 7 * 5 * 3));

/// An ended test, as nodes list it to each other.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ResultSummary {
    /// The entry, as in every list of tests.
    #[serde(flatten)]
    pub entry: TestEntry,
    /// The result is complete.
    pub complete: bool,
    /// The node also has the timeline.
    #[serde(default)]
    pub timeline: bool,
}

impl ResultSummary {
    /// The summary of a result, without a timeline.
    pub fn of(result: &TestResult) -> ResultSummary {
        ResultSummary {
            entry: result.entry(),
            complete: result.complete,
            timeline: false,
        }
    }
}

/// The parts of a test that a holder has.
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

impl Known {
    /// Its weight on each of its holders, of which there is at least one.
    fn weight(&self) -> u32 {
        WEIGHT / (self.holders.len() as u32).max(1)
    }
}

/// The ended tests of other nodes.
#[derive(Debug, Default)]
pub struct RemoteResults {
    tests: BTreeMap<TestId, Known>,
}

impl RemoteResults {
    /// Replaces the list of a node, received at this Unix time in milliseconds.
    pub fn update(&mut self, peer: &Peer, tests: Vec<ResultSummary>, unix_ms: u64) {
        self.remove(peer);
        let latest = unix_ms.saturating_add(MAX_AHEAD_MS);
        for listed in tests.into_iter().take(MAX_RESULTS) {
            let id = listed.entry.test_id.parse::<TestId>();
            if let Ok(id) = id
                && started_ms(id) <= latest
                && is_bounded(&listed.entry)
            {
                self.add(peer, id, listed);
            }
        }
        self.enforce_limit();
    }

    /// While there are too many tests, the node with the largest weight loses its oldest. So
    /// invented tests displace no more than the share of one node, however recent their ids; and
    /// tests with many holders, which weigh little on each, outlast those with a single one.
    fn enforce_limit(&mut self) {
        if self.tests.len() <= MAX_REMOTE {
            return;
        }
        let mut weights: BTreeMap<Peer, u32> = BTreeMap::new();
        for known in self.tests.values() {
            for peer in known.holders.keys() {
                *weights.entry(peer.clone()).or_default() += known.weight();
            }
        }
        while self.tests.len() > MAX_REMOTE {
            let heaviest = weights.iter().max_by_key(|(_, weight)| **weight);
            let Some(heaviest) = heaviest.map(|(peer, _)| peer.clone()) else {
                return;
            };
            let mut tests = self.tests.iter_mut();
            let Some((&id, known)) = tests.find(|(_, k)| k.holders.contains_key(&heaviest)) else {
                weights.remove(&heaviest);
                continue;
            };
            let before = known.weight();
            known.holders.remove(&heaviest);
            if let Some(weight) = weights.get_mut(&heaviest) {
                *weight = weight.saturating_sub(before);
            }
            if known.holders.is_empty() {
                self.tests.remove(&id);
                continue;
            }
            let increase = known.weight() - before;
            for peer in known.holders.keys() {
                *weights.entry(peer.clone()).or_default() += increase;
            }
        }
    }

    fn add(&mut self, peer: &Peer, id: TestId, listed: ResultSummary) {
        let holding = Holding {
            complete: listed.complete,
            timeline: listed.timeline,
        };
        let mut entry = listed.entry;
        // Normalised: all tests in such a list have ended.
        entry.state = TestState::Ended;
        entry.test_id = id.to_string();
        let known = self.tests.entry(id).or_insert_with(|| Known {
            entry: entry.clone(),
            holders: BTreeMap::new(),
        });
        // The entry of a complete result replaces that of an incomplete one.
        if holding.complete && !known.holders.values().any(|h| h.complete) {
            known.entry = entry;
        }
        if known.holders.len() < MAX_HOLDERS {
            known.holders.insert(peer.clone(), holding);
        }
    }

    /// Removes a holder.
    fn remove(&mut self, peer: &Peer) {
        self.tests.retain(|_, known| {
            known.holders.remove(peer);
            !known.holders.is_empty()
        });
    }

    /// A node does not have the result that it listed.
    pub fn result_missing(&mut self, peer: &Peer, test: TestId) {
        if let Some(known) = self.tests.get_mut(&test) {
            known.holders.remove(peer);
            if known.holders.is_empty() {
                self.tests.remove(&test);
            }
        }
    }

    /// A node does not have the timeline that it listed.
    pub fn timeline_missing(&mut self, peer: &Peer, test: TestId) {
        let known = self.tests.get_mut(&test);
        if let Some(holding) = known.and_then(|k| k.holders.get_mut(peer)) {
            holding.timeline = false;
        }
    }

    /// Whether a node lists a result of a test.
    pub fn holds(&self, peer: &Peer, test: TestId) -> bool {
        let known = self.tests.get(&test);
        known.is_some_and(|k| k.holders.contains_key(peer))
    }

    /// Whether a node lists a complete result of a test.
    pub fn holds_complete(&self, peer: &Peer, test: TestId) -> bool {
        let known = self.tests.get(&test);
        known.is_some_and(|k| k.holders.get(peer).is_some_and(|h| h.complete))
    }

    /// Removes all other holders.
    pub fn retain(&mut self, peers: &BTreeSet<Peer>) {
        self.tests.retain(|_, known| {
            known.holders.retain(|peer, _| peers.contains(peer));
            !known.holders.is_empty()
        });
    }

    /// Whether any node lists a result of a test.
    pub fn has(&self, test: TestId) -> bool {
        self.tests.contains_key(&test)
    }

    /// Whether any node lists a complete result of a test.
    pub fn has_complete(&self, test: TestId) -> bool {
        self.any(test, |h| h.complete)
    }

    /// Whether any node lists a timeline of a test.
    pub fn has_timeline(&self, test: TestId) -> bool {
        self.any(test, |h| h.timeline)
    }

    fn any(&self, test: TestId, condition: impl Fn(&Holding) -> bool) -> bool {
        let known = self.tests.get(&test);
        known.is_some_and(|k| k.holders.values().any(condition))
    }

    /// The holders of a test: those with complete results first, and among them those with a
    /// timeline.
    pub fn holders(&self, test: TestId) -> Vec<Peer> {
        let known = self.tests.get(&test).into_iter();
        let mut holders: Vec<(&Peer, &Holding)> = known.flat_map(|k| &k.holders).collect();
        holders.sort_by_key(|(_, h)| (!h.complete, !h.timeline));
        holders.into_iter().map(|(peer, _)| peer.clone()).collect()
    }

    /// The tests, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = (TestId, &TestEntry)> {
        self.tests.iter().map(|(id, known)| (*id, &known.entry))
    }
}

/// Tests that no node had when they were last searched for. Repeated requests are answered from
/// here.
#[derive(Debug, Default)]
pub struct NegativeCache(VecDeque<(TestId, Instant)>);

impl NegativeCache {
    /// A search for a test failed.
    pub fn add(&mut self, test: TestId, now: Instant) {
        self.remove(test);
        self.0.push_back((test, now));
        while self.0.len() > MAX_NEGATIVE {
            self.0.pop_front();
        }
    }

    /// Whether a search failed recently.
    pub fn contains(&self, test: TestId, now: Instant) -> bool {
        let fresh = |at: Instant| now.saturating_duration_since(at) < NEGATIVE_FOR;
        self.0.iter().any(|(id, at)| *id == test && fresh(*at))
    }

    /// The test may be available now.
    pub fn remove(&mut self, test: TestId) {
        self.0.retain(|(id, _)| *id != test);
    }
}

/// Whether the texts of an entry are within the limits of those that nodes produce.
fn is_bounded(entry: &TestEntry) -> bool {
    let started = entry.started_at.as_ref();
    entry.name.as_ref().is_none_or(|n| n.len() <= MAX_PLAN_NAME)
        && started.is_none_or(|t| t.len() <= MAX_ENTRY_WORD)
}

/// Time of the id in Unix milliseconds: the first six bytes of a UUIDv7 (RFC 9562, section 5.7).
fn started_ms(id: TestId) -> u64 {
    id.0[..6].iter().fold(0, |ms, b| ms << 8 | u64::from(*b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vajra_results::Verdict;

    const NOW: u64 = 1_790_000_000_000;

    /// A test that started `after_ms` after a fixed time.
    fn id(after_ms: u64) -> TestId {
        let mut id = [7; 16];
        id[..6].copy_from_slice(&(NOW + after_ms).to_be_bytes()[2..]);
        TestId(id)
    }

    fn listed(id: TestId, complete: bool) -> ResultSummary {
        ResultSummary {
            entry: TestEntry {
                test_id: id.to_string(),
                name: None,
                state: TestState::Ended,
                verdict: complete.then_some(Verdict::Valid),
                started_at: None,
            },
            complete,
            timeline: complete,
        }
    }

    fn peer(i: u8) -> Peer {
        Peer::new(&[i])
    }

    fn ids(remote: &RemoteResults) -> Vec<TestId> {
        remote.entries().map(|(id, _)| id).collect()
    }

    #[test]
    fn holders_of_complete_results_come_first_and_their_entry_is_shown() {
        let mut remote = RemoteResults::default();
        remote.update(&peer(1), vec![listed(id(0), false)], NOW);
        assert!(remote.has(id(0)) && !remote.has_complete(id(0)));
        remote.update(&peer(2), vec![listed(id(0), true)], NOW);
        remote.update(&peer(3), vec![listed(id(0), false)], NOW);
        assert_eq!(remote.holders(id(0)), [peer(2), peer(1), peer(3)]);
        assert!(remote.has_complete(id(0)) && remote.has_timeline(id(0)));
        let shown = remote.entries().next().map(|(_, e)| e.verdict);
        assert_eq!(shown, Some(Some(Verdict::Valid)));
    }

    #[test]
    fn a_node_that_no_longer_has_a_test_is_not_a_holder() {
        let mut remote = RemoteResults::default();
        let both = || vec![listed(id(0), true), listed(id(1), true)];
        remote.update(&peer(1), both(), NOW);
        remote.update(&peer(2), both(), NOW);
        remote.update(&peer(1), vec![listed(id(1), true)], NOW);
        assert_eq!(remote.holders(id(0)), [peer(2)]);
        remote.result_missing(&peer(2), id(0));
        assert_eq!(ids(&remote), [id(1)]);
        remote.retain(&[peer(2)].into());
        assert_eq!(remote.holders(id(1)), [peer(2)]);
        remote.remove(&peer(2));
        assert!(!remote.has(id(1)) && remote.holders(id(1)).is_empty());
    }

    fn many(from: u64, count: u64) -> Vec<ResultSummary> {
        (from..from + count).map(|i| listed(id(i), true)).collect()
    }

    fn count_of(remote: &RemoteResults, from: u64, count: u64) -> usize {
        let range = id(from)..id(from + count);
        remote.tests.range(range).count()
    }

    #[test]
    fn a_single_node_fills_the_list_with_its_first_tests() {
        let mut remote = RemoteResults::default();
        remote.update(&peer(1), many(0, 10_000), NOW);
        assert_eq!(remote.tests.len(), MAX_REMOTE);
        assert!(remote.has(id(199)) && !remote.has(id(200)));
    }

    #[test]
    fn a_full_list_keeps_the_newest_tests_of_each_nodes_share() {
        let mut remote = RemoteResults::default();
        remote.update(&peer(1), many(0, 150), NOW);
        remote.update(&peer(2), many(1_000, 150), NOW);
        remote.update(&peer(3), many(2_000, 10), NOW);
        assert_eq!(remote.tests.len(), MAX_REMOTE);
        assert_eq!(count_of(&remote, 55, 95), 95);
        assert_eq!(count_of(&remote, 1_055, 95), 95);
        assert_eq!(count_of(&remote, 2_000, 10), 10);
        // Displaced tests return with the next list only if there is space.
        remote.update(&peer(1), many(0, 150), NOW);
        assert_eq!(remote.tests.len(), MAX_REMOTE);
        assert_eq!(count_of(&remote, 1_055, 95), 95);
    }

    #[test]
    fn a_node_that_invents_tests_displaces_few_that_others_hold() {
        let mut remote = RemoteResults::default();
        for i in 1..=5 {
            remote.update(&peer(i), many(0, 200), NOW);
        }
        // It also lists their oldest tests, so that those count as its own.
        let mut invented = many(0, 100);
        invented.extend(many(200_000, 100));
        for _ in 0..3 {
            remote.update(&peer(9), invented.clone(), NOW);
            assert_eq!(remote.tests.len(), MAX_REMOTE);
            assert!(count_of(&remote, 0, 200) >= 160, "{:?}", remote.tests.len());
            for i in 1..=5 {
                remote.update(&peer(i), many(0, 200), NOW);
            }
        }
    }

    #[test]
    fn the_number_of_holders_per_test_is_limited() {
        let mut remote = RemoteResults::default();
        for i in 0..100 {
            remote.update(&peer(i), vec![listed(id(2_000), true)], NOW);
        }
        assert_eq!(remote.holders(id(2_000)).len(), MAX_HOLDERS);
    }

    #[test]
    fn a_node_without_the_timeline_may_still_have_the_result() {
        let mut remote = RemoteResults::default();
        remote.update(&peer(1), vec![listed(id(0), true)], NOW);
        assert!(remote.holds_complete(&peer(1), id(0)));
        assert!(!remote.holds_complete(&peer(2), id(0)) && !remote.holds_complete(&peer(1), id(1)));
        remote.timeline_missing(&peer(2), id(0));
        assert!(remote.has_timeline(id(0)));
        remote.timeline_missing(&peer(1), id(0));
        assert!(!remote.has_timeline(id(0)) && remote.has_complete(id(0)));
    }

    #[test]
    fn a_failed_search_is_not_repeated_for_a_while() {
        let (mut cache, now) = (NegativeCache::default(), Instant::now());
        cache.add(id(0), now);
        assert!(cache.contains(id(0), now) && !cache.contains(id(1), now));
        assert!(!cache.contains(id(0), now + NEGATIVE_FOR));
        cache.add(id(0), now + NEGATIVE_FOR);
        assert!(cache.contains(id(0), now + NEGATIVE_FOR));
        cache.remove(id(0));
        assert!(!cache.contains(id(0), now));
        for i in 0..=MAX_NEGATIVE as u64 {
            cache.add(id(i), now);
        }
        assert!(!cache.contains(id(0), now) && cache.contains(id(1), now));
    }

    #[test]
    fn an_entry_with_a_text_over_the_limit_is_ignored() {
        let mut remote = RemoteResults::default();
        let with = |change: fn(&mut TestEntry)| {
            let mut long = listed(id(0), true);
            change(&mut long.entry);
            long
        };
        let long = [
            with(|e| e.name = Some("n".repeat(MAX_PLAN_NAME + 1))),
            with(|e| e.started_at = Some("t".repeat(MAX_ENTRY_WORD + 1))),
        ];
        remote.update(&peer(1), long.into(), NOW);
        assert!(!remote.has(id(0)));
    }

    #[test]
    fn invalid_ids_and_ids_from_the_future_are_ignored() {
        let mut remote = RemoteResults::default();
        let mut strange = listed(id(0), true);
        strange.entry.test_id = "latest".into();
        let future = listed(id(MAX_AHEAD_MS + 1), true);
        let ahead = listed(id(MAX_AHEAD_MS), true);
        let mut running = listed(id(5), true);
        running.entry.state = TestState::Running;
        running.entry.test_id = running.entry.test_id.replace('-', "").to_uppercase();
        remote.update(&peer(1), vec![strange, future, ahead, running], NOW);
        assert_eq!(ids(&remote), [id(5), id(MAX_AHEAD_MS)]);
        let shown: Vec<&TestEntry> = remote.entries().map(|(_, e)| e).collect();
        assert_eq!(shown[0].state, TestState::Ended);
        assert_eq!(shown[0].test_id, id(5).to_string());
    }

    #[test]
    fn a_summary_is_an_entry_with_two_more_fields() {
        let json = serde_json::to_value(listed(id(0), true)).unwrap_or_default();
        assert_eq!(json["complete"], true);
        assert_eq!(json["state"], "ended");
        assert_eq!(json["name"], serde_json::Value::Null);
        let back: Option<ResultSummary> = serde_json::from_value(json).ok();
        assert_eq!(back, Some(listed(id(0), true)));
    }
}
