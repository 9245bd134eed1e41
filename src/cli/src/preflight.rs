//! The pre-flight check: `validate --swarm`, and before a test.

use std::io;

use super::args::ValidateArgs;
use super::backend::Backend;
use super::exit::{Exit, Failure};
use super::interrupt::{BEFORE_START, Interrupts};
use super::out_file::print_json;
use super::output::{note, note_raw, out};
use super::terminal::{ask, coloured};
use vajra_core::protocol::preflight::Finding;
use vajra_plan::Plan;
use vajra_report::text;
use vajra_results::preflight::{PreflightReport, word};

/// `validate --swarm`: prints the findings of all nodes.
///
/// # Errors
/// No node answers, or it cannot run the check.
pub async fn show(plan: &Plan, args: &ValidateArgs) -> Result<Exit, Failure> {
    let backend = Backend::connect(&args.api).await?;
    let report = backend.preflight(plan).await?.ok_or_else(|| {
        Failure::run("the node has an older version without pre-flight checks; update it")
    })?;
    let exit = match report.verdict {
        Finding::Fail => Exit::CouldNotRun,
        _ => Exit::Success,
    };
    if args.json {
        print_json(&report)?;
        return Ok(exit);
    }
    let table = text::preflight(&report, |_| true);
    out(&coloured(&table, &io::stdout()))?;
    out(&format!("\n  {}\n", summary_line(&report)))?;
    Ok(exit)
}

fn summary_line(report: &PreflightReport) -> String {
    let able = report.nodes.iter().filter(|n| n.able).count();
    let nodes = match report.nodes.len() {
        1 => "1 node".to_owned(),
        n => format!("{n} nodes"),
    };
    format!(
        "{}: {able} of {nodes} can run the plan {}",
        word(report.verdict),
        report.plan.get(..8).unwrap_or_default()
    )
}

/// Checks before a test whether it can run. Prints nothing if all checks pass. If one warns, asks
/// for confirmation on a terminal, unless `yes` is set.
///
/// # Errors
/// A check failed, or the user declined.
pub async fn before_start(
    backend: &Backend,
    plan: &Plan,
    yes: bool,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let report = tokio::select! {
        report = backend.preflight(plan) => report?,
        () = interrupts.next() => return Err(Failure::stopped(BEFORE_START)),
    };
    let Some(report) = report else {
        note("the node has an older version without pre-flight checks; starting without one");
        return Ok(());
    };
    if report.verdict < Finding::Warn {
        return Ok(());
    }
    let shown = text::preflight(&report, |found| found >= Finding::Warn);
    note("pre-flight check:");
    note_raw(&coloured(&shown, &io::stderr()));
    let worst = report.checks.iter().find(|c| c.finding == Finding::Fail);
    if let Some(worst) = worst {
        return Err(Failure::run(format_args!(
            "the pre-flight check failed, and no test was started: {} (--no-preflight skips the check)",
            worst.text
        )));
    }
    if yes {
        return Ok(());
    }
    let answer = tokio::select! {
        answer = ask("Start anyway?") => answer,
        () = interrupts.next() => {
            note("");
            Some(false)
        }
    };
    match answer {
        Some(false) => Err(Failure::stopped(
            "not started: declined after a warning of the pre-flight check",
        )),
        // Without a terminal, warnings do not stop the test.
        Some(true) | None => Ok(()),
    }
}
