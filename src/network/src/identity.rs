//! Who this node is, and the data directory that remembers it: the key (a stable peer id),
//! the incarnation (greater at every start) and the peers known. One process owns a
//! directory at a time; a short-lived node needs none.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use libp2p::identity::Keypair;

use super::address;
use super::known_peers::KnownPeers;
use super::name::SwarmName;
use vajra_core::protocol::{Incarnation, Peer};

/// Key and incarnation files are far smaller; what is longer is not ours.
const MAX_FILE: u64 = 4096;

/// Why a data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process holds it.
    #[error("the data directory {} is in use by another node; give this one its own with --data-dir", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// It can't be read or written.
    #[error("cannot use {}: {source}; choose another place with --data-dir", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file in it is not what we wrote.
    #[error("{} is damaged: {why}; delete it, and this node gets a new one", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Who this node is, in this life.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The key that makes the peer id.
    pub keypair: Keypair,
    /// This start's number.
    pub incarnation: Incarnation,
}

impl Identity {
    /// A new identity that nothing remembers.
    pub fn ephemeral() -> Identity {
        Identity {
            keypair: Keypair::generate_ed25519(),
            incarnation: Incarnation(unix_ms()),
        }
    }

    /// This node's name in the protocol.
    pub fn peer(&self) -> Peer {
        address::peer(&self.keypair.public().to_peer_id())
    }
}

/// A data directory, locked for as long as this value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the directory if needed, and locks it.
    ///
    /// # Errors
    /// [`DataDirError::Locked`] if another process has it; [`DataDirError::Io`] otherwise.
    pub fn open(path: &Path) -> Result<DataDir, DataDirError> {
        create_private(path).map_err(|source| io_error(path, source))?;
        let file = path.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&file)
            .map_err(|source| io_error(&file, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(DataDir {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::Locked {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(io_error(&file, source)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The identity kept here, made at the first call, in a new life: the incarnation is
    /// greater than at every earlier call, even if the wall clock went back.
    ///
    /// # Errors
    /// [`DataDirError::Damaged`] or [`DataDirError::Io`]; a damaged key is never replaced
    /// silently, since other nodes know this one by it.
    pub fn start(&self) -> Result<Identity, DataDirError> {
        let keypair = self.keypair()?;
        let path = self.path.join("incarnation");
        let last = match read(&path)? {
            None => 0,
            Some(bytes) => std::str::from_utf8(&bytes)
                .ok()
                .and_then(|text| text.trim().parse::<u64>().ok())
                .ok_or_else(|| damaged(&path, "it is not a number"))?,
        };
        let next = last
            .checked_add(1)
            .ok_or_else(|| damaged(&path, "the number is too large"))?;
        let incarnation = next.max(unix_ms());
        write_atomic(&path, format!("{incarnation}\n").as_bytes())
            .map_err(|e| io_error(&path, e))?;
        Ok(Identity {
            keypair,
            incarnation: Incarnation(incarnation),
        })
    }

    /// The peers of one swarm that are remembered here.
    pub fn known_peers(&self, swarm: &SwarmName) -> KnownPeers {
        KnownPeers::at(self.path.join(format!("peers-{swarm}.json")))
    }

    fn keypair(&self) -> Result<Keypair, DataDirError> {
        let path = self.path.join("identity.key");
        if let Some(bytes) = read(&path)? {
            return Keypair::from_protobuf_encoding(&bytes)
                .map_err(|error| damaged(&path, &error.to_string()));
        }
        let keypair = Keypair::generate_ed25519();
        let bytes = keypair
            .to_protobuf_encoding()
            .map_err(|error| damaged(&path, &error.to_string()))?;
        write_atomic(&path, &bytes).map_err(|source| io_error(&path, source))?;
        Ok(keypair)
    }
}

/// Replaces a file whole or not at all, readable by its owner only.
pub(super) fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

/// A small file's bytes, or `None` if there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, DataDirError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error(path, source)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| io_error(path, source))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(damaged(path, "it is too long"));
    }
    Ok(Some(bytes))
}

fn create_private(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn io_error(path: &Path, source: io::Error) -> DataDirError {
    DataDirError::Io {
        path: path.to_owned(),
        source,
    }
}

fn damaged(path: &Path, why: &str) -> DataDirError {
    DataDirError::Damaged {
        path: path.to_owned(),
        why: why.to_owned(),
    }
}

fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_restarted_node_is_the_same_peer_in_a_later_incarnation() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap().start().unwrap();
        let second = DataDir::open(dir.path()).unwrap().start().unwrap();
        assert_eq!(first.peer(), second.peer());
        assert!(second.incarnation > first.incarnation);
    }

    #[test]
    fn the_incarnation_rises_even_if_the_wall_clock_went_back() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let future = unix_ms() + 1_000_000_000;
        std::fs::write(dir.path().join("incarnation"), future.to_string()).unwrap();
        assert_eq!(data.start().unwrap().incarnation, Incarnation(future + 1));
        assert_eq!(data.start().unwrap().incarnation, Incarnation(future + 2));
    }

    #[test]
    fn a_second_node_is_told_to_use_another_directory() {
        let dir = tempfile::tempdir().unwrap();
        let _held = DataDir::open(dir.path()).unwrap();
        let error = DataDir::open(dir.path()).unwrap_err();
        assert!(matches!(error, DataDirError::Locked { .. }));
        let text = error.to_string();
        assert!(
            text.contains("--data-dir") && text.contains(&dir.path().display().to_string()),
            "{text}"
        );
    }

    #[test]
    fn a_damaged_key_is_reported_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let path = dir.path().join("identity.key");
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(data.start(), Err(DataDirError::Damaged { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"nonsense");
    }

    #[test]
    #[cfg(unix)]
    fn the_key_is_private_to_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        DataDir::open(dir.path()).unwrap().start().unwrap();
        let mode = std::fs::metadata(dir.path().join("identity.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
