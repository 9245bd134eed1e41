//! Quantities as text: durations with a unit (`5ms`, `1m30s`), counts with a suffix (`10k`,
//! `1.5k`, `1m`), sizes (`10KB`).

use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, Error, Visitor};

use super::text_schema::schema_of_text;

const DURATION_HINT: &str = "such as \"5ms\", \"30s\" or \"1m30s\"";

/// Why a quantity is rejected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnitError {
    /// A duration without a unit.
    #[error("{0:?} has no unit: write a duration {DURATION_HINT}")]
    NoUnit(String),
    /// A duration with an unknown unit.
    #[error(
        "{text:?} is not a duration: {unit:?} is not a unit of time; available: ns, us, ms, s, m, h and \
         days"
    )]
    TimeUnit {
        /// The text.
        text: String,
        /// The unknown unit.
        unit: String,
    },
    /// Not a duration.
    #[error("{0:?} is not a duration: write one {DURATION_HINT}")]
    Duration(String),
    /// Not a count.
    #[error("{0:?} is not a number: write one such as \"250\", \"10k\" or \"1.5m\"")]
    Count(String),
    /// Not a number of bytes.
    #[error("{0:?} is not a number of bytes: write one such as \"512\", \"10KB\" or \"1MiB\"")]
    Bytes(String),
}

/// Parses a duration: numbers, each with its unit (`ns`, `us`, `ms`, `s`, `m`, `h`, `days`).
///
/// # Errors
/// The text has another form.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let trimmed = text.trim();
    if !trimmed.is_empty() && trimmed.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(UnitError::NoUnit(text.to_owned()));
    }
    humantime::parse_duration(trimmed).map_err(|e| match e {
        humantime::DurationError::UnknownUnit { unit, .. } if !unit.is_empty() => {
            UnitError::TimeUnit {
                text: text.to_owned(),
                unit,
            }
        }
        _ => UnitError::Duration(text.to_owned()),
    })
}

/// Regular expression of a duration, for schemas.
pub const DURATION_PATTERN: &str = r"(\d+(\.\d+)?\s*(nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|wks?|w|months?|M|years?|yrs?|y)\s*)+";

/// The schema of durations.
pub struct Time;

schema_of_text!(Time, "Duration", {
    "title": "duration",
    "description": "Numbers, each with a unit: `ns`, `us`, `ms`, `s`, `m`, `h` or `days`. A number without a \
                    unit is rejected.",
    "type": "string",
    "pattern": format!(r"^\s*{DURATION_PATTERN}$"),
    "examples": ["5ms", "30s", "1h 30m"],
});

/// Formats a duration without loss for [`parse_duration`]: `1m30s`.
pub fn show_duration(duration: Duration) -> String {
    humantime::format_duration(duration)
        .to_string()
        .replace(' ', "")
}

/// Parses a count or rate with an optional suffix `k` (thousand) or `m` (million): `10k`,
/// `1.5k`, `0.5`.
///
/// # Errors
/// The text has another form.
pub fn parse_count(text: &str) -> Result<f64, UnitError> {
    let trimmed = text.trim();
    let (digits, factor) = match trimmed.as_bytes().last() {
        Some(b'k' | b'K') => (&trimmed[..trimmed.len() - 1], 1e3),
        Some(b'm' | b'M') => (&trimmed[..trimmed.len() - 1], 1e6),
        _ => (trimmed, 1.0),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match digits.parse::<f64>() {
        Ok(n) if plain => Ok(n * factor),
        _ => Err(UnitError::Count(text.to_owned())),
    }
}

/// Parses a number of bytes with an optional unit: `512`, `10KB` (thousand), `10KiB` (1,024),
/// `1MB`, `1MiB`.
///
/// # Errors
/// The text has another form.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let trimmed = text.trim();
    let unit = trimmed.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = &trimmed[..trimmed.len() - unit.len()];
    let factor = match unit.trim_start() {
        "" | "B" => 1.0,
        "k" | "kB" | "KB" => 1e3,
        "K" | "KiB" => 1024.0,
        "MB" => 1e6,
        "M" | "MiB" => 1024.0 * 1024.0,
        _ => f64::NAN,
    };
    match number.parse::<f64>().map(|n| n * factor) {
        Ok(bytes) if bytes.fract() == 0.0 && bytes <= 9e15 => Ok(bytes as u64),
        _ => Err(UnitError::Bytes(text.to_owned())),
    }
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a duration {DURATION_HINT}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        parse_duration(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<Duration, E> {
        Err(E::custom(format!(
            "{n} has no unit: write a duration {DURATION_HINT}"
        )))
    }

    fn visit_i64<E: Error>(self, n: i64) -> Result<Duration, E> {
        Err(E::custom(format!(
            "{n} has no unit: write a duration {DURATION_HINT}"
        )))
    }

    fn visit_f64<E: Error>(self, n: f64) -> Result<Duration, E> {
        Err(E::custom(format!(
            "{n} has no unit: write a duration {DURATION_HINT}"
        )))
    }
}

/// A duration as text, for serde's `with`.
pub mod as_text {
    use super::*;

    /// Writes the output of [`show_duration`].
    pub fn serialize<S: serde::Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&show_duration(*d))
    }

    /// Reads text by [`parse_duration`]. A number is rejected, since it has no unit.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        d.deserialize_any(DurationVisitor)
    }
}

/// An optional duration as text, for serde's `with`.
pub mod as_optional_text {
    use super::*;

    /// Writes the output of [`show_duration`].
    pub fn serialize<S: serde::Serializer>(d: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
        match d {
            Some(d) => super::as_text::serialize(d, s),
            None => s.serialize_none(),
        }
    }

    /// Reads text by [`parse_duration`].
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        super::as_text::deserialize(d).map(Some)
    }
}

/// A number, or text for [`parse_count`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Count(pub f64);

schema_of_text!(Count, "Count", {
    "title": "count",
    "description": "A number, or text with a suffix: `k` for thousand, `m` for million.",
    "type": ["number", "string"],
    "minimum": 0,
    "pattern": r"^\s*(\d+\.?\d*|\.\d+)[kKmM]?\s*$",
    "examples": [250, "10k", "1.5m"],
});

impl<'de> serde::Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Count, D::Error> {
        struct CountVisitor;
        impl Visitor<'_> for CountVisitor {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or text such as \"10k\"")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Count, E> {
                parse_count(text).map(Count).map_err(E::custom)
            }
            fn visit_u64<E: Error>(self, n: u64) -> Result<Count, E> {
                Ok(Count(n as f64))
            }
            fn visit_i64<E: Error>(self, n: i64) -> Result<Count, E> {
                Ok(Count(n as f64))
            }
            fn visit_f64<E: Error>(self, n: f64) -> Result<Count, E> {
                Ok(Count(n))
            }
        }
        d.deserialize_any(CountVisitor)
    }
}

/// A number of bytes, or text for [`parse_bytes`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bytes(pub u64);

schema_of_text!(Bytes, "Size", {
    "title": "size",
    "description": "A number of bytes, or text with a unit: `KB` for 1,000 bytes, `KiB` for 1,024; `MB` and \
                    `MiB` likewise.",
    "type": ["integer", "string"],
    "minimum": 0,
    "pattern": r"^\s*(\d+\.?\d*|\.\d+)\s*(B|k|kB|KB|K|KiB|MB|M|MiB)?\s*$",
    "examples": [512, "10KB", "1MiB"],
});

impl<'de> serde::Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Bytes, D::Error> {
        struct BytesVisitor;
        impl Visitor<'_> for BytesVisitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, or text such as \"10KB\"")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
                parse_bytes(text).map(Bytes).map_err(E::custom)
            }
            fn visit_u64<E: Error>(self, n: u64) -> Result<Bytes, E> {
                Ok(Bytes(n))
            }
            fn visit_i64<E: Error>(self, n: i64) -> Result<Bytes, E> {
                u64::try_from(n)
                    .map(Bytes)
                    .map_err(|_| E::custom(format!("{n} is not a number of bytes")))
            }
        }
        d.deserialize_any(BytesVisitor)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_survives_its_text_form() {
        for ns in [
            0,
            1,
            5_000_000,
            90_000_000_000,
            86_400_000_000_000,
            3_723_004_005_006,
        ] {
            let d = Duration::from_nanos(ns);
            assert_eq!(parse_duration(&show_duration(d)), Ok(d));
        }
        assert_eq!(show_duration(Duration::from_secs(90)), "1m30s");
    }

    #[test]
    fn a_duration_without_unit_is_rejected_with_an_example() {
        let error = parse_duration("30").unwrap_err().to_string();
        assert!(error.contains("\"30s\""), "{error}");
        assert!(parse_duration("").is_err());
        assert!(parse_duration("-5s").is_err());
        assert!(parse_duration("fast").is_err());
    }

    #[test]
    fn sizes_accept_units_and_nothing_else() {
        assert_eq!(parse_bytes("512"), Ok(512));
        assert_eq!(parse_bytes("10KB"), Ok(10_000));
        assert_eq!(parse_bytes("1.5 KiB"), Ok(1536));
        assert_eq!(parse_bytes("2MiB"), Ok(2 << 20));
        for bad in ["", "KB", "-1", "1.5", "10 GB", "ten"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn counts_accept_suffixes_and_nothing_else() {
        assert_eq!(parse_count("10k"), Ok(10_000.0));
        assert_eq!(parse_count("1.5K"), Ok(1_500.0));
        assert_eq!(parse_count("1m"), Ok(1_000_000.0));
        assert_eq!(parse_count("0.25"), Ok(0.25));
        for bad in ["", "k", "-1", "1e9", "inf", "nan", "10 k", "1.2.3"] {
            assert!(parse_count(bad).is_err(), "{bad}");
        }
    }
}
