//! A look at a message's outline before it is decoded.
//!
//! A generated decoder makes an element for every nested message it meets, and an empty one
//! takes two bytes on the wire and up to some 400 in memory. In a message of 64 KiB that is
//! bearable; for the few that may be larger, nested messages are counted first.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::WireError;
use super::limits::{MAX_BULK, MAX_CONTROL, MAX_NESTED};

/// Which fields of a message are messages themselves, and their shapes.
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
const SNAPSHOTS: Shape = Shape(&[(2, &WORKER_METRICS)]);

/// The requests that may be larger than [`MAX_CONTROL`].
pub const BULK_REQUESTS: Shape = Shape(&[(5, &WORKER_METRICS), (41, &LEAF), (50, &LEAF)]);
/// The replies that may be larger than [`MAX_CONTROL`].
pub const BULK_REPLIES: Shape = Shape(&[(21, &LEAF), (22, &SNAPSHOTS), (40, &PART), (60, &PART)]);

/// Checks an envelope's length, and the number of nested messages if it is a large one.
pub fn check(bytes: &[u8], bulk: &Shape) -> Result<(), WireError> {
    super::decode::size(bytes, MAX_BULK)?;
    if bytes.len() <= MAX_CONTROL {
        return Ok(());
    }
    let mut nested = 0;
    walk(bytes, bulk, &mut nested, true)
}

/// Counts the nested messages. In the envelope itself (`closed`) none but those of the shape
/// may occur.
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
                why: "ends within a field",
            })?;
        walk(message, shape, nested, false)?;
        bytes = rest;
    }
    Ok(())
}
