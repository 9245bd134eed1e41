//! The command line: commands, what they mean, and how they end.
//!
//! Arguments come in two stages. [`args`] says what can be typed; [`layer`] and [`resolve`]
//! make a node's configuration of it, and [`plan_args`] a plan. Everything that can be wrong
//! with what was typed is found there, before anything starts.
//!
//! | module | idea |
//! |---|---|
//! | [`args`], [`texts`] | what can be typed |
//! | [`layer`], [`config_file`], [`resolve`] | flags over environment over file over defaults |
//! | [`plan_args`], [`dry_run`] | the options of `start-test` as a plan |
//! | [`validate`], [`preflight`] | whether a plan is one, and whether it would run |
//! | [`run_node`] | `vajra-node` itself |
//! | [`start_test`], [`join`], [`local`], [`follow`], [`find_max`], [`suite`] | tests from start to result |
//! | [`report`], [`exports`], [`baseline`] | reports, files, comparisons |
//! | [`validate`], [`schema`] | what a plan file may say |
//! | [`commands`], [`keygen`], [`run_target`], [`target`] | the other commands |
//! | [`doctor`] | what on this machine would spoil a test |
//! | [`shell`] | completions, manual pages |
//! | [`backend`] | the node talked to: behind an API, or in this process |
//! | [`exit`], [`outcome`], [`output`], [`terminal`], [`screen`] | how it ends, and what is shown |

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
pub mod preflight;
pub mod product;
pub mod report;
pub mod resolve;
pub mod run_node;
pub mod run_target;
pub mod schema;
pub mod screen;
pub mod shell;
pub mod start_test;
pub mod suite;
pub mod target;
pub mod terminal;
pub mod validate;
pub mod value_parsers;

use std::process::ExitCode;

use clap::FromArgMatches;

use args::{Cli, Command};
use exit::{Exit, Failure};

pub use product::Product;
pub use vajra_api::BuildInfo;

use vajra_runtime::handle::LoadRequest;

/// Runs the command line of this process.
pub fn main(product: &Product) -> ExitCode {
    let parsed = args::command(product)
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version go to stdout and are no error; a closed pipe is none either.
            let _ = e.print();
            return ExitCode::from(e.exit_code() as u8);
        }
    };
    match run(&cli, product) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::note(&format!("error: {failure}"));
            failure.exit.into()
        }
    }
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
            Some(Command::Pause(args)) => commands::steer(args, LoadRequest::Pause).await,
            Some(Command::Resume(args)) => commands::steer(args, LoadRequest::Resume).await,
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
    // A blocked helper thread must not keep an ended command alive.
    runtime.shutdown_background();
    exit
}
