//! The command line.

mod args;
mod config_file;
mod exit;
mod interrupt;
mod keygen;
mod layer;
mod listen;
mod logging;
mod output;
mod plan_args;
mod resolve;
mod run_target;
mod target;
mod texts;
