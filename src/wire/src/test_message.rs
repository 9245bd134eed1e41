//! Topic `tests`: announcements, elections, beats, commands and ends.

use std::sync::Arc;

use pb::v1::test_message::Body;

use super::common;
use super::decode;
use super::log_entry;
use super::{Wire, WireError, encode, pb};
use vajra_core::protocol::messages::{RelayedStart, TestMessage, TestState};

/// Checks a term. Terms start at 1.
pub fn term(value: u64) -> Result<u64, WireError> {
    if value == 0 {
        return Err(WireError::Missing("term"));
    }
    decode::number("term", value)
}

impl Wire for TestState {
    type Message = i32;

    fn to_wire(&self) -> i32 {
        use pb::v1::TestState as W;
        let state = match self {
            TestState::Electing => W::Electing,
            TestState::Registering => W::Registering,
            TestState::Running => W::Running,
            TestState::Stopping => W::Stopping,
            TestState::Ended => W::Ended,
        };
        state.into()
    }

    fn from_wire(m: i32) -> Result<TestState, WireError> {
        use pb::v1::TestState as W;
        Ok(match W::try_from(m).unwrap_or_default() {
            W::Unknown => return Err(WireError::Unknown("state")),
            W::Electing => TestState::Electing,
            W::Registering => TestState::Registering,
            W::Running => TestState::Running,
            W::Stopping => TestState::Stopping,
            W::Ended => TestState::Ended,
        })
    }
}

impl Wire for TestMessage {
    type Message = pb::v1::TestMessage;

    fn to_wire(&self) -> Self::Message {
        let body = match self {
            TestMessage::Announced(a) => Body::Announced(a.to_wire()),
            TestMessage::Poll {
                test,
                term,
                candidate,
                sending,
            } => Body::Poll(pb::v1::Poll {
                test: test.0.to_vec(),
                term: *term,
                candidate: Some(candidate.to_wire()),
                sending: *sending,
            }),
            TestMessage::PollAnswer {
                test,
                term,
                candidate,
                elector,
                sending,
                yes,
                seen_term,
            } => Body::PollAnswer(pb::v1::PollAnswer {
                test: test.0.to_vec(),
                term: *term,
                candidate: Some(candidate.to_wire()),
                sending: *sending,
                elector: Some(elector.to_wire()),
                yes: *yes,
                seen_term: *seen_term,
            }),
            TestMessage::Claim {
                test,
                term,
                candidate,
                sending,
            } => Body::Claim(pb::v1::Claim {
                test: test.0.to_vec(),
                term: *term,
                candidate: Some(candidate.to_wire()),
                sending: *sending,
            }),
            TestMessage::Vote {
                test,
                term,
                candidate,
                elector,
                sending,
                stop,
                start,
                beat,
                signature,
            } => Body::Vote(pb::v1::Vote {
                test: test.0.to_vec(),
                term: *term,
                candidate: Some(candidate.to_wire()),
                sending: *sending,
                elector: Some(elector.to_wire()),
                stop: stop.as_ref().map(Wire::to_wire),
                since_start_ns: start.map(|s| encode::signed_ns(s.since)),
                start_term: start.map_or(0, |s| s.term),
                beat: beat.as_ref().map(|b| b.to_wire()),
                signature: signature.0.to_vec(),
            }),
            TestMessage::Beat(beat) => Body::Beat(beat.to_wire()),
            TestMessage::BeatAck {
                test,
                term,
                coordinator,
                elector,
                number,
            } => Body::BeatAck(pb::v1::BeatAck {
                test: test.0.to_vec(),
                term: *term,
                coordinator: Some(coordinator.to_wire()),
                number: *number,
                elector: Some(elector.to_wire()),
            }),
            TestMessage::Resign { test, term, node } => Body::Resign(pb::v1::Resign {
                test: test.0.to_vec(),
                term: *term,
                node: Some(node.to_wire()),
            }),
            TestMessage::Stop { test, stop } => Body::Stop(pb::v1::Stop {
                test: test.0.to_vec(),
                stop: Some(stop.to_wire()),
            }),
            TestMessage::LoadCommand {
                test,
                by,
                id,
                command,
            } => Body::LoadCommand(pb::v1::LoadCommand {
                test: test.0.to_vec(),
                by: Some(by.to_wire()),
                id: *id,
                command: Some(log_entry::command_to_wire(*command)),
            }),
            TestMessage::Ended(e) => Body::Ended(e.to_wire()),
        };
        pb::v1::TestMessage { body: Some(body) }
    }

    fn from_wire(m: Self::Message) -> Result<TestMessage, WireError> {
        Ok(match m.body.ok_or(WireError::Unknown("test message"))? {
            Body::Announced(m) => TestMessage::Announced(Wire::from_wire(m)?),
            Body::Poll(m) => TestMessage::Poll {
                test: common::test(&m.test)?,
                term: term(m.term)?,
                candidate: decode::required("candidate", m.candidate)?,
                sending: m.sending,
            },
            Body::PollAnswer(m) => TestMessage::PollAnswer {
                test: common::test(&m.test)?,
                term: term(m.term)?,
                candidate: decode::required("candidate", m.candidate)?,
                elector: decode::required("elector", m.elector)?,
                sending: m.sending,
                yes: m.yes,
                seen_term: decode::number("seen_term", m.seen_term)?,
            },
            Body::Claim(m) => TestMessage::Claim {
                test: common::test(&m.test)?,
                term: term(m.term)?,
                candidate: decode::required("candidate", m.candidate)?,
                sending: m.sending,
            },
            Body::Vote(m) => TestMessage::Vote {
                test: common::test(&m.test)?,
                term: term(m.term)?,
                candidate: decode::required("candidate", m.candidate)?,
                elector: decode::required("elector", m.elector)?,
                sending: m.sending,
                stop: decode::optional(m.stop)?,
                start: m
                    .since_start_ns
                    .map(|ns| {
                        Ok::<_, WireError>(RelayedStart {
                            term: term(m.start_term)?,
                            since: decode::signed_ns("since_start_ns", ns)?,
                        })
                    })
                    .transpose()?,
                beat: decode::optional(m.beat)?.map(Arc::new),
                signature: common::signature(&m.signature)?,
            },
            Body::Beat(m) => TestMessage::Beat(Arc::new(Wire::from_wire(m)?)),
            Body::BeatAck(m) => TestMessage::BeatAck {
                test: common::test(&m.test)?,
                term: term(m.term)?,
                coordinator: decode::required("coordinator", m.coordinator)?,
                elector: decode::required("elector", m.elector)?,
                number: decode::number("number", m.number)?,
            },
            Body::Resign(m) => TestMessage::Resign {
                test: common::test(&m.test)?,
                term: term(m.term)?,
                node: decode::required("node", m.node)?,
            },
            Body::Stop(m) => TestMessage::Stop {
                test: common::test(&m.test)?,
                stop: decode::required("stop", m.stop)?,
            },
            Body::LoadCommand(m) => TestMessage::LoadCommand {
                test: common::test(&m.test)?,
                by: decode::required("by", m.by)?,
                id: m.id,
                command: log_entry::command_from_wire(m.command)?,
            },
            Body::Ended(m) => TestMessage::Ended(Wire::from_wire(m)?),
        })
    }
}
