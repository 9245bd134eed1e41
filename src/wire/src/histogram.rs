//! Decoding of histograms from other nodes.
//!
//! The decoder of HdrHistogram trusts its input: it allocates any bounds and length in the header,
//! inflates without limit, and overflows when it negates the smallest integer. So the bytes are first
//! inflated into a buffer of limited size, and the header and all entries are checked against the
//! configuration of [`metrics`](vajra_core::metrics).

use std::io::Read;

use flate2::read::ZlibDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use super::WireError;
use super::decode;
use super::limits::{HISTOGRAM_COUNTS, HISTOGRAM_HEADER, MAX_COUNT, MAX_HISTOGRAM, MAX_INFLATED};
use vajra_core::metrics::{DIGITS, HIGHEST_US, LOWEST_US};

/// First four bytes of the compressed V2 encoding.
const COMPRESSED_COOKIE: u32 = 0x1c84_9314;
/// First four bytes of the V2 encoding inside.
const COOKIE: u32 = 0x1c84_9313;
/// Bytes of cookie and length before the compressed data.
const OUTER_HEADER: usize = 8;

const FIELD: &str = "histogram";

fn invalid(reason: &'static str) -> WireError {
    WireError::Invalid {
        field: FIELD,
        reason,
    }
}

fn ensure(condition: bool, reason: &'static str) -> Result<(), WireError> {
    if condition {
        Ok(())
    } else {
        Err(invalid(reason))
    }
}

/// Checks an encoded histogram: the compressed V2 encoding of HdrHistogram, the configuration used by
/// Vajra, and counts that can be summed over a swarm. Uses at most about 400 KB of memory.
///
/// # Errors
/// [`WireError::TooLong`] if its compressed or inflated length exceeds that of any histogram;
/// [`WireError::Invalid`] otherwise.
pub fn check_histogram(bytes: &[u8]) -> Result<(), WireError> {
    decode(bytes).map(|_| ())
}

/// Checks and decodes a histogram.
pub(super) fn decode(bytes: &[u8]) -> Result<Histogram<u64>, WireError> {
    let plain = inflate(bytes)?;
    let (header, entries) = plain
        .split_first_chunk::<HISTOGRAM_HEADER>()
        .ok_or(invalid("ends within its header"))?;
    check_header(header, entries.len())?;
    check_entries(entries)?;
    Deserializer::new()
        .deserialize(&mut plain.as_slice())
        .map_err(|_| invalid("does not decode"))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Inflates to the V2 encoding, at most [`MAX_INFLATED`] bytes.
fn inflate(bytes: &[u8]) -> Result<Vec<u8>, WireError> {
    decode::length(FIELD, bytes.len(), MAX_HISTOGRAM)?;
    ensure(
        u32_at(bytes, 0) == Some(COMPRESSED_COOKIE),
        "is not in the compressed V2 encoding",
    )?;
    let packed = bytes.get(OUTER_HEADER..).unwrap_or_default();
    ensure(
        u32_at(bytes, 4).map(|n| n as usize) == Some(packed.len()),
        "has another length than its header states",
    )?;
    let mut decoder = ZlibDecoder::new(packed);
    let mut plain = Vec::new();
    decoder
        .by_ref()
        .take(MAX_INFLATED as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|_| invalid("does not inflate"))?;
    decode::length(FIELD, plain.len(), MAX_INFLATED)?;
    ensure(
        decoder.total_in() == packed.len() as u64,
        "continues after its end",
    )?;
    Ok(plain)
}

fn check_header(header: &[u8; HISTOGRAM_HEADER], payload: usize) -> Result<(), WireError> {
    ensure(
        u32_at(header, 0) == Some(COOKIE),
        "is not in the V2 encoding",
    )?;
    ensure(
        u32_at(header, 4).map(|n| n as usize) == Some(payload),
        "has another payload length than its header states",
    )?;
    ensure(u32_at(header, 8) == Some(0), "has a normalizing offset")?;
    ensure(
        u32_at(header, 12) == Some(DIGITS.into())
            && u64_at(header, 16) == Some(LOWEST_US)
            && u64_at(header, 24) == Some(HIGHEST_US)
            && u64_at(header, 32) == Some(1.0_f64.to_bits()),
        "has another configuration than that of Vajra",
    )
}

/// Checks the entries. Each is a count, or the negative length of a run of zero counts.
fn check_entries(mut rest: &[u8]) -> Result<(), WireError> {
    let (mut index, mut total) = (0u64, 0u64);
    while !rest.is_empty() {
        let (raw, used) = varint(rest).ok_or(invalid("ends within an entry"))?;
        rest = &rest[used..];
        let magnitude = raw >> 1;
        if raw & 1 == 0 {
            total = total.saturating_add(magnitude);
            index += 1;
        } else {
            index = index.saturating_add(magnitude).saturating_add(1);
        }
        ensure(
            index <= HISTOGRAM_COUNTS as u64,
            "has more entries than its range",
        )?;
        ensure(total <= MAX_COUNT, "has a count above the limit")?;
    }
    Ok(())
}

/// Decodes a variable-length number of HdrHistogram: seven bits per byte, lowest first, and eight
/// bits of a ninth byte. Also returns its length in bytes.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for i in 0..8 {
        let b = *bytes.get(i)?;
        value |= u64::from(b & 0x7f) << (7 * i);
        if b & 0x80 == 0 {
            return Some((value, i + 1));
        }
    }
    Some((value | u64::from(*bytes.get(8)?) << 56, 9))
}
