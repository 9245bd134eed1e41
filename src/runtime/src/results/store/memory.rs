//! The last few tests in memory, as JSON.

use std::collections::VecDeque;
use std::sync::Arc;

use super::part::Part;
use vajra_core::protocol::TestId;

/// Most results in memory, and their total size in bytes with timelines: enough for a node that
/// runs a few tests.
pub const MAX_IN_MEMORY: (usize, usize) = (20, 32 << 20);

/// The tests in memory, the last one stored last.
#[derive(Debug, Default)]
pub struct Memory(VecDeque<Remembered>);

#[derive(Debug)]
struct Remembered {
    id: TestId,
    result: Arc<[u8]>,
    timeline: Option<Arc<[u8]>>,
}

impl Remembered {
    fn bytes(&self) -> usize {
        self.result.len() + self.timeline.as_ref().map_or(0, |t| t.len())
    }
}

impl Memory {
    /// The ids of all tests, in the order of their storage.
    pub fn ids(&self) -> impl Iterator<Item = TestId> {
        self.0.iter().map(|r| r.id)
    }

    /// A part of a test.
    pub fn get(&self, id: TestId, part: Part) -> Option<Arc<[u8]>> {
        let found = self.0.iter().find(|r| r.id == id)?;
        match part {
            Part::Result => Some(found.result.clone()),
            Part::Timeline => found.timeline.clone(),
        }
    }

    /// Adds a test, replacing an earlier result of it; without a new timeline, an earlier one stays.
    /// Returns the tests removed for it.
    pub fn put(&mut self, id: TestId, result: Vec<u8>, timeline: Option<Vec<u8>>) -> Vec<TestId> {
        let known = self.0.iter().position(|r| r.id == id);
        let known = known.and_then(|at| self.0.remove(at));
        self.0.push_back(Remembered {
            id,
            result: result.into(),
            timeline: timeline.map(Into::into).or(known.and_then(|r| r.timeline)),
        });
        let (count, bytes) = MAX_IN_MEMORY;
        let mut removed = Vec::new();
        while self.0.len() > count || self.0.iter().map(Remembered::bytes).sum::<usize>() > bytes {
            // Not empty: the total size of nothing is 0.
            removed.extend(self.0.pop_front().map(|r| r.id));
        }
        removed
    }

    /// Removes a test.
    pub fn remove(&mut self, id: TestId) {
        self.0.retain(|r| r.id != id);
    }
}
