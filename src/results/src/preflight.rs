//! The report of the pre-flight checks. `docs/api.md` describes every field.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use vajra_core::protocol::preflight::{Check, Finding};

/// The pre-flight report of all nodes for a plan.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PreflightReport {
    /// Version of the format: 1.
    pub schema: u32,
    /// `pass`, `warn` or `fail`: the worst of the checks.
    #[serde(with = "finding_text")]
    #[schema(value_type = String)]
    pub verdict: Finding,
    /// SHA-256 of the plan, in hexadecimal.
    pub plan: String,
    /// Each check, over all nodes.
    pub checks: Vec<PreflightCheck>,
    /// The checks of each node.
    pub nodes: Vec<PreflightNode>,
}

/// A pre-flight check.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PreflightCheck {
    /// Name of the check: `target`, `memory`, …
    pub name: String,
    /// Subject, if several checks have the name: a target's host and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `pass`, `warn`, `fail`, or `skip` if there was nothing to check.
    #[serde(with = "finding_text")]
    #[schema(value_type = String)]
    pub finding: Finding,
    /// Description of the finding.
    pub text: String,
    /// Suggested action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Measured or required value: microseconds for `target` and `network`, milliseconds for
    /// `clock`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<u64>,
    /// Available amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// The pre-flight checks of a node.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PreflightNode {
    /// Peer id.
    pub peer: String,
    /// Name.
    pub name: String,
    /// Whether this is the answering node.
    #[serde(rename = "self")]
    pub is_self: bool,
    /// Version of the node.
    pub version: String,
    /// Whether it would take part.
    pub able: bool,
    /// Its checks, in display order.
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

/// The text of a finding in JSON.
pub fn word(finding: Finding) -> &'static str {
    match finding {
        Finding::Skip => "skip",
        Finding::Pass => "pass",
        Finding::Warn => "warn",
        Finding::Fail => "fail",
    }
}

/// A [`Finding`] as text, for `#[serde(with)]`.
mod finding_text {
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
