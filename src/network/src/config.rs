//! Settings of a network, and why it cannot start.

use std::io;

use libp2p::Multiaddr;
use libp2p::identity::Keypair;

use super::address::AddressError;
use super::behaviour::SetupError;
use super::known_peers::KnownPeers;
use super::swarm_key::SwarmKey;
use super::swarm_name::SwarmName;

/// Settings of a network.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Key of this node; from [`super::Identity`].
    pub identity: Keypair,
    /// Name of the swarm. Nodes with another name are ignored.
    pub swarm_name: SwarmName,
    /// Key of a private swarm. Nodes without it cannot connect.
    pub swarm_key: Option<SwarmKey>,
    /// Listen addresses: `/ip4|ip6/ADDR/tcp/PORT`. An unspecified address means all interfaces,
    /// port 0 a free port. Without any, other nodes cannot dial this one.
    pub listen: Vec<Multiaddr>,
    /// Addresses of nodes to connect to first; see [`super::check_bootstrap`].
    pub bootstrap: Vec<Multiaddr>,
    /// Whether to find nodes on the LAN by mDNS, and to be found there.
    pub mdns: bool,
    /// File for the known peers; from [`super::DataDir::known_peers`].
    pub known_peers: Option<KnownPeers>,
}

/// Why a network cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Another process listens on the port.
    #[error("cannot listen on {address}: the port is in use; choose another with --listen")]
    AddressInUse {
        /// Listen address.
        address: Multiaddr,
    },
    /// Listening failed.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Listen address.
        address: Multiaddr,
        /// The cause.
        source: io::Error,
    },
    /// An address has the wrong form.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// libp2p refused its configuration.
    #[error("cannot set up the network: {0}")]
    Setup(#[from] SetupError),
}
