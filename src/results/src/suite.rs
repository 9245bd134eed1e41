//! The result of a suite. `docs/result.md` describes every field.

use serde::{Deserialize, Serialize};

use super::kinds::{PlanOutcome, SuiteMode};
use super::result::TestResult;

/// The result of a suite.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SuiteResult {
    /// Version of the format: 1.
    pub schema: u32,
    /// Name of the suite.
    pub suite: Option<String>,
    /// Order of the plans.
    pub mode: SuiteMode,
    /// The outcome that decides the exit code, in the order of the exit codes.
    pub outcome: PlanOutcome,
    /// Results of the plans, in the suite's order.
    pub plans: Vec<PlanResult>,
}

/// The result of a plan of a suite.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlanResult {
    /// Name of the plan in the suite.
    pub name: String,
    /// Outcome.
    pub outcome: PlanOutcome,
    /// Reason why the plan could not run or was not started.
    pub why: Option<String>,
    /// Result of the test, if it was started.
    pub result: Option<Box<TestResult>>,
}
