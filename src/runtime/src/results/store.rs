//! Results and timelines on disk: two JSON files per test, limited in number and size; the oldest
//! tests are removed. Without a directory, and for tests older than all in a full one, the last few
//! are kept in memory.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::de::DeserializeOwned;

use vajra_core::protocol::TestId;
use vajra_results::{TestResult, Timeline};
use vajra_wire::limits::MAX_RECORD;

/// Most results in a directory. A result has 10 to 100 KB.
pub const MAX_RESULTS: usize = 200;
/// Total size of all timelines in bytes. The timeline of a short test has about 100 KB, that of a
/// long test with many nodes 8 MB.
const MAX_TIMELINES_BYTES: u64 = 512 << 20;
/// Largest timeline that is read, in bytes. One larger than a record is not served to other nodes.
const MAX_TIMELINE_BYTES: u64 = 64 << 20;
/// File name extension of unreadable files.
const DAMAGED: &str = "json.damaged";
/// Most unreadable files that are kept.
const MAX_DAMAGED: usize = 8;
/// Most results in memory, and their total size in bytes with timelines: enough for a node that
/// runs a few tests.
const MAX_IN_MEMORY: (usize, usize) = (20, 32 << 20);

/// The results on disk or in memory. Clones share one store.
#[derive(Debug, Clone)]
pub struct Store {
    dir: Option<PathBuf>,
    memory: Arc<Mutex<VecDeque<Remembered>>>,
}

/// A test in memory, as JSON.
#[derive(Debug, Clone)]
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

/// A stored part of a test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The result.
    Result,
    /// The test over time.
    Timeline,
}

/// Identifies the content of a file: a change alters one of the fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version {
    /// Length in bytes.
    pub bytes: u64,
    /// Time of the last write, if the file system records it.
    pub written: Option<SystemTime>,
}

impl Store {
    /// Opens the store in a directory, which is created if absent; `None` keeps a few results in
    /// memory.
    ///
    /// # Errors
    /// The directory cannot be created.
    pub fn open(dir: Option<PathBuf>) -> io::Result<Store> {
        if let Some(dir) = &dir {
            fs::create_dir_all(dir)?;
        }
        let memory = Arc::default();
        let store = Store { dir, memory };
        store.sweep();
        Ok(store)
    }

    /// Removes the remains of interrupted writes: temporary files, and timelines without results,
    /// which nothing else would ever remove.
    fn sweep(&self) {
        let Some(dir) = &self.dir else {
            return;
        };
        let results: BTreeSet<TestId> = self.ids().into_iter().collect();
        let is_remainder = |name: &str| match name.strip_suffix(".new") {
            Some(stem) => id_of(stem.strip_suffix(".timeline").unwrap_or(stem)).is_some(),
            None => name
                .strip_suffix(".timeline.json")
                .and_then(id_of)
                .is_some_and(|id| !results.contains(&id)),
        };
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(is_remainder)
                && let Err(e) = remove_if_there(&entry.path())
            {
                tracing::warn!("cannot remove {}: {e}", entry.path().display());
            }
        }
    }

    /// Whether results are stored on disk.
    pub fn is_on_disk(&self) -> bool {
        self.dir.is_some()
    }

    /// The ids of all results, oldest first (ids sort by time). Excludes tests in memory that are too
    /// old for the directory.
    pub fn ids(&self) -> Vec<TestId> {
        let mut ids: Vec<TestId> = match &self.dir {
            None => self.memory().iter().map(|r| r.id).collect(),
            Some(dir) => {
                let entries = fs::read_dir(dir).into_iter().flatten().flatten();
                entries
                    .filter_map(|e| id_of(e.file_name().to_str()?.strip_suffix(".json")?))
                    .collect()
            }
        };
        ids.sort();
        ids
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
        let ids = self.ids();
        let full = ids.len() >= MAX_RESULTS && !ids.contains(&id);
        if full && ids.first().is_some_and(|oldest| id < *oldest) {
            self.remember(id, result, timeline);
            return Ok(vec![id]);
        }
        // The timeline first: without its result it is not listed.
        if let Some(timeline) = &timeline {
            write(&path(dir, id, Part::Timeline), timeline)?;
        }
        write(&path(dir, id, Part::Result), &result).inspect_err(|_| {
            if timeline.is_some() && !ids.contains(&id) {
                // A file that remains is removed at the next start.
                let _ = remove_if_there(&path(dir, id, Part::Timeline));
            }
        })?;
        self.memory().retain(|r| r.id != id);
        let ids = self.ids();
        let removed = ids[..ids.len().saturating_sub(MAX_RESULTS)].to_vec();
        for old in &removed {
            remove_if_there(&path(dir, *old, Part::Result))?;
            remove_if_there(&path(dir, *old, Part::Timeline))?;
        }
        self.limit_timelines(dir)?;
        Ok(removed)
    }

    /// Removes the oldest timelines until the total size is within the limit.
    fn limit_timelines(&self, dir: &Path) -> io::Result<()> {
        let mut left = MAX_TIMELINES_BYTES;
        for id in self.ids().into_iter().rev() {
            let path = path(dir, id, Part::Timeline);
            let bytes = fs::metadata(&path).map_or(0, |m| m.len());
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => remove_if_there(&path)?,
            }
        }
        Ok(())
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
        let mut memory = self.memory();
        let known = memory.iter().position(|r| r.id == id);
        let known = known.and_then(|at| memory.remove(at));
        memory.push_back(Remembered {
            id,
            result: result.into(),
            timeline: timeline.map(Into::into).or(known.and_then(|r| r.timeline)),
        });
        let (count, bytes) = MAX_IN_MEMORY;
        let mut removed = Vec::new();
        while memory.len() > count || memory.iter().map(Remembered::bytes).sum::<usize>() > bytes {
            // Not empty: the total size of nothing is 0.
            removed.extend(memory.pop_front().map(|r| r.id));
        }
        drop(memory);
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
        serde_json::from_slice(&bytes)
            .inspect_err(|e| self.set_aside(id, part, e))
            .ok()
    }

    /// Renames an unreadable file, so that the part can be fetched from another node.
    fn set_aside(&self, id: TestId, part: Part, error: &serde_json::Error) {
        let Some(dir) = &self.dir else {
            return;
        };
        let damaged = path(dir, id, part);
        let aside = damaged.with_extension(DAMAGED);
        let is_aside = |e: &fs::DirEntry| e.path().extension().is_some_and(|e| e == "damaged");
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut old: Vec<PathBuf> = entries.filter(is_aside).map(|e| e.path()).collect();
        old.sort();
        // The last ones belong to the newest tests. Failed removals are tried again next time.
        let excess = old.len().saturating_sub(MAX_DAMAGED - 1);
        old[..excess]
            .iter()
            .for_each(|path| drop(fs::remove_file(path)));
        let (from, to) = (damaged.display(), aside.display());
        match fs::rename(&damaged, &aside) {
            Ok(()) => tracing::warn!(test = %id, "cannot read {from} ({error}); renamed to {to}"),
            Err(e) => {
                tracing::warn!(test = %id, "cannot read {from} ({error}), nor rename it: {e}")
            }
        }
    }

    /// Whether a part of a test is stored here.
    pub fn has(&self, id: TestId, part: Part) -> bool {
        let on_disk = |dir: &PathBuf| path(dir, id, part).exists();
        self.dir.as_ref().is_some_and(on_disk) || self.in_memory(id, part).is_some()
    }

    /// The version of a part on disk, without reading it; `None` if it is absent, or a newer one is
    /// in memory.
    pub fn version(&self, id: TestId, part: Part) -> Option<Version> {
        let dir = self.dir.as_ref()?;
        if self.in_memory(id, part).is_some() {
            return None;
        }
        let metadata = fs::metadata(path(dir, id, part)).ok()?;
        Some(Version {
            bytes: metadata.len(),
            written: metadata.modified().ok(),
        })
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
        let path = path(self.dir.as_ref()?, id, part);
        let length = fs::metadata(&path).ok()?.len();
        let max = match part {
            Part::Result => MAX_RECORD,
            Part::Timeline => MAX_TIMELINE_BYTES,
        };
        let bytes = (length <= max).then(|| fs::read(&path).ok())??;
        Some(bytes.into())
    }

    fn in_memory(&self, id: TestId, part: Part) -> Option<Arc<[u8]>> {
        let memory = self.memory();
        let found = memory.iter().find(|r| r.id == id)?;
        match part {
            Part::Result => Some(found.result.clone()),
            Part::Timeline => found.timeline.clone(),
        }
    }

    fn memory(&self) -> MutexGuard<'_, VecDeque<Remembered>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn path(dir: &Path, id: TestId, part: Part) -> PathBuf {
    dir.join(match part {
        Part::Result => format!("{id}.json"),
        Part::Timeline => format!("{id}.timeline.json"),
    })
}

/// The test id in a file name.
fn id_of(name: &str) -> Option<TestId> {
    name.parse().ok()
}

/// Writes a file atomically. Creates its directory if that was removed.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let created = path.parent().map_or(Ok(()), fs::create_dir_all);
    let written = created
        .and_then(|()| fs::File::create(&temporary))
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
    written
        .and_then(|()| fs::rename(&temporary, path))
        .inspect_err(|_| {
            // Frees the space on a full disk. A file that remains is removed at the next start.
            let _ = fs::remove_file(&temporary);
        })
        .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
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
        let mut result: TestResult = serde_json::from_str(vajra_fixtures::EMPTY_RESULT).unwrap();
        result.test_id = id.to_string();
        (id, result)
    }

    fn timeline(id: TestId) -> Timeline {
        Timeline {
            test_id: id.to_string(),
            ..Timeline::default()
        }
    }

    /// A full directory with the tests 10 to 209.
    fn full() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Some(dir.path().to_owned())).unwrap();
        for i in 0..MAX_RESULTS as u8 {
            let (id, result) = result(10 + i);
            assert!(store.put(id, &result, None).unwrap().is_empty());
        }
        (dir, store)
    }

    #[test]
    fn a_result_reads_back_and_the_oldest_are_removed() {
        let (dir, store) = full();
        let (id, last) = result(210);
        let over_time = timeline(TestId([11; 16]));
        let (second, result) = result(11);
        store.put(second, &result, Some(&over_time)).unwrap();
        assert_eq!(store.put(id, &last, None).unwrap(), [TestId([10; 16])]);
        assert_eq!(store.ids().len(), MAX_RESULTS);
        assert_eq!(*store.get(id).unwrap(), last);
        assert!(store.get(TestId([10; 16])).is_none());

        assert_eq!(store.timeline(second), Some(over_time));
        let (next, result) = self::result(211);
        assert_eq!(store.put(next, &result, None).unwrap(), [second]);
        assert!(!store.has(second, Part::Timeline));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), MAX_RESULTS);
    }

    #[test]
    fn an_unreadable_file_is_renamed_and_can_be_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Some(dir.path().to_owned())).unwrap();
        let (id, sound) = result(1);
        store.put(id, &sound, Some(&timeline(id))).unwrap();
        for part in [Part::Result, Part::Timeline] {
            fs::write(path(dir.path(), id, part), "{").unwrap();
        }
        assert!(store.get(id).is_none() && store.timeline(id).is_none());
        assert!(!store.has(id, Part::Result) && !store.has(id, Part::Timeline));
        let aside = |name: String| fs::read(dir.path().join(name)).unwrap();
        assert_eq!(aside(format!("{id}.json.damaged")), b"{");
        assert_eq!(aside(format!("{id}.timeline.json.damaged")), b"{");
        assert_eq!(store.ids(), []);
        store.put(id, &sound, None).unwrap();
        assert_eq!(*store.get(id).unwrap(), sound);
    }

    #[test]
    fn a_removed_directory_is_created_again() {
        let dir = tempfile::tempdir().unwrap();
        let results = dir.path().join("results");
        let store = Store::open(Some(results.clone())).unwrap();
        fs::remove_dir(&results).unwrap();
        let (id, sound) = result(1);
        store.put(id, &sound, None).unwrap();
        assert_eq!(*store.get(id).unwrap(), sound);
        fs::remove_dir_all(&results).unwrap();
        fs::write(&results, "in the way").unwrap();
        let error = store.put(id, &sound, None).unwrap_err().to_string();
        assert!(error.contains(&format!("{id}.json: ")), "{error}");
        // The result is kept in memory.
        assert_eq!(store.put_or_remember(id, &sound, None, 1), []);
        assert_eq!(*store.get(id).unwrap(), sound);
    }

    #[test]
    fn a_result_that_could_not_be_written_takes_precedence_over_an_older_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Some(dir.path().to_owned())).unwrap();
        let (id, mut result) = result(1);
        store.put(id, &result, None).unwrap();
        assert!(store.version(id, Part::Result).is_some());
        result.verdict = Some(vajra_results::Verdict::Valid);
        assert_eq!(store.put_in_memory(id, &result, None), []);
        assert_eq!(*store.get(id).unwrap(), result);
        assert_eq!(store.version(id, Part::Result), None);
        store.put(id, &result, None).unwrap();
        assert!(store.version(id, Part::Result).is_some());
    }

    #[test]
    fn the_number_of_unreadable_files_is_limited() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Some(dir.path().to_owned())).unwrap();
        for i in 0..20 {
            let (id, _) = result(i);
            fs::write(path(dir.path(), id, Part::Result), "{").unwrap();
            assert!(store.get(id).is_none());
        }
        let kept = fs::read_dir(dir.path()).unwrap().flatten();
        let mut kept: Vec<PathBuf> = kept.map(|e| e.path()).collect();
        kept.sort();
        assert_eq!(kept.len(), MAX_DAMAGED);
        let newest = TestId([19; 16]).to_string();
        assert!(
            kept[MAX_DAMAGED - 1]
                .display()
                .to_string()
                .contains(&newest)
        );
    }

    #[test]
    fn a_test_older_than_all_in_a_full_directory_stays_in_memory_only() {
        let (_dir, store) = full();
        let (id, old) = result(1);
        assert_eq!(store.put(id, &old, Some(&timeline(id))).unwrap(), [id]);
        assert_eq!(store.ids().len(), MAX_RESULTS);
        assert!(!store.ids().contains(&id));
        assert_eq!(*store.get(id).unwrap(), old);
        assert_eq!(store.timeline(id), Some(timeline(id)));
    }

    #[test]
    fn a_new_result_replaces_the_old_one_and_leaves_the_timeline() {
        for dir in [None, Some(tempfile::tempdir().unwrap())] {
            let store = Store::open(dir.as_ref().map(|d| d.path().to_owned())).unwrap();
            let (id, mut kept) = result(1);
            kept.complete = false;
            store.put(id, &kept, Some(&timeline(id))).unwrap();
            kept.complete = true;
            store.put(id, &kept, None).unwrap();
            assert_eq!(*store.get(id).unwrap(), kept);
            assert_eq!(store.timeline(id), Some(timeline(id)));
            assert_eq!(store.ids(), [id]);
        }
    }

    #[test]
    fn a_timeline_is_removed_if_its_result_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Some(dir.path().to_owned())).unwrap();
        let (id, kept) = result(1);
        // A file cannot replace a directory.
        fs::create_dir(dir.path().join(format!("{id}.new"))).unwrap();
        store.put(id, &kept, Some(&timeline(id))).unwrap_err();
        assert!(!store.has(id, Part::Timeline));

        // A timeline with an older result stays.
        let (id, kept) = result(2);
        store.put(id, &kept, None).unwrap();
        fs::create_dir(dir.path().join(format!("{id}.new"))).unwrap();
        store.put(id, &kept, Some(&timeline(id))).unwrap_err();
        assert_eq!(store.timeline(id), Some(timeline(id)));
    }

    #[test]
    fn a_write_that_fails_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("taken");
        fs::create_dir(&place).unwrap();
        write(&place, b"{}").unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn remains_of_interrupted_writes_are_removed_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Some(dir.path().to_owned())).unwrap();
        let (id, kept) = result(1);
        store.put(id, &kept, Some(&timeline(id))).unwrap();
        let other = TestId([2; 16]);
        let remains = [
            format!("{other}.timeline.json"),
            format!("{other}.new"),
            format!("{id}.timeline.new"),
        ];
        let not_ours = ["notes.new", "notes.timeline.json", "notes.json"];
        let names = remains.iter().map(String::as_str).chain(not_ours);
        names.for_each(|name| fs::write(dir.path().join(name), "{}").unwrap());

        let store = Store::open(Some(dir.path().to_owned())).unwrap();
        assert_eq!(*store.get(id).unwrap(), kept);
        assert_eq!(store.timeline(id), Some(timeline(id)));
        assert!(remains.iter().all(|name| !dir.path().join(name).exists()));
        assert!(not_ours.iter().all(|name| dir.path().join(name).exists()));
    }

    #[test]
    fn only_parts_within_the_record_limit_are_served() {
        let dir = tempfile::tempdir().unwrap();
        for dir in [None, Some(dir.path().to_owned())] {
            let store = Store::open(dir).unwrap();
            let (id, kept) = result(1);
            assert!(!store.can_serve(id, Part::Result));
            store.put(id, &kept, Some(&timeline(id))).unwrap();
            assert!(store.can_serve(id, Part::Result) && store.can_serve(id, Part::Timeline));
            let mut large = timeline(id);
            large.test_id = "x".repeat(MAX_RECORD as usize);
            store.put(id, &kept, Some(&large)).unwrap();
            assert!(store.has(id, Part::Timeline) && !store.can_serve(id, Part::Timeline));
        }
    }

    #[test]
    fn an_unreadable_file_is_not_a_result() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Some(dir.path().to_owned())).unwrap();
        let (id, kept) = result(1);
        store.put(id, &kept, None).unwrap();
        fs::write(dir.path().join(format!("{id}.json")), "{").unwrap();
        assert!(store.get(id).is_none());
        assert!(store.timeline(id).is_none());
    }

    #[test]
    fn without_a_directory_the_last_results_are_in_memory() {
        let store = Store::open(None).unwrap();
        for i in 0..MAX_IN_MEMORY.0 as u8 {
            let (id, kept) = result(i);
            assert!(store.put(id, &kept, None).unwrap().is_empty());
        }
        let (id, mut large) = result(100);
        assert_eq!(store.put(id, &large, None).unwrap(), [TestId([0; 16])]);
        assert_eq!(store.ids().len(), MAX_IN_MEMORY.0);
        // The size in bytes is limited, too.
        large.reasons = vec!["x".repeat(MAX_IN_MEMORY.1 * 3 / 4)];
        store.put(id, &large, None).unwrap();
        let (next, mut other) = result(101);
        other.reasons = large.reasons.clone();
        assert!(store.put(next, &other, None).unwrap().contains(&id));
        assert_eq!(store.ids(), [next]);
    }
}
