//! Decoding: the checks for each kind of field.

use std::collections::BTreeMap;
use std::time::Duration;

use super::limits::{MAX_CLOCK_NS, MAX_KEY, MAX_NUMBER, MAX_SPAN};
use super::{Wire, WireError};
use vajra_core::protocol::RemoteTime;

type Checked<T> = Result<T, WireError>;

/// A required message.
pub fn required<T: Wire>(field: &'static str, message: Option<T::Message>) -> Checked<T> {
    T::from_wire(message.ok_or(WireError::Missing(field))?)
}

/// An optional message.
pub fn optional<T: Wire>(message: Option<T::Message>) -> Checked<Option<T>> {
    message.map(T::from_wire).transpose()
}

/// At most `max` messages.
pub fn list<T: Wire>(field: &'static str, list: Vec<T::Message>, max: usize) -> Checked<Vec<T>> {
    count(field, list.len(), max)?;
    list.into_iter().map(T::from_wire).collect()
}

/// Checks that a list has at most `max` elements.
pub fn count(field: &'static str, count: usize, max: usize) -> Checked<()> {
    if count > max {
        return Err(WireError::TooMany { field, count, max });
    }
    Ok(())
}

/// Checks that a field has at most `max` bytes.
pub fn length(field: &'static str, len: usize, max: usize) -> Checked<()> {
    if len > max {
        return Err(WireError::TooLong { field, len, max });
    }
    Ok(())
}

/// A byte string of a fixed length.
pub fn exactly<const N: usize>(field: &'static str, bytes: &[u8]) -> Checked<[u8; N]> {
    if bytes.is_empty() {
        return Err(WireError::Missing(field));
    }
    length(field, bytes.len(), N)?;
    bytes.try_into().map_err(|_| WireError::Invalid {
        field,
        reason: "is too short",
    })
}

/// A display text, may be empty.
pub fn text(field: &'static str, s: String, max: usize) -> Checked<String> {
    length(field, s.len(), max)?;
    if s.chars().any(char::is_control) {
        return Err(WireError::Invalid {
            field,
            reason: "has a control character",
        });
    }
    Ok(s)
}

/// A text that programs compare, not empty.
pub fn word(field: &'static str, s: String, max: usize) -> Checked<String> {
    if s.is_empty() {
        return Err(WireError::Missing(field));
    }
    text(field, s, max)
}

/// At most `max_count` texts that programs compare.
pub fn words(
    field: &'static str,
    list: Vec<String>,
    max_count: usize,
    max: usize,
) -> Checked<Vec<String>> {
    count(field, list.len(), max_count)?;
    list.into_iter().map(|s| word(field, s, max)).collect()
}

/// A map with at most `max_count` entries.
pub fn map(
    field: &'static str,
    map: BTreeMap<String, String>,
    max_count: usize,
    max_value: usize,
) -> Checked<BTreeMap<String, String>> {
    count(field, map.len(), max_count)?;
    map.into_iter()
        .map(|(k, v)| Ok((word(field, k, MAX_KEY)?, text(field, v, max_value)?)))
        .collect()
}

/// A number of at most `max`.
pub fn at_most<T: Copy + Into<u64>>(field: &'static str, value: T, max: T) -> Checked<T> {
    let (v, m) = (value.into(), max.into());
    if v > m {
        return Err(WireError::TooLarge {
            field,
            value: v,
            max: m,
        });
    }
    Ok(value)
}

/// A number that the receiver may increment.
pub fn number(field: &'static str, value: u64) -> Checked<u64> {
    at_most(field, value, MAX_NUMBER)
}

/// A duration in nanoseconds, may be zero.
pub fn span(field: &'static str, ns: u64) -> Checked<Duration> {
    at_most(field, ns, MAX_SPAN.as_nanos() as u64).map(Duration::from_nanos)
}

/// A duration in nanoseconds, not zero.
pub fn nonzero_span(field: &'static str, ns: u64) -> Checked<Duration> {
    if ns == 0 {
        return Err(WireError::Missing(field));
    }
    span(field, ns)
}

/// A duration in milliseconds, may be zero.
pub fn ms(field: &'static str, ms: u64) -> Checked<Duration> {
    at_most(field, ms, MAX_SPAN.as_millis() as u64).map(Duration::from_millis)
}

/// A duration in milliseconds, not zero.
pub fn nonzero_ms(field: &'static str, value: u64) -> Checked<Duration> {
    if value == 0 {
        return Err(WireError::Missing(field));
    }
    ms(field, value)
}

/// A signed number with a magnitude of at most `max`.
pub fn signed(field: &'static str, value: i64, max: u64) -> Checked<i64> {
    at_most(field, value.unsigned_abs(), max).map(|_| value)
}

/// A signed duration in nanoseconds.
pub fn signed_ns(field: &'static str, ns: i64) -> Checked<i64> {
    signed(field, ns, MAX_SPAN.as_nanos() as u64)
}

/// A clock reading of another node.
pub fn clock(field: &'static str, ns: i64) -> Checked<RemoteTime> {
    signed(field, ns, MAX_CLOCK_NS).map(RemoteTime)
}

/// Checks that a message has at most `max` bytes.
pub fn size(bytes: &[u8], max: usize) -> Checked<()> {
    if bytes.len() > max {
        return Err(WireError::Oversize {
            len: bytes.len(),
            max,
        });
    }
    Ok(())
}
