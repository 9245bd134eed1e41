//! All shares of a test at one moment, as a numbered list that every worker can check.

use std::sync::Arc;

use super::id::{Digest, NodeId, TestId};
use super::signature::{Keys, Signature, Statement};
use crate::{Interval, Slots};

/// All shares of a test at one moment, as numbered by a coordinator. Two workers never have a slot in
/// common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allocation {
    /// Test id.
    pub test: TestId,
    /// Term of the coordinator.
    pub term: u64,
    /// Number; rises within a term.
    pub number: u64,
    /// The coordinator.
    pub coordinator: NodeId,
    /// Every worker that may act on slots, sorted.
    pub entries: Vec<AllocationEntry>,
    /// Signature of the coordinator.
    pub signature: Signature,
}

/// A worker in an allocation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AllocationEntry {
    /// Node and incarnation.
    pub worker: NodeId,
    /// All slots that it may act on: its share, slots that it is releasing, and those of a share
    /// whose lease has not certainly expired.
    pub slots: Slots,
}

/// Name of an allocation, by which its list is fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AllocationName {
    /// Number of the allocation.
    pub number: u64,
    /// SHA-256 of its list.
    pub digest: Digest,
}

/// Why a worker does not act on an allocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AllocationError {
    /// The entries are not sorted by worker, or one worker has several.
    #[error("its workers are not in order")]
    Unsorted,
    /// A slot does not exist.
    #[error("it contains slots beyond the whole load")]
    BeyondWhole,
    /// Two workers have a slot in common.
    #[error("two workers have the same slot")]
    Overlap,
}

impl Allocation {
    /// Its name.
    pub fn name(&self) -> AllocationName {
        AllocationName {
            number: self.number,
            digest: self.digest(),
        }
    }

    /// What the coordinator signs.
    fn statement(&self) -> Statement {
        Statement::about("allocation", self.test)
            .number(self.term)
            .number(self.number)
            .digest(self.digest())
    }

    /// Signs it with the coordinator's keys.
    pub fn sign(&mut self, keys: &dyn Keys) {
        self.signature = keys.sign(&self.statement());
    }

    /// Whether its coordinator signed it.
    pub fn is_signed(&self, keys: &dyn Keys) -> bool {
        keys.is_signed(&self.statement(), &self.coordinator.peer, &self.signature)
    }

    /// SHA-256 over all fields but the signature in a fixed form.
    pub fn digest(&self) -> Digest {
        let mut bytes = b"vajra allocation 1\0".to_vec();
        let mut number = |n: u64| bytes.extend(n.to_be_bytes());
        number(self.term);
        number(self.number);
        number(self.entries.len() as u64);
        bytes.extend(self.test.0);
        let nodes = [&self.coordinator].into_iter();
        for node in nodes.chain(self.entries.iter().map(|e| &e.worker)) {
            let peer = node.peer.as_bytes();
            bytes.extend((peer.len() as u64).to_be_bytes());
            bytes.extend(peer);
            bytes.extend(node.incarnation.0.to_be_bytes());
        }
        for entry in &self.entries {
            bytes.extend((entry.slots.intervals().len() as u64).to_be_bytes());
            for i in entry.slots.intervals() {
                bytes.extend(i.from.to_be_bytes());
                bytes.extend(i.to.to_be_bytes());
            }
        }
        Digest::of(&bytes)
    }

    /// Checks that no slot is granted twice.
    ///
    /// # Errors
    /// See [`AllocationError`].
    pub fn check(&self) -> Result<(), AllocationError> {
        if !self.entries.is_sorted_by(|a, b| a.worker < b.worker) {
            return Err(AllocationError::Unsorted);
        }
        if !self.entries.iter().all(|e| e.slots.within_whole()) {
            return Err(AllocationError::BeyondWhole);
        }
        let intervals = self.entries.iter().flat_map(|e| e.slots.intervals());
        let mut intervals: Vec<&Interval<u32>> = intervals.collect();
        intervals.sort_unstable();
        match intervals.windows(2).all(|w| w[0].to <= w[1].from) {
            true => Ok(()),
            false => Err(AllocationError::Overlap),
        }
    }

    /// All slots that a worker may act on.
    pub fn slots(&self, worker: &NodeId) -> Option<&Slots> {
        let found = self.entries.binary_search_by(|e| e.worker.cmp(worker));
        found.ok().map(|i| &self.entries[i].slots)
    }
}

/// The newest allocations of a coordinator, for workers that fetch them.
#[derive(Debug, Default)]
pub struct Allocations {
    newest: Vec<(AllocationName, Arc<Allocation>)>,
}

/// A worker fetches an allocation at once, so few are needed.
const KEPT: usize = 4;

impl Allocations {
    /// Adds a new allocation and returns its name.
    pub fn add(&mut self, allocation: Allocation) -> AllocationName {
        let name = allocation.name();
        if self.newest.len() == KEPT {
            self.newest.remove(0);
        }
        self.newest.push((name, Arc::new(allocation)));
        name
    }

    /// The newest one.
    pub fn newest(&self) -> Option<&(AllocationName, Arc<Allocation>)> {
        self.newest.last()
    }

    /// The one with this digest.
    pub fn find(&self, digest: Digest) -> Option<&Arc<Allocation>> {
        let found = self.newest.iter().find(|(name, _)| name.digest == digest);
        found.map(|(_, list)| list)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fakes::node;
    use super::*;

    fn allocation(shares: &[(u32, (u32, u32))]) -> Allocation {
        let entries = shares.iter().map(|(i, (from, to))| AllocationEntry {
            worker: node(*i),
            slots: Slots::range(*from, *to),
        });
        Allocation {
            test: TestId([1; 16]),
            term: 3,
            number: 7,
            coordinator: node(9),
            entries: entries.collect(),
            signature: Signature([0; 64]),
        }
    }

    #[test]
    fn no_slot_may_be_granted_twice() {
        let check = |shares: &[_]| allocation(shares).check();
        assert_eq!(check(&[(0, (0, 500)), (1, (500, 1_000_000))]), Ok(()));
        let overlap = check(&[(0, (0, 501)), (1, (500, 1_000_000))]);
        assert_eq!(overlap, Err(AllocationError::Overlap));
        let beyond = check(&[(0, (0, 1_000_001))]);
        assert_eq!(beyond, Err(AllocationError::BeyondWhole));
        let twice = check(&[(0, (0, 5)), (0, (5, 10))]);
        assert_eq!(twice, Err(AllocationError::Unsorted));
    }

    #[test]
    fn every_field_is_in_the_digest() {
        let base = allocation(&[(0, (0, 500)), (1, (500, 900))]);
        let mut others = vec![allocation(&[(0, (0, 501)), (1, (501, 900))])];
        for change in [
            |a: &mut Allocation| a.test = TestId([2; 16]),
            |a: &mut Allocation| a.term += 1,
            |a: &mut Allocation| a.number += 1,
            |a: &mut Allocation| a.coordinator = node(8),
            |a: &mut Allocation| a.entries[0].worker.incarnation.0 += 1,
        ] {
            let mut other = base.clone();
            change(&mut other);
            others.push(other);
        }
        for other in others {
            assert_ne!(other.digest(), base.digest(), "{other:?}");
        }
        assert_eq!(base.clone().digest(), base.digest());
    }
}
