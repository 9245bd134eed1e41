//! A directory with two JSON files per test, limited in number and size; the oldest tests are
//! removed.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::part::Part;
use vajra_core::protocol::TestId;
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
pub const MAX_DAMAGED: usize = 8;

/// Identifies the content of a file: a change alters one of the fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version {
    /// Length in bytes.
    pub bytes: u64,
    /// Time of the last write, if the file system records it.
    pub written: Option<SystemTime>,
}

/// The directory.
#[derive(Debug, Clone)]
pub struct Directory(PathBuf);

impl Directory {
    /// Opens the directory, which is created if absent.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn open(path: PathBuf) -> io::Result<Directory> {
        fs::create_dir_all(&path)?;
        let directory = Directory(path);
        directory.sweep();
        Ok(directory)
    }

    /// Removes the remains of interrupted writes: temporary files, and timelines without results,
    /// which nothing else would ever remove.
    fn sweep(&self) {
        let results: BTreeSet<TestId> = self.ids().into_iter().collect();
        let is_remainder = |name: &str| match name.strip_suffix(".new") {
            Some(stem) => id_of(stem.strip_suffix(".timeline").unwrap_or(stem)).is_some(),
            None => name
                .strip_suffix(".timeline.json")
                .and_then(id_of)
                .is_some_and(|id| !results.contains(&id)),
        };
        for entry in self.entries() {
            if entry.file_name().to_str().is_some_and(is_remainder)
                && let Err(e) = remove_if_there(&entry.path())
            {
                tracing::warn!("cannot remove {}: {e}", entry.path().display());
            }
        }
    }

    fn entries(&self) -> impl Iterator<Item = fs::DirEntry> {
        fs::read_dir(&self.0).into_iter().flatten().flatten()
    }

    /// The ids of all results, oldest first (ids sort by time).
    pub fn ids(&self) -> Vec<TestId> {
        let results = self.entries();
        let ids = results.filter_map(|e| id_of(e.file_name().to_str()?.strip_suffix(".json")?));
        let mut ids: Vec<TestId> = ids.collect();
        ids.sort();
        ids
    }

    /// Whether the directory is full and this test is older than all in it.
    pub fn has_only_newer(&self, id: TestId) -> bool {
        let ids = self.ids();
        ids.len() >= MAX_RESULTS && ids.first().is_some_and(|oldest| id < *oldest)
    }

    /// Writes a result and, if given, its timeline, replacing earlier ones of the same test.
    ///
    /// # Errors
    /// They cannot be written. A new result then leaves nothing on disk.
    pub fn write(&self, id: TestId, result: &[u8], timeline: Option<&[u8]>) -> io::Result<()> {
        let is_new = !self.has(id, Part::Result);
        // The timeline first: without its result it is not listed.
        if let Some(timeline) = timeline {
            write(&self.path(id, Part::Timeline), timeline)?;
        }
        write(&self.path(id, Part::Result), result).inspect_err(|_| {
            if timeline.is_some() && is_new {
                // A file that remains is removed at the next start.
                let _ = remove_if_there(&self.path(id, Part::Timeline));
            }
        })
    }

    /// Removes the oldest tests and timelines until the rest is within the limits. Returns the
    /// removed tests.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn enforce_limits(&self) -> io::Result<Vec<TestId>> {
        let ids = self.ids();
        let removed = ids[..ids.len().saturating_sub(MAX_RESULTS)].to_vec();
        for old in &removed {
            remove_if_there(&self.path(*old, Part::Result))?;
            remove_if_there(&self.path(*old, Part::Timeline))?;
        }
        let mut left = MAX_TIMELINES_BYTES;
        for id in self.ids().into_iter().rev() {
            let path = self.path(id, Part::Timeline);
            let bytes = fs::metadata(&path).map_or(0, |m| m.len());
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => remove_if_there(&path)?,
            }
        }
        Ok(removed)
    }

    /// Whether a part of a test is here.
    pub fn has(&self, id: TestId, part: Part) -> bool {
        self.path(id, part).exists()
    }

    /// The version of a part, without reading it.
    pub fn version(&self, id: TestId, part: Part) -> Option<Version> {
        let metadata = fs::metadata(self.path(id, part)).ok()?;
        Some(Version {
            bytes: metadata.len(),
            written: metadata.modified().ok(),
        })
    }

    /// A part of a test. `None` if the file is absent, unreadable or exceeds the size limit.
    pub fn read(&self, id: TestId, part: Part) -> Option<Vec<u8>> {
        let path = self.path(id, part);
        let length = fs::metadata(&path).ok()?.len();
        let max = match part {
            Part::Result => MAX_RECORD,
            Part::Timeline => MAX_TIMELINE_BYTES,
        };
        (length <= max).then(|| fs::read(&path).ok())?
    }

    /// Renames an unreadable file, so that the part can be fetched from another node.
    pub fn set_aside(&self, id: TestId, part: Part, error: &serde_json::Error) {
        let damaged = self.path(id, part);
        let aside = damaged.with_extension(DAMAGED);
        let is_aside = |e: &fs::DirEntry| e.path().extension().is_some_and(|e| e == "damaged");
        let mut old: Vec<PathBuf> = self.entries().filter(is_aside).map(|e| e.path()).collect();
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

    fn path(&self, id: TestId, part: Part) -> PathBuf {
        path(&self.0, id, part)
    }
}

/// The file of a part.
pub fn path(dir: &Path, id: TestId, part: Part) -> PathBuf {
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
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
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
