//! Which ended tests other nodes have results of. A node that joins late shows them too, and
//! fetches a result from whoever has it when somebody asks for it.
//!
//! Nodes tell each other only of results that they hold themselves, so what nobody holds any more
//! is forgotten everywhere. Nothing is fetched unasked, and no node can fill the list of another
//! alone: whoever told most gives way first, with its oldest tests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::store::MAX_RESULTS;
use vajra_core::protocol::messages::TestState;
use vajra_core::protocol::{Peer, TestId};
use vajra_results::{TestEntry, TestResult};
use vajra_wire::limits::MAX_PLAN_NAME;

/// Most tests of others that are known: as many as a store keeps.
const MAX_OTHERS: usize = MAX_RESULTS;
/// Most holders that are remembered of a test: one is enough, the rest are for when it is gone.
const MAX_HOLDERS: usize = 8;
/// A test that seems to begin later than this in the future has a made-up id, and would be in
/// the way of real ones. Wall clocks differ by less.
const MAX_AHEAD_MS: u64 = 5 * 60 * 1000;
/// Longest of the texts of an entry that are not its name: a word, or a time.
const MAX_ENTRY_WORD: usize = 64;
/// How long a test that was looked for in vain is not looked for again, and how many such are
/// remembered: whoever makes ids up is answered as before when there are more.
const IN_VAIN_FOR: Duration = Duration::from_secs(10);
const MAX_IN_VAIN: usize = 256;
/// What a test weighs, shared evenly by its holders: every number of them divides it.
const WEIGHT: u32 = 840;
const _: () = assert!(MAX_HOLDERS == 8 && WEIGHT.is_multiple_of(8 * 7 * 5 * 3));

/// An ended test in the list that nodes give each other.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ResultSummary {
    /// As in every list.
    #[serde(flatten)]
    pub entry: TestEntry,
    /// Its result is complete.
    pub complete: bool,
    /// Its timeline is there, too.
    #[serde(default)]
    pub timeline: bool,
}

impl ResultSummary {
    /// The entry of a result; whether there is a timeline is for others to add.
    pub fn of(result: &TestResult) -> ResultSummary {
        ResultSummary {
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

impl Known {
    /// What it weighs on each of its holders, of which there is always one.
    fn weight(&self) -> u32 {
        WEIGHT / (self.holders.len() as u32).max(1)
    }
}

/// The ended tests of other nodes.
#[derive(Debug, Default)]
pub struct Others {
    tests: BTreeMap<TestId, Known>,
}

impl Others {
    /// A node has told which results it holds, at this Unix time in milliseconds; what it told
    /// before is replaced.
    pub fn told(&mut self, peer: &Peer, tests: Vec<ResultSummary>, unix_ms: u64) {
        self.gone(peer);
        let latest = unix_ms.saturating_add(MAX_AHEAD_MS);
        for listed in tests.into_iter().take(MAX_RESULTS) {
            let id = listed.entry.test_id.parse::<TestId>();
            if let Ok(id) = id
                && began_ms(id) <= latest
                && is_bounded(&listed.entry)
            {
                self.learn(peer, id, listed);
            }
        }
        self.bound();
    }

    /// When there are too many tests, whoever told most gives up its oldest, and so on. What a
    /// node makes up takes no more room than its share, however new it seems; and tests that
    /// many nodes hold, which weigh little on each, outlast those that only one speaks of.
    fn bound(&mut self) {
        if self.tests.len() <= MAX_OTHERS {
            return;
        }
        let mut told: BTreeMap<Peer, u32> = BTreeMap::new();
        for known in self.tests.values() {
            for peer in known.holders.keys() {
                *told.entry(peer.clone()).or_default() += known.weight();
            }
        }
        while self.tests.len() > MAX_OTHERS {
            let most = told.iter().max_by_key(|(_, weight)| **weight);
            let Some(most) = most.map(|(peer, _)| peer.clone()) else {
                return;
            };
            let mut tests = self.tests.iter_mut();
            let Some((&id, known)) = tests.find(|(_, k)| k.holders.contains_key(&most)) else {
                told.remove(&most);
                continue;
            };
            let before = known.weight();
            known.holders.remove(&most);
            if let Some(weight) = told.get_mut(&most) {
                *weight = weight.saturating_sub(before);
            }
            if known.holders.is_empty() {
                self.tests.remove(&id);
                continue;
            }
            let more = known.weight() - before;
            for peer in known.holders.keys() {
                *told.entry(peer.clone()).or_default() += more;
            }
        }
    }

    fn learn(&mut self, peer: &Peer, id: TestId, listed: ResultSummary) {
        let holding = Holding {
            complete: listed.complete,
            timeline: listed.timeline,
        };
        let mut entry = listed.entry;
        // Whatever is told, only ended tests are in such a list, under their ids.
        entry.state = TestState::Ended;
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

    /// A node did not have the timeline that it had told of.
    pub fn lacks_timeline(&mut self, peer: &Peer, test: TestId) {
        let known = self.tests.get_mut(&test);
        if let Some(holding) = known.and_then(|k| k.holders.get_mut(peer)) {
            holding.timeline = false;
        }
    }

    /// Whether a node has told that it holds a result of a test.
    pub fn holds(&self, peer: &Peer, test: TestId) -> bool {
        let known = self.tests.get(&test);
        known.is_some_and(|k| k.holders.contains_key(peer))
    }

    /// Whether a node has told that it holds a complete result of a test.
    pub fn told_complete(&self, peer: &Peer, test: TestId) -> bool {
        let known = self.tests.get(&test);
        known.is_some_and(|k| k.holders.get(peer).is_some_and(|h| h.complete))
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

/// Tests that were looked for just now, and are nowhere. Whoever asks for one again is told so
/// at once, and nobody else is asked.
#[derive(Debug, Default)]
pub struct NegativeCache(VecDeque<(TestId, Instant)>);

impl NegativeCache {
    /// A test was looked for.
    pub fn looked(&mut self, test: TestId, now: Instant) {
        self.found(test);
        self.0.push_back((test, now));
        while self.0.len() > MAX_IN_VAIN {
            self.0.pop_front();
        }
    }

    /// It need not be looked for.
    pub fn has(&self, test: TestId, now: Instant) -> bool {
        let fresh = |at: Instant| now.saturating_duration_since(at) < IN_VAIN_FOR;
        self.0.iter().any(|(id, at)| *id == test && fresh(*at))
    }

    /// Somebody may have it now.
    pub fn found(&mut self, test: TestId) {
        self.0.retain(|(id, _)| *id != test);
    }
}

/// Whether an entry is no longer than one that a node writes.
fn is_bounded(entry: &TestEntry) -> bool {
    let started_at = entry.started_at.as_ref();
    entry.name.as_ref().is_none_or(|n| n.len() <= MAX_PLAN_NAME)
        && started_at.is_none_or(|t| t.len() <= MAX_ENTRY_WORD)
}

/// When the test of an id began: a UUIDv7 has Unix milliseconds in its first six bytes (RFC
/// 9562, section 5.7).
fn began_ms(id: TestId) -> u64 {
    id.0[..6].iter().fold(0, |ms, b| ms << 8 | u64::from(*b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vajra_results::Verdict;

    const NOW: u64 = 1_790_000_000_000;

    /// A test that began so many milliseconds after a fixed time.
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
        let shown = others.entries().next().map(|(_, e)| e.verdict);
        assert_eq!(shown, Some(Some(Verdict::Valid)));
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

    fn many(from: u64, count: u64) -> Vec<ResultSummary> {
        (from..from + count).map(|i| listed(id(i), true)).collect()
    }

    fn count_of(others: &Others, from: u64, count: u64) -> usize {
        let range = id(from)..id(from + count);
        others.tests.range(range).count()
    }

    #[test]
    fn a_node_without_rivals_fills_the_list_with_its_first_tests() {
        let mut others = Others::default();
        others.told(&peer(1), many(0, 10_000), NOW);
        assert_eq!(others.tests.len(), MAX_OTHERS);
        assert!(others.knows(id(199)) && !others.knows(id(200)));
    }

    #[test]
    fn when_there_are_too_many_tests_each_node_keeps_the_newest_of_its_share() {
        let mut others = Others::default();
        others.told(&peer(1), many(0, 150), NOW);
        others.told(&peer(2), many(1_000, 150), NOW);
        others.told(&peer(3), many(2_000, 10), NOW);
        assert_eq!(others.tests.len(), MAX_OTHERS);
        assert_eq!(count_of(&others, 55, 95), 95);
        assert_eq!(count_of(&others, 1_055, 95), 95);
        assert_eq!(count_of(&others, 2_000, 10), 10);
        // What was pushed out comes back with the next telling only if there is room.
        others.told(&peer(1), many(0, 150), NOW);
        assert_eq!(others.tests.len(), MAX_OTHERS);
        assert_eq!(count_of(&others, 1_055, 95), 95);
    }

    #[test]
    fn a_node_that_makes_tests_up_pushes_out_hardly_any_that_others_hold() {
        let mut others = Others::default();
        for i in 1..=5 {
            others.told(&peer(i), many(0, 200), NOW);
        }
        // It claims the oldest of theirs, too, so as to give those up.
        let mut made_up = many(0, 100);
        made_up.extend(many(200_000, 100));
        for _ in 0..3 {
            others.told(&peer(9), made_up.clone(), NOW);
            assert_eq!(others.tests.len(), MAX_OTHERS);
            assert!(count_of(&others, 0, 200) >= 160, "{:?}", others.tests.len());
            for i in 1..=5 {
                others.told(&peer(i), many(0, 200), NOW);
            }
        }
    }

    #[test]
    fn only_a_few_holders_are_known() {
        let mut others = Others::default();
        for i in 0..100 {
            others.told(&peer(i), vec![listed(id(2_000), true)], NOW);
        }
        assert_eq!(others.holders(id(2_000)).len(), MAX_HOLDERS);
    }

    #[test]
    fn a_node_without_the_timeline_may_still_have_the_result() {
        let mut others = Others::default();
        others.told(&peer(1), vec![listed(id(0), true)], NOW);
        assert!(others.told_complete(&peer(1), id(0)));
        assert!(!others.told_complete(&peer(2), id(0)) && !others.told_complete(&peer(1), id(1)));
        others.lacks_timeline(&peer(2), id(0));
        assert!(others.has_timeline(id(0)));
        others.lacks_timeline(&peer(1), id(0));
        assert!(!others.has_timeline(id(0)) && others.has_complete(id(0)));
    }

    #[test]
    fn a_test_looked_for_in_vain_is_not_looked_for_again_for_a_while() {
        let (mut vain, now) = (NegativeCache::default(), Instant::now());
        vain.looked(id(0), now);
        assert!(vain.has(id(0), now) && !vain.has(id(1), now));
        assert!(!vain.has(id(0), now + IN_VAIN_FOR));
        vain.looked(id(0), now + IN_VAIN_FOR);
        assert!(vain.has(id(0), now + IN_VAIN_FOR));
        vain.found(id(0));
        assert!(!vain.has(id(0), now));
        for i in 0..=MAX_IN_VAIN as u64 {
            vain.looked(id(i), now);
        }
        assert!(!vain.has(id(0), now) && vain.has(id(1), now));
    }

    #[test]
    fn an_entry_with_endless_texts_is_passed_over() {
        let mut others = Others::default();
        let with = |change: fn(&mut TestEntry)| {
            let mut long = listed(id(0), true);
            change(&mut long.entry);
            long
        };
        let long = [
            with(|e| e.name = Some("n".repeat(MAX_PLAN_NAME + 1))),
            with(|e| e.started_at = Some("t".repeat(MAX_ENTRY_WORD + 1))),
        ];
        others.told(&peer(1), long.into(), NOW);
        assert!(!others.knows(id(0)));
    }

    #[test]
    fn ids_that_are_none_or_from_the_future_are_passed_over() {
        let mut others = Others::default();
        let mut strange = listed(id(0), true);
        strange.entry.test_id = "latest".into();
        let future = listed(id(MAX_AHEAD_MS + 1), true);
        let ahead = listed(id(MAX_AHEAD_MS), true);
        let mut running = listed(id(5), true);
        running.entry.state = TestState::Running;
        running.entry.test_id = running.entry.test_id.replace('-', "").to_uppercase();
        others.told(&peer(1), vec![strange, future, ahead, running], NOW);
        assert_eq!(ids(&others), [id(5), id(MAX_AHEAD_MS)]);
        let shown: Vec<&TestEntry> = others.entries().map(|(_, e)| e).collect();
        assert_eq!(shown[0].state, TestState::Ended);
        assert_eq!(shown[0].test_id, id(5).to_string());
    }

    #[test]
    fn a_listed_test_is_an_entry_with_two_words_more() {
        let json = serde_json::to_value(listed(id(0), true)).unwrap_or_default();
        assert_eq!(json["complete"], true);
        assert_eq!(json["state"], "ended");
        assert_eq!(json["name"], serde_json::Value::Null);
        let back: Option<ResultSummary> = serde_json::from_value(json).ok();
        assert_eq!(back, Some(listed(id(0), true)));
    }
}
