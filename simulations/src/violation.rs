//! A violated invariant.

use std::fmt;
use std::time::Duration;

/// A violated invariant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Name of the invariant.
    pub invariant: &'static str,
    /// True time.
    pub at: Duration,
    /// Description.
    pub description: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.as_secs_f64();
        write!(
            f,
            "\"{}\" violated at {at:.6} s: {}",
            self.invariant, self.description
        )
    }
}
