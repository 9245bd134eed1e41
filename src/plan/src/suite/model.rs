//! A suite and its errors.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::diagnostics::show;
use crate::error::PlanError;
use crate::limits::MAX_PASSED;
use crate::local::Local;
use crate::plan_file::PlanFile;
use crate::threshold::{Measure, ThresholdError};

/// Several plans in one file.
#[derive(Clone, PartialEq, Debug)]
pub struct Suite {
    /// Display name (1 to 100 characters).
    pub name: Option<String>,
    /// Order of the plans.
    pub mode: Mode,
    /// Pause between two plans of a sequence (0 to 1 h).
    pub pause: Duration,
    /// When the remaining plans are skipped.
    pub stop_on: StopOn,
    /// Processes to start for the duration of the suite.
    pub local: Option<Local>,
    /// The plans (1 to 32).
    pub plans: Vec<SuitePlan>,
}

/// Order of the plans.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// One after the other.
    #[default]
    Sequential,
    /// All at the same time.
    Parallel,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Sequential => "sequential",
            Mode::Parallel => "parallel",
        })
    }
}

/// When the remaining plans of a sequence are skipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopOn {
    /// Never: all plans run.
    #[default]
    Never,
    /// After a plan that could not run or failed a threshold.
    Failure,
}

/// A plan of a suite.
#[derive(Clone, PartialEq, Debug)]
pub struct SuitePlan {
    /// Name, unique in the suite.
    pub name: String,
    /// The plan.
    pub file: PlanFile,
    /// Values for later plans, by their names in `vars`.
    pub pass: BTreeMap<String, Passed>,
}

/// A value of an ended plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Passed {
    /// `setup.NAME`: a value that its setup extracted.
    Setup(String),
    /// A metric of its result: milliseconds, a ratio from 0 to 1, or a rate per second.
    Measured(Measure),
}

/// Why a value can't be passed on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PassedError {
    /// Neither a value of the setup nor a metric.
    #[error("{text:?} can't be passed on: it is not a setup.NAME, and {error}")]
    Source {
        /// The text.
        text: String,
        /// Why it is not a metric.
        error: ThresholdError,
    },
    /// `pass` in a parallel suite.
    #[error(
        "pass is for plans one after the other; in parallel there is no later plan: leave it out, or \
         set suite.mode to \"sequential\""
    )]
    Parallel,
    /// Too many values.
    #[error("pass has {0} entries; at most {MAX_PASSED} are allowed")]
    Count(usize),
    /// A name that placeholders can't use.
    #[error("pass.{0} is not a name; use letters, digits and _")]
    Name(String),
    /// The setup extracts no such value.
    #[error("pass.{name}: the plan's setup does not extract {value}; available: {available}")]
    Unknown {
        /// Name for the later plans.
        name: String,
        /// Name in the setup.
        value: String,
        /// All names of the setup.
        available: String,
    },
}

impl FromStr for Passed {
    type Err = PassedError;

    fn from_str(text: &str) -> Result<Passed, PassedError> {
        match text.trim().strip_prefix("setup.") {
            Some(name) => Ok(Passed::Setup(name.to_owned())),
            None => text
                .parse()
                .map(Passed::Measured)
                .map_err(|error| PassedError::Source {
                    text: text.to_owned(),
                    error,
                }),
        }
    }
}

impl<'de> Deserialize<'de> for Passed {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Passed, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Why a suite is rejected.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{}{}{error}", plan_prefix(.plan), file_prefix(.file))]
pub struct SuiteError {
    /// Name of the plan with the error, if it is in one.
    pub plan: Option<String>,
    /// File of that plan and its text, if it has one.
    pub file: Option<(String, String)>,
    /// The error.
    pub error: Box<PlanError>,
}

fn plan_prefix(plan: &Option<String>) -> String {
    let named = plan.as_ref().map(|name| format!("plan {name:?}: "));
    named.unwrap_or_default()
}

fn file_prefix(file: &Option<(String, String)>) -> String {
    let file = file.as_ref().map(|(name, _)| format!("{name}: "));
    file.unwrap_or_default()
}

impl SuiteError {
    /// Shows the error like a compiler; `name` and `text` are those of the suite.
    pub fn show(&self, name: &str, text: &str) -> String {
        let shown = match &self.file {
            Some((file, text)) => {
                let path = Path::new(name).with_file_name("").join(file);
                show(&self.error, &path.display().to_string(), text)
            }
            None => show(&self.error, name, text),
        };
        format!("{}{shown}", plan_prefix(&self.plan))
    }
}

impl From<PlanError> for SuiteError {
    fn from(error: PlanError) -> SuiteError {
        SuiteError {
            plan: None,
            file: None,
            error: Box::new(error),
        }
    }
}
