//! Options of the commands that need neither a plan nor a swarm.

use std::path::PathBuf;

use clap::Args;

use super::node::NodeArgs;
use crate::value_parsers::HostPort;

/// `keygen`.
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// New file for the key, readable only by its owner [default: print to stdout]
    pub file: Option<PathBuf>,
}

/// `target`.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// Address to listen on; :0 selects a free port [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<HostPort>,
    /// Time from request to response, with millisecond precision [default: 0s]
    #[arg(long, value_name = "TIME")]
    pub latency: Option<String>,
    /// Maximum random deviation of the latency, earlier or later [default: 0s]
    #[arg(long, value_name = "TIME")]
    pub jitter: Option<String>,
    /// Share of requests answered with status 500, 0 to 1 [default: 0]
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.0,
        hide_default_value = true
    )]
    pub error_rate: f64,
    /// Write the receive time of every request, in nanoseconds of the monotonic clock, one per
    /// line
    #[arg(long, value_name = "FILE")]
    pub arrivals: Option<PathBuf>,
    /// Exit when stdin closes, so that the server does not outlive its parent process
    #[arg(long, hide = true)]
    pub end_with_stdin: bool,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
    /// Options of the node that is to run on this machine.
    #[command(flatten)]
    pub node: NodeArgs,
}

/// `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Shell to complete commands in
    pub shell: clap_complete::Shell,
}

/// `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write the pages of all commands into this directory, instead of one page to stdout
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
