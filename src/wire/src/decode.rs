//! On the way in: what each kind of field must keep.

use std::collections::BTreeMap;
use std::time::Duration;

use super::limits::{MAX_CLOCK_NS, MAX_KEY, MAX_NUMBER, MAX_SPAN};
use super::{Wire, WireError};
use vajra_core::protocol::RemoteTime;

type Checked<T> = Result<T, WireError>;

/// A sub-message that must be there.
pub fn required<T: Wire>(field: &'static str, message: Option<T::Message>) -> Checked<T> {
    T::from_wire(message.ok_or(WireError::Missing(field))?)
}

/// A sub-message that may be there.
pub fn optional<T: Wire>(message: Option<T::Message>) -> Checked<Option<T>> {
    message.map(T::from_wire).transpose()
}

/// At most so many sub-messages.
pub fn list<T: Wire>(field: &'static str, list: Vec<T::Message>, max: usize) -> Checked<Vec<T>> {
    count(field, list.len(), max)?;
    list.into_iter().map(T::from_wire).collect()
}

/// At most so many elements.
pub fn count(field: &'static str, count: usize, max: usize) -> Checked<()> {
    if count > max {
        return Err(WireError::TooMany { field, count, max });
    }
    Ok(())
}

/// At most so many bytes.
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
        why: "is too short",
    })
}

/// A text for people, perhaps empty.
pub fn text(field: &'static str, s: String, max: usize) -> Checked<String> {
    length(field, s.len(), max)?;
    if s.chars().any(char::is_control) {
        return Err(WireError::Invalid {
            field,
            why: "has a control character",
        });
    }
    Ok(s)
}

/// A text that programs compare: not empty.
pub fn word(field: &'static str, s: String, max: usize) -> Checked<String> {
    if s.is_empty() {
        return Err(WireError::Missing(field));
    }
    text(field, s, max)
}

/// At most `max_count` words.
pub fn words(
    field: &'static str,
    list: Vec<String>,
    max_count: usize,
    max: usize,
) -> Checked<Vec<String>> {
    count(field, list.len(), max_count)?;
    list.into_iter().map(|s| word(field, s, max)).collect()
}

/// A map of at most `max_count` texts.
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

/// A number up to a limit.
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

/// A number that a receiver may count on from.
pub fn number(field: &'static str, value: u64) -> Checked<u64> {
    at_most(field, value, MAX_NUMBER)
}

/// A span of time, perhaps none.
pub fn span(field: &'static str, ns: u64) -> Checked<Duration> {
    at_most(field, ns, MAX_SPAN.as_nanos() as u64).map(Duration::from_nanos)
}

/// A span of time that is not nothing.
pub fn some_span(field: &'static str, ns: u64) -> Checked<Duration> {
    if ns == 0 {
        return Err(WireError::Missing(field));
    }
    span(field, ns)
}

/// A span in milliseconds, perhaps none.
pub fn ms(field: &'static str, ms: u64) -> Checked<Duration> {
    at_most(field, ms, MAX_SPAN.as_millis() as u64).map(Duration::from_millis)
}

/// A span in milliseconds that is not nothing.
pub fn some_ms(field: &'static str, value: u64) -> Checked<Duration> {
    if value == 0 {
        return Err(WireError::Missing(field));
    }
    ms(field, value)
}

/// A signed number whose magnitude is limited.
pub fn signed(field: &'static str, value: i64, max: u64) -> Checked<i64> {
    at_most(field, value.unsigned_abs(), max).map(|_| value)
}

/// A signed span of time in nanoseconds.
pub fn signed_ns(field: &'static str, ns: i64) -> Checked<i64> {
    signed(field, ns, MAX_SPAN.as_nanos() as u64)
}

/// A reading of another node's clock.
pub fn clock(field: &'static str, ns: u64) -> Checked<RemoteTime> {
    at_most(field, ns, MAX_CLOCK_NS).map(RemoteTime)
}

/// A whole message of at most so many bytes.
pub fn size(bytes: &[u8], max: usize) -> Checked<()> {
    if bytes.len() > max {
        return Err(WireError::Oversize {
            len: bytes.len(),
            max,
        });
    }
    Ok(())
}
