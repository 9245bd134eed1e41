//! The command line: parses it, runs the command, and returns its exit code.
//!
//! Arguments are processed in two stages: [`args`] defines their syntax; [`layer`] and [`resolve`]
//! turn them into the configuration of a node, and [`plan_args`] into a plan. All errors of the
//! command line are found in these stages, before anything starts.
//!
//! | module | content |
//! |---|---|
//! | [`args`], [`value_parsers`] | syntax of the command line |
//! | [`layer`], [`config_file`], [`resolve`] | settings: flags over environment over file over defaults |
//! | [`plan_file`], [`plan_args`], [`dry_run`] | the plan of a test, from its file and options |
//! | [`validate`], [`preflight`] | checks of a plan |
//! | [`run_node`], [`listen`], [`logging`] | running a node |
//! | [`start_test`], [`suite`], [`find_max`] | running tests |
//! | [`session`], [`join`], [`local`] | the swarm that tests run on |
//! | [`backend`] | the node that runs a command: behind an API, or in this process |
//! | [`follow`], [`interrupt`], [`screen`], [`terminal`] | progress of a test |
//! | [`outcome`], [`report`], [`exports`], [`baseline`], [`out_file`] | results and reports |
//! | [`commands`], [`doctor`], [`keygen`], [`run_target`], [`target`], [`schema`], [`shell`] | the other commands |
//! | [`exit`], [`output`] | exit codes, errors and printing |

pub mod args;
pub mod backend;
pub mod baseline;
pub mod commands;
pub mod config_file;
pub mod doctor;
pub mod dry_run;
pub mod exit;
pub mod exports;
pub mod find_max;
pub mod follow;
pub mod interrupt;
pub mod join;
pub mod keygen;
pub mod layer;
pub mod listen;
pub mod local;
pub mod logging;
pub mod out_file;
pub mod outcome;
pub mod output;
pub mod plan_args;
pub mod plan_file;
pub mod preflight;
pub mod product;
pub mod read_file;
pub mod report;
pub mod resolve;
pub mod run_node;
pub mod run_target;
pub mod schema;
pub mod screen;
pub mod session;
pub mod shell;
pub mod start_test;
pub mod suite;
pub mod target;
pub mod terminal;
pub mod validate;
pub mod value_parsers;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches;

use args::{Cli, Command};
use exit::{Exit, Failure};

pub use product::Product;
pub use vajra_api::BuildInfo;

use vajra_runtime::handle::LoadRequest;

/// A command line that failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// It cannot be parsed, or requests help or the version.
    #[error(transparent)]
    Parse(#[from] clap::Error),
    /// The command failed.
    #[error("error: {0}")]
    Failed(#[from] Failure),
}

impl CliError {
    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            CliError::Parse(e) => e.exit_code() as u8,
            CliError::Failed(failure) => failure.exit as u8,
        }
    }
}

/// Runs the command line of this process and prints its error.
pub fn main(product: &Product) -> ExitCode {
    match run_from(std::env::args_os(), product) {
        Ok(exit) => exit.into(),
        Err(e) => {
            match &e {
                // Also help and version, with exit code 0. A closed pipe is not an error.
                CliError::Parse(e) => drop(e.print()),
                CliError::Failed(_) => output::note(&e.to_string()),
            }
            ExitCode::from(e.exit_code())
        }
    }
}

/// Runs a command line, whose first argument is the name of the program.
///
/// # Errors
/// It cannot be parsed, or the command failed.
pub fn run_from(
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    product: &Product,
) -> Result<Exit, CliError> {
    let matches = args::command(product).try_get_matches_from(args)?;
    let cli = Cli::from_arg_matches(&matches)?;
    Ok(run(&cli, product)?)
}

fn run(cli: &Cli, product: &Product) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::run)?;
    let exit = runtime.block_on(async {
        match &cli.command {
            None => run_node::run(&cli.node, product).await,
            Some(Command::StartTest(args)) => start_test::run(args, product).await,
            Some(Command::Validate(args)) => validate::run(args).await,
            Some(Command::Schema(args)) => schema::run(args),
            Some(Command::StopTest(args)) => commands::stop_test(args).await,
            Some(Command::Scale(args)) => commands::scale(args).await,
            Some(Command::Pause(args)) => commands::pause_or_resume(args, LoadRequest::Pause).await,
            Some(Command::Resume(args)) => {
                commands::pause_or_resume(args, LoadRequest::Resume).await
            }
            Some(Command::Tests(args)) => commands::tests(args).await,
            Some(Command::Status(args)) => commands::status(args).await,
            Some(Command::Report(args)) => report::run(args).await,
            Some(Command::Watch(args)) => commands::watch(args).await,
            Some(Command::Nodes(args)) => commands::nodes(args).await,
            Some(Command::Drain(args)) => commands::drain(args).await,
            Some(Command::Keygen(args)) => keygen::run(args),
            Some(Command::Target(args)) => run_target::run(args).await,
            Some(Command::Doctor(args)) => doctor::run(args, product).await,
            Some(Command::Completions(args)) => shell::completions(args, product),
            Some(Command::Man(args)) => shell::man(args, product),
        }
    });
    // Do not wait for blocked background threads.
    runtime.shutdown_background();
    exit
}
