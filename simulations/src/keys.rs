//! Signatures of the simulation: a fast hash of the signer and the statement. They protect nothing
//! from whoever calculates the hash, and no node of the simulation does that for another.

use vajra_core::protocol::Peer;
use vajra_core::protocol::signature::{Keys, SIGNATURE_LEN, Signature, Statement};

/// Multiplier of FNV-1a with 64 bits.
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Keys of one node.
#[derive(Debug)]
pub struct SimulatedKeys(pub Peer);

fn signature(signer: &Peer, statement: &Statement) -> Signature {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut add = |bytes: &[u8]| {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(PRIME);
            hash ^= hash >> 29;
        }
    };
    add(signer.as_bytes());
    add(statement.as_bytes());
    let mut signature = [0; SIGNATURE_LEN];
    signature[..8].copy_from_slice(&hash.to_be_bytes());
    Signature(signature)
}

impl Keys for SimulatedKeys {
    fn sign(&self, statement: &Statement) -> Signature {
        signature(&self.0, statement)
    }

    fn is_signed(&self, statement: &Statement, by: &Peer, claimed: &Signature) -> bool {
        signature(by, statement) == *claimed
    }
}
