//! `simulate`: runs the swarm's protocol, the very code of the nodes, in worlds that are
//! nothing but a seed.
//!
//! | module | idea |
//! |---|---|
//! | [`scenario`] | a run as a value; a seed expands into one |
//! | [`fault`] | what goes wrong, as a value |
//! | [`world`] | true time, events, and the outputs of the protocol carried out |
//! | [`machine`], [`engine`], [`clock`], [`network`] | what the world is made of |
//! | [`check`] | the invariants, each in a file of its own |
//! | [`run`], [`sweep`] | one seed, many seeds |
//! | [`coverage`], [`trace`] | what was seen, and whether two runs were the same |
//!
//! A run has two phases: faults, and then healing, after which the swarm must make progress.

mod check;
mod clock;
mod coverage;
mod engine;
mod fault;
mod machine;
mod network;
mod rng;
mod run;
mod scenario;
mod sweep;
#[cfg(test)]
mod tests;
mod trace;
mod world;

use std::ops::Range;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};

use scenario::{Faults, Scenario};
use trace::Trace;

/// The swarm's protocol in a simulated world.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs one seed.
    Run {
        /// The seed.
        #[arg(long)]
        seed: u64,
        /// So many nodes, instead of as many as the seed says.
        #[arg(long)]
        nodes: Option<usize>,
        /// What goes wrong.
        #[arg(long, value_enum, default_value_t = Choice::All)]
        faults: Choice,
        /// Print everything that happens on stderr.
        #[arg(long)]
        trace: bool,
    },
    /// Runs many seeds with all faults.
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
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Choice {
    None,
    All,
}

fn seeds(text: &str) -> anyhow::Result<Range<u64>> {
    let (from, to) = text.split_once("..").context("write it as A..B")?;
    let range = from.parse()?..to.parse()?;
    anyhow::ensure!(range.start < range.end, "there is no seed in this range");
    Ok(range)
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run {
            seed,
            nodes,
            faults,
            trace,
        } => run_one(seed, nodes, faults, trace),
        Command::Sweep { seeds, nodes, jobs } => run_many(seeds, nodes, jobs),
    }
}

fn run_one(seed: u64, nodes: Option<usize>, faults: Choice, trace: bool) -> ExitCode {
    let faults = match faults {
        Choice::None => Faults::None,
        Choice::All => Faults::All,
    };
    let scenario = Scenario::from_seed(seed, nodes, faults);
    println!(
        "seed {seed}: {} nodes, a plan of {:.1} s, {:?} on loss",
        scenario.machines.len(),
        scenario.spec.length.as_secs_f64(),
        scenario.spec.on_lost
    );
    for fault in &scenario.faults.0 {
        println!("{fault}");
    }
    let outcome = run::run(scenario, Trace::new(trace));
    println!("saw: {}", outcome.coverage);
    println!(
        "{} events in {:.3} s of virtual time, trace hash {:016x}",
        outcome.events,
        outcome.lasted.as_secs_f64(),
        outcome.hash
    );
    match outcome.violation {
        Some(violation) => {
            println!("FAILED: {violation}");
            ExitCode::FAILURE
        }
        None => {
            println!("all invariants held");
            ExitCode::SUCCESS
        }
    }
}

fn run_many(seeds: Range<u64>, nodes: Option<usize>, jobs: Option<usize>) -> ExitCode {
    // A panic is a broken invariant like any other, and is reported as one.
    std::panic::set_hook(Box::new(|_| {}));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let swept = sweep::sweep(seeds, nodes, jobs.unwrap_or(cores));
    let seconds = swept.took.as_secs_f64();
    println!(
        "{} seeds in {seconds:.1} s, {:.1} seeds/s, {} events",
        swept.seeds,
        swept.seeds as f64 / seconds,
        swept.events
    );
    println!("saw: {}", swept.coverage);
    let only = nodes.map_or(String::new(), |n| format!(" --nodes {n}"));
    for (seed, violation) in &swept.failed {
        println!("seed {seed}: {violation}");
        println!("  replay: simulate run --seed {seed}{only} --trace");
    }
    if swept.failed.is_empty() {
        println!("all invariants held");
        ExitCode::SUCCESS
    } else {
        println!("{} seeds FAILED", swept.failed.len());
        ExitCode::FAILURE
    }
}
