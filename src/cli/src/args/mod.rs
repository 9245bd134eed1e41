//! The command line as clap parses it.
//!
//! Values stay text here if checking them needs more than their form. The second stage
//! ([`super::layer`], [`super::plan_args`]) interprets them.

mod manage;
mod node;
mod start;
mod tools;

pub use manage::{
    DrainArgs, ListArgs, OneTestArgs, PauseArgs, ReportArgs, ScaleArgs, SchemaArgs, StopArgs,
    ValidateArgs, WatchArgs,
};
pub use node::{ApiArgs, NodeArgs, SwarmArgs};
pub use start::{ExportArgs, LoadArgs, RunArgs, StartArgs};
pub use tools::{CompletionsArgs, DoctorArgs, KeygenArgs, ManArgs, TargetArgs};

use clap::{CommandFactory, Parser, Subcommand};

use super::product::Product;

/// The command line of a product, as clap describes it.
pub fn command(product: &Product) -> clap::Command {
    Cli::command().version(product.build.full)
}

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "vajra-node",
    about = "A distributed load generator without a master",
    long_about = "A distributed load generator without a master.\n\n\
        Without a subcommand, runs a node until Ctrl-C or SIGTERM. Nodes find each other, and a \
        test can be started on any of them: the swarm elects a coordinator, splits the load and \
        merges the result.",
    after_help = "Examples:\n  \
        # One machine, no swarm: 500 requests per second for 30 s\n  \
        vajra-node start-test https://test.example.com/ --standalone --rate 500 --duration 30s\n\n  \
        # Run a node; on a LAN, nodes find each other\n  \
        vajra-node\n\n  \
        # Run a test plan on the swarm of the node on this machine\n  \
        vajra-node start-test plan.toml\n\n\
        Options of start-test: `vajra-node start-test --help`.",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// The command; without one, a node runs.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the node.
    #[command(flatten)]
    pub node: NodeArgs,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a load test and show its result
    #[command(visible_alias = "run", long_about = start::LONG_ABOUT, after_help = start::EXAMPLES, after_long_help = start::EXAMPLES_AND_EXIT_CODES)]
    StartTest(Box<StartArgs>),
    /// Check a plan or a suite, and show what would run
    Validate(ValidateArgs),
    /// Print the JSON Schema of plan files
    Schema(SchemaArgs),
    /// Stop a test on all nodes
    StopTest(StopArgs),
    /// Change the rate or the number of users of a running test
    Scale(ScaleArgs),
    /// Pause a running test
    Pause(PauseArgs),
    /// Resume a paused test
    Resume(PauseArgs),
    /// List running and finished tests
    Tests(ListArgs),
    /// Show the result of a test, also while it runs
    Status(OneTestArgs),
    /// Write a result as HTML, CSV, JSON, JUnit XML or histogram log, or compare two results
    Report(Box<ReportArgs>),
    /// Follow a running test until it ends
    Watch(WatchArgs),
    /// List the nodes of the swarm
    Nodes(ListArgs),
    /// Drain a node: it gives its share of the load to the others and takes no new one
    Drain(DrainArgs),
    /// Check this machine for problems that would distort a test
    Doctor(Box<DoctorArgs>),
    /// Generate the key of a private swarm
    Keygen(KeygenArgs),
    /// Run a small HTTP server to try load tests against
    Target(TargetArgs),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write the pages of all commands
    Man(ManArgs),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn run_is_start_test() {
        let parsed = |name: &str| {
            let line = ["vajra-node", name, "plan.toml", "--rate", "5"];
            match Cli::try_parse_from(line).unwrap().command {
                Some(Command::StartTest(args)) => format!("{args:?}"),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(parsed("run"), parsed("start-test"));
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
