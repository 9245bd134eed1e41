//! Counts the nested messages of a large message before it is decoded.
//!
//! The generated decoder allocates each nested message. An empty one takes two bytes when encoded
//! and up to 400 in memory. That is acceptable in messages of up to 64 KiB; in larger ones the nested
//! messages are counted first.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::WireError;
use super::limits::{MAX_BULK, MAX_CONTROL, MAX_NESTED};

/// The fields of a message that are messages themselves, and their shapes.
pub struct Shape(&'static [(u32, &'static Shape)]);

const LEAF: Shape = Shape(&[]);
const ALL_COUNTERS: Shape = Shape(&[(1, &LEAF)]);
const WORKER_METRICS: Shape = Shape(&[
    (9, &LEAF),
    (10, &LEAF),
    (22, &LEAF),
    (31, &ALL_COUNTERS),
    (32, &LEAF),
]);
const PART: Shape = Shape(&[(1, &LEAF)]);
const ENTRY: Shape = Shape(&[(1, &LEAF)]);
const LIST: Shape = Shape(&[(4, &LEAF), (5, &ENTRY)]);
const ALLOCATION: Shape = Shape(&[(2, &LIST)]);
const SNAPSHOTS: Shape = Shape(&[(2, &WORKER_METRICS)]);

/// The requests that may exceed [`MAX_CONTROL`].
pub const BULK_REQUESTS: Shape = Shape(&[(5, &WORKER_METRICS), (41, &LEAF), (50, &LEAF)]);
/// The replies that may exceed [`MAX_CONTROL`].
pub const BULK_REPLIES: Shape = Shape(&[
    (21, &LEAF),
    (22, &SNAPSHOTS),
    (24, &ALLOCATION),
    (40, &PART),
    (60, &PART),
]);

/// Checks the length of an envelope, and of a large one the number of nested messages.
pub fn check(bytes: &[u8], bulk: &Shape) -> Result<(), WireError> {
    super::decode::size(bytes, MAX_BULK)?;
    if bytes.len() <= MAX_CONTROL {
        return Ok(());
    }
    let mut nested = 0;
    walk(bytes, bulk, &mut nested, true)
}

/// Counts the nested messages. An envelope (`closed`) may only have fields of the shape.
fn walk(
    mut bytes: &[u8],
    shape: &Shape,
    nested: &mut usize,
    closed: bool,
) -> Result<(), WireError> {
    let len = bytes.len();
    while !bytes.is_empty() {
        let (tag, wire_type) = decode_key(&mut bytes)?;
        let inner = shape.0.iter().find(|(field, _)| *field == tag);
        let Some((_, shape)) = inner.filter(|_| wire_type == WireType::LengthDelimited) else {
            if closed {
                return Err(WireError::Oversize {
                    len,
                    max: MAX_CONTROL,
                });
            }
            skip_field(wire_type, tag, &mut bytes, DecodeContext::default())?;
            continue;
        };
        *nested += 1;
        super::decode::count("nested messages", *nested, MAX_NESTED)?;
        let (message, rest) = usize::try_from(decode_varint(&mut bytes)?)
            .ok()
            .and_then(|len| bytes.split_at_checked(len))
            .ok_or(WireError::Invalid {
                field: "message",
                reason: "ends within a field",
            })?;
        walk(message, shape, nested, false)?;
        bytes = rest;
    }
    Ok(())
}
