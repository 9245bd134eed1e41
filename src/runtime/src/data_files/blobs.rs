//! The data files of this node, by SHA-256: in the data directory if there is one, else in memory.
//!
//! The total size is bounded: the least recently used file is removed, but never one that a test
//! needs. Contents always match the digest: it is checked on arrival, and again when rows are read.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use sha2::Digest as _;

use vajra_core::sync::lock;
use vajra_plan::{Data, MAX_DATA_FILE, Sha256, Table};
use vajra_tasks::Tables;

/// Total size of all data files in bytes: enough for four of the largest plans.
pub const MAX_STORE: u64 = 1 << 30;
/// The same for a swarm without a key, which anyone can join, and for files in memory: enough for
/// two of the largest plans.
pub const MAX_OPEN_STORE: u64 = 512 << 20;

/// File name extension while a file is written.
const UNFINISHED: &str = "new";

/// A data file could not be stored. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It exceeds the size limit of one file.
    #[error("a data file may have at most {MAX_DATA_FILE} bytes")]
    TooLarge,
    /// The running tests need all stored files.
    #[error("no space left: data files of running tests use most of the {0} bytes allowed")]
    Full(u64),
    /// The content does not match the digest.
    #[error("the content has SHA-256 {0}, which differs from the announced digest")]
    DigestMismatch(Sha256),
    /// It cannot be written.
    #[error("cannot write the data file: {0}")]
    Io(#[from] io::Error),
}

/// The rows of a data file cannot be used. Messages follow the name of the data.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TableError {
    /// The file is not on this node.
    #[error("is not on this node")]
    Absent,
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(String),
    /// The file has another length than in the plan.
    #[error("has {found} bytes, but the plan says {expected}")]
    Length {
        /// Length of the file in bytes.
        found: u64,
        /// Length in the plan in bytes.
        expected: u64,
    },
    /// The content on disk has changed; the file was removed.
    #[error("was damaged on disk and has been removed")]
    Damaged,
    /// Rows or columns differ from the plan.
    #[error("{0}")]
    Content(String),
}

/// The data files of a node. Clones share one store.
#[derive(Clone)]
pub struct Blobs(Arc<Shared>);

struct Shared {
    dir: Option<PathBuf>,
    limit: u64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    blobs: HashMap<Sha256, Entry>,
    /// Bytes of all files, including those being written.
    used_bytes: u64,
    /// Number of holds per file.
    holds: HashMap<Sha256, usize>,
    /// Counter of uses, for the least recently used order.
    uses: u64,
    /// Counter of writers, for unique temporary names.
    writers: u64,
}

struct Entry {
    bytes: u64,
    last_use: u64,
    /// Content, if it is not on disk.
    memory: Option<Arc<[u8]>>,
}

impl std::fmt::Debug for Blobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inner = self.inner();
        write!(
            f,
            "Blobs({}, {} bytes)",
            inner.blobs.len(),
            inner.used_bytes
        )
    }
}

impl Blobs {
    /// Opens the store in a directory, which is created if absent; `None` stores in memory. `limit`
    /// is the total size in bytes.
    ///
    /// # Errors
    /// The directory cannot be created or read.
    pub fn open(dir: Option<PathBuf>, limit: u64) -> io::Result<Blobs> {
        let mut inner = Inner::default();
        if let Some(dir) = &dir {
            fs::create_dir_all(dir)?;
            for (digest, bytes) in files(dir)? {
                inner.add(digest, bytes, None);
            }
        }
        let blobs = Blobs(Arc::new(Shared {
            dir,
            limit,
            inner: Mutex::new(inner),
        }));
        // The limit may have been higher at the last start.
        let _ = blobs.reserve(0);
        Ok(blobs)
    }

    /// The length of a file in bytes; `None` if it is not here. Counts as a use.
    pub fn has(&self, digest: Sha256) -> Option<u64> {
        self.inner().touch(digest).map(|entry| entry.bytes)
    }

    /// Prevents the removal of these files, present or still to come, until the guard is dropped.
    pub fn hold(&self, digests: impl IntoIterator<Item = Sha256>) -> Hold {
        let digests: Vec<Sha256> = digests.into_iter().collect();
        let mut inner = self.inner();
        for digest in &digests {
            *inner.holds.entry(*digest).or_default() += 1;
        }
        drop(inner);
        Hold {
            blobs: self.clone(),
            digests,
        }
    }

    /// Starts to write a file.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn writer(&self, digest: Sha256) -> io::Result<Writer> {
        let target = match &self.0.dir {
            None => Target::Memory(Vec::new()),
            Some(dir) => {
                let mut inner = self.inner();
                inner.writers += 1;
                let name = format!("{digest}.{}.{UNFINISHED}", inner.writers);
                drop(inner);
                let path = dir.join(name);
                Target::File(File::create(&path)?, path)
            }
        };
        Ok(Writer {
            blobs: self.clone(),
            digest,
            hasher: sha2::Sha256::new(),
            written: 0,
            target,
        })
    }

    /// Stores a whole file, unless it is here already. May block.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub fn put(&self, digest: Sha256, bytes: &[u8]) -> Result<(), BlobError> {
        if self.has(digest).is_some() {
            return Ok(());
        }
        let mut writer = self.writer(digest)?;
        writer.write(bytes)?;
        writer.commit()
    }

    /// The length of the whole file, and at most `max` bytes of it from `offset` on; `None` if it
    /// is not here. May block.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn part(
        &self,
        digest: Sha256,
        offset: u64,
        max: usize,
    ) -> io::Result<Option<(u64, Vec<u8>)>> {
        let Some((total, mut reader)) = self.reader(digest)? else {
            return Ok(None);
        };
        reader.skip(offset)?;
        let mut part = Vec::with_capacity(max.min(total.saturating_sub(offset) as usize));
        reader.take(max as u64).read_to_end(&mut part)?;
        Ok(Some((total, part)))
    }

    /// The rows of a data file, from `tables` if they were read before. May block.
    ///
    /// # Errors
    /// The file is not here, or differs from the plan.
    pub fn table(&self, tables: &Tables, data: &Data) -> Result<Arc<Table>, TableError> {
        if let Some(table) = tables.get(data) {
            return Ok(table);
        }
        let opened = self.reader(data.digest);
        let opened = opened.map_err(|e| TableError::Read(e.to_string()))?;
        let (bytes, reader) = opened.ok_or(TableError::Absent)?;
        if bytes != data.bytes {
            return Err(TableError::Length {
                found: bytes,
                expected: data.bytes,
            });
        }
        let mut reader = Hashed {
            reader,
            hasher: sha2::Sha256::new(),
        };
        let table = data.read(&mut reader);
        // Hash the rest even after a parse error, to tell a damaged file from a wrong plan.
        let rest = io::copy(&mut reader, &mut io::sink());
        if rest.is_err() || Sha256(reader.hasher.finalize().into()) != data.digest {
            self.inner().remove(data.digest, self.0.dir.as_deref());
            return Err(TableError::Damaged);
        }
        let table = table.map_err(|e| TableError::Content(e.to_string()))?;
        Ok(tables.put(data, table))
    }

    fn reader(&self, digest: Sha256) -> io::Result<Option<(u64, Reader)>> {
        let mut inner = self.inner();
        let Some(entry) = inner.touch(digest) else {
            return Ok(None);
        };
        let reader = match (&entry.memory, &self.0.dir) {
            (Some(bytes), _) => Reader::Memory(Cursor::new(bytes.clone())),
            (None, Some(dir)) => Reader::File(File::open(dir.join(digest.to_string()))?),
            (None, None) => return Ok(None),
        };
        Ok(Some((entry.bytes, reader)))
    }

    /// Reserves `bytes`, and removes old files for it.
    fn reserve(&self, bytes: u64) -> Result<(), BlobError> {
        let mut inner = self.inner();
        while inner.used_bytes + bytes > self.0.limit {
            let unused = inner.blobs.iter();
            let unused = unused.filter(|(digest, _)| !inner.holds.contains_key(digest));
            let oldest = unused
                .min_by_key(|(_, entry)| entry.last_use)
                .map(|(d, _)| *d);
            match oldest {
                Some(digest) => inner.remove(digest, self.0.dir.as_deref()),
                None => return Err(BlobError::Full(self.0.limit)),
            }
        }
        inner.used_bytes += bytes;
        Ok(())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.0.inner)
    }
}

impl Inner {
    fn touch(&mut self, digest: Sha256) -> Option<&Entry> {
        self.uses += 1;
        let entry = self.blobs.get_mut(&digest)?;
        entry.last_use = self.uses;
        Some(entry)
    }

    fn add(&mut self, digest: Sha256, bytes: u64, memory: Option<Arc<[u8]>>) {
        self.uses += 1;
        self.used_bytes += bytes;
        let entry = Entry {
            bytes,
            last_use: self.uses,
            memory,
        };
        if let Some(before) = self.blobs.insert(digest, entry) {
            self.used_bytes -= before.bytes;
        }
    }

    fn remove(&mut self, digest: Sha256, dir: Option<&Path>) {
        if let Some(entry) = self.blobs.remove(&digest) {
            self.used_bytes -= entry.bytes;
            if let Some(dir) = dir {
                // A file that remains is found again at the next start.
                let _ = fs::remove_file(dir.join(digest.to_string()));
            }
        }
    }
}

/// The data files in a directory, oldest first. Removes unfinished ones.
fn files(dir: &Path) -> io::Result<Vec<(Sha256, u64)>> {
    let mut found: Vec<(SystemTime, Sha256, u64)> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(&format!(".{UNFINISHED}")) {
            let _ = fs::remove_file(entry.path());
        } else if let (Ok(digest), Ok(meta)) = (name.parse(), entry.metadata()) {
            let changed = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            found.push((changed, digest, meta.len()));
        }
    }
    found.sort_unstable();
    Ok(found.into_iter().map(|(_, d, bytes)| (d, bytes)).collect())
}

/// Prevents the removal of data files until it is dropped.
#[derive(Debug)]
pub struct Hold {
    blobs: Blobs,
    digests: Vec<Sha256>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut inner = self.blobs.inner();
        for digest in &self.digests {
            if let Some(n) = inner.holds.get_mut(digest) {
                *n -= 1;
                if *n == 0 {
                    inner.holds.remove(digest);
                }
            }
        }
    }
}

/// A data file being written. Nothing remains of it if it is dropped before [`commit`](Self::commit).
pub struct Writer {
    blobs: Blobs,
    digest: Sha256,
    hasher: sha2::Sha256,
    written: u64,
    target: Target,
}

enum Target {
    Memory(Vec<u8>),
    File(File, PathBuf),
    Done,
}

impl Writer {
    /// Bytes written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Appends bytes. May block.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        let length = bytes.len() as u64;
        if self.written + length > MAX_DATA_FILE {
            return Err(BlobError::TooLarge);
        }
        self.blobs.reserve(length)?;
        self.written += length;
        self.hasher.update(bytes);
        match &mut self.target {
            Target::Memory(memory) => memory.extend_from_slice(bytes),
            Target::File(file, _) => file.write_all(bytes)?,
            Target::Done => {}
        }
        Ok(())
    }

    /// Completes the file, if its content matches the digest. May block.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub fn commit(mut self) -> Result<(), BlobError> {
        let found = Sha256(self.hasher.clone().finalize().into());
        if found != self.digest {
            return Err(BlobError::DigestMismatch(found));
        }
        if let Target::File(file, path) = &self.target {
            file.sync_all()?;
            fs::rename(path, path.with_file_name(self.digest.to_string()))?;
        }
        let memory = match std::mem::replace(&mut self.target, Target::Done) {
            Target::Memory(memory) => Some(memory.into()),
            Target::File(..) | Target::Done => None,
        };
        // The reservation passes to the file.
        let mut inner = self.blobs.inner();
        inner.used_bytes -= self.written;
        inner.add(self.digest, self.written, memory);
        drop(inner);
        self.written = 0;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Target::File(_, path) = &self.target {
            // A file that remains is removed at the next start.
            let _ = fs::remove_file(path);
        }
        self.blobs.inner().used_bytes -= self.written;
    }
}

enum Reader {
    Memory(Cursor<Arc<[u8]>>),
    File(File),
}

impl Reader {
    fn skip(&mut self, offset: u64) -> io::Result<()> {
        match self {
            Reader::Memory(memory) => memory.set_position(offset),
            Reader::File(file) => drop(file.seek(SeekFrom::Start(offset))?),
        }
        Ok(())
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Reader::Memory(memory) => memory.read(into),
            Reader::File(file) => file.read(into),
        }
    }
}

/// A reader that hashes what passes through.
struct Hashed {
    reader: Reader,
    hasher: sha2::Sha256,
}

impl Read for Hashed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(into)?;
        self.hasher.update(&into[..n]);
        Ok(n)
    }
}

#[cfg(test)]
#[path = "blobs_tests.rs"]
mod tests;
