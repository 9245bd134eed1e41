//! Peers remembered on disk, so that a restarted node finds its swarm without a bootstrap address.
//! The file is bounded and replaced atomically. A node whose file is damaged starts without it.

use std::io;
use std::path::PathBuf;

use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};

use super::files::{read_up_to, write_atomic};

/// Most peers in the file, those seen last. One of them that is still running leads to all others.
pub const MAX_KNOWN: usize = 256;

/// Largest file in bytes. 256 peers with eight addresses each take far less.
const MAX_FILE: u64 = 1024 * 1024;

/// The file for the known peers of one swarm.
#[derive(Clone, Debug)]
pub struct KnownPeers {
    path: PathBuf,
}

/// A peer that was once connected.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct KnownPeer {
    #[serde(with = "as_text")]
    pub peer: PeerId,
    /// Best first, without `/p2p/`.
    pub addresses: Vec<Multiaddr>,
    /// When it was last connected. Only for sorting.
    pub seen_unix_s: u64,
}

impl KnownPeers {
    pub(super) fn at(path: PathBuf) -> KnownPeers {
        KnownPeers { path }
    }

    /// The peers in the file. Empty if the file does not exist.
    pub(super) fn load(&self) -> io::Result<Vec<KnownPeer>> {
        let Some(bytes) = read_up_to(&self.path, MAX_FILE)? else {
            return Ok(Vec::new());
        };
        let mut peers: Vec<KnownPeer> = serde_json::from_slice(&bytes)?;
        peers.truncate(MAX_KNOWN);
        Ok(peers)
    }

    /// Replaces the file. Blocks.
    pub(super) fn save(&self, peers: &[KnownPeer]) -> io::Result<()> {
        let kept = &peers[..peers.len().min(MAX_KNOWN)];
        write_atomic(&self.path, &serde_json::to_vec_pretty(kept)?)
    }
}

mod as_text {
    use libp2p::PeerId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(peer: &PeerId, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(peer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PeerId, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn some_peer() -> KnownPeer {
        KnownPeer {
            peer: PeerId::random(),
            addresses: vec!["/ip4/10.0.0.1/tcp/7400".parse().unwrap()],
            seen_unix_s: 1_700_000_000,
        }
    }

    #[test]
    fn peers_are_read_back_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let store = KnownPeers::at(dir.path().join("peers-x.json"));
        assert_eq!(store.load().unwrap(), vec![]);
        let peers: Vec<_> = (0..MAX_KNOWN + 3).map(|_| some_peer()).collect();
        store.save(&peers).unwrap();
        assert_eq!(store.load().unwrap(), peers[..MAX_KNOWN]);
    }

    #[test]
    fn a_damaged_file_is_an_error_not_a_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peers-x.json");
        std::fs::write(&path, "{").unwrap();
        assert!(KnownPeers::at(path).load().is_err());
    }
}
