//! `start-test --dry-run`: a preview of the test.

use std::path::Path;

use super::exit::{Exit, Failure};
use super::out_file::OutFile;
use super::output::out;
use vajra_plan::{Plan, Task};
use vajra_results::PlanPreview;

/// Prints a preview of a plan, or writes it as JSON.
///
/// # Errors
/// It cannot be written.
pub fn show(plan: &Plan, json: Option<&Path>) -> Result<Exit, Failure> {
    match json {
        Some(path) => OutFile::open("json", path)?.write_json(&PlanPreview::of(plan))?,
        None => out(&text(plan)?)?,
    }
    Ok(Exit::Success)
}

/// Prints a preview without the plan itself.
///
/// # Errors
/// Stdout cannot be written.
pub fn outline(plan: &Plan) -> Result<(), Failure> {
    out(&PlanPreview::of(plan).summary())
}

/// The preview, followed by the plan.
fn text(plan: &Plan) -> Result<String, Failure> {
    let mut text = PlanPreview::of(plan).summary();
    if matches!(plan.task, Task::Scenarios(_)) {
        // As TOML of its canonical form, a scenario is harder to read than the plan file.
        return Ok(text);
    }
    text += "\nthe plan:\n\n";
    text += &toml::to_string(plan).map_err(Failure::run)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;
    use vajra_plan::{HttpTask, Load, parse_toml};

    #[test]
    fn the_printed_plan_can_be_parsed() {
        let load = Load::closed(7, Duration::from_secs(3));
        let plan = Plan::new(Task::Http(HttpTask::get("http://127.0.0.1:1/")), load);
        let text = super::text(&plan).unwrap();
        assert!(text.contains("7 users for 3s"), "{text}");
        let (_, shown) = text.split_once("the plan:\n\n").unwrap();
        assert_eq!(parse_toml(shown).unwrap().into_plan().unwrap(), plan);
    }
}
