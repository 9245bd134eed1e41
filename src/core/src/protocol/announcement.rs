//! Announcement of a test. The id of a test commits to it: no second announcement has the same id,
//! and nobody else can sign it.

use std::sync::Arc;
use std::time::Duration;

use super::id::{Digest, NodeId, TestId};
use super::rendezvous::{Seed, electorate};
use super::signature::{Keys, Signature, Statement};

/// Most difference between the wall clocks of two nodes. A node acts on no test that was submitted
/// later than that after its own time.
pub const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(600);

/// Largest plan that is sent with its announcement, in bytes.
pub const MAX_INLINE_PLAN: usize = 8 * 1024;

/// A test submitted on this node.
#[derive(Clone, PartialEq, Debug)]
pub struct Submission {
    /// Display name of the plan.
    pub name: String,
    /// The plan's canonical bytes.
    pub plan: Arc<[u8]>,
    /// Unix time of the start command in milliseconds.
    pub unix_ms: u64,
    /// A random number.
    pub nonce: Seed,
}

/// Announcement of a test: names its electorate and identifies its plan.
#[derive(Clone, PartialEq, Debug)]
pub struct Announcement {
    /// Test id: the time of the submission and a hash of all other fields.
    pub test: TestId,
    /// Node on which it was started.
    pub submitter: NodeId,
    /// Display name of the plan.
    pub name: String,
    /// SHA-256 of the plan's canonical bytes.
    pub digest: Digest,
    /// Length of the plan in bytes.
    pub plan_len: u32,
    /// The plan's bytes, if there are few.
    pub plan: Option<Arc<[u8]>>,
    /// Nodes that may vote, in order of succession.
    pub electorate: Vec<NodeId>,
    /// Unix time of the start command on the submitter, in milliseconds.
    pub submitted_unix_ms: u64,
    /// Random number of the submitter, which makes two equal submissions two tests.
    pub nonce: Seed,
    /// Signature of the submitter.
    pub signature: Signature,
}

impl Announcement {
    /// Announces a submission of `submitter` in a swarm with these live nodes.
    pub fn new(
        submission: &Submission,
        submitter: &NodeId,
        live: impl IntoIterator<Item = NodeId>,
        keys: &dyn Keys,
    ) -> Announcement {
        let plan = &submission.plan;
        let mut announcement = Announcement {
            test: TestId([0; 16]),
            submitter: submitter.clone(),
            name: submission.name.clone(),
            digest: Digest::of(plan),
            plan_len: plan.len() as u32,
            plan: (plan.len() <= MAX_INLINE_PLAN).then(|| plan.clone()),
            electorate: electorate(submission.nonce, live),
            submitted_unix_ms: submission.unix_ms,
            nonce: submission.nonce,
            signature: Signature([0; 64]),
        };
        announcement.seal(keys);
        announcement
    }

    /// Sets the id and the signature that its other fields demand.
    pub fn seal(&mut self, keys: &dyn Keys) {
        self.test = self.id();
        self.signature = keys.sign(&self.statement());
    }

    /// What the submitter signs: all fields, where the digest stands for the plan's bytes.
    fn statement(&self) -> Statement {
        Statement::of("announcement")
            .number(self.submitted_unix_ms)
            .field(&self.nonce.0)
            .node(&self.submitter)
            .field(self.name.as_bytes())
            .digest(self.digest)
            .number(u64::from(self.plan_len))
            .list(self.electorate.iter(), Statement::node)
    }

    /// The id that its other fields demand: a UUIDv7 with a hash in place of the random part.
    fn id(&self) -> TestId {
        let mut id = [0; 16];
        id[6..].copy_from_slice(&self.statement().sha256().0[..10]);
        id[..6].copy_from_slice(&self.submitted_unix_ms.to_be_bytes()[2..]);
        id[6] = id[6] & 0x0f | 0x70;
        id[8] = id[8] & 0x3f | 0x80;
        TestId(id)
    }

    /// Whether its id belongs to it and its submitter signed it.
    pub fn is_authentic(&self, keys: &dyn Keys) -> bool {
        self.test == self.id()
            && keys.is_signed(&self.statement(), &self.submitter.peer, &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fakes::{FakeKeys, node};
    use super::*;

    fn announced() -> Announcement {
        let submission = Submission {
            name: "checkout".into(),
            plan: Arc::from(&b"a plan"[..]),
            unix_ms: 1_790_000_000_123,
            nonce: Seed([7; 16]),
        };
        let live = (0..5).map(node);
        Announcement::new(&submission, &node(1), live, &FakeKeys::of(&node(1)))
    }

    #[test]
    fn the_id_is_a_uuid_of_version_7_with_the_time_of_the_submission() {
        let id = announced().test.0;
        assert_eq!(id[..6], 1_790_000_000_123u64.to_be_bytes()[2..]);
        assert_eq!(id[6] >> 4, 7);
        assert_eq!(id[8] >> 6, 2);
    }

    #[test]
    fn no_field_can_be_changed() {
        let keys = FakeKeys::of(&node(3));
        assert!(announced().is_authentic(&keys));
        for change in [
            |a: &mut Announcement| a.test.0[15] ^= 1,
            |a: &mut Announcement| a.submitter = node(2),
            |a: &mut Announcement| a.submitter.incarnation.0 += 1,
            |a: &mut Announcement| a.name.push('s'),
            |a: &mut Announcement| a.digest.0[0] ^= 1,
            |a: &mut Announcement| a.plan_len += 1,
            |a: &mut Announcement| a.electorate.swap(0, 1),
            |a: &mut Announcement| a.electorate.truncate(3),
            |a: &mut Announcement| a.submitted_unix_ms += 1,
            |a: &mut Announcement| a.nonce.0[0] ^= 1,
            |a: &mut Announcement| a.signature.0[0] ^= 1,
        ] {
            let mut changed = announced();
            change(&mut changed);
            assert!(!changed.is_authentic(&keys), "{changed:?}");
            // With another id, the signature is that of another announcement.
            changed.test = changed.id();
            let same = changed.test == announced().test;
            assert!(same || !changed.is_authentic(&keys), "{changed:?}");
        }
    }
}
