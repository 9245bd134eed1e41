//! Suites: several plans in one file with one report, run one after the other or in parallel.
//!
//! A file with a `[suite]` table is a suite. Each `[[plan]]` names a plan file or has the keys of a
//! plan itself. In a sequence, values and metrics of a plan can be `vars` of later plans.

mod model;
mod read;

#[cfg(test)]
mod tests;

pub use model::{Mode, Passed, PassedError, StopOn, Suite, SuiteError, SuitePlan};
pub use read::{is_suite, parse_suite};
