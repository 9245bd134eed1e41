//! `simulate` runs the swarm's protocol, the same code as the nodes, in a simulated network that is
//! fully determined by a seed.
//!
//! | module | contents |
//! |---|---|
//! | [`arguments`], [`commands`] | the command line |
//! | [`scenario`], [`fault`] | a run and its faults, from a seed or a TOML file |
//! | [`world`] | true time, events, and execution of the protocol's outputs |
//! | [`machine`], [`engine`], [`acts`], [`clock`], [`network`], [`queue`], [`event`] | parts of the world |
//! | [`wire_form`] | messages as bytes |
//! | [`check`], [`violation`] | the invariants, one per file |
//! | [`run`], [`sweep`] | one seed, many seeds |
//! | [`shrink`] | reduces a failing run |
//! | [`mutants`], [`rules`] | planted bugs that the checkers must detect |
//! | [`scale`], [`meter`], [`size`] | cost of a swarm by size |
//! | [`coverage`], [`trace`] | situations that occurred; the hash of a run |
//!
//! A run has two phases: faults, then healing, after which the swarm must make progress.

mod acts;
mod arguments;
mod check;
mod clock;
mod commands;
mod coverage;
mod engine;
mod event;
mod fault;
mod keys;
mod machine;
mod meter;
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
mod violation;
mod wire_form;
mod world;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser as _;

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
