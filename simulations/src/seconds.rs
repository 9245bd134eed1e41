//! Durations in files: seconds, with nanosecond precision.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// Writes seconds.
pub fn serialize<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_f64(d.as_nanos() as f64 / 1e9)
}

/// Reads seconds.
pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    from_seconds(f64::deserialize(d)?)
}

fn from_seconds<E: serde::de::Error>(seconds: f64) -> Result<Duration, E> {
    if !(0.0..=1e6).contains(&seconds) {
        return Err(E::custom(format!(
            "{seconds} is not a time (expected seconds from 0 to 1,000,000)"
        )));
    }
    Ok(Duration::from_nanos((seconds * 1e9).round() as u64))
}

/// Optional durations.
pub mod maybe {
    use super::*;

    /// Writes seconds.
    pub fn serialize<S: Serializer>(d: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
        match d {
            Some(d) => super::serialize(d, s),
            None => s.serialize_none(),
        }
    }

    /// Reads seconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        Option::<f64>::deserialize(d)?.map(from_seconds).transpose()
    }
}
