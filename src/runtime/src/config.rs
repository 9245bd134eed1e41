//! Everything that a node is started with, resolved: whatever was typed, set in the
//! environment or written in a file has become one value each, and is correct by its type.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;

use libp2p::Multiaddr;

use vajra_network::{SwarmKey, SwarmName};
use vajra_task::AllowTarget;

/// Port the swarm listens on unless told otherwise.
pub const SWARM_PORT: u16 = 7400;
/// Port the API listens on unless told otherwise.
pub const API_PORT: u16 = 7401;
/// Concurrent tasks that a node offers for each engine thread unless told otherwise. The
/// split over nodes only uses the proportions.
pub const CAPACITY_PER_THREAD: u32 = 1000;
/// Most engine threads that can be asked for.
pub const MAX_ENGINE_THREADS: usize = 256;
/// Largest capacity that can be stated.
pub const MAX_CAPACITY: u32 = 1_000_000;

/// A node's options, resolved.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Nodes to begin with, beyond the LAN.
    pub bootstrap: Vec<Multiaddr>,
    /// Where the swarm listens.
    pub listen: Listen,
    /// Look for nodes on the LAN, and be seen there.
    pub mdns: bool,
    /// Nodes with another name are not seen.
    pub swarm: SwarmName,
    /// Nodes without this key are not understood.
    pub swarm_key: Option<SwarmKey>,
    /// Other ports of this process, such as the API's: no test may target them.
    pub own_ports: Vec<u16>,
    /// Where identity, known peers and results are kept.
    pub data: DataPlace,
    /// The node's name for people.
    pub name: String,
    /// Free marks that tests choose nodes by.
    pub labels: BTreeMap<String, String>,
    /// Concurrent tasks that this node offers (1 to [`MAX_CAPACITY`]).
    pub capacity: NonZeroU32,
    /// Threads that make load (1 to [`MAX_ENGINE_THREADS`]).
    pub engine_threads: NonZeroUsize,
    /// What tests of others may be aimed at; if empty, what the target policy allows anyway.
    pub allow_target: Vec<AllowTarget>,
    /// Which `env:NAME` and `file:PATH` references this node resolves for tests.
    pub allow_secret: Vec<String>,
    /// Addresses of this machine that connections to targets start from, in turn; if empty,
    /// the system's choice.
    pub source_addresses: Vec<IpAddr>,
    /// The protocol's clockwork.
    pub timings: TimingProfile,
    /// Look for nobody: no listening, no mDNS, no bootstrap. A swarm of one.
    pub standalone: bool,
    /// Where raw values are dumped for the tests' oracle.
    pub dump_dir: Option<PathBuf>,
}

/// Where the swarm listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listen {
    /// `/ip4|ip6/ADDR/tcp/PORT`; port 0 picks a free one.
    pub addresses: Vec<Multiaddr>,
    /// Asked for: a port that is taken is an error. Otherwise it gives way to a free one,
    /// with a warning.
    pub explicit: bool,
}

/// Where identity, known peers and results are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DataPlace {
    /// Nowhere: a new identity at every start, and nothing is remembered.
    Ephemeral,
    /// In a directory, which is locked.
    Directory {
        /// Made if it does not exist.
        path: PathBuf,
        /// Asked for: if another node uses it, that is an error. Otherwise this node is
        /// ephemeral then, with a warning.
        explicit: bool,
    },
}

/// Which of the two sets of timings the protocol runs on. All nodes of a swarm need
/// the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimingProfile {
    /// Round trips of milliseconds: authority 1 s, shares 2.5 s.
    #[default]
    Lan,
    /// Round trips up to a second: authority 4 s, shares 10 s.
    Wan,
}

/// A word that is none of the ones that could stand there.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{found:?} is not one of {expected}")]
pub struct UnknownWord {
    found: String,
    expected: &'static str,
}

impl FromStr for TimingProfile {
    type Err = UnknownWord;

    fn from_str(s: &str) -> Result<TimingProfile, UnknownWord> {
        match s {
            "lan" => Ok(TimingProfile::Lan),
            "wan" => Ok(TimingProfile::Wan),
            _ => Err(UnknownWord {
                found: s.into(),
                expected: "lan, wan",
            }),
        }
    }
}
