//! Pre-flight on the command line: `validate --swarm`, and before a test.

use std::io;

use super::args::ValidateArgs;
use super::backend::Backend;
use super::exit::{Exit, Failure};
use super::interrupt::Interrupts;
use super::out_file::print_json;
use super::output::{note, note_raw, out};
use super::terminal::{ask, coloured};
use vajra_core::protocol::preflight::Finding;
use vajra_plan::Plan;
use vajra_report::text;
use vajra_results::preflight::{PreflightReport, word};

/// `validate --swarm`: shows what all nodes find of a plan.
///
/// # Errors
/// No node answers, or it can't look.
pub async fn show(plan: &Plan, args: &ValidateArgs) -> Result<Exit, Failure> {
    let backend = Backend::connect(&args.api).await?;
    let report = backend.preflight(plan).await?.ok_or_else(|| {
        Failure::run("the node is of an older version that knows no pre-flight; update it")
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
    out(&format!("\n  {}\n", in_short(&report)))?;
    Ok(exit)
}

fn in_short(report: &PreflightReport) -> String {
    let able = report.nodes.iter().filter(|n| n.able).count();
    let nodes = match report.nodes.len() {
        1 => "1 node".to_owned(),
        n => format!("{n} nodes"),
    };
    format!(
        "{}: {nodes}, {able} able to carry the plan {}",
        word(report.verdict),
        report.plan.get(..8).unwrap_or_default()
    )
}

/// Looks before a test whether it would run. Says nothing if all is well; if there are
/// warnings, asks on a terminal, unless the answer is `yes` anyway.
///
/// # Errors
/// It would not run, or it is not to be started.
pub async fn before(
    backend: &Backend,
    plan: &Plan,
    yes: bool,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let report = tokio::select! {
        report = backend.preflight(plan) => report?,
        () = interrupts.next() => {
            return Err(Failure::stopped("interrupted before the test began"));
        }
    };
    let Some(report) = report else {
        note("the node is of an older version that knows no pre-flight: none was made");
        return Ok(());
    };
    if report.verdict < Finding::Warn {
        return Ok(());
    }
    let shown = text::preflight(&report, |found| found >= Finding::Warn);
    note("the pre-flight finds:");
    note_raw(&coloured(&shown, &io::stderr()));
    let worst = report.checks.iter().find(|c| c.finding == Finding::Fail);
    if let Some(worst) = worst {
        return Err(Failure::run(format_args!(
            "the pre-flight failed, and nothing was started: {} (--no-preflight leaves these checks out)",
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
        Some(false) => Err(Failure::stopped("not started")),
        // Without anybody to ask, a warning is no more than that.
        Some(true) | None => Ok(()),
    }
}
