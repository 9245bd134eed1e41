//! Running a node: what `vajra-node` does without a subcommand.

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

/// How long leaving politely may take: requests in flight may still be finished.
const LEAVE_WAIT: Duration = Duration::from_secs(15);

/// Runs a node until it is told to end, then leaves the swarm politely.
///
/// # Errors
/// Bad input, or it can't run.
pub async fn run(args: &NodeArgs, product: &Product) -> Result<Exit, Failure> {
    let flags = Layer::from_node_args(args)?;
    let config = args.swarm.config.as_deref();
    let settings = resolve(layers(flags, config, &environment, &product.profiles)?)?;
    logging::start(settings.node.log_level, settings.node.log_format);
    let mut interrupts = Interrupts::new().map_err(Failure::run)?;
    let (mut node, api) = tokio::select! {
        started = start_with_api(&settings, product) => started?,
        () = interrupts.next() => return Ok(Exit::Success),
    };
    introduce(&settings.node, &node, &api, product);
    announce(&node, &api)?;
    tokio::select! {
        () = node.wait() => return Err(Failure::run("the node has ended; its log says why")),
        () = interrupts.next() => {}
        () = parent_gone(args.end_with_stdin) => {}
    }
    tracing::info!("leaving the swarm");
    tokio::select! {
        left = tokio::time::timeout(LEAVE_WAIT, node.shutdown()) => {
            if left.is_err() {
                tracing::warn!("not everybody was told within {} s", LEAVE_WAIT.as_secs());
            }
        }
        () = interrupts.next() => {}
    }
    Ok(Exit::Success)
}

/// Starts a node and, on a thread of its own, its API. The API's port is bound first, so that the
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

/// Tells the log in five lines which node this is.
fn introduce(config: &NodeConfig, node: &RunningNode, api: &RunningApi, product: &Product) {
    let (peer, name) = (&node.peer, &config.name.text);
    tracing::info!(
        version = product.build.version,
        commit = product.build.commit,
        "vajra-node begins"
    );
    tracing::info!(peer, name, "who this is");
    tracing::info!(
        swarm = node.listening.join(", "),
        api = %api.address,
        "where it listens"
    );
    let key = config.swarm_key.map(|key| key.fingerprint());
    tracing::info!(
        swarm = %config.swarm,
        keyed = key.is_some(),
        key,
        mdns = config.mdns,
        bootstrap = config.bootstrap.len(),
        "which swarm it is in, and how it finds it"
    );
    tracing::info!(
        targets = aims(config, node),
        capacity = config.capacity,
        engine_threads = config.engine_threads,
        "what tests of other nodes may be aimed at, and what it offers them"
    );
}

/// What tests of others may be aimed at, in words.
fn aims(config: &NodeConfig, node: &RunningNode) -> String {
    let loopback =
        |address: &String| address.starts_with("/ip4/127.") || address.starts_with("/ip6/::1/");
    match (config.allow_target.as_slice(), &config.swarm_key) {
        ([], Some(_)) => "everything, as the swarm has a key".into(),
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

/// Says where the node is to be reached; whoever reads `api` can use it at once.
fn announce(node: &RunningNode, api: &RunningApi) -> Result<(), Failure> {
    for address in &node.listening {
        line(&format!("listening {address}"))?;
    }
    line(&format!("api http://{}", api.address))
}
