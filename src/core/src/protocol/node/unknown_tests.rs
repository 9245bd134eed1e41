//! Running tests that adverts mention and whose announcement this node lacks. Any advertiser has it,
//! but may be unreachable, so several are asked.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::protocol::id::{Peer, TestId};
use crate::protocol::spec::MAX_LIVE_TESTS;
use crate::protocol::time::Time;

/// Time after which a node that did not answer may be asked again, and after which another one is
/// asked.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Most nodes asked about a test within that time: one of them is likely to be reachable, and a
/// large swarm is not flooded with requests.
const MAX_ASKED: usize = 3;

/// Nodes that were asked for announcements, by test.
#[derive(Debug, Default)]
pub(super) struct UnknownTests {
    asked: BTreeMap<TestId, BTreeMap<Peer, Time>>,
}

impl UnknownTests {
    /// Whether to ask this node about a test now; records it.
    pub(super) fn ask(&mut self, now: Time, test: TestId, peer: &Peer) -> bool {
        if self.asked.len() >= MAX_LIVE_TESTS && !self.asked.contains_key(&test) {
            return false;
        }
        let asked = self.asked.entry(test).or_default();
        let recent = |at: &Time| now.since(*at) < ASK_AGAIN_AFTER;
        let waiting = asked.values().filter(|at| recent(at)).count();
        if waiting >= MAX_ASKED || asked.get(peer).is_some_and(recent) {
            return false;
        }
        if asked.len() >= MAX_ASKED * 2 {
            asked.retain(|_, at| recent(at));
        }
        asked.insert(peer.clone(), now);
        true
    }

    /// Time at which a test is due.
    pub(super) fn next_wake(&self) -> Time {
        let due = self.asked.values().map(due);
        due.min().unwrap_or(Time::MAX)
    }

    /// Tests whose last request has not been answered in time.
    pub(super) fn due(&self, now: Time) -> Vec<TestId> {
        let tests = self.asked.iter().filter(|(_, asked)| now >= due(asked));
        tests.map(|(test, _)| *test).collect()
    }

    /// The advertiser to ask next: one that was not asked, or the one that was asked first.
    pub(super) fn next_peer<'a>(
        &self,
        test: TestId,
        advertisers: impl Iterator<Item = &'a Peer>,
    ) -> Option<&'a Peer> {
        let asked = self.asked.get(&test);
        advertisers.min_by_key(|peer| asked.and_then(|a| a.get(*peer)).copied())
    }

    /// The announcement has arrived, or no node advertises the test any more.
    pub(super) fn forget(&mut self, test: TestId) {
        self.asked.remove(&test);
    }
}

fn due(asked: &BTreeMap<Peer, Time>) -> Time {
    let last = asked.values().max();
    last.map_or(Time::MAX, |at| *at + ASK_AGAIN_AFTER)
}
