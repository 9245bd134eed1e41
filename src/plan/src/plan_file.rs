//! A plan file that has been read.

use std::collections::BTreeSet;

use super::error::PlanError;
use super::local::Local;
use super::model::{Plan, Task};
use super::scenario::{Blob, Scenarios, Values};

/// Returns the text of a file that a plan names.
pub type ReadFile<'a> = dyn Fn(&str) -> Result<String, FileError> + 'a;

/// Why a file that a plan names can't be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct FileError(pub String);

/// Values that a plan gets in addition to its file.
#[derive(Clone, Debug, Default)]
pub struct PlanInputs {
    /// Constants that override and extend the plan's `[vars]`.
    pub vars: Values,
    /// Names of `vars` whose values come later ([`PlanFile::set_vars`]); until then the plan keeps its
    /// own values.
    pub later: BTreeSet<String>,
    /// The suite that the plan belongs to.
    pub suite: Option<InSuite>,
}

/// What a suite provides for its plans. In a suite, `vars` are ignored by plans without scenarios.
#[derive(Clone, Copy, Debug)]
pub struct InSuite {
    /// Whether it has a `[local]` table, which replaces that of its plans.
    pub local: bool,
    /// Whether that table starts a target.
    pub target: bool,
}

/// A plan file: the plan, and what only the command line uses of it.
#[derive(Clone, PartialEq, Debug)]
pub struct PlanFile {
    pub(super) plan: Plan,
    pub(super) needs_target: bool,
    pub(super) local: Option<Local>,
    pub(super) blobs: Vec<Blob>,
    pub(super) awaited: BTreeSet<String>,
}

impl PlanFile {
    /// The data files of the plan, which a node needs before it can run the plan.
    pub fn blobs(&self) -> &[Blob] {
        &self.blobs
    }

    /// Processes to start for the duration of the test. Not part of the plan itself.
    pub fn local(&self) -> Option<&Local> {
        self.local.as_ref()
    }

    /// Whether the plan has no URL and needs that of the target that [`Local`] starts.
    pub fn needs_target(&self) -> bool {
        self.needs_target
    }

    /// Sets values that override and extend `[vars]`; ignored without scenarios.
    pub fn set_vars(&mut self, vars: &Values) {
        if let Task::Scenarios(scenarios) = &mut self.plan.task {
            scenarios.vars.extend(vars.clone());
        }
        self.awaited.retain(|name| !vars.contains_key(name));
    }

    /// Removes the values that should have come later and did not; returns their names. A plan
    /// that uses one of them is no longer valid.
    pub fn drop_missing_vars(&mut self) -> BTreeSet<String> {
        if let Task::Scenarios(scenarios) = &mut self.plan.task {
            scenarios
                .vars
                .retain(|name, _| !self.awaited.contains(name));
        }
        std::mem::take(&mut self.awaited)
    }

    /// Sets the plan's name if it has none.
    pub fn name_by_default(&mut self, name: &str) {
        self.plan.name.get_or_insert_with(|| name.to_owned());
    }

    /// A warning for each literal credential of the plan.
    pub fn credential_warnings(&self) -> Vec<String> {
        self.plan.credential_warnings()
    }

    /// The plan's scenarios; none if it has a task.
    pub fn scenarios(&self) -> Option<&Scenarios> {
        match &self.plan.task {
            Task::Scenarios(scenarios) => Some(scenarios),
            _ => None,
        }
    }

    /// The plan.
    ///
    /// # Errors
    /// The URL is missing ([`Self::needs_target`]).
    pub fn into_plan(self) -> Result<Plan, PlanError> {
        match self.needs_target {
            true => Err(PlanError::field(
                "task.url",
                "is missing, and no target was started",
            )),
            false => Ok(self.plan),
        }
    }

    /// The plan with another URL.
    ///
    /// # Errors
    /// The URL is not valid, or the task has none.
    pub fn with_url(mut self, url: &str) -> Result<Plan, PlanError> {
        match &mut self.plan.task {
            Task::Http(http) => http.url = url.to_owned(),
            Task::Scenarios(scenarios) => scenarios.move_to(url),
            other => {
                let problem = format!("is for HTTP tasks, not for {}", other.type_name());
                return Err(PlanError::field("task.url", problem));
            }
        }
        self.plan.validate()?;
        Ok(self.plan)
    }
}
