//! `doctor`: checks a machine for problems that would distort tests.
//!
//! `facts` reads the system; the checks are functions of these facts. A check fails if a node could
//! not run or would be useless, warns if results may be distorted, and is skipped if the system
//! does not provide the facts.

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

/// Findings, as JSON.
#[derive(Debug, Serialize)]
struct Findings {
    /// Version of this format: 1.
    schema: u32,
    /// `pass`, `warn` or `fail`: the worst of the checks.
    verdict: &'static str,
    /// Version of the program.
    version: &'static str,
    /// The checks, in the order of display.
    checks: Vec<PreflightCheck>,
}

/// Checks this machine for a node with these settings. Returns [`Exit::CouldNotRun`] if a check
/// fails.
///
/// # Errors
/// A setting is invalid.
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
        false => Check::new("mdns", Finding::Skip, "mDNS is turned off"),
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
    let summary = format!(
        "\n  {}: {} checks passed, {} warned, {} failed\n",
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
    out(&summary)?;
    Ok(exit)
}

fn optimised(debug: bool, build: BuildInfo) -> Check {
    let full = build.full;
    match debug {
        false => Check::new("build", Finding::Pass, full),
        true => Check::new(
            "build",
            Finding::Warn,
            format!("{full}, built without optimisation, which reduces the maximum load"),
        )
        .hint("cargo build --release"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failed_check_changes_the_exit_code() {
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
