//! Runs a node: `vajra-node` without a subcommand.

use std::time::Duration;

use super::args::NodeArgs;
use super::exit::{Exit, Failure};
use super::interrupt::{Interrupts, parent_gone};
use super::layer::Layer;
use super::logging;
use super::output::line;
use super::product::Product;
use super::resolve::{Settings, environment, layers, resolve};
use vajra_api::{ApiOptions, RunningApi};
use vajra_runtime::Node;
use vajra_runtime::config::NodeConfig;
use vajra_runtime::run::RunningNode;

/// Maximum time of a graceful shutdown, in which requests in flight can finish.
const LEAVE_WAIT: Duration = Duration::from_secs(15);

/// Runs a node until Ctrl-C or SIGTERM, then leaves the swarm gracefully.
///
/// # Errors
/// A setting is invalid, or the node cannot run.
pub async fn run(args: &NodeArgs, product: &Product) -> Result<Exit, Failure> {
    let flags = Layer::from_node_args(args)?;
    let config = args.swarm.config.as_deref();
    let settings = resolve(layers(flags, config, &environment, &product.profiles)?)?;
    logging::start(settings.log);
    let mut interrupts = Interrupts::new().map_err(Failure::run)?;
    let (mut node, api) = tokio::select! {
        started = start_with_api(&settings, product) => started?,
        () = interrupts.next() => return Ok(Exit::Success),
    };
    log_settings(&settings.node, &node, &api, product);
    announce(&node, &api)?;
    tokio::select! {
        () = node.wait() => return Err(Failure::run("the node ended unexpectedly; see its log")),
        () = interrupts.next() => {}
        () = parent_gone(args.end_with_stdin) => {}
    }
    tracing::info!("leaving the swarm");
    tokio::select! {
        left = tokio::time::timeout(LEAVE_WAIT, node.shutdown()) => {
            if left.is_err() {
                tracing::warn!("not every node was notified within {} s", LEAVE_WAIT.as_secs());
            }
        }
        () = interrupts.next() => {}
    }
    Ok(Exit::Success)
}

/// Starts a node and, on a separate thread, its API. The port of the API is bound first, so that the
/// node can refuse it as a target.
async fn start_with_api(
    settings: &Settings,
    product: &Product,
) -> Result<(RunningNode, RunningApi), Failure> {
    let mut warnings = Vec::new();
    let listener = vajra_api::bind(settings.api, &mut warnings).map_err(Failure::run)?;
    let mut config = settings.node.clone();
    config.own_ports = vec![listener.local_addr().map_err(Failure::run)?.port()];
    let node = Node::builder()
        .config(config)
        .start()
        .await
        .map_err(Failure::run)?;
    for warning in warnings.iter().chain(&node.warnings) {
        tracing::warn!("{warning}");
    }
    let options = ApiOptions {
        token: settings.api_token.clone(),
        build: product.build,
    };
    options
        .check(settings.api.address.ip())
        .map_err(Failure::run)?;
    let api = vajra_api::start(listener, node.handle.clone(), options).map_err(Failure::run)?;
    Ok((node, api))
}

/// Logs the identity and the main settings of the node, in five lines.
fn log_settings(config: &NodeConfig, node: &RunningNode, api: &RunningApi, product: &Product) {
    let (peer, name) = (&node.peer, &config.name.text);
    tracing::info!(
        version = product.build.version,
        commit = product.build.commit,
        "vajra-node started"
    );
    tracing::info!(peer, name, "identity");
    tracing::info!(
        swarm = node.listening.join(", "),
        api = %api.address,
        "listening"
    );
    let key = config.swarm_key.map(|key| key.fingerprint());
    tracing::info!(
        swarm = %config.swarm,
        keyed = key.is_some(),
        key,
        mdns = config.mdns,
        bootstrap = config.bootstrap.len(),
        "swarm and discovery"
    );
    tracing::info!(
        targets = target_policy(config, node),
        capacity = config.capacity,
        engine_threads = config.engine_threads,
        "targets and capacity for tests of other nodes"
    );
}

/// The targets that tests of other nodes may use, in words.
fn target_policy(config: &NodeConfig, node: &RunningNode) -> String {
    let loopback =
        |address: &String| address.starts_with("/ip4/127.") || address.starts_with("/ip6/::1/");
    match (config.allow_target.as_slice(), &config.swarm_key) {
        ([], Some(_)) => "any, as the swarm has a key".into(),
        ([], None) if node.listening.iter().all(loopback) => {
            "private addresses and loopback".into()
        }
        ([], None) => "private addresses".into(),
        (listed, _) => {
            let listed: Vec<String> = listed.iter().map(ToString::to_string).collect();
            listed.join(", ")
        }
    }
}

/// Prints the addresses of the node. Once the `api` line is printed, the API can be used.
fn announce(node: &RunningNode, api: &RunningApi) -> Result<(), Failure> {
    for address in &node.listening {
        line(&format!("listening {address}"))?;
    }
    line(&format!("api http://{}", api.address))
}
