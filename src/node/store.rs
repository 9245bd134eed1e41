//! Results on disk: one JSON file a test, bounded in number and size; the oldest go.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use crate::protocol::TestId;
use crate::report::TestResult;

/// Most results kept. A result is 10 to 100 KB.
const MAX_RESULTS: usize = 200;
/// A larger file is no result of ours.
const MAX_RESULT_BYTES: u64 = 16 << 20;

/// The directory of results, or nowhere (for a node that lives for one test).
#[derive(Debug, Clone)]
pub struct Store {
    dir: Option<PathBuf>,
}

impl Store {
    /// Results in this directory, which is made if need be; `None` keeps nothing.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(dir: Option<PathBuf>) -> io::Result<Store> {
        if let Some(dir) = &dir {
            fs::create_dir_all(dir)?;
        }
        Ok(Store { dir })
    }

    /// Every stored result's id, oldest first (ids sort by time).
    pub fn ids(&self) -> Vec<TestId> {
        let Some(dir) = &self.dir else {
            return Vec::new();
        };
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut ids: Vec<TestId> = entries
            .filter_map(|e| e.file_name().to_str()?.strip_suffix(".json")?.parse().ok())
            .collect();
        ids.sort();
        ids
    }

    /// Keeps a result, replacing an earlier one of the same test.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, id: TestId, result: &TestResult) -> io::Result<()> {
        let Some(dir) = &self.dir else {
            return Ok(());
        };
        let temporary = dir.join(format!("{id}.new"));
        let mut file = fs::File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(result)?)?;
        file.sync_all()?;
        fs::rename(&temporary, dir.join(format!("{id}.json")))?;
        let ids = self.ids();
        for old in ids.iter().take(ids.len().saturating_sub(MAX_RESULTS)) {
            fs::remove_file(dir.join(format!("{old}.json")))?;
        }
        Ok(())
    }

    /// A stored result; `None` if there is none, or it cannot be read.
    pub fn get(&self, id: TestId) -> Option<Arc<TestResult>> {
        let path = self.dir.as_ref()?.join(format!("{id}.json"));
        if fs::metadata(&path).ok()?.len() > MAX_RESULT_BYTES {
            return None;
        }
        let result = serde_json::from_slice(&fs::read(&path).ok()?);
        result
            .inspect_err(|e| tracing::warn!("cannot read {}: {e}", path.display()))
            .ok()
            .map(Arc::new)
    }
}
