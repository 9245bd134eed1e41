//! Certificate of a coordinator's tenure: the signed votes of a majority of electors. Whatever a
//! coordinator says counts only with it, so no node is one without an election.

use super::id::{NodeId, TestId};
use super::signature::{Keys, Signature, Statement};

/// What an elector signs when it votes.
pub fn vote(test: TestId, term: u64, candidate: &NodeId, elector: &NodeId) -> Statement {
    Statement::about("vote", test)
        .number(term)
        .node(candidate)
        .node(elector)
}

/// The signed votes of a majority.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Certificate {
    /// Place of each elector in the electorate, ascending, and its signature.
    pub votes: Vec<(u8, Signature)>,
}

impl Certificate {
    /// The certificate of these votes.
    pub fn new<'a>(
        electorate: &[NodeId],
        votes: impl Iterator<Item = (&'a NodeId, &'a Signature)>,
    ) -> Certificate {
        let place = |e: &NodeId| electorate.iter().position(|n| n == e);
        let votes = votes.filter_map(|(elector, s)| Some((place(elector)? as u8, *s)));
        let mut votes: Vec<(u8, Signature)> = votes.collect();
        votes.sort_unstable();
        Certificate { votes }
    }

    /// Whether at least `majority` electors voted for this candidate in this term.
    pub fn proves(
        &self,
        tenure: (TestId, u64, &NodeId),
        electorate: &[NodeId],
        majority: usize,
        keys: &dyn Keys,
    ) -> bool {
        let (test, term, candidate) = tenure;
        let is_signed = |(place, signature): &(u8, Signature)| {
            electorate.get(usize::from(*place)).is_some_and(|elector| {
                let statement = vote(test, term, candidate, elector);
                keys.is_signed(&statement, &elector.peer, signature)
            })
        };
        self.votes.len() >= majority
            && self.votes.is_sorted_by(|a, b| a.0 < b.0)
            && self.votes.iter().all(is_signed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fakes::{FakeKeys, node};
    use super::*;

    const TEST: TestId = TestId([1; 16]);

    fn signature(elector: u32, term: u64, candidate: u32) -> Signature {
        let statement = vote(TEST, term, &node(candidate), &node(elector));
        FakeKeys::of(&node(elector)).sign(&statement)
    }

    fn proves(votes: &[(u8, Signature)]) -> bool {
        let electorate: Vec<NodeId> = (0..5).map(node).collect();
        let certificate = Certificate {
            votes: votes.to_vec(),
        };
        let keys = FakeKeys::of(&node(9));
        certificate.proves((TEST, 4, &node(2)), &electorate, 3, &keys)
    }

    #[test]
    fn it_proves_a_tenure_by_the_votes_of_a_majority_and_by_nothing_less() {
        let good = |i: u8| (i, signature(u32::from(i), 4, 2));
        assert!(proves(&[good(0), good(2), good(4)]));
        assert!(proves(&[good(0), good(1), good(2), good(3)]));
        assert!(!proves(&[good(0), good(2)]), "a minority");
        assert!(!proves(&[good(0), good(0), good(2)]), "a vote twice");
        assert!(!proves(&[good(2), good(0), good(4)]), "not sorted");
        assert!(!proves(&[good(0), good(2), (7, good(3).1)]), "no elector");
        let other_term = (4, signature(4, 3, 2));
        assert!(!proves(&[good(0), good(2), other_term]));
        let other_candidate = (4, signature(4, 4, 1));
        assert!(!proves(&[good(0), good(2), other_candidate]));
        let other_elector = (4, signature(3, 4, 2));
        assert!(!proves(&[good(0), good(2), other_elector]));
    }
}
