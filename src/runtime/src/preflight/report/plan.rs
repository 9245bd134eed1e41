//! The checks of the plan.

use std::time::Duration;

use vajra_core::protocol::preflight::{Check, Finding};
use vajra_plan::{Model, Plan, Profile, show_duration};
use vajra_results::units::count;

/// A lower rate or shorter duration is probably a mistake.
const MIN_LOAD: (f64, Duration) = (1.0, Duration::from_secs(1));

/// A warning for each literal credential of the plan.
pub fn credentials(plan: &Plan) -> impl Iterator<Item = Check> {
    let paths = plan.literal_credentials().into_iter();
    paths
        .zip(plan.credential_warnings())
        .map(|(path, text)| Check::new("credentials", Finding::Warn, text).of(&path))
}

/// The plan's load, within the limits.
pub fn configuration(plan: &Plan) -> Check {
    let load = &plan.load;
    if let Err(e) = plan.validate() {
        return Check::new("configuration", Finding::Fail, e.to_string());
    }
    let (rate, length) = (load.rate.unwrap_or_default(), Profile::of(load).end());
    let level = match load.model {
        Model::Open => format!("{rate}/s (at most 1,000,000)"),
        Model::Closed => format!(
            "{} users (at most 1,000,000)",
            count(load.users.unwrap_or_default().into())
        ),
    };
    let text = format!("{level} for {} (at most 24h)", show_duration(length));
    // With a number of requests, a small load is intended.
    let is_small = load.requests.is_none()
        && (length < MIN_LOAD.1 || load.model == Model::Open && rate < MIN_LOAD.0);
    match is_small {
        false => Check::new("configuration", Finding::Pass, text),
        true => Check::new("configuration", Finding::Warn, text).hint(
            "below 1/s or shorter than 1 s, results are of little use; if intended, set --requests",
        ),
    }
}
