//! The plan in a result.

use vajra_plan::Plan;

/// What a result shows of a plan: nothing of its literal credentials. Computing it searches the whole
/// plan.
#[derive(Clone, PartialEq, Debug)]
pub struct RedactedPlan {
    /// URL, or task type.
    pub target: String,
    /// The plan, in its canonical form.
    pub plan: serde_json::Value,
}

impl RedactedPlan {
    /// Of a plan.
    pub fn of(plan: &Plan) -> RedactedPlan {
        let redacted = plan.redacted();
        RedactedPlan {
            target: match redacted.task.http() {
                Some(http) => http.url.clone(),
                None => redacted.task.type_name().to_owned(),
            },
            plan: serde_json::to_value(redacted).unwrap_or_default(),
        }
    }
}
