//! What a test looks like from outside.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::*;

impl TestRun {
    /// The announcement.
    pub fn announcement(&self) -> &Announcement {
        &self.announcement
    }

    /// Its id.
    pub fn id(&self) -> TestId {
        self.announcement.test
    }

    /// The plan's bytes, once they are here.
    pub fn plan(&self) -> Option<&Arc<[u8]>> {
        self.plan.as_ref()
    }

    /// What the protocol knows of the plan, once it has been inspected.
    pub fn spec(&self) -> Option<&TestSpec> {
        self.spec.as_ref()
    }

    /// How far it is.
    pub fn phase(&self) -> TestState {
        match &self.coordinator {
            _ if self.ended.is_some() => TestState::Ended,
            Some(c) => c.phase().max(self.phase),
            None => self.phase,
        }
    }

    /// The start of the profile on this node's clock, as exactly as it is known here.
    pub fn start(&self) -> Option<Time> {
        let worker = self.worker.as_ref().and_then(Worker::start);
        let office = self.coordinator.as_ref().and_then(Coordinator::start);
        worker
            .or(office)
            .or(self.election.heard().start.map(|(_, at)| at))
    }

    /// The merged metrics.
    pub fn merge(&self) -> &Merge {
        &self.merge
    }

    /// The end, once it is known.
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// When the end was learned of.
    pub fn ended_at(&self) -> Option<Time> {
        self.ended.as_ref().map(|_| self.ended_at)
    }

    /// Every final snapshot that the result consists of is here.
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// The coordinators so far.
    pub fn reigns(&self) -> &[Tenure] {
        &self.reigns
    }

    /// What happened, as this node knows it.
    pub fn events(&self) -> Cow<'_, [TestEvent]> {
        match (&self.ended, &self.coordinator) {
            (Some(ended), _) if !self.concluded => ended.events.as_slice().into(),
            (_, Some(coordinator)) => coordinator.events().into(),
            _ => self.events.as_slice().into(),
        }
    }

    /// The workers that were lost, and when, after the start of the profile: as the end tells,
    /// or before it as the events do, so far as they are known here.
    pub fn lost(&self) -> BTreeMap<NodeId, Duration> {
        if let Some(ended) = &self.ended {
            let lost = ended.roster.iter();
            let lost = lost.filter_map(|e| Some((e.worker.clone(), e.lost_at?)));
            return lost.collect();
        }
        let events = self.events();
        let mut newest: BTreeMap<&NodeId, &TestEvent> = BTreeMap::new();
        for event in events.iter() {
            let comes_or_goes = ["lost", "joined", "returned", "registered"];
            let Some(node) = &event.node else {
                continue;
            };
            if comes_or_goes.contains(&event.kind.as_str()) {
                // What is told may arrive in another order.
                let known = newest.entry(node).or_insert(event);
                if event.at_ms >= known.at_ms {
                    *known = event;
                }
            }
        }
        let workers = self.merge.workers();
        let delivered = |node: &NodeId| workers.get(node).is_some_and(|m| m.is_final);
        let lost = newest.into_iter();
        let lost = lost.filter(|(node, e)| e.kind == "lost" && !delivered(node));
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

    /// The coordinator, if it is here.
    pub fn coordinator(&self) -> Option<&Coordinator> {
        self.coordinator.as_ref()
    }

    /// The election.
    pub fn election(&self) -> &Election {
        &self.election
    }

    /// When it was announced here.
    pub fn announced_at(&self) -> Time {
        self.announced_at
    }
}
