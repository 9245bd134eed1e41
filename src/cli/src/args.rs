//! What can be typed. Values stay text here wherever their meaning needs more than their
//! form: the second stage ([`super::layer`], [`super::plan_args`]) says what they mean.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};
use vajra_plan::{Arrivals, Pacing, ThinkTime, Threshold};

use super::baseline::parse_limit;
use super::product::Product;
use super::value_parsers::{Header, HostPort, Pair};

/// The command line of a product, as clap describes it.
pub fn command(product: &Product) -> clap::Command {
    Cli::command().version(product.build.full)
}

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "vajra-node",
    about = "A load generator without a master: every machine runs the same binary.",
    long_about = "A load generator without a master: every machine runs the same binary.\n\n\
        Without a subcommand this runs a node until it is told to end. Nodes find each other; \
        any of them can start a test.",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What to do instead of running a node.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to run a node.
    #[command(flatten)]
    pub node: NodeArgs,
}

/// Everything but running a node.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a load test and show its result
    StartTest(Box<StartArgs>),
    /// Check a plan, and show what it amounts to
    Validate(ValidateArgs),
    /// Print the JSON Schema of plan files: every key, what it may be and what it means
    Schema(SchemaArgs),
    /// Stop a test on every node
    StopTest(StopArgs),
    /// Change the load of a running test
    Scale(ScaleArgs),
    /// Let a running test's load stand still
    Pause(SteerArgs),
    /// Let a paused test go on
    Resume(SteerArgs),
    /// List the tests that a node knows
    Tests(ListArgs),
    /// Show a test's result: so far, or for good
    Status(OneTestArgs),
    /// Make a report of a test: a page, tables, histogram logs; or compare it with another
    Report(Box<ReportArgs>),
    /// Follow a test to its end, on a terminal in a full-screen view
    Watch(WatchArgs),
    /// List the nodes of the swarm
    Nodes(ListArgs),
    /// Take a node out of service: it finishes what it has and takes no new share
    Drain(DrainArgs),
    /// Look for what on this machine would spoil a test, and tell how to mend it
    Doctor(Box<DoctorArgs>),
    /// Make the key of a private swarm
    Keygen(KeygenArgs),
    /// Run a small HTTP server for trying things out
    Target(TargetArgs),
    /// Print what a shell needs to complete this command line
    Completions(CompletionsArgs),
    /// Print the manual page, or write those of all commands
    Man(ManArgs),
}

/// How a node finds its swarm: for nodes that stay and for `start-test` alike.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Swarm")]
pub struct SwarmArgs {
    /// Configuration file, or one of the profiles lan, wan, private [env: VAJRA_CONFIG]
    #[arg(long, value_name = "FILE|PROFILE")]
    pub config: Option<String>,
    /// A node to begin with, beyond the LAN; repeatable [env: VAJRA_BOOTSTRAP]
    #[arg(long, value_name = "MULTIADDR")]
    pub bootstrap: Vec<String>,
    /// Where the swarm listens; repeatable [env: VAJRA_LISTEN] [default: /ip4/0.0.0.0/tcp/7400]
    #[arg(long, value_name = "MULTIADDR")]
    pub listen: Vec<String>,
    /// Neither look for nodes on the LAN nor be seen there [env: VAJRA_MDNS=false]
    #[arg(long)]
    pub no_mdns: bool,
    /// The swarm's name; others are not seen [env: VAJRA_SWARM] [default: vajra]
    #[arg(long, value_name = "NAME")]
    pub swarm: Option<String>,
    /// The key of a private swarm, made by `keygen` [env: VAJRA_SWARM_KEY]
    #[arg(long, value_name = "FILE")]
    pub swarm_key: Option<PathBuf>,
    /// Clockwork of the protocol, the same on all nodes: lan or wan [env: VAJRA_TIMINGS]
    /// [default: lan]
    #[arg(long, value_name = "PROFILE")]
    pub timings: Option<String>,
    /// Threads that make load [env: VAJRA_ENGINE_THREADS] [default: cores - 1]
    #[arg(long, value_name = "N")]
    pub engine_threads: Option<usize>,
    /// What tests of other nodes may be aimed at; repeatable [env: VAJRA_ALLOW_TARGET]
    #[arg(long, value_name = "TARGET")]
    pub allow_target: Vec<String>,
    /// An env:NAME or file:PATH that tests may refer to; repeatable [env: VAJRA_ALLOW_SECRET]
    #[arg(long, value_name = "REFERENCE")]
    pub allow_secret: Vec<String>,
    /// An address of this machine that connections to targets start from, in turn with the
    /// others; repeatable [env: VAJRA_SOURCE_ADDRESSES]
    #[arg(long, value_name = "IP")]
    pub source_address: Vec<String>,
    /// How much is logged to stderr: off, error, warn, info, debug, trace
    /// [env: VAJRA_LOG_LEVEL]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// What a log line looks like: text, or json for log collectors [env: VAJRA_LOG_FORMAT]
    /// [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

/// How to run a node that stays.
#[derive(Clone, Debug, Default, Args)]
pub struct NodeArgs {
    /// The swarm.
    #[command(flatten)]
    pub swarm: SwarmArgs,
    /// Where the API listens; :0 picks a port [env: VAJRA_API] [default: 127.0.0.1:7401]
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Node")]
    pub api: Option<String>,
    /// File with the token that callers of the API must show [env: VAJRA_API_TOKEN_FILE, or
    /// the token itself in VAJRA_API_TOKEN]
    #[arg(long, value_name = "FILE", help_heading = "Node")]
    pub api_token_file: Option<PathBuf>,
    /// Where identity, known peers and results are kept [env: VAJRA_DATA_DIR]
    #[arg(long, value_name = "DIR", help_heading = "Node")]
    pub data_dir: Option<PathBuf>,
    /// Keep nothing on disk [env: VAJRA_EPHEMERAL=true]
    #[arg(long, conflicts_with = "data_dir", help_heading = "Node")]
    pub ephemeral: bool,
    /// The node's name [env: VAJRA_NAME] [default: the host's name]
    #[arg(long, help_heading = "Node")]
    pub name: Option<String>,
    /// A mark that tests choose nodes by; repeatable [env: VAJRA_LABELS]
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Node")]
    pub label: Vec<String>,
    /// Concurrent tasks that this node offers [env: VAJRA_CAPACITY]
    /// [default: 1000 per engine thread]
    #[arg(long, value_name = "N", help_heading = "Node")]
    pub capacity: Option<u32>,
    /// End when stdin does; for a parent that must not leave nodes behind
    #[arg(long, hide = true)]
    pub end_with_stdin: bool,
}

/// Which node to talk to.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Node")]
pub struct ApiArgs {
    /// The node to talk to [env: VAJRA_API] [default: 127.0.0.1:7401]
    #[arg(long, value_name = "ADDR:PORT")]
    pub api: Option<HostPort>,
    /// File with that node's API token [env: VAJRA_API_TOKEN_FILE, VAJRA_API_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub api_token_file: Option<PathBuf>,
}

/// `start-test`.
#[derive(Clone, Debug, Default, Args)]
pub struct StartArgs {
    /// A plan or a suite of plans in TOML, or a URL to load
    #[arg(value_name = "PLAN.toml | SUITE.toml | URL")]
    pub what: Option<String>,
    /// What to send, and how much.
    #[command(flatten)]
    pub load: LoadArgs,
    /// How the run goes.
    #[command(flatten)]
    pub run: RunArgs,
    /// Which node to talk to.
    #[command(flatten)]
    pub api: ApiArgs,
    /// If this becomes a node itself.
    #[command(flatten)]
    pub swarm: SwarmArgs,
}

/// The plan, as options; each overrides the plan file.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Plan")]
pub struct LoadArgs {
    /// What to load
    #[arg(long)]
    pub url: Option<String>,
    /// Request method [default: GET, with a body POST]
    #[arg(short = 'X', long)]
    pub method: Option<String>,
    /// A request header; repeatable
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<Header>,
    /// Request body; @FILE reads it from a file
    #[arg(short = 'd', long, value_name = "TEXT|@FILE")]
    pub body: Option<String>,
    /// Request body of so many generated bytes; 10KB, 1MiB are understood
    #[arg(long, value_name = "BYTES", conflicts_with = "body")]
    pub body_size: Option<String>,
    /// Arrivals a second of the whole swarm (open model); 10k is understood
    #[arg(short = 'r', long, value_name = "N", conflicts_with = "users")]
    pub rate: Option<String>,
    /// Users of the whole swarm, each waiting for its response (closed model)
    #[arg(short = 'u', long, value_name = "N")]
    pub users: Option<String>,
    /// How long a user thinks before its next request: 2s, 1s..3s, "exponential 2s" or
    /// "normal 2s 500ms" [default: 0s]
    #[arg(long, value_name = "TIME", conflicts_with = "rate")]
    pub think_time: Option<ThinkTime>,
    /// How long at full load [default: 10s]
    #[arg(short = 'D', long, value_name = "TIME")]
    pub duration: Option<String>,
    /// How long before that, counted but in no percentile
    #[arg(long, value_name = "TIME")]
    pub warm_up: Option<String>,
    /// How long to rise to full load
    #[arg(long, value_name = "TIME")]
    pub ramp_up: Option<String>,
    /// End after this many requests of the whole swarm
    #[arg(short = 'n', long, value_name = "N")]
    pub requests: Option<String>,
    /// Most connections of a node
    #[arg(short = 'c', long, value_name = "N")]
    pub connections: Option<String>,
    /// Most requests of a node waiting or in flight; arrivals beyond it are dropped
    #[arg(long, value_name = "N")]
    pub max_in_flight: Option<String>,
    /// How arrivals of the open model are spread: constant (evenly) or poisson (as independent
    /// clients come) [default: constant]
    #[arg(long, value_name = "HOW")]
    pub arrivals: Option<Arrivals>,
    /// How planned instants are met: precise (a timer for each), batched (once a millisecond:
    /// cheap), spin (keeps cores busy: least lag) [default: precise]
    #[arg(long, value_name = "HOW")]
    pub pacing: Option<Pacing>,
    /// Most time for a response [default: 10s]
    #[arg(short = 't', long, value_name = "TIME")]
    pub timeout: Option<String>,
    /// Accept any TLS certificate
    #[arg(short = 'k', long)]
    pub insecure: bool,
    /// Trust the certificate authorities in this PEM file, and not the machine's
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The client's certificate chain, a PEM file
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_cert: Option<PathBuf>,
    /// The client's private key: env:NAME or file:PATH, which each node reads itself if its
    /// --allow-secret lists it
    #[arg(long, value_name = "REFERENCE", requires = "client_cert")]
    pub client_key: Option<String>,
    /// New connections resume TLS sessions of earlier ones
    #[arg(long)]
    pub tls_resume: bool,
    /// HTTP/2: over TLS by ALPN, else with prior knowledge
    #[arg(long)]
    pub http2: bool,
    /// Requests that share an HTTP/2 connection at the same time [default: 1]
    #[arg(long, value_name = "N")]
    pub streams: Option<u32>,
    /// Connect here, in turn with the others, whatever the URL's host resolves to; repeatable
    #[arg(long = "address", value_name = "IP:PORT")]
    pub addresses: Vec<SocketAddr>,
    /// Resolve the URL's host again so often [default: once]
    #[arg(long, value_name = "TIME")]
    pub dns_refresh: Option<String>,
    /// A new connection for every request
    #[arg(long, visible_alias = "new-connection-per-request")]
    pub disable_keepalive: bool,
    /// The test's name
    #[arg(long)]
    pub name: Option<String>,
    /// A constant of the plan, `vars.NAME` in its steps, in place of its own; repeatable
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub vars: Vec<Pair>,
    /// A mark that is kept in the result; repeatable
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    pub tags: Vec<Pair>,
    /// Only nodes with this label; repeatable
    #[arg(long = "where", value_name = "LABEL=VALUE")]
    pub labels: Vec<Pair>,
    /// Fewest nodes to carry the load [default: 1]
    #[arg(long, value_name = "N")]
    pub min_workers: Option<u32>,
}

/// How a run of `start-test` goes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Run")]
pub struct RunArgs {
    /// Wait until the swarm has this many nodes (at most a minute)
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub wait_for: u32,
    /// Write the result as JSON; - is stdout, which then carries nothing else
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// With --json FILE: the test over time goes along (`timeline`), so that the file serves for
    /// reports, and as a baseline whose noise is known
    #[arg(long, requires = "json", conflicts_with_all = ["detach", "find_max", "dry_run"])]
    pub timeline: bool,
    /// Hold the result against this one, which --json wrote
    #[arg(long, value_name = "FILE", conflicts_with_all = ["detach", "find_max", "dry_run"])]
    pub baseline: Option<PathBuf>,
    /// Exit with 99 if response times, errors or the rate are worse than the baseline's by more
    /// than this, and by more than noise
    #[arg(long, value_name = "10%", requires = "baseline", value_parser = parse_limit, allow_hyphen_values = true)]
    pub fail_on_regression: Option<f64>,
    /// Files that the result is written to.
    #[command(flatten)]
    pub exports: ExportArgs,
    /// Print the test's id and leave it to the swarm
    #[arg(long, conflicts_with_all = ["standalone", "dry_run", "exports"])]
    pub detach: bool,
    /// Show what would run, and start nothing
    #[arg(long, conflicts_with = "exports")]
    pub dry_run: bool,
    /// Look for nobody: carry the whole load in this process
    #[arg(long, conflicts_with_all = ["api", "bootstrap", "wait_for"])]
    pub standalone: bool,
    /// Lines of progress instead of the full-screen view; so it is anyway where stdout or
    /// stderr is no terminal
    #[arg(long)]
    pub plain: bool,
    /// Exit with 98 if the result is degraded or invalid
    #[arg(long)]
    pub strict: bool,
    /// Start even if the pre-flight warns; without a terminal that is so anyway
    #[arg(long)]
    pub yes: bool,
    /// Start without looking first whether the plan would run on the swarm
    #[arg(long)]
    pub no_preflight: bool,
    /// Search for the highest rate at which the thresholds hold: doubles --rate from test to
    /// test, each --duration long, then narrows it down
    #[arg(long, requires = "threshold", conflicts_with_all = ["users", "requests", "detach", "dry_run", "exports"])]
    pub find_max: bool,
    /// What a good result is, such as 'response_time.p99 < 250ms', 'error_rate < 1%' or
    /// 'checks[buy/log in] > 99%'; repeatable; exit code 99 if one is not kept
    #[arg(long, value_name = "METRIC < VALUE")]
    pub threshold: Vec<Threshold>,
    /// Highest rate that --find-max tries [default: 1m]
    #[arg(long, value_name = "N", requires = "find_max")]
    pub max_rate: Option<String>,
}

/// Forms of a result; `-` is stdout, which then carries nothing else.
#[derive(Clone, Debug, Default, Args)]
#[group(id = "exports", multiple = true)]
#[command(next_help_heading = "Reports")]
pub struct ExportArgs {
    /// Write a page with charts and tables, which opens without a network
    #[arg(long, value_name = "FILE|-")]
    pub html: Option<PathBuf>,
    /// Write the test over time as CSV, a row an interval
    #[arg(long, value_name = "FILE|-")]
    pub csv: Option<PathBuf>,
    /// Write the response times of each interval as HdrHistogram's interval log
    #[arg(long, value_name = "FILE|-")]
    pub hlog: Option<PathBuf>,
    /// Write the percentile spectrum of the response times, as HdrHistogram and wrk2 print it
    #[arg(long, value_name = "FILE|-")]
    pub hgrm: Option<PathBuf>,
    /// Write thresholds and verdict as JUnit XML, for CI systems
    #[arg(long, value_name = "FILE|-")]
    pub junit: Option<PathBuf>,
}

/// `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The test's id, the beginning of it, `latest`, or a file that --json wrote
    #[arg(default_value = "latest")]
    pub id: String,
    /// Forms of it.
    #[command(flatten)]
    pub exports: ExportArgs,
    /// Write the result as JSON
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// With --json: the test over time goes along (`timeline`)
    #[arg(long, requires = "json")]
    pub timeline: bool,
    /// Hold it against another: an id or a file as above
    #[arg(long, value_name = "OTHER")]
    pub compare: Option<String>,
    /// Exit with 99 if it is worse than the other by more than this, and by more than noise
    #[arg(long, value_name = "10%", requires = "compare", value_parser = parse_limit, allow_hyphen_values = true)]
    pub fail_on_regression: Option<f64>,
    /// Which node to talk to.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// `validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The plan or suite: TOML, or JSON if its name ends in .json; - is stdin
    pub plan: PathBuf,
    /// A constant of the plan, in place of its own; repeatable
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub vars: Vec<Pair>,
    /// Look on every node of the swarm whether it would run: target, ports, memory, clocks, …
    #[arg(long)]
    pub swarm: bool,
    /// Print what the nodes found as JSON
    #[arg(long, requires = "swarm")]
    pub json: bool,
    /// Which node to talk to.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Print the reference in Markdown instead, as in docs/plan-reference.md
    #[arg(long)]
    pub markdown: bool,
}

/// `stop-test`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// The test's id, the beginning of it, or `latest`
    pub id: String,
    /// Do not wait for requests in flight
    #[arg(long)]
    pub now: bool,
    /// Which node to talk to.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// `scale`.
#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// The test's id, the beginning of it, or `latest`
    pub id: String,
    /// Arrivals a second of the whole swarm that are full load from now on (open model); the
    /// plan's other levels change in proportion; 10k is understood
    #[arg(
        short = 'r',
        long,
        value_name = "N",
        conflicts_with = "users",
        required_unless_present = "users",
        allow_negative_numbers = true
    )]
    pub rate: Option<String>,
    /// Users of the whole swarm that are full load from now on (closed model)
    #[arg(short = 'u', long, value_name = "N", allow_negative_numbers = true)]
    pub users: Option<String>,
    /// Which node to talk to.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// `pause`, `resume`.
#[derive(Debug, Args)]
pub struct SteerArgs {
    /// The test's id, the beginning of it, or `latest`
    pub id: String,
    /// Which node to talk to.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// A list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Which node to talk to.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// One test.
#[derive(Debug, Args)]
pub struct OneTestArgs {
    /// The test's id, the beginning of it, or `latest`
    #[arg(default_value = "latest")]
    pub id: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Which node to talk to.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// `watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// The test's id, the beginning of it, or `latest`
    #[arg(default_value = "latest")]
    pub id: String,
    /// Print progress as JSON, one object a line, and the result as the last
    #[arg(long)]
    pub json: bool,
    /// Lines of progress instead of the full-screen view; so it is anyway where stdout or
    /// stderr is no terminal
    #[arg(long)]
    pub plain: bool,
    /// Exit with 98 if the result is degraded or invalid
    #[arg(long)]
    pub strict: bool,
    /// Which node to talk to.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// `drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// The node, as `nodes` shows it; without it, the one talked to
    pub peer: Option<String>,
    /// Which node to talk to.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// `keygen`.
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// Where to write the key; without it, stdout
    pub file: Option<PathBuf>,
}

/// `target`.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// Where to listen; :0 picks a port [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<HostPort>,
    /// Time from request to response, to the millisecond
    #[arg(long, value_name = "TIME")]
    pub latency: Option<String>,
    /// Each response is up to this much earlier or later
    #[arg(long, value_name = "TIME")]
    pub jitter: Option<String>,
    /// Part of the requests answered with 500, 0 to 1
    #[arg(
        long,
        value_name = "PART",
        default_value_t = 0.0,
        hide_default_value = true
    )]
    pub error_rate: f64,
    /// Write the receive time of every request: monotonic nanoseconds, one a line
    #[arg(long, value_name = "FILE")]
    pub arrivals: Option<PathBuf>,
    /// End when stdin does; for a parent that must not leave a server behind
    #[arg(long, hide = true)]
    pub end_with_stdin: bool,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print what was found as JSON
    #[arg(long)]
    pub json: bool,
    /// The node that is to run here.
    #[command(flatten)]
    pub node: NodeArgs,
}

/// `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write the pages of all commands into this directory, instead of one to stdout
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
