//! `validate`: whether a plan or a suite is one, and what it amounts to.

use std::path::Path;

use super::args::ValidateArgs;
use super::dry_run;
use super::exit::{Exit, Failure};
use super::output::{line, note};
use super::plan_args::{beside, read_data, read_limited, vars};
use super::preflight;
use super::start_test::STAND_IN_URL;
use super::suite;
use vajra_plan::{PlanInputs, is_suite, parse_plan_with, show_plan_error};

/// Reads a plan or a suite and shows what would run; with `--swarm`, whether it would.
///
/// # Errors
/// [`Exit::BadInput`] with what is wrong, where, and the line itself; or no node answers.
pub async fn run(args: &ValidateArgs) -> Result<Exit, Failure> {
    if args.api.api.is_some() && !args.swarm {
        return Err(Failure::usage(
            "--api names a node, which is only asked with --swarm",
        ));
    }
    let name = args.plan.display().to_string();
    let text = read_limited(&args.plan)
        .map_err(|why| Failure::input(format_args!("cannot read the plan {name}: {why}")))?;
    if is_suite(&text) && !is_json(&args.plan) {
        if args.swarm {
            return Err(Failure::usage(
                "--swarm looks at one plan; name one of the suite's",
            ));
        }
        return suite::validate(args, &text);
    }
    let given = PlanInputs {
        vars: vars(&args.vars),
        ..PlanInputs::default()
    };
    let read = |file: &str| read_data(&beside(&args.plan).join(file));
    let json = is_json(&args.plan);
    // Several lines, unlike other errors: the plan's own line is shown.
    let wrong = |e| Failure {
        exit: Exit::BadInput,
        message: show_plan_error(&e, &name, &text),
    };
    let file = parse_plan_with(&text, json, &read, &given).map_err(wrong)?;
    if args.swarm && file.needs_target() {
        return Err(Failure::input(format_args!(
            "{name}: its target is started with the test, so there is nothing to look at yet; \
             start-test looks before it begins"
        )));
    }
    let plan = match file.needs_target() {
        true => file.with_url(STAND_IN_URL),
        false => file.into_plan(),
    };
    let plan = plan.map_err(wrong)?;
    if args.swarm {
        return preflight::show(&plan, args).await;
    }
    line(&format!("{name} is a valid plan"))?;
    for warning in plan.credential_warnings() {
        note(&format!("warning: {warning}"));
    }
    dry_run::outline(&plan)?;
    Ok(Exit::Success)
}

/// A plan file is TOML unless its name says JSON.
pub fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "json")
}
