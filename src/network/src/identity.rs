//! The identity of a node: its key, which determines the peer id, and its incarnation.

use libp2p::identity::Keypair;

use super::{address, wall_clock};
use vajra_core::protocol::{Incarnation, Peer};

/// The identity of a node in one run.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The key that determines the peer id.
    pub keypair: Keypair,
    /// Greater at every start of the node.
    pub incarnation: Incarnation,
}

impl Identity {
    /// A new identity, stored nowhere.
    pub fn ephemeral() -> Identity {
        Identity {
            keypair: Keypair::generate_ed25519(),
            incarnation: Incarnation(wall_clock::unix_ms()),
        }
    }

    /// The peer id.
    pub fn peer(&self) -> Peer {
        address::peer(&self.keypair.public().to_peer_id())
    }
}
