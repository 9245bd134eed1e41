//! `simulate`: runs worlds and says what broke.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::{Parser, Subcommand, ValueEnum};
use simulations::faults::FaultPlan;
use simulations::world::{self, Coverage};

/// A deterministic simulator of a swarm, over the very protocol that the nodes run.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one seed
    Run {
        /// The seed
        #[arg(long)]
        seed: u64,
        /// Nodes; the seed chooses if there are faults
        #[arg(long, default_value_t = 5)]
        nodes: usize,
        /// What goes wrong
        #[arg(long, value_enum, default_value_t = Faults::All)]
        faults: Faults,
        /// Print what happens
        #[arg(long)]
        trace: bool,
    },
    /// Run many seeds
    Sweep {
        /// The seeds, A..B, B left out
        #[arg(long, value_parser = range)]
        seeds: (u64, u64),
        /// Threads
        #[arg(long, default_value_t = 2)]
        jobs: usize,
    },
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Faults {
    /// Nothing
    None,
    /// Everything that the seed says
    All,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let parse = |s: &str| s.parse().map_err(|_| format!("{s:?} is no number"));
    let (from, to) = text.split_once("..").ok_or("write A..B")?;
    Ok((parse(from)?, parse(to)?))
}

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Run {
            seed,
            nodes,
            faults,
            trace,
        } => run(seed, nodes, faults, trace),
        Command::Sweep { seeds, jobs } => sweep(seeds, jobs.max(1)),
    }
}

fn run(seed: u64, nodes: usize, faults: Faults, trace: bool) -> ExitCode {
    let plan = match faults {
        Faults::None => FaultPlan::calm(nodes, seed),
        Faults::All => FaultPlan::of(seed),
    };
    println!(
        "seed {seed}: {} nodes, {} faults",
        plan.nodes,
        plan.faults.len()
    );
    for (at, fault) in &plan.faults {
        println!("  {:>7.3} s  {fault:?}", *at as f64 / 1e9);
    }
    let outcome = world::run(&plan, seed, trace);
    println!(
        "{} events, trace hash {:016x}",
        outcome.events, outcome.trace_hash
    );
    match outcome.broken {
        Some(broken) => {
            println!("BROKEN: {broken}");
            ExitCode::FAILURE
        }
        None => {
            println!("all invariants held");
            ExitCode::SUCCESS
        }
    }
}

fn sweep((from, to): (u64, u64), jobs: usize) -> ExitCode {
    let begun = Instant::now();
    let next = AtomicU64::new(from);
    let sum = Mutex::new((Coverage::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= to {
                        return;
                    }
                    let outcome = world::run(&FaultPlan::of(seed), seed, false);
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    sum.0.add(&outcome.coverage);
                    if let Some(broken) = outcome.broken {
                        println!("seed {seed}: {broken}\n  replay: cargo run -p simulations -- run --seed {seed} --trace");
                        sum.1.push(seed);
                    }
                }
            });
        }
    });
    let (coverage, failed) = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    let count = to.saturating_sub(from);
    println!(
        "{count} seeds, {:.0} a second",
        count as f64 / begun.elapsed().as_secs_f64()
    );
    for (what, n) in coverage.rows() {
        println!("  {n:>8}  {what}");
    }
    let unseen: Vec<&str> = coverage
        .rows()
        .iter()
        .filter(|(_, n)| *n == 0)
        .map(|(what, _)| *what)
        .collect();
    if !unseen.is_empty() {
        println!("NEVER OCCURRED: {}", unseen.join(", "));
    }
    if failed.is_empty() && unseen.is_empty() {
        println!("all invariants held");
        ExitCode::SUCCESS
    } else {
        println!("{} seeds failed", failed.len());
        ExitCode::FAILURE
    }
}
