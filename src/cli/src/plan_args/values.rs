//! Values of options, with the option's name in errors.

use std::time::Duration;

use crate::exit::Failure;
use vajra_plan::{parse_count, parse_duration};

pub(super) fn time(option: &str, text: &Option<String>) -> Result<Option<Duration>, Failure> {
    text.as_deref()
        .map(|text| parse_duration(text).map_err(|e| Failure::input(format_args!("{option}: {e}"))))
        .transpose()
}

pub(super) fn number(option: &str, text: &Option<String>) -> Result<Option<f64>, Failure> {
    text.as_deref()
        .map(|text| parse_count(text).map_err(|e| Failure::input(format_args!("{option}: {e}"))))
        .transpose()
}

pub(super) fn whole<T: TryFrom<u64>>(
    option: &str,
    text: &Option<String>,
) -> Result<Option<T>, Failure> {
    let Some(value) = number(option, text)? else {
        return Ok(None);
    };
    // An f64 represents all integers up to 2^53 exactly, so `as` is exact.
    let exact = value.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&value);
    match T::try_from(value as u64) {
        Ok(n) if exact => Ok(Some(n)),
        _ => Err(Failure::input(format_args!(
            "{option}: {value} is not a whole number in range"
        ))),
    }
}
