//! What a pre-flight found, as JSON has it. `docs/api.md` describes it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use vajra_core::protocol::preflight::{Check, Finding};

/// What all nodes found of a plan.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PreflightReport {
    /// Version of this shape: 1.
    pub schema: u32,
    /// `pass`, `warn` or `fail`: the worst of the checks.
    #[serde(with = "as_word")]
    #[schema(value_type = String)]
    pub verdict: Finding,
    /// SHA-256 of the plan, in hexadecimal.
    pub plan: String,
    /// Each check over all nodes.
    pub checks: Vec<PreflightCheck>,
    /// What each node found.
    pub nodes: Vec<PreflightNode>,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PreflightCheck {
    /// A fixed word: `target`, `memory`, …
    pub name: String,
    /// Which of several of that name: a target's host and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `pass`, `warn`, `fail`, or `skip` where there was nothing to look at.
    #[serde(with = "as_word")]
    #[schema(value_type = String)]
    pub finding: Finding,
    /// What was found.
    pub text: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What was measured, or is needed: of `target` and `network` a time in microseconds, of
    /// `clock` milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<u64>,
    /// What there is of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// What a node found.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PreflightNode {
    /// Its peer id.
    pub peer: String,
    /// Its name.
    pub name: String,
    /// It is the node that answers.
    #[serde(rename = "self")]
    pub is_self: bool,
    /// Its version.
    pub version: String,
    /// It would take part.
    pub able: bool,
    /// In the order in which they are shown.
    pub checks: Vec<PreflightCheck>,
}

impl From<Check> for PreflightCheck {
    fn from(check: Check) -> PreflightCheck {
        let some = |text: String| Some(text).filter(|t| !t.is_empty());
        PreflightCheck {
            name: check.name,
            subject: some(check.subject),
            finding: check.finding,
            text: check.text,
            hint: some(check.hint),
            value: check.value,
            limit: check.limit,
        }
    }
}

/// The word for a finding.
pub fn word(finding: Finding) -> &'static str {
    match finding {
        Finding::Skip => "skip",
        Finding::Pass => "pass",
        Finding::Warn => "warn",
        Finding::Fail => "fail",
    }
}

/// A finding as its word.
mod as_word {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{Finding, word};

    pub fn serialize<S: Serializer>(finding: &Finding, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(word(*finding))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Finding, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        let all = [Finding::Skip, Finding::Pass, Finding::Warn, Finding::Fail];
        let found = all.into_iter().find(|f| word(*f) == text);
        found.ok_or_else(|| {
            serde::de::Error::custom(format_args!("{text:?} is not pass, warn, fail or skip"))
        })
    }
}
