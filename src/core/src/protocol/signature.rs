//! Signatures of the objects that nodes relay: a receiver believes the signature, never the relay.
//!
//! What is signed is the [`Statement`] of an object: its fields in a fixed form, after a tag that
//! names the kind of object. Signatures are made and checked by the [`Keys`] of the driver, so that
//! a simulation can use cheap ones.

use std::fmt;

use super::id::{Digest, NodeId, Peer, TestId};

/// Length of a signature in bytes.
pub const SIGNATURE_LEN: usize = 64;

/// The signature of a node (Ed25519 on real nodes).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; SIGNATURE_LEN]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// The key of this node, and the public keys of all others.
pub trait Keys: fmt::Debug + Send + Sync {
    /// Signs a statement for this node's swarm.
    fn sign(&self, statement: &Statement) -> Signature;

    /// Whether this peer signed the statement, for this node's swarm.
    fn is_signed(&self, statement: &Statement, by: &Peer, signature: &Signature) -> bool;
}

/// The signed form of an object. Two different objects never have the same one: every field has a
/// fixed place, and every field of variable length is preceded by its length.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement(Vec<u8>);

impl Statement {
    /// The statement of an object of this kind, about this test.
    pub fn about(kind: &str, test: TestId) -> Statement {
        Statement::of(kind).field(&test.0)
    }

    /// The statement of an object of this kind.
    pub fn of(kind: &str) -> Statement {
        Statement(b"vajra".to_vec()).field(kind.as_bytes())
    }

    /// Adds bytes of any length.
    #[must_use]
    pub fn field(mut self, bytes: &[u8]) -> Statement {
        self.0.extend((bytes.len() as u64).to_be_bytes());
        self.0.extend(bytes);
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, number: u64) -> Statement {
        self.0.extend(number.to_be_bytes());
        self
    }

    /// Adds a digest.
    #[must_use]
    pub fn digest(mut self, digest: Digest) -> Statement {
        self.0.extend(digest.0);
        self
    }

    /// Adds a node.
    #[must_use]
    pub fn node(self, node: &NodeId) -> Statement {
        self.field(node.peer.as_bytes()).number(node.incarnation.0)
    }

    /// Adds a list, preceded by its length.
    #[must_use]
    pub fn list<T>(
        self,
        items: impl ExactSizeIterator<Item = T>,
        add: impl Fn(Statement, T) -> Statement,
    ) -> Statement {
        let start = self.number(items.len() as u64);
        items.fold(start, add)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its SHA-256.
    pub fn sha256(&self) -> Digest {
        Digest::of(&self.0)
    }
}
