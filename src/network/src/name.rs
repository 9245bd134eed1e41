//! The swarm's name, and the protocol names made from it: two swarms that differ in name
//! share no protocol, so they never mix on one LAN.

use std::fmt;
use std::str::FromStr;

use libp2p::StreamProtocol;

/// A swarm's name: 1 to 63 letters, digits, `-`, `_` or `.`, so that it fits protocol and
/// file names as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SwarmName(String);

/// Why a text is no swarm name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("swarm name {0:?} must be 1 to 63 letters, digits, '-', '_' or '.'")]
pub struct BadSwarmName(String);

impl SwarmName {
    /// Longest name in bytes.
    pub const MAX_LEN: usize = 63;

    /// What identify calls us; a peer that says anything else is not of this swarm.
    pub(super) fn identify(&self) -> String {
        format!("/vajra/{}/1", self.0)
    }

    /// Kademlia's protocol.
    pub(super) fn kad(&self) -> StreamProtocol {
        self.protocol("kad/1")
    }

    /// Small requests.
    pub(super) fn control(&self) -> StreamProtocol {
        self.protocol("control/1")
    }

    /// Large requests.
    pub(super) fn bulk(&self) -> StreamProtocol {
        self.protocol("bulk/1")
    }

    /// Gossipsub appends its own versions to this.
    pub(super) fn gossip(&self) -> String {
        format!("/vajra/{}/gossip", self.0)
    }

    fn protocol(&self, tail: &str) -> StreamProtocol {
        StreamProtocol::try_from_owned(format!("/vajra/{}/{tail}", self.0))
            .expect("a protocol name only has to start with a slash")
    }
}

impl fmt::Display for SwarmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SwarmName {
    type Err = BadSwarmName;

    fn from_str(text: &str) -> Result<SwarmName, BadSwarmName> {
        let fits = (1..=Self::MAX_LEN).contains(&text.len());
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        // Dots alone would be a directory, where the name becomes part of a file's.
        if fits && plain && text.bytes().any(|b| b != b'.') {
            Ok(SwarmName(text.to_owned()))
        } else {
            Err(BadSwarmName(text.chars().take(80).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_not_be_part_of_a_protocol_or_file_name_is_refused() {
        for bad in ["", "a/b", "a b", "..", "ä", &"x".repeat(64)] {
            assert!(bad.parse::<SwarmName>().is_err(), "{bad:?}");
        }
        for good in ["default", "team-1_x.y", &"x".repeat(63)] {
            assert!(good.parse::<SwarmName>().is_ok(), "{good:?}");
        }
    }
}
