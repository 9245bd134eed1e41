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

    /// Keeps a result, replacing an earlier one of the same test. Returns the tests whose
    /// results had to go for it (with nowhere to keep any, this one).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, id: TestId, result: &TestResult) -> io::Result<Vec<TestId>> {
        let Some(dir) = &self.dir else {
            return Ok(vec![id]);
        };
        let temporary = dir.join(format!("{id}.new"));
        let mut file = fs::File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(result)?)?;
        file.sync_all()?;
        fs::rename(&temporary, dir.join(format!("{id}.json")))?;
        let ids = self.ids();
        let surplus = ids.len().saturating_sub(MAX_RESULTS);
        let gone = ids[..surplus].to_vec();
        for old in &gone {
            fs::remove_file(dir.join(format!("{old}.json")))?;
        }
        Ok(gone)
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn result(i: u8) -> (TestId, TestResult) {
        let id = TestId([i; 16]);
        let mut result: TestResult =
            serde_json::from_str(include_str!("../report/tests/empty_result.json")).unwrap();
        result.test_id = id.to_string();
        (id, result)
    }

    #[test]
    fn a_result_reads_back_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Some(dir.path().to_owned())).unwrap();
        for i in 0..MAX_RESULTS as u8 {
            let (id, result) = result(i);
            assert!(store.put(id, &result).unwrap().is_empty());
        }
        let (id, last) = result(MAX_RESULTS as u8);
        assert_eq!(store.put(id, &last).unwrap(), [TestId([0; 16])]);
        assert_eq!(store.ids().len(), MAX_RESULTS);
        assert_eq!(*store.get(id).unwrap(), last);
        assert!(store.get(TestId([0; 16])).is_none());
    }

    #[test]
    fn a_damaged_file_is_no_result_and_a_store_of_nothing_keeps_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Some(dir.path().to_owned())).unwrap();
        let (id, kept) = result(1);
        store.put(id, &kept).unwrap();
        fs::write(dir.path().join(format!("{id}.json")), "{").unwrap();
        assert!(store.get(id).is_none());
        let nowhere = Store::open(None).unwrap();
        assert_eq!(nowhere.put(id, &kept).unwrap(), [id]);
        assert!(nowhere.get(id).is_none() && nowhere.ids().is_empty());
    }
}
