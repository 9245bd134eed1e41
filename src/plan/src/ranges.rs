//! Checks of a value's range.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::PlanError;
use super::limits::MAX_PAIRS;
use super::units::show_duration;

pub const HOUR: Duration = Duration::from_secs(3600);
pub const DAY: Duration = Duration::from_secs(24 * 3600);
pub const MS: Duration = Duration::from_millis(1);

/// A value outside of its range.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{given} is not allowed; it must be between {min} and {max}")]
pub struct OutOfRange {
    given: String,
    min: String,
    max: String,
}

/// Checks a whole number.
pub fn number(given: u64, min: u64, max: u64) -> Result<(), OutOfRange> {
    match (min..=max).contains(&given) {
        true => Ok(()),
        false => Err(OutOfRange {
            given: given.to_string(),
            min: min.to_string(),
            max: max.to_string(),
        }),
    }
}

/// Checks a duration.
pub fn duration(given: Duration, min: Duration, max: Duration) -> Result<(), OutOfRange> {
    match (min..=max).contains(&given) {
        true => Ok(()),
        false => Err(OutOfRange {
            given: show_duration(given),
            min: show_duration(min),
            max: show_duration(max),
        }),
    }
}

/// [`number`] of a field.
pub fn within(field: &str, given: u64, min: u64, max: u64) -> Result<(), PlanError> {
    number(given, min, max).map_err(|e| PlanError::field(field, e))
}

/// [`duration`] of a field.
pub fn lasting(
    field: &str,
    given: Duration,
    min: Duration,
    max: Duration,
) -> Result<(), PlanError> {
    duration(given, min, max).map_err(|e| PlanError::field(field, e))
}

/// Checks the length of a text without control characters.
pub fn text(field: &str, given: &str, min: usize, max: usize) -> Result<(), PlanError> {
    let length = given.chars().count();
    if (min..=max).contains(&length) && !given.chars().any(char::is_control) {
        return Ok(());
    }
    Err(PlanError::field(
        field,
        format!("must have {min} to {max} characters and no control characters; it has {length}"),
    ))
}

/// Checks a table of short texts: tags, or labels.
pub fn pairs(field: &str, given: &BTreeMap<String, String>) -> Result<(), PlanError> {
    within(field, given.len() as u64, 0, MAX_PAIRS as u64)?;
    for (key, value) in given {
        text(field, key, 1, 64)?;
        text(field, value, 0, 256)?;
    }
    Ok(())
}
