//! What came out of a suite, as JSON has it. `docs/result.md` describes it.

use serde::{Deserialize, Serialize};

use super::result::TestResult;

/// A suite's result.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SuiteResult {
    /// Version of this shape: 1.
    pub schema: u32,
    /// The suite's name.
    pub suite: Option<String>,
    /// `sequential` or `parallel`.
    pub mode: String,
    /// The first of its plans' outcomes that counts, in the order of the exit codes.
    pub outcome: String,
    /// Each, in the suite's order.
    pub plans: Vec<PlanResult>,
}

/// What came out of one of its plans.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlanResult {
    /// Its name in the suite.
    pub name: String,
    /// `passed`, `could_not_run`, `stopped`, `thresholds_failed`, `not_valid` (with
    /// `--strict`) or `not_started`.
    pub outcome: String,
    /// Why it could not run, or was not begun.
    pub why: Option<String>,
    /// Its result, if it began.
    pub result: Option<Box<TestResult>>,
}
