//! What a test looks like from outside.

use super::*;

impl Test {
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
    pub fn phase(&self) -> Phase {
        match &self.coordinator {
            _ if self.ended.is_some() => Phase::Ended,
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
    pub fn reigns(&self) -> &[Reign] {
        &self.reigns
    }

    /// What happened, as this node knows it.
    pub fn events(&self) -> Vec<TestEvent> {
        match (&self.ended, &self.coordinator) {
            (Some(ended), _) if !self.concluded => ended.events.clone(),
            (_, Some(coordinator)) => coordinator.events(),
            _ => self.events.clone(),
        }
    }

    /// When a worker was lost, after the start of the profile: as the end tells, or before it
    /// as the events do, so far as they are known here.
    pub fn lost_at(&self, worker: &NodeId) -> Option<Duration> {
        if let Some(ended) = &self.ended {
            let told = ended.roster.iter().find(|e| e.worker == *worker);
            return told.and_then(|e| e.lost_at);
        }
        let workers = || self.merge.workers().iter();
        if workers().any(|(n, m)| n == worker && m.is_final) {
            return None;
        }
        let newer = |n: &NodeId| n.peer == worker.peer && n.incarnation > worker.incarnation;
        let restarted = workers().any(|(n, _)| newer(n));
        let events = self.events();
        let about = events.iter().filter(|e| match e.kind.as_str() {
            _ if e.peer.as_ref() != Some(&worker.peer) => false,
            "registered" | "joined" | "returned" => !restarted,
            "lost" => true,
            _ => false,
        });
        // What is told may arrive in another order.
        let newest = about.max_by_key(|e| e.at_ms)?;
        let at_ms = u64::try_from(newest.at_ms).unwrap_or(0);
        (newest.kind == "lost").then(|| Duration::from_millis(at_ms))
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
