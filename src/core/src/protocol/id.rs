//! Identifiers: peers, incarnations, tests, digests.

use std::fmt;
use std::sync::Arc;

/// Stable identity of a peer: the bytes of its libp2p `PeerId` (opaque here).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(Arc<[u8]>);

impl Peer {
    /// Most bytes of an accepted identity; a libp2p `PeerId` has at most 42.
    pub const MAX_LEN: usize = 64;

    /// A peer from the bytes of its identity.
    pub fn new(bytes: &[u8]) -> Peer {
        Peer(Arc::from(bytes))
    }

    /// Bytes of the identity.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = &self.0[self.0.len().saturating_sub(4)..];
        tail.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// Number of one start of a node; greater at every start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Incarnation(pub u64);

/// A node and its incarnation. Electorates and rosters list these, never bare peers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// Peer of the node.
    pub peer: Peer,
    /// Incarnation of the node.
    pub incarnation: Incarnation,
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{}", self.peer, self.incarnation.0)
    }
}

/// One run of a plan: the 16 bytes of a UUIDv7, so ids sort by start time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TestId(pub [u8; 16]);

impl fmt::Display for TestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, b) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{b:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for TestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a test id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a test id (expected 32 hex digits)")]
pub struct ParseTestIdError;

impl std::str::FromStr for TestId {
    type Err = ParseTestIdError;

    /// Accepts 32 hex digits, with or without the usual dashes.
    fn from_str(s: &str) -> Result<TestId, ParseTestIdError> {
        let mut out = [0u8; 16];
        let mut digits = s.bytes().filter(|b| *b != b'-');
        for slot in &mut out {
            let mut byte = 0u8;
            for _ in 0..2 {
                let digit = (digits.next().ok_or(ParseTestIdError)? as char)
                    .to_digit(16)
                    .ok_or(ParseTestIdError)?;
                byte = byte << 4 | digit as u8;
            }
            *slot = byte;
        }
        digits
            .next()
            .is_none()
            .then_some(TestId(out))
            .ok_or(ParseTestIdError)
    }
}

/// SHA-256 of a plan's canonical bytes or of a data file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        use sha2::Digest as _;
        Digest(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_test_id_parses_to_the_same_id() {
        let id = TestId(std::array::from_fn(|i| i as u8 * 17));
        let text = id.to_string();
        assert_eq!(text, "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(text.parse(), Ok(id));
        assert_eq!("00112233".parse::<TestId>(), Err(ParseTestIdError));
        assert_eq!(format!("{text}00").parse::<TestId>(), Err(ParseTestIdError));
    }
}
