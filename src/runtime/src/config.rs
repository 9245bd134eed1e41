//! The configuration of a node, after command line, environment and file were combined. Values are
//! valid by their type.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use crate::host;
use vajra_network::{SwarmKey, SwarmName};
use vajra_task::AllowTarget;
use vajra_wire::limits::MAX_NAME;

/// Default name of the swarm.
pub const DEFAULT_SWARM: &str = "vajra";
/// Default port of the swarm.
pub const SWARM_PORT: u16 = 7400;
/// Default port of the API.
pub const API_PORT: u16 = 7401;
/// Default capacity per engine thread, in concurrent tasks. Only the proportions between nodes
/// matter for the shares.
pub const CAPACITY_PER_THREAD: u32 = 1000;
/// Most engine threads that can be configured.
pub const MAX_ENGINE_THREADS: usize = 256;
/// Largest capacity that can be configured.
pub const MAX_CAPACITY: u32 = 1_000_000;

/// The configuration of a node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Addresses of nodes to connect to, for swarms beyond the LAN.
    pub bootstrap: Vec<Multiaddr>,
    /// Listen addresses of the swarm.
    pub listen: Listen,
    /// Discover nodes on the LAN with mDNS.
    pub mdns: bool,
    /// Name of the swarm; nodes of other swarms are ignored.
    pub swarm: SwarmName,
    /// Key of a private swarm; nodes without it cannot connect.
    pub swarm_key: Option<SwarmKey>,
    /// Other ports of this process, such as the API's, which tests of other nodes must not target.
    pub own_ports: Vec<u16>,
    /// Where identity, known peers and results are stored.
    pub data: DataPlace,
    /// The node's display name.
    pub name: NodeName,
    /// Labels by which plans select nodes.
    pub labels: BTreeMap<String, String>,
    /// Concurrent tasks that this node offers, 1 to [`MAX_CAPACITY`].
    pub capacity: NonZeroU32,
    /// Threads that generate load, 1 to [`MAX_ENGINE_THREADS`].
    pub engine_threads: NonZeroUsize,
    /// Targets that tests of other nodes may use; if empty, the default policy applies.
    pub allow_target: Vec<AllowTarget>,
    /// The `env:NAME` and `file:PATH` references that this node resolves for tests.
    pub allow_secret: Vec<String>,
    /// Source addresses of connections to targets, used round robin; if empty, the system chooses.
    pub source_addresses: Vec<IpAddr>,
    /// Protocol timing profile.
    pub timings: TimingProfile,
    /// Run without a swarm: no listening, no mDNS, no bootstrap.
    pub standalone: bool,
    /// Directory for all raw values, with which tests compare merged percentiles.
    pub dump_dir: Option<PathBuf>,
}

/// The display name of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeName {
    /// The name, 1 to 255 bytes.
    pub text: String,
    /// It was not configured. A default name gets a number, such as `host-2`, if another node of
    /// the swarm has it too.
    pub is_default: bool,
}

impl NodeName {
    /// The name of the machine, or `node`.
    pub fn default_name() -> NodeName {
        let host = host::hostname();
        let host = host.filter(|name| name.len() <= MAX_NAME && !name.contains(char::is_control));
        NodeName {
            text: host.unwrap_or_else(|| "node".into()),
            is_default: true,
        }
    }

    /// A configured name.
    pub fn configured(text: impl Into<String>) -> NodeName {
        NodeName {
            text: text.into(),
            is_default: false,
        }
    }
}

impl Default for NodeConfig {
    /// A node in the default swarm that finds other nodes on the LAN and stores nothing on disk.
    fn default() -> NodeConfig {
        let cores = NonZeroUsize::new(host::cores().saturating_sub(1));
        let engine_threads = cores.unwrap_or(NonZeroUsize::MIN);
        let capacity = engine_threads.get() as u32 * CAPACITY_PER_THREAD;
        NodeConfig {
            bootstrap: Vec::new(),
            listen: Listen {
                addresses: vec![any_interface(SWARM_PORT)],
                explicit: false,
            },
            mdns: true,
            swarm: default_swarm(),
            swarm_key: None,
            own_ports: Vec::new(),
            data: DataPlace::Ephemeral,
            name: NodeName::default_name(),
            labels: BTreeMap::new(),
            capacity: NonZeroU32::new(capacity).unwrap_or(NonZeroU32::MIN),
            engine_threads,
            allow_target: Vec::new(),
            allow_secret: Vec::new(),
            source_addresses: Vec::new(),
            timings: TimingProfile::default(),
            standalone: false,
            dump_dir: None,
        }
    }
}

fn default_swarm() -> SwarmName {
    match DEFAULT_SWARM.parse() {
        Ok(name) => name,
        Err(e) => unreachable!("the default swarm name is valid: {e}"),
    }
}

/// All IPv4 interfaces, on this TCP port.
pub fn any_interface(port: u16) -> Multiaddr {
    Multiaddr::empty()
        .with(Protocol::Ip4(Ipv4Addr::UNSPECIFIED))
        .with(Protocol::Tcp(port))
}

/// Listen addresses of the swarm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listen {
    /// `/ip4|ip6/ADDR/tcp/PORT`; port 0 picks a free one.
    pub addresses: Vec<Multiaddr>,
    /// Configured: a port in use is an error. Otherwise a free port is used instead, with a warning.
    pub explicit: bool,
}

/// Where identity, known peers and results are stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DataPlace {
    /// In memory: the identity is new at every start, and nothing remains after the end.
    Ephemeral,
    /// In a directory, which is locked.
    Directory {
        /// The directory; it is created if absent.
        path: PathBuf,
        /// Configured: if another node uses it, that is an error. Otherwise this node becomes
        /// ephemeral, with a warning.
        explicit: bool,
    },
}

/// Protocol timing profile. All nodes of a swarm need the same one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimingProfile {
    /// Round trips of milliseconds; leases of 1 s (authority) and 2.5 s (shares).
    #[default]
    Lan,
    /// Round trips of up to 1 s; leases of 4 s (authority) and 10 s (shares).
    Wan,
}

/// A value that is not among the allowed ones.
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
