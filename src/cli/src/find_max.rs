//! `start-test --find-max`: runs test after test to find the highest rate at which the thresholds
//! pass.

use std::time::Duration;

use super::args::RunArgs;
use super::backend::Backend;
use super::exit::{Exit, Failure};
use super::follow::{Followed, OnInterrupt, follow};
use super::interrupt::Interrupts;
use super::out_file::OutFile;
use super::outcome::outcome;
use super::output::{note, out};
use super::terminal::ProgressLine;
use vajra_plan::{Load, Model, Plan, parse_count};
use vajra_report::text;
use vajra_results::TestResult;
use vajra_results::search::{Search, Tried};

/// First rate of the search, by default.
const FIRST: f64 = 100.0;

/// Highest rate of the search, by default: the maximum of a plan.
const LIMIT: f64 = 1_000_000.0;

/// Pause between two tests, in which the target recovers.
const PAUSE: Duration = Duration::from_secs(1);

/// Checks that a rate search can use this plan.
///
/// # Errors
/// It cannot.
pub fn check(plan: &Plan, args: &RunArgs) -> Result<(), Failure> {
    if !plan.load.stages.is_empty() {
        return Err(Failure::input(
            "--find-max sets the rate and cannot use a plan with stages; use a plan with load.rate",
        ));
    }
    if plan.load.requests.is_some() {
        return Err(Failure::input(
            "--find-max needs tests of a fixed length; remove load.requests from the plan",
        ));
    }
    let first = first(&plan.load);
    let limit = limit(args)?;
    if first > limit {
        return Err(Failure::input(format_args!(
            "--max-rate {limit} is below the first rate, {first}; lower --rate or raise --max-rate"
        )));
    }
    at_rate(plan, limit)
        .validate()
        .map_err(|e| Failure::input(format_args!("--max-rate {limit}: {e}")))
}

fn first(load: &Load) -> f64 {
    load.rate
        .filter(|_| load.model == Model::Open)
        .unwrap_or(FIRST)
}

fn limit(args: &RunArgs) -> Result<f64, Failure> {
    let limit = args.max_rate.as_deref().map(parse_count).transpose();
    let limit = limit.map_err(|e| Failure::input(format_args!("--max-rate: {e}")))?;
    Ok(limit.unwrap_or(LIMIT))
}

/// The plan with a rate in place of its rate or users.
fn at_rate(plan: &Plan, rate: f64) -> Plan {
    let mut plan = plan.clone();
    plan.load.model = Model::Open;
    plan.load.rate = Some(rate);
    plan.load.users = None;
    plan.load.think_time = vajra_plan::ThinkTime::NONE;
    plan
}

/// Runs the search and prints its table. The exit code is [`Exit::Thresholds`] if the thresholds
/// pass at no rate.
///
/// # Errors
/// A test could not run, or the JSON cannot be written.
pub async fn run(
    backend: &Backend,
    plan: Plan,
    args: &RunArgs,
    json: Option<OutFile>,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    let mut search = Search::new(first(&plan.load), limit(args)?, &args.threshold);
    let mut stopped = false;
    while let Some(rate) = search.next() {
        if !search.tried.is_empty() {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = interrupts.next() => { stopped = true; break; }
            }
        }
        let result = run_one(backend, at_rate(&plan, rate), interrupts).await?;
        if outcome(&result, false)? == Exit::Stopped {
            stopped = true;
            break;
        }
        let tried = Tried::of(rate, &result, &args.threshold);
        note(text::tried(&tried).trim_end());
        search.add(tried);
    }
    let json_on_stdout = json.as_ref().is_some_and(OutFile::is_stdout);
    if let Some(json) = json {
        json.write_json(&search)?;
    }
    if !json_on_stdout {
        out(&text::found(&search))?;
    }
    Ok(match search.max_rate {
        _ if stopped => Exit::Stopped,
        None => Exit::Thresholds,
        Some(_) => Exit::Success,
    })
}

async fn run_one(
    backend: &Backend,
    plan: Plan,
    interrupts: &mut Interrupts,
) -> Result<TestResult, Failure> {
    let id = backend.start(plan).await?;
    let mut progress = ProgressLine::on_stderr();
    let followed = follow(backend, &id, interrupts, OnInterrupt::StopTest, |p| {
        progress.show(&text::progress(p));
        Ok(())
    })
    .await;
    progress.close();
    match followed? {
        Followed::Ended(result) => Ok(*result),
        Followed::Left => Err(Failure::stopped("interrupted")),
    }
}
