//! `validate`: whether a plan is one, and what it amounts to.

use std::path::Path;

use super::args::ValidateArgs;
use super::dry_run;
use super::exit::{Exit, Failure};
use super::output::line;
use super::plan_args::{beside, read_data, read_limited};
use crate::plan::{parse_plan, show_plan_error};

/// Stands in for the URL of a target that would be started.
const STAND_IN_URL: &str = "http://127.0.0.1:8080/";

/// Reads a plan and shows what would run.
///
/// # Errors
/// [`Exit::BadInput`] with what is wrong, where, and the line itself.
pub fn run(args: &ValidateArgs) -> Result<Exit, Failure> {
    let name = args.plan.display().to_string();
    let text = read_limited(&args.plan)
        .map_err(|why| Failure::input(format_args!("cannot read the plan {name}: {why}")))?;
    let read = |file: &str| read_data(&beside(&args.plan).join(file));
    let json = is_json(&args.plan);
    // Several lines, unlike other errors: the plan's own line is shown.
    let wrong = |e| Failure {
        exit: Exit::BadInput,
        message: show_plan_error(&e, &name, &text),
    };
    let file = parse_plan(&text, json, &read).map_err(wrong)?;
    let plan = match file.needs_target() {
        true => file.with_url(STAND_IN_URL),
        false => file.into_plan(),
    };
    let plan = plan.map_err(wrong)?;
    line(&format!("{name} is a valid plan"))?;
    dry_run::outline(&plan)?;
    Ok(Exit::Fine)
}

/// A plan file is TOML unless its name says JSON.
pub fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "json")
}
