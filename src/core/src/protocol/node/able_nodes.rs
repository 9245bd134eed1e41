//! The nodes that could take part in a test, kept until the membership changes: during registration
//! the coordinator needs them at each input, and to collect them takes time in proportion to the swarm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::protocol::id::{NodeId, TestId};
use crate::protocol::membership::Membership;
use crate::protocol::messages::{Advert, Status};
use crate::protocol::test_run::TestRun;
use crate::protocol::time::Time;

/// Time after which the nodes are collected again without a change: one may have become silent.
const KEPT_FOR: Duration = Duration::from_millis(250);

/// The able nodes of each test that is registering.
#[derive(Debug, Default)]
pub(super) struct AbleNodes {
    tests: BTreeMap<TestId, Collected>,
    /// How often they were collected.
    #[cfg(test)]
    collections: usize,
}

#[derive(Debug)]
struct Collected {
    version: u64,
    at: Time,
    nodes: Arc<BTreeSet<NodeId>>,
}

impl AbleNodes {
    /// The live nodes whose adverts match a test.
    pub(super) fn of_test(
        &mut self,
        now: Time,
        members: &Membership,
        test: &TestRun,
    ) -> Arc<BTreeSet<NodeId>> {
        let Some(spec) = test.spec() else {
            return Arc::default();
        };
        let version = members.version();
        if let Some(known) = self.tests.get(&test.id())
            && known.version == version
            && now < known.at + KEPT_FOR
        {
            return known.nodes.clone();
        }
        let fits = |a: &Advert| {
            !matches!(a.status, Status::Draining | Status::Leaving)
                && spec.exclusion(&a.task_types, &a.labels).is_none()
        };
        let live = members.live(now).filter(|k| fits(&k.advert));
        let nodes: Arc<BTreeSet<_>> = Arc::new(live.map(|k| k.advert.node.clone()).collect());
        let at = now;
        let collected = Collected {
            version,
            at,
            nodes: nodes.clone(),
        };
        self.tests.insert(test.id(), collected);
        #[cfg(test)]
        {
            self.collections += 1;
        }
        nodes
    }

    /// Forgets all other tests.
    pub(super) fn retain<T>(&mut self, tests: &BTreeMap<TestId, T>) {
        self.tests.retain(|id, _| tests.contains_key(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::effects::Effects;
    use crate::protocol::fakes::{FakeKeys, advert, announcement, node, spec};
    use crate::protocol::spec::{LocalNode, Timings};
    use crate::protocol::test_run::{Origin, TestContext};

    const MS: i64 = 1_000_000;

    fn registering() -> TestRun {
        let local = LocalNode {
            node: node(1),
            name: "n1".into(),
            version: "0".into(),
            capacity: 10,
            task_types: vec!["SLEEP".into()],
            labels: BTreeMap::new(),
            environment: String::new(),
        };
        let announcement = announcement(node(1), 3, None);
        let mut fx = Effects::default();
        let context = TestContext {
            keys: Arc::new(FakeKeys::of(&local.node)),
            local: Arc::new(local),
            timings: Timings::lan(),
        };
        let mut test = TestRun::new(announcement, Origin::Announced, context, Time(0), &mut fx);
        test.inspected(Time(0), spec(Duration::from_secs(9)), None, &mut fx);
        test
    }

    #[test]
    fn they_are_collected_once_per_change_and_not_at_each_input() {
        let (mut able, mut members, test) =
            (AbleNodes::default(), Membership::default(), registering());
        for i in 0..1_000 {
            members.advert(Time(0), advert(i, 1));
        }
        for input in 0..1_000 {
            let at = Time(input * MS / 10);
            // An advert that repeats what is known.
            members.advert(at, advert((input % 7) as u32, input as u64 + 2));
            assert_eq!(able.of_test(at, &members, &test).len(), 1_000);
        }
        assert_eq!(able.collections, 1);
        members.disconnected(&node(5).peer);
        assert_eq!(able.of_test(Time(101 * MS), &members, &test).len(), 999);
        members.connected(&node(5).peer);
        assert_eq!(able.of_test(Time(102 * MS), &members, &test).len(), 1_000);
        // Silence counts as well: the adverts of these nodes are due every 2 s.
        assert_eq!(able.of_test(Time(9_000 * MS), &members, &test).len(), 0);
        assert_eq!(able.collections, 4);
    }
}
