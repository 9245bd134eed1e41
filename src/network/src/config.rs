//! What a network is started with, and why it may not start.

use std::io;

use libp2p::Multiaddr;
use libp2p::identity::Keypair;

use super::address::AddressError;
use super::key::SwarmKey;
use super::known_peers::KnownPeers;
use super::name::SwarmName;

/// Everything a network needs to know at its start.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// This node's key; from [`super::Identity`].
    pub identity: Keypair,
    /// Nodes with another name are not seen.
    pub swarm_name: SwarmName,
    /// Nodes without this key are not understood.
    pub swarm_key: Option<SwarmKey>,
    /// Where to listen: `/ip4|ip6/ADDR/tcp/PORT`; an unspecified address means every
    /// interface, port 0 a free port. Empty: nobody can dial this node.
    pub listen: Vec<Multiaddr>,
    /// Nodes to begin with, beyond the LAN; see [`super::check_bootstrap`].
    pub bootstrap: Vec<Multiaddr>,
    /// Look for nodes on the LAN, and be seen there.
    pub mdns: bool,
    /// Where good addresses are remembered; from [`super::DataDir::known_peers`].
    pub known_peers: Option<KnownPeers>,
}

/// Why a network did not start.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Somebody else listens there.
    #[error("cannot listen on {address}: the port is in use; choose another with --listen")]
    AddressInUse {
        /// Where.
        address: Multiaddr,
    },
    /// The address can't be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: Multiaddr,
        /// What the system said.
        source: io::Error,
    },
    /// An address is of the wrong form.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// libp2p refused its configuration.
    #[error("cannot set up the network: {0}")]
    Setup(String),
}
