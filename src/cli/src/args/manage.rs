//! Options of the commands for plans, tests, results and nodes.

use std::path::PathBuf;

use clap::Args;

use super::node::ApiArgs;
use super::start::ExportArgs;
use crate::value_parsers::{Pair, parse_limit, parse_rate, parse_users};

/// `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Id of the test, a prefix of it, `latest`, or a file written by --json
    #[arg(default_value = "latest")]
    pub id: String,
    /// Compare with another result: an id or a file, as above
    #[arg(long, value_name = "OTHER")]
    pub compare: Option<String>,
    /// Exit with 99 if the result is worse than the other by more than this limit, for example
    /// 10%, and by more than noise
    #[arg(long, value_name = "LIMIT", requires = "compare", value_parser = parse_limit, allow_hyphen_values = true)]
    pub fail_on_regression: Option<f64>,
    /// Write the result as JSON; - is stdout
    #[arg(long, value_name = "FILE|-", help_heading = "Reports")]
    pub json: Option<PathBuf>,
    /// Add the test over time to the JSON
    #[arg(long, requires = "json", help_heading = "Reports")]
    pub timeline: bool,
    /// Formats.
    #[command(flatten)]
    pub exports: ExportArgs,
    /// The node to use.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// `validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Plan or suite in TOML, or a plan in JSON if the name ends in .json; - is stdin
    pub plan: PathBuf,
    /// Value of a constant that steps use as `vars.NAME`; repeatable
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub vars: Vec<Pair>,
    /// Check on all nodes of the swarm whether the plan can run: target, ports, memory, clocks, …
    #[arg(long)]
    pub swarm: bool,
    /// Print the findings of --swarm as JSON
    #[arg(long, requires = "swarm")]
    pub json: bool,
    /// The node to use.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Print the reference of all keys in Markdown instead (docs/plan-reference.md)
    #[arg(long)]
    pub markdown: bool,
}

/// `stop-test`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// Id of the test, a prefix of it, or `latest`
    pub id: String,
    /// Do not wait for requests in flight
    #[arg(long)]
    pub now: bool,
    /// The node to use.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// `scale`.
#[derive(Debug, Args)]
#[group(id = "full_load", args = ["rate", "users"], required = true)]
pub struct ScaleArgs {
    /// Id of the test, a prefix of it, or `latest`
    pub id: String,
    /// Open model: arrivals per second at full load, over the whole swarm, for example 500 or
    /// 10k; other levels of the plan change in proportion
    #[arg(
        short = 'r',
        long,
        value_name = "N",
        value_parser = parse_rate,
        allow_negative_numbers = true
    )]
    pub rate: Option<f64>,
    /// Closed model: virtual users at full load, over the whole swarm
    #[arg(
        short = 'u',
        long,
        value_name = "N",
        value_parser = parse_users,
        allow_negative_numbers = true
    )]
    pub users: Option<u32>,
    /// The node to use.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// `pause`, `resume`.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// Id of the test, a prefix of it, or `latest`
    pub id: String,
    /// The node to use.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// `tests`, `nodes`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The node to use.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// `status`.
#[derive(Debug, Args)]
pub struct OneTestArgs {
    /// Id of the test, a prefix of it, or `latest`
    #[arg(default_value = "latest")]
    pub id: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The node to use.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// `watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Id of the test, a prefix of it, or `latest`
    #[arg(default_value = "latest")]
    pub id: String,
    /// Print progress as JSON, one object per line; the last line is the result
    #[arg(long)]
    pub json: bool,
    /// Print progress lines instead of the full-screen view (the default if stdout or stderr is
    /// not a terminal)
    #[arg(long)]
    pub plain: bool,
    /// Exit with 98 if the result is degraded or invalid
    #[arg(long)]
    pub strict: bool,
    /// The node to use.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// `drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// Name or peer id of the node, as listed by `nodes` [default: the node at --api]
    pub peer: Option<String>,
    /// The node to use.
    #[command(flatten)]
    pub api: ApiArgs,
}
