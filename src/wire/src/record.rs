//! Parts of stored records. Their JSON is checked by the reader, not here.

use super::limits::{MAX_CHUNK, MAX_RECORD};
use super::{Wire, WireError, common, decode, pb};
use vajra_core::protocol::messages::{RecordName, RecordPart, Request};

/// Encodes the request for a part of a record.
pub fn request_to_wire(record: RecordName, offset: u64) -> pb::v1::FetchRecord {
    use pb::v1::RecordKind as K;
    let (kind, test) = match record {
        RecordName::Tests => (K::Tests, None),
        RecordName::Result(test) => (K::Result, Some(test)),
        RecordName::Timeline(test) => (K::Timeline, Some(test)),
        RecordName::Links => (K::Links, None),
    };
    pb::v1::FetchRecord {
        kind: kind.into(),
        test: test.map_or_else(Vec::new, |t| t.0.to_vec()),
        offset,
    }
}

/// Decodes it. An unknown kind is presumably of a newer version.
pub fn request_from_wire(m: pb::v1::FetchRecord) -> Result<Request, WireError> {
    use pb::v1::RecordKind as K;
    let record = match K::try_from(m.kind).unwrap_or_default() {
        K::Unknown => return Err(WireError::Unknown("kind")),
        K::Tests => RecordName::Tests,
        K::Result => RecordName::Result(common::test(&m.test)?),
        K::Timeline => RecordName::Timeline(common::test(&m.test)?),
        K::Links => RecordName::Links,
    };
    Ok(Request::FetchRecord {
        record,
        offset: decode::at_most("offset", m.offset, MAX_RECORD)?,
    })
}

impl Wire for RecordPart {
    type Message = pb::v1::RecordPart;

    fn to_wire(&self) -> Self::Message {
        pb::v1::RecordPart {
            digest: self.digest.0.to_vec(),
            total: self.total,
            bytes: self.bytes.to_vec(),
        }
    }

    fn from_wire(m: Self::Message) -> Result<RecordPart, WireError> {
        decode::length("bytes", m.bytes.len(), MAX_CHUNK)?;
        Ok(RecordPart {
            digest: common::digest(&m.digest)?,
            total: decode::at_most("total", m.total, MAX_RECORD)?,
            bytes: m.bytes.into(),
        })
    }
}
