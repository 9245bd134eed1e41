//! The data directory of a node: its key, its incarnation and its known peers. One process uses a
//! directory at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use libp2p::identity::{DecodingError, Keypair};

use super::files::{read_up_to, write_atomic};
use super::identity::Identity;
use super::known_peers::KnownPeers;
use super::swarm_name::SwarmName;
use super::wall_clock::unix_ms;
use vajra_core::protocol::Incarnation;

/// Largest key or incarnation file in bytes. Both are far smaller.
const MAX_FILE: u64 = 4096;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process uses it.
    #[error("the data directory {} is in use by another node; give this one its own with --data-dir", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("cannot use {}: {source}; choose another directory with --data-dir", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file has invalid content.
    #[error("{} is damaged: {damage}; delete it, and this node gets a new one", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
}

/// Why the content of a file is invalid.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// Longer than any valid file.
    #[error("it is too long")]
    TooLong,
    /// The incarnation is not a number.
    #[error("it is not a number")]
    NotANumber,
    /// The incarnation cannot be increased.
    #[error("the number is too large")]
    NumberTooLarge,
    /// Not a key.
    #[error(transparent)]
    Key(#[from] DecodingError),
}

/// A data directory, locked while this value exists.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the directory if needed, and locks it.
    ///
    /// # Errors
    /// [`DataDirError::Locked`] if another process uses it; [`DataDirError::Io`] otherwise.
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

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts a run of the node: loads its key, or creates one, and increases the incarnation, even
    /// if the wall clock was set back.
    ///
    /// # Errors
    /// [`DataDirError::Damaged`] or [`DataDirError::Io`]. A damaged key is not replaced, since the
    /// node would become another peer without notice.
    pub fn start(&self) -> Result<Identity, DataDirError> {
        let keypair = self.keypair()?;
        let path = self.path.join("incarnation");
        let last = match read(&path)? {
            None => 0,
            Some(bytes) => std::str::from_utf8(&bytes)
                .ok()
                .and_then(|text| text.trim().parse::<u64>().ok())
                .ok_or_else(|| damaged(&path, Damage::NotANumber))?,
        };
        let next = last
            .checked_add(1)
            .ok_or_else(|| damaged(&path, Damage::NumberTooLarge))?;
        let incarnation = next.max(unix_ms());
        write_atomic(&path, format!("{incarnation}\n").as_bytes())
            .map_err(|e| io_error(&path, e))?;
        Ok(Identity {
            keypair,
            incarnation: Incarnation(incarnation),
        })
    }

    /// The file for the known peers of a swarm.
    pub fn known_peers(&self, swarm: &SwarmName) -> KnownPeers {
        KnownPeers::at(self.path.join(format!("peers-{swarm}.json")))
    }

    fn keypair(&self) -> Result<Keypair, DataDirError> {
        let path = self.path.join("identity.key");
        if let Some(bytes) = read(&path)? {
            return Keypair::from_protobuf_encoding(&bytes)
                .map_err(|error| damaged(&path, error.into()));
        }
        let keypair = Keypair::generate_ed25519();
        let bytes = keypair
            .to_protobuf_encoding()
            .map_err(|error| damaged(&path, error.into()))?;
        write_atomic(&path, &bytes).map_err(|source| io_error(&path, source))?;
        Ok(keypair)
    }
}

/// The content of a file, or `None` if it does not exist.
fn read(path: &Path) -> Result<Option<Vec<u8>>, DataDirError> {
    let bytes = read_up_to(path, MAX_FILE).map_err(|source| io_error(path, source))?;
    match bytes {
        Some(bytes) if bytes.len() as u64 > MAX_FILE => Err(damaged(path, Damage::TooLong)),
        bytes => Ok(bytes),
    }
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

fn damaged(path: &Path, damage: Damage) -> DataDirError {
    DataDirError::Damaged {
        path: path.to_owned(),
        damage,
    }
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
    fn the_incarnation_rises_even_if_the_wall_clock_is_set_back() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let future = unix_ms() + 1_000_000_000;
        std::fs::write(dir.path().join("incarnation"), future.to_string()).unwrap();
        assert_eq!(data.start().unwrap().incarnation, Incarnation(future + 1));
        assert_eq!(data.start().unwrap().incarnation, Incarnation(future + 2));
    }

    #[test]
    fn a_second_node_in_the_same_directory_is_an_error_that_suggests_another() {
        let dir = tempfile::tempdir().unwrap();
        let _locked = DataDir::open(dir.path()).unwrap();
        let error = DataDir::open(dir.path()).unwrap_err();
        assert!(matches!(error, DataDirError::Locked { .. }));
        let text = error.to_string();
        assert!(
            text.contains("--data-dir") && text.contains(&dir.path().display().to_string()),
            "{text}"
        );
    }

    #[test]
    fn a_damaged_key_is_reported_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let path = dir.path().join("identity.key");
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(data.start(), Err(DataDirError::Damaged { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"nonsense");
    }

    #[test]
    #[cfg(unix)]
    fn only_the_owner_may_read_the_key() {
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
