//! The electorate of a test: the live nodes with the highest rendezvous hash.
//!
//! Highest-random-weight hashing (Thaler and Ravishankar, 1998): every node that knows the same
//! candidates computes the same order, and losing one candidate does not change the order of the
//! others.

use sha2::{Digest as _, Sha256};

use super::id::{NodeId, Peer};

/// Most electors of a test: a majority of 7 survives the loss of any 3.
pub const MAX_ELECTORS: usize = 7;

/// Random number of a test, from which its electorate follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed(pub [u8; 16]);

/// Weight of a peer for a test.
pub fn weight(seed: Seed, peer: &Peer) -> u64 {
    let mut hash = Sha256::new();
    hash.update(seed.0);
    hash.update(peer.as_bytes());
    let digest = hash.finalize();
    let mut first = [0u8; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}

/// The electorate among `live` nodes: the largest odd number of them, at most [`MAX_ELECTORS`], by
/// descending weight. The order is the order of succession.
pub fn electorate(seed: Seed, live: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
    let mut ranked: Vec<(u64, NodeId)> = live
        .into_iter()
        .map(|n| (weight(seed, &n.peer), n))
        .collect();
    ranked.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    ranked.dedup_by(|a, b| a.1.peer == b.1.peer);
    let odd = match ranked.len().min(MAX_ELECTORS) {
        0 => 0,
        n => n - 1 + n % 2,
    };
    ranked.truncate(odd);
    ranked.into_iter().map(|(_, n)| n).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fakes::node;
    use super::*;

    const SEED: Seed = Seed([3; 16]);

    #[test]
    fn the_electorate_is_the_largest_odd_number_up_to_seven() {
        for (live, expected) in [
            (0, 0),
            (1, 1),
            (2, 1),
            (3, 3),
            (4, 3),
            (6, 5),
            (7, 7),
            (50, 7),
        ] {
            assert_eq!(electorate(SEED, (0..live).map(node)).len(), expected);
        }
    }

    #[test]
    fn it_depends_on_the_live_nodes_and_not_on_their_order() {
        let forward = electorate(SEED, (0..20).map(node));
        let backward = electorate(SEED, (0..20).rev().map(node));
        assert_eq!(forward, backward);
        assert_ne!(forward, electorate(Seed([4; 16]), (0..20).map(node)));
    }

    #[test]
    fn losing_a_node_keeps_the_order_of_the_others() {
        let all = electorate(SEED, (0..20).map(node));
        let lost = all[2].clone();
        let rest = electorate(SEED, (0..20).map(node).filter(|n| *n != lost));
        let kept: Vec<_> = all.iter().filter(|n| **n != lost).collect();
        assert!(rest.iter().zip(kept).all(|(a, b)| a == b));
    }
}
