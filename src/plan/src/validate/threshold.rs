//! Thresholds refer to parts that the plan has.

use crate::model::Task;
use crate::suggest::nearest;
use crate::threshold::{Scope, Threshold};

/// Why a threshold's scope is rejected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ScopeError {
    /// The plan has no scenarios.
    #[error(
        "\"{threshold}\" refers to [{scope}], and the plan has no scenarios; leave the brackets out"
    )]
    NoScenarios {
        /// The threshold.
        threshold: String,
        /// Its scope.
        scope: String,
    },
    /// The plan has no such part.
    #[error(
        "\"{threshold}\" refers to [{scope}], which is not a scenario, step or label of the plan{}; \
         available: {available}",
        hint(.suggestion)
    )]
    Unknown {
        /// The threshold.
        threshold: String,
        /// Its scope.
        scope: String,
        /// The most similar name.
        suggestion: Option<String>,
        /// All names.
        available: String,
    },
}

fn hint(suggestion: &Option<String>) -> String {
    let suggestion = suggestion.as_ref();
    suggestion.map_or_else(String::new, |s| format!(" (did you mean [{s}]?)"))
}

impl Threshold {
    /// Checks that a plan with this task has the part that the threshold refers to.
    ///
    /// # Errors
    /// It has not.
    pub fn check_scope(&self, task: &Task) -> Result<(), ScopeError> {
        let Some(scope) = &self.scope else {
            return Ok(());
        };
        let (threshold, scope) = (self.to_string(), scope.to_string());
        let Task::Scenarios(scenarios) = task else {
            return Err(ScopeError::NoScenarios { threshold, scope });
        };
        let labels = scenarios.labels().into_iter();
        let parts: [(&str, Vec<String>); 3] = [
            (
                "scenarios",
                scenarios.scenarios.iter().map(|s| s.name.clone()).collect(),
            ),
            ("steps", scenarios.step_names().collect()),
            (
                "labels",
                labels
                    .map(|label| Scope::Label(label.to_owned()).to_string())
                    .collect(),
            ),
        ];
        let all = || parts.iter().flat_map(|(_, names)| names);
        if all().any(|name| *name == scope) {
            return Ok(());
        }
        let suggestion = nearest(&scope, all().map(String::as_str));
        let listed = parts.iter().filter(|(_, names)| !names.is_empty());
        let listed = listed.map(|(kind, names)| format!("{kind} {}", names.join(", ")));
        Err(ScopeError::Unknown {
            suggestion: suggestion.map(str::to_owned),
            available: listed.collect::<Vec<_>>().join("; "),
            threshold,
            scope,
        })
    }
}
