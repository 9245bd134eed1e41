//! Running a node: what `vajra-node` does without a subcommand.

use std::time::Duration;

use super::args::NodeArgs;
use super::exit::{Exit, Failure};
use super::interrupt::{Interrupts, parent_gone};
use super::layer::Layer;
use super::logging;
use super::output::line;
use super::resolve::{environment, layers, resolve};
use crate::node::config::NodeConfig;
use crate::node::run::{RunningNode, start};
use crate::version::{COMMIT, VERSION};

/// How long leaving politely may take: requests in flight may still be finished.
const LEAVE_WAIT: Duration = Duration::from_secs(15);

/// Runs a node until it is told to end, then leaves the swarm politely.
///
/// # Errors
/// Bad input, or it can't run.
pub async fn run(args: &NodeArgs) -> Result<Exit, Failure> {
    let flags = Layer::from_node_args(args)?;
    let config = resolve(layers(flags, args.swarm.config.as_deref(), &environment)?)?;
    logging::start(config.log_level, config.log_format);
    let mut interrupts = Interrupts::new().map_err(Failure::run)?;
    let shown = config.clone();
    let mut node = tokio::select! {
        node = start(config) => node.map_err(Failure::run)?,
        () = interrupts.next() => return Ok(Exit::Fine),
    };
    for warning in &node.warnings {
        tracing::warn!("{warning}");
    }
    introduce(&shown, &node);
    announce(&node)?;
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
    Ok(Exit::Fine)
}

/// Tells the log in five lines which node this is.
fn introduce(config: &NodeConfig, node: &RunningNode) {
    let (peer, name) = (&node.peer, &config.name);
    tracing::info!(version = VERSION, commit = COMMIT, "vajra-node begins");
    tracing::info!(peer, name, "who this is");
    tracing::info!(
        swarm = node.listening.join(", "),
        api = node.api.map(tracing::field::display),
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
fn announce(node: &RunningNode) -> Result<(), Failure> {
    for address in &node.listening {
        line(&format!("listening {address}"))?;
    }
    if let Some(api) = node.api {
        line(&format!("api http://{api}"))?;
    }
    Ok(())
}
