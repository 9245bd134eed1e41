//! Histograms from outside.
//!
//! HdrHistogram's decoder believes what it reads: it makes a histogram of whatever bounds it
//! is told, makes room for whatever length it is told, inflates without end, and negates a
//! number that may be the smallest there is. So the bytes are inflated here into a buffer of
//! limited size, and the header and every entry are checked against the one configuration
//! of [`metrics`](vajra_core::metrics), before the decoder sees any of them.

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
/// Cookie and length before the compressed bytes.
const OUTER_HEADER: usize = 8;

const FIELD: &str = "histogram";

fn invalid(why: &'static str) -> WireError {
    WireError::Invalid { field: FIELD, why }
}

fn ensure(holds: bool, why: &'static str) -> Result<(), WireError> {
    if holds { Ok(()) } else { Err(invalid(why)) }
}

/// Checks an encoded histogram from outside: HdrHistogram's compressed V2 encoding, in the
/// one configuration used everywhere, with counts that can be summed over a swarm.
///
/// Takes at most some 400 KB of memory for a moment, whatever the bytes say.
///
/// # Errors
/// [`WireError::TooLong`] if it is, packed or unpacked, longer than a histogram can be;
/// [`WireError::Invalid`] for all else.
pub fn check_histogram(bytes: &[u8]) -> Result<(), WireError> {
    decode(bytes).map(|_| ())
}

/// An encoded histogram, checked and decoded.
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

/// The V2 encoding inside, at most [`MAX_INFLATED`] bytes of it.
fn inflate(bytes: &[u8]) -> Result<Vec<u8>, WireError> {
    decode::length(FIELD, bytes.len(), MAX_HISTOGRAM)?;
    ensure(
        u32_at(bytes, 0) == Some(COMPRESSED_COOKIE),
        "is not in the compressed V2 encoding",
    )?;
    let packed = bytes.get(OUTER_HEADER..).unwrap_or_default();
    ensure(
        u32_at(bytes, 4).map(|n| n as usize) == Some(packed.len()),
        "has another length than it says",
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
        "goes on after its end",
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
        "has another payload length than it says",
    )?;
    ensure(u32_at(header, 8) == Some(0), "is shifted")?;
    ensure(
        u32_at(header, 12) == Some(DIGITS.into())
            && u64_at(header, 16) == Some(LOWEST_US)
            && u64_at(header, 24) == Some(HIGHEST_US)
            && u64_at(header, 32) == Some(1.0_f64.to_bits()),
        "has another configuration than ours",
    )
}

/// Walks over the entries: a count each, or minus the length of a run of zero counts.
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
        ensure(total <= MAX_COUNT, "counts more than can be")?;
    }
    Ok(())
}

/// HdrHistogram's variable-length number: seven bits a byte, lowest first, but all eight of
/// a ninth byte. With the number of bytes it took.
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
