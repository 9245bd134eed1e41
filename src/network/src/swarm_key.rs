//! The swarm key: 32 random bytes that all nodes of a private swarm share. It encrypts every
//! connection below the libp2p handshake. The file format is that of other libp2p programs.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use libp2p::pnet::PreSharedKey;

/// Largest file that is read, in bytes. A key file has 95.
const MAX_FILE: u64 = 1024;

/// A swarm key. Its `Debug` and [`SwarmKey::fingerprint`] do not reveal it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SwarmKey(PreSharedKey);

/// Why a swarm key cannot be read, written or generated.
#[derive(Debug, thiserror::Error)]
pub enum SwarmKeyError {
    /// The file cannot be read.
    #[error("cannot read the swarm key {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file has another format.
    #[error(
        "{} is not a swarm key: {reason}; make one with `vajra-node keygen` and give the same file to every node",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file cannot be written.
    #[error("cannot write the swarm key {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The cause. An existing file is not overwritten.
        source: io::Error,
    },
    /// The operating system returned no random bytes.
    #[error("no random bytes from the operating system: {0}")]
    Random(#[from] getrandom::Error),
}

impl SwarmKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`SwarmKeyError::Random`] if the operating system returns no random bytes.
    pub fn generate() -> Result<SwarmKey, SwarmKeyError> {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes)?;
        Ok(SwarmKey(PreSharedKey::new(bytes)))
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`SwarmKeyError::Unreadable`] or [`SwarmKeyError::Malformed`].
    pub fn read(path: &Path) -> Result<SwarmKey, SwarmKeyError> {
        let unreadable = |source| SwarmKeyError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let malformed = |reason| SwarmKeyError::Malformed {
            path: path.to_owned(),
            reason,
        };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(MAX_FILE + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(malformed("it is too long"));
        }
        let text = String::from_utf8(bytes).map_err(|_| malformed("it is not text"))?;
        let mut lines = text.lines().map(str::trim);
        if lines.next() != Some("/key/swarm/psk/1.0.0/") {
            return Err(malformed("the first line must be /key/swarm/psk/1.0.0/"));
        }
        if lines.next() != Some("/base16/") {
            return Err(malformed("the second line must be /base16/"));
        }
        let hex = lines.next().unwrap_or_default();
        let key =
            parse_hex(hex).ok_or_else(|| malformed("the third line must be 64 hex digits"))?;
        Ok(SwarmKey(PreSharedKey::new(key)))
    }

    /// Writes the key to a new file that only its owner may read.
    ///
    /// # Errors
    /// [`SwarmKeyError::Unwritable`], also if the file exists.
    pub fn write_new(&self, path: &Path) -> Result<(), SwarmKeyError> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
            .open(path)
            .and_then(|mut file| file.write_all(self.to_file().as_bytes()))
            .map_err(|source| SwarmKeyError::Unwritable {
                path: path.to_owned(),
                source,
            })
    }

    /// The content of a key file.
    pub fn to_file(&self) -> String {
        self.0.to_key_file()
    }

    /// A hash of the key that may be shown, to compare the keys of two nodes.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint().to_string()
    }

    pub(super) fn pre_shared(&self) -> PreSharedKey {
        self.0
    }
}

impl fmt::Debug for SwarmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SwarmKey({})", self.fingerprint())
    }
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).map(|d| d as u8))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect();
    if digits.len() == 64 {
        bytes.try_into().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_written_key_is_read_back_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("swarm.key");
        let key = SwarmKey::generate().unwrap();
        key.write_new(&path).unwrap();
        assert_eq!(SwarmKey::read(&path).unwrap(), key);
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .starts_with("/key/swarm/psk/1.0.0/\n/base16/\n")
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }

    #[test]
    fn an_existing_file_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("swarm.key");
        std::fs::write(&path, "precious").unwrap();
        let error = SwarmKey::generate().unwrap().write_new(&path).unwrap_err();
        assert!(matches!(error, SwarmKeyError::Unwritable { .. }));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn the_error_for_an_invalid_key_file_names_the_fault() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("swarm.key");
        let hex = "0".repeat(64);
        for (text, reason) in [
            (String::new(), "first line"),
            (
                "/key/swarm/psk/1.0.0/\n/base64/\nAAAA".to_owned(),
                "second line",
            ),
            (
                format!("/key/swarm/psk/1.0.0/\n/base16/\n{}", &hex[1..]),
                "64 hex digits",
            ),
            (
                format!("/key/swarm/psk/1.0.0/\n/base16/\nä{}", &hex[2..]),
                "64 hex digits",
            ),
            ("x".repeat(5000), "too long"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = SwarmKey::read(&path).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let missing = SwarmKey::read(&dir.path().join("none")).unwrap_err();
        assert!(matches!(missing, SwarmKeyError::Unreadable { .. }));
    }

    #[test]
    fn debug_does_not_reveal_the_key() {
        let key = SwarmKey::generate().unwrap();
        let hex = key.to_file().lines().last().unwrap().to_owned();
        assert!(!format!("{key:?}").contains(&hex));
    }
}
