//! Options of `start-test`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use vajra_plan::{Arrivals, Pacing, ThinkTime, Threshold};

use super::node::{ApiArgs, SwarmArgs};
use crate::value_parsers::{Header, Pair, parse_limit};

pub(super) const LONG_ABOUT: &str = "Start a load test and show its result.\n\n\
    The load is an open model (--rate: arrivals per second, independent of response times) or a \
    closed model (--users: virtual users that wait for each response). Options override the plan \
    file.\n\n\
    The test runs on the swarm of the node at --api. If no node answers there, this process joins \
    the swarm as a node until the test ends; then the options under \"Swarm\" apply. With \
    --standalone it runs the test alone.";

macro_rules! examples {
    () => {
        "Examples:\n  \
        # 20 virtual users for one minute\n  \
        vajra-node start-test https://test.example.com/ --users 20 --duration 1m\n\n  \
        # Constant arrival rate; exit with 99 if the threshold fails\n  \
        vajra-node start-test https://test.example.com/ --rate 1k --duration 5m \\\n    \
        --threshold 'response_time.p99 < 250ms'\n\n  \
        # A test plan with other load, and an HTML report\n  \
        vajra-node start-test plan.toml --rate 2k --html report.html"
    };
}

pub(super) const EXAMPLES: &str = examples!();

pub(super) const EXAMPLES_AND_EXIT_CODES: &str = concat!(
    examples!(),
    "\n\nExit codes (if several apply, the first):\n  \
    2    invalid command line\n  \
    104  invalid plan or configuration\n  \
    1    could not run: a port in use, too few able nodes, no swarm, a failed pre-flight check\n  \
    105  stopped\n  \
    99   a threshold failed, or the result is worse than the baseline\n  \
    98   the result is degraded or invalid, with --strict\n  \
    0    success"
);

/// `start-test`.
#[derive(Clone, Debug, Default, Args)]
pub struct StartArgs {
    /// Plan or suite of plans in TOML (or a plan in JSON, if the name ends in .json), or a URL
    #[arg(value_name = "PLAN.toml | SUITE.toml | URL")]
    pub source: Option<String>,
    /// The plan.
    #[command(flatten)]
    pub load: LoadArgs,
    /// How to run it.
    #[command(flatten)]
    pub run: RunArgs,
    /// The node to use.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Swarm options, if this process becomes a node.
    #[command(flatten)]
    pub swarm: SwarmArgs,
}

/// The plan as options; each overrides the plan file.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Plan")]
pub struct LoadArgs {
    /// URL to send requests to; for scenarios, the base URL of all steps
    #[arg(long)]
    pub url: Option<String>,
    /// Request method [default: GET; POST with a body]
    #[arg(short = 'X', long)]
    pub method: Option<String>,
    /// Request header; repeatable
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<Header>,
    /// Request body, or @FILE to read it from a file
    #[arg(short = 'd', long, value_name = "TEXT|@FILE")]
    pub body: Option<String>,
    /// Size of a generated request body, for example 10KB or 1MiB
    #[arg(long, value_name = "BYTES", conflicts_with = "body")]
    pub body_size: Option<String>,
    /// Open model: arrivals per second, over the whole swarm, for example 500 or 10k
    #[arg(short = 'r', long, value_name = "N", conflicts_with = "users")]
    pub rate: Option<String>,
    /// Closed model: virtual users, over the whole swarm [default: 10, without --rate and a plan]
    #[arg(short = 'u', long, value_name = "N")]
    pub users: Option<String>,
    /// Think time between a response and the user's next request: 2s, 1s..3s, "exponential 2s"
    /// or "normal 2s 500ms" [default: 0s]
    #[arg(long, value_name = "TIME", conflicts_with = "rate")]
    pub think_time: Option<ThinkTime>,
    /// Time at full load, for example 30s or 5m [default: 10s]
    #[arg(short = 'D', long, value_name = "TIME")]
    pub duration: Option<String>,
    /// Warm-up time before full load, whose requests are not in percentiles [default: 0s]
    #[arg(long, value_name = "TIME")]
    pub warm_up: Option<String>,
    /// Time of a linear ramp from a tenth of full load to full load [default: 0s]
    #[arg(long, value_name = "TIME")]
    pub ramp_up: Option<String>,
    /// End the test after this number of requests, over the whole swarm
    #[arg(short = 'n', long, value_name = "N")]
    pub requests: Option<String>,
    /// Open model: maximum number of connections per node [default: as many as are needed]
    #[arg(short = 'c', long, value_name = "N")]
    pub connections: Option<String>,
    /// Open model: maximum number of requests in flight or waiting per node; further arrivals are
    /// dropped [default: share of the rate × timeout, at most 100000]
    #[arg(long, value_name = "N")]
    pub max_in_flight: Option<String>,
    /// Distribution of arrivals in the open model: constant, or poisson (independent clients)
    /// [default: constant]
    #[arg(long, value_name = "constant|poisson")]
    pub arrivals: Option<Arrivals>,
    /// Timing of arrivals: precise (a timer for each), batched (every millisecond, least CPU
    /// time) or spin (busy-waits, least lag) [default: precise]
    #[arg(long, value_name = "precise|batched|spin")]
    pub pacing: Option<Pacing>,
    /// Response timeout [default: 10s]
    #[arg(short = 't', long, value_name = "TIME")]
    pub timeout: Option<String>,
    /// Accept any TLS certificate
    #[arg(short = 'k', long)]
    pub insecure: bool,
    /// PEM file of certificate authorities to trust in place of the system's
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// PEM file of the client certificate chain
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_cert: Option<PathBuf>,
    /// Private key of the client certificate: env:NAME or file:PATH, read by each node and
    /// allowed there by --allow-secret
    #[arg(long, value_name = "REFERENCE", requires = "client_cert")]
    pub client_key: Option<String>,
    /// Resume TLS sessions on new connections
    #[arg(long)]
    pub tls_resume: bool,
    /// Use HTTP/2: by ALPN over TLS, else with prior knowledge
    #[arg(long)]
    pub http2: bool,
    /// Concurrent streams per HTTP/2 connection [default: 1]
    #[arg(long, value_name = "N")]
    pub streams: Option<u32>,
    /// Connect to this address instead of resolving the URL's host; repeatable, used in turn
    #[arg(long = "address", value_name = "IP:PORT")]
    pub addresses: Vec<SocketAddr>,
    /// Interval at which the URL's host is resolved again [default: only at the start]
    #[arg(long, value_name = "TIME")]
    pub dns_refresh: Option<String>,
    /// Open a new connection for every request
    #[arg(long, visible_alias = "new-connection-per-request")]
    pub disable_keepalive: bool,
    /// Name of the test
    #[arg(long)]
    pub name: Option<String>,
    /// Value of a constant that steps use as `vars.NAME`; repeatable
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub vars: Vec<Pair>,
    /// Tag that is stored in the result; repeatable
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    pub tags: Vec<Pair>,
    /// Use only nodes with this label; repeatable
    #[arg(long = "where", value_name = "KEY=VALUE")]
    pub labels: Vec<Pair>,
    /// Minimum number of nodes that generate load [default: 1]
    #[arg(long, value_name = "N")]
    pub min_workers: Option<u32>,
}

/// How a test is run and what is written.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Run")]
pub struct RunArgs {
    /// Wait until the swarm has N nodes, at most one minute
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub wait_for: u32,
    /// Write the result as JSON; - is stdout
    #[arg(long, value_name = "FILE|-", help_heading = "Reports")]
    pub json: Option<PathBuf>,
    /// Add the test over time to the --json file, for reports and baselines
    #[arg(long, help_heading = "Reports", requires = "json", conflicts_with_all = ["detach", "find_max", "dry_run"])]
    pub timeline: bool,
    /// Compare with an earlier result, written by --json
    #[arg(long, value_name = "FILE", conflicts_with_all = ["detach", "find_max", "dry_run"])]
    pub baseline: Option<PathBuf>,
    /// Exit with 99 if response times, errors or the rate are worse than the baseline by more
    /// than this limit, for example 10%, and by more than noise
    #[arg(long, value_name = "LIMIT", requires = "baseline", value_parser = parse_limit, allow_hyphen_values = true)]
    pub fail_on_regression: Option<f64>,
    /// Print the test's id and exit; the test continues on the swarm
    #[arg(long, conflicts_with_all = ["standalone", "dry_run", "exports"])]
    pub detach: bool,
    /// Show what would run, without running it
    #[arg(long, conflicts_with = "exports")]
    pub dry_run: bool,
    /// Run without a swarm, in this process only
    #[arg(long, conflicts_with_all = ["api", "bootstrap", "wait_for"])]
    pub standalone: bool,
    /// Print progress lines instead of the full-screen view (the default if stdout or stderr is
    /// not a terminal)
    #[arg(long)]
    pub plain: bool,
    /// Exit with 98 if the result is degraded or invalid
    #[arg(long)]
    pub strict: bool,
    /// Start without confirmation if a pre-flight check warns (the default without a terminal)
    #[arg(long)]
    pub yes: bool,
    /// Skip the pre-flight check, which verifies on all nodes that the plan can run
    #[arg(long)]
    pub no_preflight: bool,
    /// Search for the highest rate at which the thresholds pass: tests of --duration each, from
    /// --rate [default: 100] up to --max-rate
    #[arg(long, requires = "threshold", conflicts_with_all = ["users", "requests", "detach", "dry_run", "exports"])]
    pub find_max: bool,
    /// Pass criterion, for example 'response_time.p99 < 250ms', 'error_rate < 1%' or
    /// 'checks[buy/log in] > 99%'; repeatable; exit code 99 if one fails
    #[arg(long, value_name = "THRESHOLD", help_heading = "Plan")]
    pub threshold: Vec<Threshold>,
    /// Highest rate that --find-max tries, in arrivals per second [default: 1000000]
    #[arg(long, value_name = "N", requires = "find_max")]
    pub max_rate: Option<String>,
    /// Reports.
    #[command(flatten)]
    pub exports: ExportArgs,
}

/// Reports of a result; `-` is stdout, where nothing else is then printed.
#[derive(Clone, Debug, Default, Args)]
#[group(id = "exports", multiple = true)]
#[command(next_help_heading = "Reports")]
pub struct ExportArgs {
    /// Write an HTML page with charts and tables, which works offline; - is stdout
    #[arg(long, value_name = "FILE|-")]
    pub html: Option<PathBuf>,
    /// Write the test over time as CSV, one row per interval
    #[arg(long, value_name = "FILE|-")]
    pub csv: Option<PathBuf>,
    /// Write the response times of each interval as an HdrHistogram interval log
    #[arg(long, value_name = "FILE|-")]
    pub hlog: Option<PathBuf>,
    /// Write the percentile distribution of the response times, in the format of HdrHistogram
    /// and wrk2
    #[arg(long, value_name = "FILE|-")]
    pub hgrm: Option<PathBuf>,
    /// Write thresholds and verdict as JUnit XML, for CI systems
    #[arg(long, value_name = "FILE|-")]
    pub junit: Option<PathBuf>,
}
