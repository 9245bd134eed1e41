//! `start-test` with a suite: runs its plans one after the other or in parallel, on one swarm, and
//! writes one report.

mod inputs;
mod outcome;
mod runner;

use std::path::Path;

use serde::Serialize;

use super::args::{StartArgs, ValidateArgs};
use super::exit::{Exit, Failure};
use super::interrupt::Interrupts;
use super::join::wait_for;
use super::logging;
use super::out_file::OutFile;
use super::output::{line, out};
use super::plan_args::for_one_plan;
use super::plan_file::{STAND_IN_URL, read_data, read_limited, vars};
use super::product::Product;
use super::session::{Session, Settings};
use inputs::Inputs;
use outcome::plan_outcome;
use runner::Runner;
use vajra_plan::{Mode, Plan, Suite, SuiteError, Values, is_suite, parse_suite};
use vajra_report::export::Format;
use vajra_report::{junit_of_suite, text};
use vajra_results::{PlanPreview, SuiteMode, SuiteResult};

/// Reads the suite of a command line; `None` if it has a plan or a URL.
///
/// # Errors
/// The suite is invalid, or an option does not apply to suites.
pub fn read(args: &StartArgs) -> Result<Option<Suite>, Failure> {
    let Some(path) = args
        .source
        .as_deref()
        .filter(|source| !source.contains("://"))
    else {
        return Ok(None);
    };
    // Stdin can be read only once, so it is always a plan. A file that cannot be read is reported
    // when it is read as a plan.
    let text = match path {
        "-" => return Ok(None),
        path => read_limited(Path::new(path)).unwrap_or_default(),
    };
    if !is_suite(&text) {
        return Ok(None);
    }
    check(args)?;
    let parsed = parse(Path::new(path), &text, &vars(&args.load.vars));
    parsed
        .map(Some)
        .map_err(|e| Failure::input(format_args!("{path}: {e}")))
}

/// `validate` of a suite: prints a preview.
///
/// # Errors
/// [`Exit::BadInput`] with the plan, the error, its place and the line.
pub fn validate(args: &ValidateArgs, text: &str) -> Result<Exit, Failure> {
    let name = args.plan.display().to_string();
    let suite = parse(&args.plan, text, &vars(&args.vars)).map_err(|e| Failure {
        exit: Exit::BadInput,
        message: e.show(&name, text),
    })?;
    let plans = suite.plans.len();
    line(&format!(
        "{name} is a valid suite of {plans} plans, {}",
        suite.mode
    ))?;
    preview(&suite, None)
}

fn parse(path: &Path, text: &str, vars: &Values) -> Result<Suite, SuiteError> {
    let read = |file: &str| read_data(path, file);
    parse_suite(text, &read, vars)
}

/// Refuses options that do not apply to a suite.
fn check(args: &StartArgs) -> Result<(), Failure> {
    let run = &args.run;
    let option = match () {
        () if run.find_max => Some("--find-max"),
        () if run.detach => Some("--detach"),
        () if run.timeline => Some("--timeline"),
        () if run.baseline.is_some() => Some("--baseline"),
        () if run.exports.html.is_some() => Some("--html"),
        () if run.exports.csv.is_some() => Some("--csv"),
        () if run.exports.hlog.is_some() => Some("--hlog"),
        () if run.exports.hgrm.is_some() => Some("--hgrm"),
        () => for_one_plan(&args.load),
    };
    match option {
        Some(option) => Err(Failure::usage(format_args!(
            "{option} is for one plan, and this is a suite of several; leave it out, or set it in \
             the plans (--var, --threshold, --strict and the swarm options apply to suites)"
        ))),
        None => Ok(()),
    }
}

/// Output of `--dry-run --json`.
#[derive(Serialize)]
struct SuitePreview<'a> {
    suite: Option<&'a str>,
    mode: SuiteMode,
    plans: Vec<NamedPreview<'a>>,
}

#[derive(Serialize)]
struct NamedPreview<'a> {
    name: &'a str,
    outline: PlanPreview<'a>,
}

fn preview(suite: &Suite, json: Option<OutFile>) -> Result<Exit, Failure> {
    let inputs = Inputs {
        passed: Values::new(),
        options: Values::new(),
        target: Some(STAND_IN_URL),
        thresholds: &[],
    };
    let plans = suite.plans.iter().map(|plan| inputs.preview(plan));
    let plans: Vec<Plan> = plans.collect::<Result<_, _>>().map_err(Failure::input)?;
    let each = suite.plans.iter().zip(&plans);
    match json {
        Some(json) => json.write_json(&SuitePreview {
            suite: suite.name.as_deref(),
            mode: suite.mode.into(),
            plans: each
                .map(|(entry, plan)| NamedPreview {
                    name: &entry.name,
                    outline: PlanPreview::of(plan),
                })
                .collect(),
        })?,
        None => {
            for (entry, plan) in each {
                out(&format!(
                    "plan {:?} {}",
                    entry.name,
                    PlanPreview::of(plan).summary()
                ))?;
            }
        }
    }
    Ok(Exit::Success)
}

/// Runs a suite.
///
/// # Errors
/// It cannot run at all; nothing is left running then.
pub async fn run(args: &StartArgs, suite: &Suite, product: &Product) -> Result<Exit, Failure> {
    let settings = Settings::of(args, product)?;
    let json = args.run.json.as_deref();
    let json = json.map(|path| OutFile::open("json", path)).transpose()?;
    if args.run.dry_run {
        return preview(suite, json);
    }
    let junit = args.run.exports.junit.as_deref();
    let junit = junit.map(|path| OutFile::open(Format::Junit.name(), path));
    let junit = junit.transpose()?;
    logging::start(settings.log);
    let mut interrupts = Interrupts::new().map_err(Failure::run)?;
    let needs_target = suite.plans.iter().any(|plan| plan.file.needs_target());
    let inputs = Inputs {
        passed: Values::new(),
        options: Values::new(),
        target: Some(STAND_IN_URL),
        thresholds: &args.run.threshold,
    };
    for entry in &suite.plans {
        inputs.preview(entry).map_err(Failure::input)?;
    }
    let local = suite.local.as_ref();
    let session = Session::open(args, local, needs_target, settings, &mut interrupts).await?;
    let files = Files { json, junit };
    let exit = run_on(&session, args, suite, files, &mut interrupts).await;
    session.close().await;
    exit
}

/// Files that the result is written to.
struct Files {
    json: Option<OutFile>,
    junit: Option<OutFile>,
}

async fn run_on(
    session: &Session,
    args: &StartArgs,
    suite: &Suite,
    Files { json, junit }: Files,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    if args.run.wait_for > 1 {
        wait_for(&session.backend, args.run.wait_for, interrupts).await?;
    }
    let quiet = [&json, &junit]
        .into_iter()
        .flatten()
        .any(OutFile::is_stdout);
    let runner = Runner::new(&session.backend, &args.run, suite, quiet);
    let inputs = Inputs {
        passed: Values::new(),
        options: vars(&args.load.vars),
        target: session.target_url(),
        thresholds: &args.run.threshold,
    };
    let (outcomes, interrupted) = match suite.mode {
        Mode::Sequential => runner.sequential(inputs, interrupts).await?,
        Mode::Parallel => (runner.parallel(&inputs, interrupts).await?, false),
    };
    let stopped = interrupted.then_some(Exit::Stopped);
    let exits = outcomes.iter().filter_map(|outcome| outcome.exit);
    let exit = Exit::first(exits.chain(stopped));
    let plans = suite.plans.iter().zip(outcomes);
    let result = SuiteResult {
        schema: 1,
        suite: suite.name.clone(),
        mode: suite.mode.into(),
        outcome: plan_outcome(Some(exit)),
        plans: plans.map(|(plan, outcome)| outcome.of(plan)).collect(),
    };
    if let Some(junit) = junit {
        let xml = junit_of_suite(&result).map_err(Failure::run)?;
        junit.write(&xml)?;
    }
    if let Some(json) = json {
        json.write_json(&result)?;
    }
    if !quiet {
        out(&text::suite(&result))?;
    }
    Ok(exit)
}

#[cfg(test)]
mod tests;
