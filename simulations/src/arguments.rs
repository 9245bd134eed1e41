//! The command line.

use std::ops::Range;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use vajra_core::protocol::planted::Bug;

use crate::scenario::Faults;

/// Runs the swarm's protocol in a simulated network.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs one seed or scenario.
    Run(RunArguments),
    /// Runs many seeds with all faults. A failing seed is shrunk and written to a file.
    Sweep {
        /// First seed and the seed after the last: `0..500`.
        #[arg(long, value_parser = seeds)]
        seeds: Range<u64>,
        /// Number of nodes, instead of the one of each seed.
        #[arg(long)]
        nodes: Option<usize>,
        /// Threads; by default one per core.
        #[arg(long)]
        jobs: Option<usize>,
        /// Directory for the scenarios of failing seeds.
        #[arg(long, value_name = "DIR", default_value = "target/simulate")]
        failed: PathBuf,
    },
    /// Measures the cost of swarms by size: no faults, one test.
    Scale {
        /// Numbers of nodes.
        #[arg(long, value_delimiter = ',', default_value = "10,100,1000")]
        nodes: Vec<usize>,
        /// Length of the test in virtual seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Writes a chart of the traffic to this file, as SVG.
        #[arg(long, value_name = "FILE")]
        picture: Option<PathBuf>,
    },
    /// Plants bugs in the protocol, one at a time; each must be detected.
    Mutants {
        /// Seeds per bug.
        #[arg(long, value_parser = seeds, default_value = "0..5000")]
        seeds: Range<u64>,
        /// Only this bug.
        #[arg(long, value_parser = bug)]
        only: Option<Bug>,
        /// Threads; by default one per core.
        #[arg(long)]
        jobs: Option<usize>,
    },
}

#[derive(Debug, clap::Args)]
pub struct RunArguments {
    /// Seed; with a scenario it replaces the scenario's seed.
    #[arg(long, required_unless_present = "scenario")]
    pub seed: Option<u64>,
    /// Scenario in TOML.
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Number of nodes, instead of the one of the seed.
    #[arg(long, conflicts_with = "scenario")]
    pub nodes: Option<usize>,
    /// Faults.
    #[arg(long, value_enum, default_value_t = Choice::All, conflicts_with = "scenario")]
    pub faults: Choice,
    /// Plants this bug in the protocol (`simulate mutants` lists them).
    #[arg(long, value_parser = bug)]
    pub plant: Option<Bug>,
    /// Shrinks a failing run first.
    #[arg(long)]
    pub shrink: bool,
    /// Prints all events on stderr.
    #[arg(long)]
    pub trace: bool,
    /// Prints the scenario as TOML instead of running it.
    #[arg(long)]
    pub show: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Choice {
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
    let (from, to) = text.split_once("..").context("expected A..B")?;
    let range = from.parse()?..to.parse()?;
    anyhow::ensure!(range.start < range.end, "the range is empty");
    Ok(range)
}

fn bug(text: &str) -> anyhow::Result<Bug> {
    let known = Bug::ALL.iter().find(|b| b.key() == text);
    known.copied().with_context(|| {
        let keys: Vec<&str> = Bug::ALL.iter().map(|b| b.key()).collect();
        format!("unknown bug (expected one of {})", keys.join(", "))
    })
}
