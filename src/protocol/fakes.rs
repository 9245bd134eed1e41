//! What the tests of this room share.

use super::id::{Incarnation, NodeId, Peer};

/// A node by its number, in its first life.
pub fn node(i: u32) -> NodeId {
    NodeId {
        peer: Peer::new(&i.to_be_bytes()),
        incarnation: Incarnation(1),
    }
}
