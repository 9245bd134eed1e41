//! Which snapshots count: those of workers that a coordinator has granted a share. Snapshots that
//! arrive before the list of their allocation are kept aside, within limits.

use super::super::allocation::{Allocation, AllocationName};
use super::super::certificate::Certificate;
use super::super::id::Digest;
use super::*;

impl TestRun {
    /// Merges a snapshot, or pieces of one, whose worker is authenticated. Returns whether anything
    /// was new.
    pub fn snapshot(&mut self, now: Time, snapshot: &Snapshot, fx: &mut Effects) -> bool {
        if !self.granted.workers.contains(&snapshot.worker) && !planted(Bug::AnyoneCounts) {
            let kept = self.granted.keep_aside(snapshot);
            self.fetch_list(now, fx);
            return kept;
        }
        let changed = self.merge.take(snapshot);
        if changed {
            self.merged(now, &snapshot.worker, fx);
        }
        changed
    }

    /// New metrics of a worker are in the merge.
    fn merged(&mut self, now: Time, worker: &NodeId, fx: &mut Effects) {
        self.report_snapshot(worker);
        self.amend_end(now, worker);
        self.check_complete(now, fx);
    }

    /// Tells the coordinator of this node which snapshot of a worker has arrived completely.
    pub(super) fn report_snapshot(&mut self, worker: &NodeId) {
        if let Some(coordinator) = &mut self.coordinator
            && let Some(m) = self.merge.workers().get(worker)
            && m.is_complete()
        {
            coordinator.snapshot_received(worker, m.number, m.is_final);
        }
    }

    /// Whether a snapshot, or a newer one, has arrived completely.
    pub(super) fn has_snapshot(&self, worker: &NodeId, number: u64) -> bool {
        self.merge.has(worker, number) || self.granted.aside.has(worker, number)
    }

    /// A certified coordinator has named these workers: they count from now on.
    pub(super) fn grant<'a>(
        &mut self,
        now: Time,
        workers: impl Iterator<Item = &'a NodeId>,
        fx: &mut Effects,
    ) {
        for worker in workers {
            if !self.granted.workers.insert(worker.clone()) {
                continue;
            }
            if let Some(metrics) = self.granted.aside.remove(worker) {
                self.merge.adopt(worker.clone(), metrics);
                self.merged(now, worker, fx);
            }
        }
    }

    /// The list of an allocation arrived, from its coordinator or from a worker in it. It counts if a
    /// certified coordinator signed it.
    pub(super) fn list_arrived(
        &mut self,
        now: Time,
        list: &Arc<Allocation>,
        certificate: &Certificate,
        fx: &mut Effects,
    ) {
        let (term, coordinator) = (list.term, &list.coordinator);
        let certified = self.election.is_certified(term, coordinator, certificate);
        if list.test == self.announcement.test && certified && list.is_signed(&*self.keys) {
            self.see_list(now, list, fx);
        }
    }

    fn see_list(&mut self, now: Time, list: &Arc<Allocation>, fx: &mut Effects) {
        self.granted.seen = self.granted.seen.max(Some((list.term, list.number)));
        let newness = |l: &Arc<Allocation>| (l.term, l.number);
        if list.slots(&self.local.node).is_some()
            && self.granted.proof.as_ref().map(newness) < Some(newness(list))
        {
            self.granted.proof = Some(list.clone());
        }
        self.grant(now, list.entries.iter().map(|e| &e.worker), fx);
    }

    /// The list with this digest if this node is its coordinator, or one that names this node.
    pub(super) fn list(&self, digest: Option<Digest>) -> Reply {
        let list = match digest {
            Some(digest) => {
                let coordinator = self.coordinator.as_ref();
                coordinator.and_then(|c| c.allocations().find(digest))
            }
            None => self.granted.proof.as_ref(),
        };
        let certificate = list.and_then(|l| self.election.certificate_of(l.term));
        Reply::Allocation {
            test: self.announcement.test,
            list: list.filter(|_| certificate.is_some()).cloned(),
            certificate: certificate.cloned().unwrap_or_default(),
        }
    }

    /// This node is the coordinator: its own allocations need no message.
    pub(super) fn see_own_list(&mut self, now: Time, fx: &mut Effects) {
        let coordinator = self.coordinator.as_ref();
        let newest = coordinator.and_then(|c| c.allocations().newest());
        if let Some((_, list)) = newest
            && self.granted.seen < Some((list.term, list.number))
        {
            let list = list.clone();
            self.see_list(now, &list, fx);
        }
    }

    /// A beat named this allocation.
    pub(super) fn allocation_named(
        &mut self,
        now: Time,
        name: Option<AllocationName>,
        fx: &mut Effects,
    ) {
        self.granted.named = name.or(self.granted.named);
        self.fetch_list(now, fx);
    }

    /// Requests a list that may name a worker whose snapshots are aside: in turns the newest one from
    /// the coordinator, if that has not been seen, and one from the worker itself.
    pub(super) fn fetch_list(&mut self, now: Time, fx: &mut Effects) {
        let aside = self.granted.aside.workers();
        // Those of workers without load do not matter.
        let workers: Vec<&NodeId> = aside
            .iter()
            .filter(|(w, m)| m.had_load() && **w != self.local.node)
            .map(|(w, _)| w)
            .collect();
        if workers.is_empty() || now < self.granted.next_fetch {
            return;
        }
        let newest = self.granted.named.zip(self.election.leader());
        let unseen = newest.filter(|(name, (term, node))| {
            let of_coordinator = self.granted.asked.is_multiple_of(2);
            of_coordinator
                && *node != self.local.node
                && self.granted.seen < Some((*term, name.number))
        });
        let (peer, digest) = match unseen {
            Some((name, (_, coordinator))) => (coordinator.peer.clone(), Some(name.digest)),
            None => {
                let worker = workers[self.granted.asked / 2 % workers.len()];
                (worker.peer.clone(), None)
            }
        };
        self.granted.asked += 1;
        self.granted.next_fetch = now + REPEAT;
        let request = Request::FetchAllocation {
            test: self.announcement.test,
            digest,
        };
        fx.send(&self.local.node, &peer, request);
    }
}
