//! The command line.

mod args;
mod config_file;
mod exit;
mod layer;
mod output;
mod plan_args;
mod resolve;
mod target;
mod texts;
