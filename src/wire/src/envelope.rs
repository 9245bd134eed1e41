//! Requests and replies in their envelopes.

use std::sync::Arc;

use prost::Message as _;

use super::limits::*;
use super::test_message::term;
use super::{Wire, WireError, common, decode, encode, pb, record, size_guard, snapshot_page};
use vajra_core::protocol::messages::{BlobPart, Reply, Request, TestMessage};

/// Encodes a request. It has at most [`MAX_CONTROL`] bytes, except for whole plans and for metrics
/// with many or large pieces; those of a plan with a few steps fit [`MAX_BULK`].
pub fn encode_request(request: &Request) -> Vec<u8> {
    use pb::v1::request::Body;
    let body = match request {
        Request::Register(r) => Body::Register(r.to_wire()),
        Request::Heartbeat(h) => Body::Heartbeat(h.to_wire()),
        Request::Assign(a) => Body::Assign(a.to_wire()),
        Request::Stop { test, term, stop } => Body::Stop(pb::worker::StopTestRequest {
            test_id: test.to_string(),
            graceful: stop.order.graceful,
            timeout_seconds: encode::int32(encode::seconds(stop.order.timeout)),
            term: *term,
            stop: Some(stop.to_wire()),
        }),
        Request::Metrics(s) => Body::Metrics(s.to_wire()),
        Request::FetchAnnouncement(test) => Body::FetchAnnouncement(pb::v1::FetchAnnouncement {
            test: test.0.to_vec(),
        }),
        Request::FetchEnd(test) => Body::FetchEnd(pb::v1::FetchEnd {
            test: test.0.to_vec(),
        }),
        Request::FetchPlan(digest) => Body::FetchPlan(pb::v1::FetchPlan {
            digest: digest.0.to_vec(),
        }),
        Request::FetchSnapshots { test, after } => Body::FetchSnapshots(pb::v1::FetchSnapshots {
            test: test.0.to_vec(),
            after: after.as_ref().map(Wire::to_wire),
        }),
        Request::Election(m) => Body::Election(m.to_wire()),
        Request::FetchAllocation { test, digest } => {
            Body::FetchAllocation(pb::v1::FetchAllocation {
                test: test.0.to_vec(),
                digest: digest.map(|d| d.0.to_vec()).unwrap_or_default(),
            })
        }
        Request::Drain => Body::Drain(pb::v1::Drain {}),
        Request::Preflight(p) => Body::Preflight(p.to_wire()),
        Request::Clock => Body::Clock(pb::v1::Clock {}),
        Request::FetchBlob { digest, offset } => Body::FetchBlob(pb::v1::FetchBlob {
            digest: digest.0.to_vec(),
            offset: *offset,
        }),
        Request::TakeData(plan) => Body::TakeData(pb::v1::TakeData {
            plan: plan.to_vec(),
        }),
        Request::FetchRecord { record, offset } => {
            Body::FetchRecord(record::request_to_wire(*record, *offset))
        }
    };
    pb::v1::Request { body: Some(body) }.encode_to_vec()
}

/// Decodes a request.
///
/// # Errors
/// Any [`WireError`]. One [of a newer version](WireError::is_newer) should be answered with
/// [`Reply::Refused`].
pub fn decode_request(bytes: &[u8]) -> Result<Request, WireError> {
    use pb::v1::request::Body;
    size_guard::check(bytes, &size_guard::BULK_REQUESTS)?;
    let message = pb::v1::Request::decode(bytes)?;
    Ok(match message.body.ok_or(WireError::Unknown("request"))? {
        Body::Register(m) => Request::Register(Wire::from_wire(m)?),
        Body::Heartbeat(m) => Request::Heartbeat(Wire::from_wire(m)?),
        Body::Assign(m) => Request::Assign(Wire::from_wire(m)?),
        Body::Stop(m) => Request::Stop {
            test: common::test_by_text(&m.test_id)?,
            term: term(m.term)?,
            stop: decode::required("stop", m.stop)?,
        },
        Body::Metrics(m) => Request::Metrics(Wire::from_wire(m)?),
        Body::FetchAnnouncement(m) => Request::FetchAnnouncement(common::test(&m.test)?),
        Body::FetchEnd(m) => Request::FetchEnd(common::test(&m.test)?),
        Body::FetchPlan(m) => Request::FetchPlan(common::digest(&m.digest)?),
        Body::FetchSnapshots(m) => Request::FetchSnapshots {
            test: common::test(&m.test)?,
            after: decode::optional(m.after)?,
        },
        Body::Election(m) => Request::Election(election(m)?),
        Body::FetchAllocation(m) => Request::FetchAllocation {
            test: common::test(&m.test)?,
            digest: match m.digest.is_empty() {
                true => None,
                false => Some(common::digest(&m.digest)?),
            },
        },
        Body::Drain(_) => Request::Drain,
        Body::Preflight(m) => Request::Preflight(Wire::from_wire(m)?),
        Body::Clock(_) => Request::Clock,
        Body::FetchBlob(m) => Request::FetchBlob {
            digest: common::digest(&m.digest)?,
            offset: decode::at_most("offset", m.offset, MAX_BLOB)?,
        },
        Body::TakeData(m) => {
            decode::length("plan", m.plan.len(), MAX_PLAN)?;
            Request::TakeData(m.plan.into())
        }
        Body::FetchRecord(m) => record::request_from_wire(m)?,
    })
}

/// Encodes a reply. It has at most [`MAX_CONTROL`] bytes, or [`MAX_BULK`] for plans, snapshots and
/// parts of data files and records.
///
/// Snapshots that do not fit are left out, and `more` is set. A plan that is too long is left out.
pub fn encode_reply(reply: &Reply) -> Vec<u8> {
    use pb::v1::reply::Body;
    let body = match reply {
        Reply::Register(r) => Body::Register(r.to_wire()),
        Reply::Heartbeat(h) => Body::Heartbeat(h.to_wire()),
        Reply::Assign(a) => Body::Assign(a.to_wire()),
        Reply::Stop {
            stopped,
            message,
            interrupted,
        } => Body::Stop(pb::worker::StopTestResponse {
            stopped: *stopped,
            message: encode::text(message, MAX_TEXT),
            tasks_interrupted: encode::int32(*interrupted),
            interrupted: (*interrupted).min(MAX_TASKS),
        }),
        Reply::Metrics {
            test,
            number,
            received,
        } => Body::Metrics(pb::worker::MetricsAcknowledgment {
            received: *received,
            message: String::new(),
            test: test.0.to_vec(),
            number: *number,
        }),
        Reply::Announcement(a) => Body::Announcement(pb::v1::FetchedAnnouncement {
            announcement: a.as_ref().map(Wire::to_wire),
        }),
        Reply::Plan(plan) => Body::Plan(pb::v1::FetchedPlan {
            plan: plan
                .as_ref()
                .filter(|p| p.len() <= MAX_PLAN)
                .map(|p| p.to_vec()),
        }),
        Reply::Snapshots {
            test,
            snapshots,
            more,
        } => Body::Snapshots(snapshot_page::to_wire(*test, snapshots, *more)),
        Reply::End(end) => Body::End(pb::v1::FetchedEnd {
            end: end.as_ref().map(Wire::to_wire),
        }),
        Reply::Noted => Body::Noted(pb::v1::Noted {}),
        Reply::Allocation {
            test,
            list,
            certificate,
        } => Body::Allocation(pb::v1::FetchedAllocation {
            test: test.0.to_vec(),
            list: list.as_ref().map(|list| list.to_wire()),
            certificate: Some(certificate.to_wire()),
        }),
        Reply::Drained => Body::Drained(pb::v1::Drained {}),
        Reply::Preflight(p) => Body::Preflight(p.to_wire()),
        Reply::Clock { unix_ms } => Body::Clock(pb::v1::ClockReading {
            unix_ms: (*unix_ms).min(MAX_UNIX_MS),
        }),
        Reply::Blob(part) => Body::Blob(pb::v1::FetchedBlob {
            part: part.as_ref().map(|p| pb::v1::BlobPart {
                total: p.total,
                bytes: p.bytes.to_vec(),
            }),
        }),
        Reply::Data { missing, unable } => Body::Data(pb::v1::DataTaken {
            missing: *missing,
            unable: unable.as_ref().map(|reason| encode::text(reason, MAX_TEXT)),
        }),
        Reply::Record(part) => Body::Record(pb::v1::FetchedRecord {
            part: part.as_ref().map(Wire::to_wire),
        }),
        Reply::Refused(reason) => Body::Refused(pb::v1::Refused {
            message: encode::text(reason, MAX_TEXT),
        }),
    };
    pb::v1::Reply { body: Some(body) }.encode_to_vec()
}

/// Decodes a reply. The caller must check that it matches the request, and that a plan matches the
/// requested digest.
///
/// # Errors
/// Any [`WireError`].
pub fn decode_reply(bytes: &[u8]) -> Result<Reply, WireError> {
    use pb::v1::reply::Body;
    size_guard::check(bytes, &size_guard::BULK_REPLIES)?;
    let message = pb::v1::Reply::decode(bytes)?;
    Ok(match message.body.ok_or(WireError::Unknown("reply"))? {
        Body::Register(m) => Reply::Register(Wire::from_wire(m)?),
        Body::Heartbeat(m) => Reply::Heartbeat(Wire::from_wire(m)?),
        Body::Assign(m) => Reply::Assign(Wire::from_wire(m)?),
        Body::Stop(m) => Reply::Stop {
            stopped: m.stopped,
            message: decode::text("message", m.message, MAX_TEXT)?,
            interrupted: decode::at_most("interrupted", m.interrupted, MAX_TASKS)?,
        },
        Body::Metrics(m) => Reply::Metrics {
            test: common::test(&m.test)?,
            number: decode::number("number", m.number)?,
            received: m.received,
        },
        Body::Announcement(m) => Reply::Announcement(decode::optional(m.announcement)?),
        Body::Plan(m) => {
            if let Some(plan) = &m.plan {
                decode::length("plan", plan.len(), MAX_PLAN)?;
            }
            Reply::Plan(m.plan.map(Into::into))
        }
        Body::Snapshots(m) => snapshot_page::from_wire(m)?,
        Body::End(m) => Reply::End(decode::optional(m.end)?),
        Body::Noted(_) => Reply::Noted,
        Body::Allocation(m) => Reply::Allocation {
            test: common::test(&m.test)?,
            list: decode::optional(m.list)?.map(Arc::new),
            certificate: Arc::new(decode::optional(m.certificate)?.unwrap_or_default()),
        },
        Body::Drained(_) => Reply::Drained,
        Body::Preflight(m) => Reply::Preflight(Wire::from_wire(m)?),
        Body::Clock(m) => Reply::Clock {
            unix_ms: decode::at_most("unix_ms", m.unix_ms, MAX_UNIX_MS)?,
        },
        Body::Blob(m) => Reply::Blob(m.part.map(blob_part).transpose()?),
        Body::Data(m) => Reply::Data {
            missing: decode::at_most("missing", m.missing, MAX_DATA)?,
            unable: m
                .unable
                .map(|reason| decode::text("unable", reason, MAX_TEXT))
                .transpose()?,
        },
        Body::Record(m) => Reply::Record(decode::optional(m.part)?),
        Body::Refused(m) => Reply::Refused(decode::text("message", m.message, MAX_TEXT)?),
    })
}

/// A message of an election to one node.
fn election(m: pb::v1::TestMessage) -> Result<TestMessage, WireError> {
    let message = TestMessage::from_wire(m)?;
    match message.receiver() {
        Some(_) => Ok(message),
        None => Err(WireError::Unknown("election message")),
    }
}

fn blob_part(m: pb::v1::BlobPart) -> Result<BlobPart, WireError> {
    decode::length("bytes", m.bytes.len(), MAX_CHUNK)?;
    Ok(BlobPart {
        total: decode::at_most("total", m.total, MAX_BLOB)?,
        bytes: m.bytes.into(),
    })
}
