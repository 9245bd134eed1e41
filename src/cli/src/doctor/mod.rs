//! `doctor`: what on this machine would spoil a test, before there is one.
//!
//! `facts` reads what the system tells, everything else judges it; so each judgement is a
//! function of a text. A check that fails means that a node would not run, or not be of use;
//! one that warns, that results may suffer. What a system does not tell is skipped.

mod clock;
mod cpu;
mod facts;
mod limits;
mod multicast;
mod ports_and_disk;

use std::io;

use serde::Serialize;

use super::args::DoctorArgs;
use super::exit::{Exit, Failure};
use super::layer::Layer;
use super::out_file::print_json;
use super::output::out;
use super::resolve::{environment, layers, resolve};
use super::terminal::coloured;
use crate::product::Product;
use facts::Facts;
use vajra_api::BuildInfo;
use vajra_core::protocol::preflight::{Check, Finding};
use vajra_report::text;
use vajra_results::preflight::{PreflightCheck, PreflightReport, word};

/// What was found, as JSON.
#[derive(Debug, Serialize)]
struct Findings {
    /// Version of this shape: 1.
    schema: u32,
    /// `pass`, `warn` or `fail`: the worst of the checks.
    verdict: &'static str,
    /// The build that looked.
    version: &'static str,
    /// In the order in which they are shown.
    checks: Vec<PreflightCheck>,
}

/// Looks at this machine, for a node with these settings.
///
/// # Errors
/// Bad input only; what is found is no error, but the exit code tells of it.
pub async fn run(args: &DoctorArgs, product: &Product) -> Result<Exit, Failure> {
    let flags = Layer::from_node_args(&args.node)?;
    let config = args.node.swarm.config.as_deref();
    let settings = resolve(layers(flags, config, &environment, &product.profiles)?)?;
    let facts = Facts::read().await;
    let mut checks = vec![optimised(cfg!(debug_assertions), product.build)];
    checks.extend(limits::all(&facts));
    checks.extend(cpu::all(&facts));
    checks.push(clock::clock(&facts));
    checks.extend(ports_and_disk::all(&settings).await);
    checks.push(match settings.node.mdns {
        true => multicast::mdns(&facts),
        false => Check::new("mdns", Finding::Skip, "it is switched off"),
    });
    let verdict = checks.iter().map(|c| c.finding).max();
    show(
        args.json,
        verdict.unwrap_or(Finding::Pass),
        checks,
        product.build,
    )
}

fn show(
    json: bool,
    verdict: Finding,
    checks: Vec<Check>,
    build: BuildInfo,
) -> Result<Exit, Failure> {
    let exit = match verdict {
        Finding::Fail => Exit::CouldNotRun,
        _ => Exit::Success,
    };
    let checks: Vec<PreflightCheck> = checks.into_iter().map(Into::into).collect();
    if json {
        print_json(&Findings {
            schema: 1,
            verdict: word(verdict),
            version: build.full,
            checks,
        })?;
        return Ok(exit);
    }
    let of = |finding| checks.iter().filter(|c| c.finding == finding).count();
    let in_short = format!(
        "\n  {}: {} checks passed, {} warn, {} failed\n",
        word(verdict),
        of(Finding::Pass),
        of(Finding::Warn),
        of(Finding::Fail)
    );
    let report = PreflightReport {
        schema: 1,
        verdict,
        plan: String::new(),
        checks,
        nodes: Vec::new(),
    };
    let table = text::preflight(&report, |_| true);
    out(&coloured(&table, &io::stdout()))?;
    out(&in_short)?;
    Ok(exit)
}

fn optimised(debug: bool, build: BuildInfo) -> Check {
    let full = build.full;
    match debug {
        false => Check::new("build", Finding::Pass, full),
        true => Check::new(
            "build",
            Finding::Warn,
            format!("{full}, built without optimisation: it makes a fraction of the load"),
        )
        .hint("cargo build --release"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_check_that_fails_changes_the_exit_code() {
        let of = |finding| {
            let checks = vec![Check::new("x", finding, "y")];
            let build = BuildInfo {
                version: "0.0.0",
                commit: None,
                full: "0.0.0",
            };
            show(true, finding, checks, build).map_err(|e| e.message)
        };
        assert_eq!(of(Finding::Warn), Ok(Exit::Success));
        assert_eq!(of(Finding::Fail), Ok(Exit::CouldNotRun));
    }
}
