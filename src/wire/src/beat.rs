//! Beats of a coordinator, and the votes that prove its tenure.

use std::sync::Arc;

use super::common;
use super::decode;
use super::limits::{MAX_BEAT_EVENTS, MAX_ELECTORS};
use super::log_entry;
use super::test_message::term;
use super::{Wire, WireError, encode, pb};
use vajra_core::protocol::beat::Beat;
use vajra_core::protocol::certificate::Certificate;
use vajra_core::protocol::messages::TestState;

impl Wire for Beat {
    type Message = pb::v1::Beat;

    fn to_wire(&self) -> Self::Message {
        pb::v1::Beat {
            test: self.test.0.to_vec(),
            term: self.term,
            coordinator: Some(self.coordinator.to_wire()),
            number: self.number,
            share_lease_ns: encode::ns(self.share_lease),
            since_start_ns: self.since_start.map(encode::signed_ns),
            state: self.state.to_wire(),
            log: log_entry::to_wire(&self.log),
            committed: self.committed,
            events: self.events.iter().map(Wire::to_wire).collect(),
            allocation: self.allocation.as_ref().map(Wire::to_wire),
            leased_until_ns: encode::ns(self.leased_until),
            free: self.free.as_ref().map(|numbers| pb::v1::FreeList {
                numbers: common::number_bounds(numbers),
            }),
            ends_within_ns: self.ends_within.map(encode::ns),
            certificate: Some(self.certificate.to_wire()),
            signature: self.signature.0.to_vec(),
        }
    }

    /// Votes and signature are checked by the receiver.
    fn from_wire(m: Self::Message) -> Result<Beat, WireError> {
        Ok(Beat {
            test: common::test(&m.test)?,
            term: term(m.term)?,
            coordinator: decode::required("coordinator", m.coordinator)?,
            number: decode::number("number", m.number)?,
            share_lease: decode::span("share_lease_ns", m.share_lease_ns)?,
            since_start: m
                .since_start_ns
                .map(|ns| decode::signed_ns("since_start_ns", ns))
                .transpose()?,
            ends_within: m
                .ends_within_ns
                .map(|ns| decode::span("ends_within_ns", ns))
                .transpose()?,
            state: TestState::from_wire(m.state)?,
            committed: decode::at_most("committed", m.committed, m.log.len() as u32)?,
            log: log_entry::shared(m.log)?,
            events: decode::list("events", m.events, MAX_BEAT_EVENTS)?,
            allocation: decode::optional(m.allocation)?,
            leased_until: decode::span("leased_until_ns", m.leased_until_ns)?,
            free: m
                .free
                .map(|free| common::numbers("free", &free.numbers).map(Arc::new))
                .transpose()?,
            certificate: certificate(m.certificate)?,
            signature: common::signature(&m.signature)?,
        })
    }
}

/// Decodes the votes for a coordinator.
pub fn certificate(m: Option<pb::v1::Certificate>) -> Result<Arc<Certificate>, WireError> {
    decode::required("certificate", m).map(Arc::new)
}

impl Wire for Certificate {
    type Message = pb::v1::Certificate;

    fn to_wire(&self) -> Self::Message {
        let votes = self.votes.iter().map(|(elector, s)| pb::v1::SignedVote {
            elector: u32::from(*elector),
            signature: s.0.to_vec(),
        });
        pb::v1::Certificate {
            votes: votes.collect(),
        }
    }

    fn from_wire(m: Self::Message) -> Result<Certificate, WireError> {
        decode::count("certificate.votes", m.votes.len(), MAX_ELECTORS)?;
        let vote = |m: pb::v1::SignedVote| {
            let elector = decode::at_most("elector", m.elector, MAX_ELECTORS as u32 - 1)?;
            Ok::<_, WireError>((elector as u8, common::signature(&m.signature)?))
        };
        Ok(Certificate {
            votes: m.votes.into_iter().map(vote).collect::<Result<_, _>>()?,
        })
    }
}
