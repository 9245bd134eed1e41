//! Signatures of the protocol with the keys that determine the peer ids.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use libp2p::identity::{Keypair, PublicKey};
use vajra_core::protocol::signature::{Keys, SIGNATURE_LEN, Signature, Statement};
use vajra_core::protocol::{Digest, Peer};

use super::{SwarmKey, SwarmName, address};

/// Most decoded public keys that are kept.
const MAX_DECODED: usize = 1_024;

/// The key of this node and the public keys of all others, for one swarm.
pub struct SwarmKeys {
    own: Keypair,
    /// Part of everything that is signed, so that nothing can be repeated in another swarm.
    swarm: Digest,
    decoded: Mutex<HashMap<Peer, PublicKey>>,
}

impl SwarmKeys {
    /// Keys of the node with this key pair.
    pub fn new(own: Keypair, name: &SwarmName, key: Option<&SwarmKey>) -> SwarmKeys {
        let private = key.map(SwarmKey::fingerprint).unwrap_or_default();
        let swarm = Statement::of("swarm")
            .field(name.to_string().as_bytes())
            .field(private.as_bytes());
        SwarmKeys {
            own,
            swarm: swarm.sha256(),
            decoded: Mutex::default(),
        }
    }

    fn signed_bytes(&self, statement: &Statement) -> Vec<u8> {
        [&self.swarm.0, statement.as_bytes()].concat()
    }

    /// The public key of a peer: its id contains it.
    fn public_key(&self, peer: &Peer) -> Option<PublicKey> {
        let mut decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = decoded.get(peer) {
            return Some(key.clone());
        }
        let id = address::peer_id(peer)?;
        let key = PublicKey::try_decode_protobuf(id.as_ref().digest()).ok()?;
        // Ids of other key types contain a hash, which is not a key.
        if key.to_peer_id() != id {
            return None;
        }
        if decoded.len() >= MAX_DECODED {
            decoded.clear();
        }
        decoded.insert(peer.clone(), key.clone());
        Some(key)
    }
}

impl fmt::Debug for SwarmKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwarmKeys").finish_non_exhaustive()
    }
}

impl Keys for SwarmKeys {
    fn sign(&self, statement: &Statement) -> Signature {
        // Ed25519, the type of every key of a node, does not fail. An empty signature is one that
        // nobody accepts.
        let signed = self.own.sign(&self.signed_bytes(statement));
        let bytes = signed.ok().and_then(|s| s.try_into().ok());
        Signature(bytes.unwrap_or([0; SIGNATURE_LEN]))
    }

    fn is_signed(&self, statement: &Statement, by: &Peer, signature: &Signature) -> bool {
        let bytes = self.signed_bytes(statement);
        self.public_key(by)
            .is_some_and(|key| key.verify(&bytes, &signature.0))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Identity;

    fn name(name: &str) -> SwarmName {
        name.parse().unwrap()
    }

    #[test]
    fn every_node_of_the_swarm_can_check_a_signature_and_no_other_swarm_accepts_it() {
        let (one, two) = (Identity::ephemeral(), Identity::ephemeral());
        let keys =
            |i: &Identity, n, k: Option<&SwarmKey>| SwarmKeys::new(i.keypair.clone(), &name(n), k);
        let statement = Statement::of("test").number(7);
        let signature = keys(&one, "a", None).sign(&statement);
        let checker = keys(&two, "a", None);
        assert!(checker.is_signed(&statement, &one.peer(), &signature));
        assert!(!checker.is_signed(&statement, &two.peer(), &signature));
        let other = Statement::of("test").number(8);
        assert!(!checker.is_signed(&other, &one.peer(), &signature));
        assert!(!keys(&two, "b", None).is_signed(&statement, &one.peer(), &signature));
        let private = SwarmKey::generate().unwrap();
        assert!(!keys(&two, "a", Some(&private)).is_signed(&statement, &one.peer(), &signature));
    }

    #[test]
    fn a_peer_id_that_contains_no_key_signs_nothing() {
        let keys = SwarmKeys::new(Keypair::generate_ed25519(), &name("a"), None);
        let statement = Statement::of("test");
        let signature = keys.sign(&statement);
        for peer in [
            Peer::new(&[]),
            Peer::new(&[1; 34]),
            Peer::new(&[0, 36, 8, 1]),
        ] {
            assert!(!keys.is_signed(&statement, &peer, &signature));
        }
    }
}
