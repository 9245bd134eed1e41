//! Histograms are checked before the decoder of HdrHistogram gets them.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};

use super::samples;
use crate::limits::*;
use crate::{WireError, check_histogram};
use vajra_core::metrics::{DIGITS, HIGHEST_US, LOWEST_US, new_histogram};

/// Compresses the V2 encoding.
fn compressed(plain: &[u8]) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(plain).unwrap();
    let body = zlib.finish().unwrap();
    let mut bytes = 0x1c84_9314_u32.to_be_bytes().to_vec();
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend(body);
    bytes
}

fn plain() -> Vec<u8> {
    let mut h = new_histogram();
    (0..1000).for_each(|v| h.saturating_record(v * v));
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(&h, &mut bytes).unwrap();
    bytes
}

/// A compressed histogram with these entries.
fn with_entries(entries: &[u8]) -> Vec<u8> {
    let mut bytes = plain();
    bytes.truncate(HISTOGRAM_HEADER);
    bytes[4..8].copy_from_slice(&(entries.len() as u32).to_be_bytes());
    bytes.extend(entries);
    compressed(&bytes)
}

#[track_caller]
fn refused(bytes: &[u8], reason: &str) {
    let error = check_histogram(bytes).expect_err(reason);
    assert!(error.to_string().contains(reason), "{error}");
}

#[test]
fn empty_and_full_histograms_are_accepted() {
    assert_eq!(check_histogram(&compressed(&plain())), Ok(()));
    assert_eq!(check_histogram(&samples::encoded(&new_histogram())), Ok(()));
    let mut full = new_histogram();
    for v in full.clone().iter_all() {
        full.saturating_record_n(v.value_iterated_to(), 1 << 35);
    }
    assert_eq!(check_histogram(&samples::encoded(&full)), Ok(()));
}

#[test]
fn the_limits_match_the_configuration() {
    assert_eq!(new_histogram().distinct_values(), HISTOGRAM_COUNTS);
    assert_eq!(new_histogram().high(), HIGHEST_US);
}

#[test]
fn another_configuration_is_refused() {
    for (low, high, digits) in [
        (LOWEST_US, HIGHEST_US, DIGITS - 1),
        (LOWEST_US, HIGHEST_US, 5),
        (LOWEST_US, HIGHEST_US + 1, DIGITS),
        (LOWEST_US + 1, HIGHEST_US, DIGITS),
    ] {
        let mut h = Histogram::<u64>::new_with_bounds(low, high, digits).unwrap();
        h.record(1000).unwrap();
        refused(
            &samples::encoded(&h),
            "has another configuration than that of Vajra",
        );
    }
}

#[test]
fn every_header_field_is_checked() {
    for (at, reason) in [
        (0, "is not in the V2 encoding"),
        (7, "has another payload length"),
        (11, "has a normalizing offset"),
        (15, "has another configuration"),
        (23, "has another configuration"),
        (31, "has another configuration"),
        (32, "has another configuration"),
    ] {
        let mut bytes = plain();
        bytes[at] ^= 1;
        refused(&compressed(&bytes), reason);
    }
    refused(&compressed(&plain()[..20]), "ends within its header");
}

#[test]
fn the_outer_header_and_the_end_are_checked() {
    let good = compressed(&plain());
    refused(&[], "is not in the compressed V2 encoding");
    refused(&plain(), "is not in the compressed V2 encoding");
    refused(&good[..good.len() - 1], "has another length");
    refused(&[&good[..], &[0]].concat(), "has another length");
    let mut short = good[..good.len() - 5].to_vec();
    let len = short.len() as u32 - 8;
    short[4..8].copy_from_slice(&len.to_be_bytes());
    refused(&short, "does not inflate");
    let mut trailing = [&good[..], &[0; 4]].concat();
    let len = trailing.len() as u32 - 8;
    trailing[4..8].copy_from_slice(&len.to_be_bytes());
    refused(&trailing, "continues after its end");
}

#[test]
fn histograms_that_are_too_long_are_not_inflated() {
    let field = "histogram";
    let (len, max) = (MAX_HISTOGRAM + 1, MAX_HISTOGRAM);
    assert_eq!(
        check_histogram(&vec![0; len]),
        Err(WireError::TooLong { field, len, max })
    );
}

/// 64 MiB compressed to about 64 KiB. The reported length shows that inflating stops one byte above
/// the limit.
#[test]
fn a_compression_bomb_is_refused_without_being_inflated() {
    let bomb = compressed(&vec![0; 64 << 20]);
    assert!(bomb.len() < MAX_HISTOGRAM);
    let (len, max) = (MAX_INFLATED + 1, MAX_INFLATED);
    let field = "histogram";
    assert_eq!(
        check_histogram(&bomb),
        Err(WireError::TooLong { field, len, max })
    );
}

#[test]
fn a_header_with_a_larger_length_than_the_data_is_refused() {
    let mut bytes = plain();
    bytes[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
    refused(&compressed(&bytes), "has another payload length");
}

#[test]
fn more_entries_than_the_range_are_refused() {
    assert_eq!(
        check_histogram(&with_entries(&vec![2; HISTOGRAM_COUNTS])),
        Ok(())
    );
    refused(
        &with_entries(&vec![2; HISTOGRAM_COUNTS + 1]),
        "has more entries",
    );
    // A run of 2^20 zeros, as zig-zag of its negative.
    refused(&with_entries(&[0xff, 0xff, 0x7f]), "has more entries");
}

#[test]
fn counts_that_could_overflow_a_sum_are_refused() {
    // 2^50 and one more, as zig-zag 2^51: seven bytes of seven bits, then 2^2.
    let max = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x04];
    assert_eq!(check_histogram(&with_entries(&max)), Ok(()));
    refused(
        &with_entries(&[&max[..], &[2]].concat()),
        "has a count above the limit",
    );
}

#[test]
fn a_truncated_entry_is_refused() {
    refused(&with_entries(&[0x80]), "ends within an entry");
}

/// A regression: the decoder negates the smallest integer, which overflows.
#[test]
fn the_smallest_integer_never_reaches_the_decoder() {
    refused(&with_entries(&[0xff; 9]), "has more entries");
}

#[test]
fn an_accepted_histogram_decodes_to_the_recorded_values() {
    let data = samples::histogram(500);
    assert_eq!(check_histogram(&data), Ok(()));
    let back: Histogram<u64> = Deserializer::new().deserialize(&mut &data[..]).unwrap();
    assert_eq!(samples::encoded(&back), data);
}
