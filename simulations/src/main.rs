//! `simulate`: runs the swarm's protocol, the very code of the nodes, in worlds that are
//! nothing but a seed.
//!
//! | module | idea |
//! |---|---|
//! | [`scenario`] | a run as a value; a seed expands into one, a TOML file says one |
//! | [`fault`] | what goes wrong, as a value |
//! | [`world`] | true time, events, and the outputs of the protocol carried out |
//! | [`machine`], [`engine`], [`clock`], [`network`], [`queue`] | what the world is made of |
//! | [`check`] | the invariants, each in a file of its own |
//! | [`run`], [`sweep`] | one seed, many seeds |
//! | [`shrink`] | a failing run, made small |
//! | [`mutants`], [`rules`] | a check of the checks: bugs planted on purpose |
//! | [`scale`], [`size`] | what a swarm costs as it grows |
//! | [`coverage`], [`trace`] | what was seen, and whether two runs were the same |
//!
//! A run has two phases: faults, and then healing, after which the swarm must make progress.

mod check;
mod clock;
mod commands;
mod coverage;
mod engine;
mod fault;
mod machine;
mod mutants;
mod network;
mod queue;
mod rng;
mod rules;
mod run;
mod scale;
mod scenario;
mod seconds;
mod shrink;
mod size;
mod sweep;
#[cfg(test)]
mod tests;
mod trace;
mod world;

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use vajra_core::protocol::planted::Bug;

use scenario::Faults;

/// The swarm's protocol in a simulated world.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs one seed, or one scenario.
    Run(RunArguments),
    /// Runs many seeds with all faults; a failing one is made small and written to a file.
    Sweep {
        /// From the first to before the last: `0..500`.
        #[arg(long, value_parser = seeds)]
        seeds: Range<u64>,
        /// So many nodes, instead of as many as each seed says.
        #[arg(long)]
        nodes: Option<usize>,
        /// Threads; by default one for each core.
        #[arg(long)]
        jobs: Option<usize>,
        /// Where the scenarios of failing seeds are written.
        #[arg(long, value_name = "DIR", default_value = "target/simulate")]
        failed: PathBuf,
    },
    /// Measures what a swarm costs as it grows: no faults, one test.
    Scale {
        /// Sizes.
        #[arg(long, value_delimiter = ',', default_value = "10,100,1000")]
        nodes: Vec<usize>,
        /// Length of the test, in virtual seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// The seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Draw the traffic into this file, as SVG.
        #[arg(long, value_name = "FILE")]
        picture: Option<PathBuf>,
    },
    /// Plants bugs in the protocol, one after the other: each must be caught.
    Mutants {
        /// Seeds for each bug.
        #[arg(long, value_parser = seeds, default_value = "0..5000")]
        seeds: Range<u64>,
        /// Only this bug.
        #[arg(long, value_parser = bug)]
        only: Option<Bug>,
        /// Threads; by default one for each core.
        #[arg(long)]
        jobs: Option<usize>,
    },
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// The seed; with a scenario, instead of the one that it names.
    #[arg(long, required_unless_present = "scenario")]
    seed: Option<u64>,
    /// A scenario in TOML.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// So many nodes, instead of as many as the seed says.
    #[arg(long, conflicts_with = "scenario")]
    nodes: Option<usize>,
    /// What goes wrong.
    #[arg(long, value_enum, default_value_t = Choice::All, conflicts_with = "scenario")]
    faults: Choice,
    /// Plant this bug in the protocol (`simulate mutants` lists them).
    #[arg(long, value_parser = bug)]
    plant: Option<Bug>,
    /// If it fails, make it small first.
    #[arg(long)]
    shrink: bool,
    /// Print everything that happens on stderr.
    #[arg(long)]
    trace: bool,
    /// Print the scenario as TOML instead of running it.
    #[arg(long)]
    show: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Choice {
    None,
    All,
}

impl From<Choice> for Faults {
    fn from(choice: Choice) -> Faults {
        match choice {
            Choice::None => Faults::None,
            Choice::All => Faults::All,
        }
    }
}

fn seeds(text: &str) -> anyhow::Result<Range<u64>> {
    let (from, to) = text.split_once("..").context("write it as A..B")?;
    let range = from.parse()?..to.parse()?;
    anyhow::ensure!(range.start < range.end, "there is no seed in this range");
    Ok(range)
}

fn bug(text: &str) -> anyhow::Result<Bug> {
    let known = Bug::ALL.iter().find(|b| b.key() == text);
    known.copied().with_context(|| {
        let keys: Vec<&str> = Bug::ALL.iter().map(|b| b.key()).collect();
        format!("there is no such bug; there are {}", keys.join(", "))
    })
}

fn main() -> ExitCode {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let done = match Arguments::parse().command {
        Command::Run(arguments) => commands::run(&arguments),
        Command::Sweep {
            seeds,
            nodes,
            jobs,
            failed,
        } => commands::sweep(seeds, nodes, jobs.unwrap_or(cores), &failed),
        Command::Scale {
            nodes,
            seconds,
            seed,
            picture,
        } => commands::scale(&nodes, seconds, seed, picture.as_deref()),
        Command::Mutants { seeds, only, jobs } => {
            commands::mutants(seeds, only, jobs.unwrap_or(cores))
        }
    };
    match done {
        Ok(code) => code,
        Err(why) => {
            eprintln!("error: {why:#}");
            ExitCode::from(2)
        }
    }
}
