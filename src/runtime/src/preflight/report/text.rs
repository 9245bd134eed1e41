//! Texts of checks.

use std::time::Duration;

use vajra_core::protocol::preflight::Check;
use vajra_results::units::time;

/// A duration with its unit.
pub fn ms(t: Duration) -> String {
    time(t.as_secs_f64() * 1e3)
}

/// The text of all checks, if it is the same.
pub fn common_text<'a>(
    mut group: impl Iterator<Item = &'a (&'a str, &'a Check)>,
) -> Option<&'a str> {
    let first = group.next()?.1.text.as_str();
    group.all(|(_, c)| c.text == first).then_some(first)
}
