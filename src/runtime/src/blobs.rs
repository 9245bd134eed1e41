//! Data files at hand, by their SHA-256: in the data directory if there is one, else in
//! memory. Bounded in size: the one that was used longest ago goes, but never one that is held
//! for a test. What is in here is what its name says: it was checked when it came, and is
//! checked again when its rows are read.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use sha2::Digest as _;

use vajra_plan::{Data, MAX_DATA_FILE, Sha256, Table};
use vajra_tasks::Tables;

/// Most bytes of all data files together: those of four of the largest plans.
pub const MAX_STORE: u64 = 1 << 30;
/// The same where anybody may be in the swarm, as it has no key, and where they are kept in
/// memory: those of two.
pub const MAX_OPEN_STORE: u64 = 512 << 20;

/// A file that is being written.
const UNFINISHED: &str = "new";

/// Why a data file was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Larger than any may be.
    #[error("a data file has at most {MAX_DATA_FILE} bytes")]
    TooLarge,
    /// All that is here is needed.
    #[error("there is no room: the data files of running tests take most of {0} bytes")]
    Full(u64),
    /// The bytes are not those of the name.
    #[error("the SHA-256 of these bytes is {0}, not the one that they were announced under")]
    Other(Sha256),
    /// It can't be written.
    #[error("a data file can't be written: {0}")]
    Io(#[from] io::Error),
}

/// The data files of a node. A clone is the same store.
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
    /// Bytes of all, and of those that are being written.
    taken: u64,
    /// How many tests need each.
    held: HashMap<Sha256, usize>,
    /// Rises with every use.
    uses: u64,
    /// Rises with every file written.
    writers: u64,
}

struct Entry {
    bytes: u64,
    used: u64,
    /// If it is not on disk.
    memory: Option<Arc<[u8]>>,
}

impl std::fmt::Debug for Blobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inner = self.inner();
        write!(f, "Blobs({}, {} bytes)", inner.blobs.len(), inner.taken)
    }
}

impl Blobs {
    /// Those in a directory, which is made if need be; `None` keeps them in memory.
    ///
    /// # Errors
    /// The directory can't be made or read.
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
        // The limit may have been another one.
        let _ = blobs.make_room(0);
        Ok(blobs)
    }

    /// The length of one that is here.
    pub fn has(&self, digest: Sha256) -> Option<u64> {
        self.inner().touch(digest).map(|entry| entry.bytes)
    }

    /// Keeps these whatever comes, here or not yet, until the guard is dropped.
    pub fn hold(&self, digests: impl IntoIterator<Item = Sha256>) -> Hold {
        let digests: Vec<Sha256> = digests.into_iter().collect();
        let mut inner = self.inner();
        for digest in &digests {
            *inner.held.entry(*digest).or_default() += 1;
        }
        drop(inner);
        Hold {
            blobs: self.clone(),
            digests,
        }
    }

    /// Begins to take one in, piece by piece.
    ///
    /// # Errors
    /// The file can't be made.
    pub fn writer(&self, digest: Sha256) -> io::Result<Writer> {
        let place = match &self.0.dir {
            None => Place::Memory(Vec::new()),
            Some(dir) => {
                let mut inner = self.inner();
                inner.writers += 1;
                let name = format!("{digest}.{}.{UNFINISHED}", inner.writers);
                drop(inner);
                let path = dir.join(name);
                Place::File(File::create(&path)?, path)
            }
        };
        Ok(Writer {
            blobs: self.clone(),
            digest,
            hasher: sha2::Sha256::new(),
            written: 0,
            place,
        })
    }

    /// Takes a whole one in, unless it is here already. May block.
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

    /// The length of the whole, and at most so many bytes of it from an offset on; `None` if it
    /// is not here. May block.
    ///
    /// # Errors
    /// It can't be read.
    pub fn part(
        &self,
        digest: Sha256,
        offset: u64,
        most: usize,
    ) -> io::Result<Option<(u64, Vec<u8>)>> {
        let Some((total, mut reader)) = self.reader(digest)? else {
            return Ok(None);
        };
        reader.skip(offset)?;
        let mut part = Vec::with_capacity(most.min(total.saturating_sub(offset) as usize));
        reader.take(most as u64).read_to_end(&mut part)?;
        Ok(Some((total, part)))
    }

    /// The rows of a data file that is here: those at hand, or read anew. May block.
    ///
    /// # Errors
    /// It is not here, or not what the plan says of it.
    pub fn table(&self, tables: &Tables, data: &Data) -> Result<Arc<Table>, String> {
        if let Some(table) = tables.get(data) {
            return Ok(table);
        }
        let opened = self.reader(data.digest);
        let opened = opened.map_err(|e| format!("can't be read: {e}"))?;
        let (bytes, reader) = opened.ok_or("is not here")?;
        if bytes != data.bytes {
            return Err(format!(
                "has {bytes} bytes, and the plan says {}",
                data.bytes
            ));
        }
        let mut reader = Hashed {
            reader,
            hasher: sha2::Sha256::new(),
        };
        let table = data.read(&mut reader);
        // What comes after a mistake counts, too: is the file itself whole?
        let rest = io::copy(&mut reader, &mut io::sink());
        if rest.is_err() || Sha256(reader.hasher.finalize().into()) != data.digest {
            self.inner().remove(data.digest, self.0.dir.as_deref());
            return Err("was damaged on disk, and has been removed".into());
        }
        Ok(tables.put(data, table.map_err(|e| e.to_string())?))
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

    /// Makes room for so many bytes more, and takes it.
    fn make_room(&self, bytes: u64) -> Result<(), BlobError> {
        let mut inner = self.inner();
        while inner.taken + bytes > self.0.limit {
            let free = inner.blobs.iter();
            let free = free.filter(|(digest, _)| !inner.held.contains_key(digest));
            let oldest = free.min_by_key(|(_, entry)| entry.used).map(|(d, _)| *d);
            match oldest {
                Some(digest) => inner.remove(digest, self.0.dir.as_deref()),
                None => return Err(BlobError::Full(self.0.limit)),
            }
        }
        inner.taken += bytes;
        Ok(())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn touch(&mut self, digest: Sha256) -> Option<&Entry> {
        self.uses += 1;
        let entry = self.blobs.get_mut(&digest)?;
        entry.used = self.uses;
        Some(entry)
    }

    fn add(&mut self, digest: Sha256, bytes: u64, memory: Option<Arc<[u8]>>) {
        self.uses += 1;
        self.taken += bytes;
        let entry = Entry {
            bytes,
            used: self.uses,
            memory,
        };
        if let Some(before) = self.blobs.insert(digest, entry) {
            self.taken -= before.bytes;
        }
    }

    fn remove(&mut self, digest: Sha256, dir: Option<&Path>) {
        if let Some(entry) = self.blobs.remove(&digest) {
            self.taken -= entry.bytes;
            if let Some(dir) = dir {
                // If it stays, it is found again at the next start.
                let _ = fs::remove_file(dir.join(digest.to_string()));
            }
        }
    }
}

/// The data files in a directory, those used longest ago first. What was left unfinished goes.
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

/// Keeps data files from being removed.
#[derive(Debug)]
pub struct Hold {
    blobs: Blobs,
    digests: Vec<Sha256>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut inner = self.blobs.inner();
        for digest in &self.digests {
            if let Some(n) = inner.held.get_mut(digest) {
                *n -= 1;
                if *n == 0 {
                    inner.held.remove(digest);
                }
            }
        }
    }
}

/// A data file that is being taken in. Dropped before it is whole, nothing of it stays.
pub struct Writer {
    blobs: Blobs,
    digest: Sha256,
    hasher: sha2::Sha256,
    written: u64,
    place: Place,
}

enum Place {
    Memory(Vec<u8>),
    File(File, PathBuf),
    Done,
}

impl Writer {
    /// How much of it there is.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Takes the next bytes. May block.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        let length = bytes.len() as u64;
        if self.written + length > MAX_DATA_FILE {
            return Err(BlobError::TooLarge);
        }
        self.blobs.make_room(length)?;
        self.written += length;
        self.hasher.update(bytes);
        match &mut self.place {
            Place::Memory(memory) => memory.extend_from_slice(bytes),
            Place::File(file, _) => file.write_all(bytes)?,
            Place::Done => {}
        }
        Ok(())
    }

    /// It is whole: keeps it, if it is what its name says. May block.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub fn commit(mut self) -> Result<(), BlobError> {
        let found = Sha256(self.hasher.clone().finalize().into());
        if found != self.digest {
            return Err(BlobError::Other(found));
        }
        if let Place::File(file, path) = &self.place {
            file.sync_all()?;
            fs::rename(path, path.with_file_name(self.digest.to_string()))?;
        }
        let memory = match std::mem::replace(&mut self.place, Place::Done) {
            Place::Memory(memory) => Some(memory.into()),
            Place::File(..) | Place::Done => None,
        };
        // Its room becomes the file's.
        let mut inner = self.blobs.inner();
        inner.taken -= self.written;
        inner.add(self.digest, self.written, memory);
        drop(inner);
        self.written = 0;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Place::File(_, path) = &self.place {
            // If it stays, it goes at the next start.
            let _ = fs::remove_file(path);
        }
        self.blobs.inner().taken -= self.written;
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

/// Hashes what is read through it.
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
