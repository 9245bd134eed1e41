//! Announcement of a test.

use std::collections::BTreeSet;

use super::common;
use super::decode;
use super::limits::*;
use super::{Wire, WireError, encode, pb};
use vajra_core::protocol::messages::Announcement;
use vajra_core::protocol::rendezvous::Seed;
use vajra_core::protocol::{Digest, NodeId};

/// Checks that the number of electors is odd and each peer is listed once.
fn electorate(list: Vec<pb::worker::NodeId>) -> Result<Vec<NodeId>, WireError> {
    let field = "electorate";
    let electors: Vec<NodeId> = decode::list(field, list, MAX_ELECTORS)?;
    if electors.len().is_multiple_of(2) {
        return Err(WireError::Invalid {
            field,
            reason: "does not have an odd number of electors",
        });
    }
    let peers: BTreeSet<_> = electors.iter().map(|e| &e.peer).collect();
    if peers.len() < electors.len() {
        return Err(WireError::Invalid {
            field,
            reason: "contains a peer twice",
        });
    }
    Ok(electors)
}

impl Wire for Announcement {
    type Message = pb::v1::Announcement;

    /// A plan that is too long is left out. Nodes fetch it.
    fn to_wire(&self) -> Self::Message {
        let plan = self.plan.as_ref().filter(|p| p.len() <= MAX_INLINE_PLAN);
        pb::v1::Announcement {
            test: self.test.0.to_vec(),
            submitter: Some(self.submitter.to_wire()),
            name: encode::text(&self.name, MAX_PLAN_NAME),
            digest: self.digest.0.to_vec(),
            plan_len: self.plan_len,
            plan: plan.map(|p| p.to_vec()),
            electorate: self.electorate.iter().map(Wire::to_wire).collect(),
            submitted_unix_ms: self.submitted_unix_ms,
            nonce: self.nonce.0.to_vec(),
            signature: self.signature.0.to_vec(),
        }
    }

    /// A contained plan must match the digest. The id and the signature are checked by the receiver.
    fn from_wire(m: Self::Message) -> Result<Announcement, WireError> {
        let digest = common::digest(&m.digest)?;
        if m.plan_len == 0 {
            return Err(WireError::Missing("plan_len"));
        }
        if let Some(plan) = &m.plan {
            decode::length("plan", plan.len(), MAX_INLINE_PLAN)?;
            if plan.len() as u64 != u64::from(m.plan_len) || Digest::of(plan) != digest {
                return Err(WireError::Invalid {
                    field: "plan",
                    reason: "does not match its length and digest",
                });
            }
        }
        Ok(Announcement {
            test: common::test(&m.test)?,
            submitter: decode::required("submitter", m.submitter)?,
            name: decode::text("name", m.name, MAX_PLAN_NAME)?,
            digest,
            plan_len: decode::at_most("plan_len", m.plan_len, MAX_PLAN as u32)?,
            plan: m.plan.map(Into::into),
            electorate: electorate(m.electorate)?,
            submitted_unix_ms: decode::at_most(
                "submitted_unix_ms",
                m.submitted_unix_ms,
                MAX_UNIX_MS,
            )?,
            nonce: Seed(decode::exactly("nonce", &m.nonce)?),
            signature: common::signature(&m.signature)?,
        })
    }
}
