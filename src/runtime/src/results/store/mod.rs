//! Results and timelines on disk. Without a directory, and for tests older than all in a full one,
//! the last few are kept in memory.
//!
//! | module | contents |
//! |---|---|
//! | `directory` | two JSON files per test |
//! | `memory` | the last few tests |
//! | `part` | the parts of a test |

mod directory;
mod memory;
mod part;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;

use self::directory::Directory;
pub use self::directory::{MAX_RESULTS, Version};
use self::memory::Memory;
pub use self::part::Part;
use vajra_core::protocol::TestId;
use vajra_core::sync::lock;
use vajra_results::{TestResult, Timeline};
use vajra_wire::limits::MAX_RECORD;

/// The results on disk or in memory. Clones share one store.
#[derive(Debug, Clone)]
pub struct Store {
    dir: Option<Directory>,
    memory: Arc<Mutex<Memory>>,
}

impl Store {
    /// Opens the store in a directory, which is created if absent; `None` keeps a few results in
    /// memory.
    ///
    /// # Errors
    /// The directory cannot be created.
    pub fn open(dir: Option<PathBuf>) -> io::Result<Store> {
        Ok(Store {
            dir: dir.map(Directory::open).transpose()?,
            memory: Arc::default(),
        })
    }

    /// Whether results are stored on disk.
    pub fn is_on_disk(&self) -> bool {
        self.dir.is_some()
    }

    /// The ids of all results, oldest first (ids sort by time). Excludes tests in memory that are too
    /// old for the directory.
    pub fn ids(&self) -> Vec<TestId> {
        let Some(dir) = &self.dir else {
            let mut ids: Vec<TestId> = lock(&self.memory).ids().collect();
            ids.sort();
            return ids;
        };
        dir.ids()
    }

    /// Stores a result and, if given, its timeline, replacing earlier ones of the same test. Returns
    /// the tests removed for it. A test older than all in a full directory is itself among them, and
    /// stays in memory for a while.
    ///
    /// # Errors
    /// It cannot be written. A new result then leaves nothing on disk.
    pub fn put(
        &self,
        id: TestId,
        result: &TestResult,
        timeline: Option<&Timeline>,
    ) -> io::Result<Vec<TestId>> {
        let result = serde_json::to_vec(result)?;
        let timeline = timeline.map(serde_json::to_vec).transpose()?;
        let Some(dir) = &self.dir else {
            return Ok(self.remember(id, result, timeline));
        };
        if dir.has_only_newer(id) {
            self.remember(id, result, timeline);
            return Ok(vec![id]);
        }
        dir.write(id, &result, timeline.as_deref())?;
        lock(&self.memory).remove(id);
        dir.enforce_limits()
    }

    /// Stores a result like [`put`](Self::put), or in memory for a while if it cannot be written,
    /// with a log line. Returns the tests removed for it.
    pub fn put_or_remember(
        &self,
        id: TestId,
        result: &TestResult,
        timeline: Option<&Timeline>,
        term: u64,
    ) -> Vec<TestId> {
        self.put(id, result, timeline).unwrap_or_else(|e| {
            tracing::warn!(test = %id, term, "cannot write the result to disk: {e}");
            self.put_in_memory(id, result, timeline)
        })
    }

    fn put_in_memory(
        &self,
        id: TestId,
        result: &TestResult,
        timeline: Option<&Timeline>,
    ) -> Vec<TestId> {
        let timeline = timeline.and_then(|t| serde_json::to_vec(t).ok());
        // Serialising plain data does not fail in practice.
        match serde_json::to_vec(result) {
            Ok(result) => self.remember(id, result, timeline),
            Err(_) => vec![id],
        }
    }

    /// Adds a test to those in memory; returns the tests removed for it.
    fn remember(&self, id: TestId, result: Vec<u8>, timeline: Option<Vec<u8>>) -> Vec<TestId> {
        let mut removed = lock(&self.memory).put(id, result, timeline);
        // An older result of the same test may be on disk.
        removed.retain(|id| !self.has(*id, Part::Result));
        removed
    }

    /// A stored result; `None` if it is absent or unreadable.
    pub fn get(&self, id: TestId) -> Option<Arc<TestResult>> {
        self.read(id, Part::Result).map(Arc::new)
    }

    /// A stored timeline with histograms; `None` if it is absent or unreadable.
    pub fn timeline(&self, id: TestId) -> Option<Timeline> {
        self.read(id, Part::Timeline)
    }

    fn read<T: DeserializeOwned>(&self, id: TestId, part: Part) -> Option<T> {
        let bytes = self.bytes(id, part)?;
        let parsed = serde_json::from_slice(&bytes).inspect_err(|e| {
            if let Some(dir) = &self.dir {
                dir.set_aside(id, part, e);
            }
        });
        parsed.ok()
    }

    /// Whether a part of a test is stored here.
    pub fn has(&self, id: TestId, part: Part) -> bool {
        let on_disk = self.dir.as_ref().is_some_and(|dir| dir.has(id, part));
        on_disk || self.in_memory(id, part).is_some()
    }

    /// The version of a part on disk, without reading it; `None` if it is absent, or a newer one is
    /// in memory.
    pub fn version(&self, id: TestId, part: Part) -> Option<Version> {
        let dir = self.dir.as_ref()?;
        match self.in_memory(id, part) {
            Some(_) => None,
            None => dir.version(id, part),
        }
    }

    /// Whether a part of a test can be served to other nodes: it is here, and within the size limit
    /// of a record.
    pub fn can_serve(&self, id: TestId, part: Part) -> bool {
        let bytes = match self.version(id, part) {
            Some(on_disk) => Some(on_disk.bytes),
            None => self.in_memory(id, part).map(|b| b.len() as u64),
        };
        bytes.is_some_and(|bytes| bytes <= MAX_RECORD)
    }

    /// A part of a test as stored: JSON. `None` if the file exceeds the size limit.
    pub fn bytes(&self, id: TestId, part: Part) -> Option<Arc<[u8]>> {
        // A copy in memory could not be written, so it is newer than the file.
        if let Some(bytes) = self.in_memory(id, part) {
            return Some(bytes);
        }
        self.dir.as_ref()?.read(id, part).map(Into::into)
    }

    fn in_memory(&self, id: TestId, part: Part) -> Option<Arc<[u8]>> {
        lock(&self.memory).get(id, part)
    }
}

#[cfg(test)]
mod tests;
