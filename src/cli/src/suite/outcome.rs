//! How a plan of a suite ended.

use crate::exit::{Exit, Failure};
use crate::outcome::outcome;
use vajra_plan::SuitePlan;
use vajra_results::{PlanOutcome, PlanResult, TestResult};

/// How a plan ended.
pub(super) struct Outcome {
    /// `None` if it was not started.
    pub exit: Option<Exit>,
    pub why: Option<String>,
    pub result: Option<Box<TestResult>>,
}

impl Outcome {
    pub fn not_started(why: String) -> Outcome {
        Outcome {
            exit: None,
            why: Some(why),
            result: None,
        }
    }

    pub fn failed(failure: Failure) -> Outcome {
        Outcome {
            exit: Some(failure.exit),
            why: Some(failure.message),
            result: None,
        }
    }

    pub fn with(result: Box<TestResult>, strict: bool) -> Outcome {
        let (exit, why) = match outcome(&result, strict) {
            Ok(exit) => (exit, None),
            Err(failure) => (failure.exit, Some(failure.message)),
        };
        Outcome {
            exit: Some(exit),
            why,
            result: Some(result),
        }
    }

    pub fn of(self, plan: &SuitePlan) -> PlanResult {
        PlanResult {
            name: plan.name.clone(),
            outcome: plan_outcome(self.exit),
            why: self.why,
            result: self.result,
        }
    }

    /// Whether the plan could not run, was stopped, or a threshold failed.
    pub fn is_failure(&self) -> bool {
        let passed = [Some(Exit::Success), Some(Exit::NotValid), None];
        !passed.contains(&self.exit)
    }
}

/// The outcome of a plan, or of a suite, that ended with this exit code.
pub(super) fn plan_outcome(exit: Option<Exit>) -> PlanOutcome {
    match exit {
        None => PlanOutcome::NotStarted,
        Some(Exit::Success) => PlanOutcome::Passed,
        Some(Exit::Stopped) => PlanOutcome::Stopped,
        Some(Exit::Thresholds) => PlanOutcome::ThresholdsFailed,
        Some(Exit::NotValid) => PlanOutcome::NotValid,
        Some(Exit::CouldNotRun | Exit::Usage | Exit::BadInput) => PlanOutcome::CouldNotRun,
    }
}
