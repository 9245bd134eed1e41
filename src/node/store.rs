//! Results on disk: of each test its result and what it was like over time, both JSON, bounded
//! in number and size; the oldest go.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::protocol::TestId;
use crate::report::{TestResult, Timeline};

/// Most results kept. A result is 10 to 100 KB.
const MAX_RESULTS: usize = 200;
/// A larger file is no result of ours.
const MAX_RESULT_BYTES: u64 = 16 << 20;

/// Most bytes of all timelines together. One of a short test has some 100 KB, one of a long and
/// busy one 8 MB.
const MAX_TIMELINES_BYTES: u64 = 512 << 20;
/// A larger file is no timeline of ours.
const MAX_TIMELINE_BYTES: u64 = 64 << 20;

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

    /// There is a directory.
    pub fn is_on_disk(&self) -> bool {
        self.dir.is_some()
    }

    /// Keeps a result, replacing an earlier one of the same test, and its timeline. Returns the tests whose
    /// results had to go for it (with nowhere to keep any, this one).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(
        &self,
        id: TestId,
        result: &TestResult,
        timeline: Option<&Timeline>,
    ) -> io::Result<Vec<TestId>> {
        let Some(dir) = &self.dir else {
            return Ok(vec![id]);
        };
        if let Some(timeline) = timeline {
            write(dir, &timeline_file(id), &serde_json::to_vec(timeline)?)?;
        }
        write(dir, &format!("{id}.json"), &serde_json::to_vec(result)?)?;
        let ids = self.ids();
        let surplus = ids.len().saturating_sub(MAX_RESULTS);
        let gone = ids[..surplus].to_vec();
        for old in &gone {
            fs::remove_file(dir.join(format!("{old}.json")))?;
            remove_if_there(&dir.join(timeline_file(*old)))?;
        }
        self.bound_timelines(dir)?;
        Ok(gone)
    }

    /// Removes the oldest timelines until the rest has room.
    fn bound_timelines(&self, dir: &Path) -> io::Result<()> {
        let mut room = MAX_TIMELINES_BYTES;
        for id in self.ids().into_iter().rev() {
            let path = dir.join(timeline_file(id));
            let bytes = fs::metadata(&path).map_or(0, |m| m.len());
            match room.checked_sub(bytes) {
                Some(rest) => room = rest,
                None => remove_if_there(&path)?,
            }
        }
        Ok(())
    }

    /// What a test was like over time, with histograms; `None` if that is not here, or cannot
    /// be read.
    pub fn timeline(&self, id: TestId) -> Option<Timeline> {
        let path = self.dir.as_ref()?.join(timeline_file(id));
        read(&path, MAX_TIMELINE_BYTES)
    }

    /// A stored result; `None` if there is none, or it cannot be read.
    pub fn get(&self, id: TestId) -> Option<Arc<TestResult>> {
        let path = self.dir.as_ref()?.join(format!("{id}.json"));
        read(&path, MAX_RESULT_BYTES).map(Arc::new)
    }
}

fn timeline_file(id: TestId) -> String {
    format!("{id}.timeline.json")
}

/// A file is there as a whole or not at all, also after a crash.
fn write(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.new"));
    let mut file = fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(name))
}

fn read<T: DeserializeOwned>(path: &Path, most: u64) -> Option<T> {
    if fs::metadata(path).ok()?.len() > most {
        return None;
    }
    let read = serde_json::from_slice(&fs::read(path).ok()?);
    read.inspect_err(|e| tracing::warn!("cannot read {}: {e}", path.display()))
        .ok()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
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
            let timeline = Timeline::default();
            let gone = store.put(id, &result, Some(&timeline)).unwrap();
            assert!(gone.is_empty());
        }
        let (id, last) = result(MAX_RESULTS as u8);
        assert_eq!(store.put(id, &last, None).unwrap(), [TestId([0; 16])]);
        assert_eq!(store.ids().len(), MAX_RESULTS);
        assert_eq!(*store.get(id).unwrap(), last);
        assert!(store.get(TestId([0; 16])).is_none());
        let timelines = |i: u8| store.timeline(TestId([i; 16])).is_some();
        assert!(timelines(1) && !timelines(0) && !timelines(MAX_RESULTS as u8));
    }

    #[test]
    fn a_damaged_file_is_no_result_and_a_store_of_nothing_keeps_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Some(dir.path().to_owned())).unwrap();
        let (id, kept) = result(1);
        store.put(id, &kept, None).unwrap();
        fs::write(dir.path().join(format!("{id}.json")), "{").unwrap();
        assert!(store.get(id).is_none());
        let nowhere = Store::open(None).unwrap();
        assert_eq!(nowhere.put(id, &kept, None).unwrap(), [id]);
        assert!(nowhere.get(id).is_none() && nowhere.ids().is_empty());
    }
}
