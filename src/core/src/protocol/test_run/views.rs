//! Read access to a test.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::event_kind::EventKind;
use super::*;

impl TestRun {
    /// Announcement.
    pub fn announcement(&self) -> &Announcement {
        &self.announcement
    }

    /// Test id.
    pub fn id(&self) -> TestId {
        self.announcement.test
    }

    /// The plan's bytes, once they have arrived.
    pub fn plan(&self) -> Option<&Arc<[u8]>> {
        self.plan.bytes.as_ref()
    }

    /// Specification of the plan, once it has been inspected.
    pub fn spec(&self) -> Option<&TestSpec> {
        self.spec.as_ref()
    }

    /// State of the test.
    pub fn state(&self) -> TestState {
        match &self.coordinator {
            _ if self.end.ended.is_some() => TestState::Ended,
            Some(c) => c.state().max(self.observed.state),
            None => self.observed.state,
        }
    }

    /// Start of the profile on this node's clock: the best known value.
    pub fn start(&self) -> Option<Time> {
        let worker = self.worker.as_ref().and_then(Worker::start);
        let coordinator = self.coordinator.as_ref().and_then(Coordinator::start);
        worker
            .or(coordinator)
            .or(self.election.replicated().start.map(|(_, at)| at))
    }

    /// The merged metrics.
    pub fn merge(&self) -> &Merge {
        &self.merge
    }

    /// End of the test, once it is known.
    pub fn ended(&self) -> Option<&Ended> {
        self.end.ended.as_ref()
    }

    /// Time at which the end became known.
    pub fn ended_at(&self) -> Option<Time> {
        self.end.ended.as_ref().map(|_| self.end.at)
    }

    /// Whether all final snapshots of the result are on this node.
    pub fn complete(&self) -> bool {
        self.end.complete
    }

    /// Tenures of all coordinators.
    pub fn tenures(&self) -> &[Tenure] {
        &self.observed.tenures
    }

    /// Events known on this node.
    pub fn events(&self) -> Cow<'_, [TestEvent]> {
        match (&self.end.ended, &self.coordinator) {
            (Some(ended), _) if !self.end.concluded => ended.events.as_slice().into(),
            (_, Some(coordinator)) => coordinator.events().into(),
            _ => self.observed.events.as_slice().into(),
        }
    }

    /// Lost workers, and the times of their losses since the start of the profile: from the end
    /// message, or before the end from the known events.
    pub fn lost(&self) -> BTreeMap<NodeId, Duration> {
        if let Some(ended) = &self.end.ended {
            let lost = ended.roster.iter();
            let lost = lost.filter_map(|e| Some((e.worker.clone(), e.lost_at?)));
            return lost.collect();
        }
        let events = self.events();
        let mut newest: BTreeMap<&NodeId, &TestEvent> = BTreeMap::new();
        for event in events.iter() {
            let changes_presence = [
                EventKind::Lost,
                EventKind::Joined,
                EventKind::Rejoined,
                EventKind::Registered,
            ];
            let Some(node) = &event.node else {
                continue;
            };
            if changes_presence.contains(&event.kind) {
                // Events may arrive in another order.
                let known = newest.entry(node).or_insert(event);
                if event.at_ms >= known.at_ms {
                    *known = event;
                }
            }
        }
        let workers = self.merge.workers();
        let delivered = |node: &NodeId| workers.get(node).is_some_and(|m| m.is_final);
        let lost = newest.into_iter();
        let lost = lost.filter(|(node, e)| e.kind == EventKind::Lost && !delivered(node));
        lost.map(|(node, e)| {
            let at_ms = u64::try_from(e.at_ms).unwrap_or(0);
            (node.clone(), Duration::from_millis(at_ms))
        })
        .collect()
    }

    /// This node's worker.
    pub fn worker(&self) -> Option<&Worker> {
        self.worker.as_ref()
    }

    /// The coordinator, if that is this node.
    pub fn coordinator(&self) -> Option<&Coordinator> {
        self.coordinator.as_ref()
    }

    /// The election.
    pub fn election(&self) -> &Election {
        &self.election
    }

    /// Time at which the announcement arrived.
    pub fn announced_at(&self) -> Time {
        self.announced_at
    }
}
