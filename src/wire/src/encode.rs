//! Encoding: cuts texts and lists to the limits of receivers, and rounds for the integer fields of
//! the fixed set.

use std::collections::BTreeMap;
use std::time::Duration;

use super::limits::{MAX_NUMBER, MAX_SPAN};

/// A text of at most `max` bytes, cut between characters. Control characters, which could change the
/// terminal of a reader, become spaces.
pub fn text(s: &str, max: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut out = String::with_capacity(s.len().min(max));
    for c in s.chars().map(clean) {
        if out.len() + c.len_utf8() > max {
            break;
        }
        out.push(c);
    }
    out
}

/// The first `count` texts.
pub fn texts(list: &[String], count: usize, max: usize) -> Vec<String> {
    list.iter().take(count).map(|s| text(s, max)).collect()
}

/// The first `count` entries of a map.
pub fn map(
    map: &BTreeMap<String, String>,
    count: usize,
    max_key: usize,
    max_value: usize,
) -> BTreeMap<String, String> {
    map.iter()
        .map(|(k, v)| (text(k, max_key), text(v, max_value)))
        .filter(|(k, _)| !k.is_empty())
        .take(count)
        .collect()
}

/// A duration in nanoseconds, limited to [`MAX_SPAN`].
pub fn ns(d: Duration) -> u64 {
    u64::try_from(d.min(MAX_SPAN).as_nanos()).unwrap_or(u64::MAX)
}

/// A signed duration in nanoseconds, limited to [`MAX_SPAN`].
pub fn signed_ns(ns: i64) -> i64 {
    let max = MAX_SPAN.as_nanos() as i64;
    ns.clamp(-max, max)
}

/// A number that receivers may increment.
pub fn number(n: u64) -> u64 {
    n.min(MAX_NUMBER)
}

/// `n / per`, rounded up, so at least 1 unless `n` is 0.
pub fn rounded_up(n: u128, per: u128) -> i64 {
    i64::try_from(n.div_ceil(per)).unwrap_or(i64::MAX)
}

/// Milliseconds, rounded up.
pub fn ms(d: Duration) -> u64 {
    rounded_up(d.min(MAX_SPAN).as_nanos(), 1_000_000).unsigned_abs()
}

/// Seconds, rounded up.
pub fn seconds(d: Duration) -> i64 {
    rounded_up(d.as_nanos(), 1_000_000_000)
}

/// As a 32-bit field of the fixed set.
pub fn int32(n: impl TryInto<i32>) -> i32 {
    n.try_into().unwrap_or(i32::MAX)
}

/// As a 64-bit field of the fixed set.
pub fn int64(n: impl TryInto<i64>) -> i64 {
    n.try_into().unwrap_or(i64::MAX)
}
