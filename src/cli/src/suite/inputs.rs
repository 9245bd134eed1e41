//! What the plans of a suite receive besides their own files.

use vajra_plan::{Passed, Plan, PlanError, PlanFile, Scalar, SuitePlan, Threshold, Values};
use vajra_results::{TestResult, measured};

/// A plan of a suite that is invalid with the values it received.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidPlan {
    #[error("plan {name:?}: {error}")]
    Plan { name: String, error: Box<PlanError> },
    #[error("the earlier plans did not provide {}: {error}", .missing.join(", "))]
    Missing {
        missing: Vec<String>,
        error: Box<PlanError>,
    },
    #[error(transparent)]
    Other(Box<PlanError>),
}

/// What plans receive besides their own files.
pub(super) struct Inputs<'a> {
    /// Values passed on by plans that have ended.
    pub passed: Values,
    /// Constants of `--var`, which override all others.
    pub options: Values,
    /// URL of the local target, if there is one.
    pub target: Option<&'a str>,
    /// Thresholds of the command line, which are added to each plan's.
    pub thresholds: &'a [Threshold],
}

impl Inputs<'_> {
    /// The plan to run.
    pub fn plan(&self, entry: &SuitePlan) -> Result<Plan, InvalidPlan> {
        let mut file = entry.file.clone();
        file.set_vars(&self.passed);
        file.set_vars(&self.options);
        let missing: Vec<String> = file.drop_missing_vars().into_iter().collect();
        let built = self.build(file);
        built.map_err(|error| {
            let error = Box::new(error);
            match missing.is_empty() {
                true => InvalidPlan::Other(error),
                false => InvalidPlan::Missing { missing, error },
            }
        })
    }

    /// The plan before any plan has run, without values that are passed on.
    pub fn preview(&self, entry: &SuitePlan) -> Result<Plan, InvalidPlan> {
        let built = self.build(entry.file.clone());
        built.map_err(|error| InvalidPlan::Plan {
            name: entry.name.clone(),
            error: Box::new(error),
        })
    }

    fn build(&self, file: PlanFile) -> Result<Plan, PlanError> {
        let plan = match (file.needs_target(), self.target) {
            (true, Some(target)) => file.with_url(target),
            _ => file.into_plan(),
        };
        let mut plan = plan?;
        plan.thresholds.extend(self.thresholds.iter().cloned());
        plan.validate()?;
        Ok(plan)
    }
}

/// The values that an ended plan passes on; values that the result lacks are left out.
pub(super) fn passed_on(entry: &SuitePlan, result: &TestResult) -> Values {
    let of = |passed: &Passed| match passed {
        Passed::Setup(name) => result.values.get(name).cloned(),
        Passed::Measured(m) => {
            let value = measured(m.metric, m.scope.as_ref(), result)?;
            Some(Scalar::Float(value)).filter(|_| value.is_finite())
        }
    };
    let all = entry.pass.iter();
    all.filter_map(|(name, passed)| Some((name.clone(), of(passed)?)))
        .collect()
}
