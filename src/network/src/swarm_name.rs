//! The name of the swarm and the protocol names derived from it. Swarms with different names have
//! no protocol in common, so they do not mix on one LAN.

use std::fmt;
use std::str::FromStr;

use libp2p::StreamProtocol;

/// The name of a swarm: 1 to 63 letters, digits, `-`, `_` or `.`, so that it can be part of
/// protocol and file names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SwarmName(String);

/// The text is not a valid swarm name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("swarm name {0:?} must be 1 to 63 letters, digits, '-', '_' or '.'")]
pub struct SwarmNameError(String);

impl SwarmName {
    /// Longest name, in bytes.
    pub const MAX_LEN: usize = 63;

    /// The protocol version in identify. Peers with another one belong to another swarm.
    pub(super) fn identify(&self) -> String {
        format!("/vajra/{}/1", self.0)
    }

    /// The Kademlia protocol.
    pub(super) fn kad(&self) -> StreamProtocol {
        self.protocol("kad/1")
    }

    /// The protocol for small requests.
    pub(super) fn control(&self) -> StreamProtocol {
        self.protocol("control/1")
    }

    /// The protocol for large requests.
    pub(super) fn bulk(&self) -> StreamProtocol {
        self.protocol("bulk/1")
    }

    /// The prefix of the gossipsub protocols; gossipsub appends its versions.
    pub(super) fn gossip(&self) -> String {
        format!("/vajra/{}/gossip", self.0)
    }

    fn protocol(&self, tail: &str) -> StreamProtocol {
        StreamProtocol::try_from_owned(format!("/vajra/{}/{tail}", self.0))
            .expect("starts with a slash, as a protocol name must")
    }
}

impl fmt::Display for SwarmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SwarmName {
    type Err = SwarmNameError;

    fn from_str(text: &str) -> Result<SwarmName, SwarmNameError> {
        let fits = (1..=Self::MAX_LEN).contains(&text.len());
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        // `.` and `..` are directories.
        if fits && plain && text.bytes().any(|b| b != b'.') {
            Ok(SwarmName(text.to_owned()))
        } else {
            Err(SwarmNameError(text.chars().take(80).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_part_of_a_protocol_or_file_name_are_refused() {
        for bad in ["", "a/b", "a b", "..", "ä", &"x".repeat(64)] {
            assert!(bad.parse::<SwarmName>().is_err(), "{bad:?}");
        }
        for good in ["default", "team-1_x.y", &"x".repeat(63)] {
            assert!(good.parse::<SwarmName>().is_ok(), "{good:?}");
        }
    }
}
