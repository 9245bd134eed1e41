//! `validate`: checks a plan or a suite, and prints a preview.

use super::args::ValidateArgs;
use super::dry_run;
use super::exit::{Exit, Failure};
use super::output::{line, note};
use super::plan_file::{self, STAND_IN_URL, is_json, read_limited, vars};
use super::preflight;
use super::suite;
use vajra_plan::{is_suite, show_plan_error};

/// Checks a plan or a suite and prints a preview; with `--swarm`, makes the pre-flight check
/// instead.
///
/// # Errors
/// [`Exit::BadInput`] with the error, its place and the line; or no node answers.
pub async fn run(args: &ValidateArgs) -> Result<Exit, Failure> {
    if args.api.api.is_some() && !args.swarm {
        return Err(Failure::usage(
            "--api selects the node for --swarm; add --swarm, or leave out --api",
        ));
    }
    let name = args.plan.display().to_string();
    let hint = "give the path of a plan or suite";
    let text = read_limited(&args.plan).map_err(|e| e.failure(&args.plan, hint))?;
    if is_suite(&text) && !is_json(&args.plan) {
        if args.swarm {
            return Err(Failure::usage(
                "--swarm checks one plan, and this is a suite; give the file of one of its plans",
            ));
        }
        return suite::validate(args, &text);
    }
    // Several lines, unlike other errors, as the line of the plan is quoted.
    let invalid = |e| Failure {
        exit: Exit::BadInput,
        message: show_plan_error(&e, &name, &text),
    };
    let file = plan_file::parse(&args.plan, &text, vars(&args.vars)).map_err(invalid)?;
    if args.swarm && file.needs_target() {
        return Err(Failure::input(format_args!(
            "{name}: --swarm cannot check this plan, as its target is started with the test; \
             start-test makes the check itself"
        )));
    }
    let plan = match file.needs_target() {
        true => file.with_url(STAND_IN_URL),
        false => file.into_plan(),
    };
    let plan = plan.map_err(invalid)?;
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
