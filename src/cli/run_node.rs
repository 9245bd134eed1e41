//! Running a node: what `vajra-node` does without a subcommand.

use std::time::Duration;

use super::args::NodeArgs;
use super::exit::{Exit, Failure};
use super::interrupt::{Interrupts, parent_gone};
use super::layer::Layer;
use super::logging;
use super::output::line;
use super::resolve::{environment, layers, resolve};
use crate::node::run::{RunningNode, start};

/// How long leaving politely may take: requests in flight may still be finished.
const LEAVE_WAIT: Duration = Duration::from_secs(15);

/// Runs a node until it is told to end, then leaves the swarm politely.
///
/// # Errors
/// Bad input, or it can't run.
pub async fn run(args: &NodeArgs) -> Result<Exit, Failure> {
    let flags = Layer::from_node_args(args)?;
    let config = resolve(layers(flags, args.swarm.config.as_deref(), &environment)?)?;
    logging::start(config.log_level);
    let mut interrupts = Interrupts::new().map_err(Failure::run)?;
    let mut node = tokio::select! {
        node = start(config) => node.map_err(Failure::run)?,
        () = interrupts.next() => return Ok(Exit::Fine),
    };
    for warning in &node.warnings {
        tracing::warn!("{warning}");
    }
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
