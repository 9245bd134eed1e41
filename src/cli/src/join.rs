//! `start-test` as a node: joins the swarm for one test.

use std::time::Duration;

use tokio::time::Instant;

use super::backend::Backend;
use super::exit::Failure;
use super::interrupt::{BEFORE_START, Interrupts};
use super::output::note;
use vajra_runtime::Node;
use vajra_runtime::config::NodeConfig;
use vajra_runtime::run::{RunningNode, StartError};

/// Interval at which the list of nodes is polled.
const POLL: Duration = Duration::from_millis(50);
/// Time without a change after which the list of nodes counts as complete.
const STABLE: Duration = Duration::from_secs(1);
/// Maximum wait for a list that keeps changing.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Maximum time until a bootstrap address answers.
const BOOTSTRAP_WAIT: Duration = Duration::from_secs(10);
/// Maximum wait of `--wait-for`.
pub const WAIT_FOR: Duration = Duration::from_secs(60);

/// Starts a node for one test and waits until it has found the swarm.
///
/// # Errors
/// It cannot start, no bootstrap address answers, or the user interrupted.
pub async fn join(config: NodeConfig, interrupts: &mut Interrupts) -> Result<RunningNode, Failure> {
    let standalone = config.standalone;
    let bootstrap: Vec<String> = config.bootstrap.iter().map(ToString::to_string).collect();
    let node = Node::builder()
        .config(config)
        .start()
        .await
        .map_err(|e: StartError| Failure::run(e))?;
    for warning in &node.warnings {
        note(&format!("warning: {warning}"));
    }
    if standalone {
        return Ok(node);
    }
    let backend = Backend::Here(node.handle.clone());
    let found = tokio::select! {
        found = find_swarm(&backend, &bootstrap) => found,
        () = interrupts.next() => Err(Failure::stopped(BEFORE_START)),
    };
    match found {
        Ok(()) => Ok(node),
        Err(failure) => {
            node.shutdown().await;
            Err(failure)
        }
    }
}

async fn find_swarm(backend: &Backend, bootstrap: &[String]) -> Result<(), Failure> {
    let start = Instant::now();
    let mut view = StableView::new(start);
    loop {
        let list = backend.nodes().await?;
        let mut peers: Vec<String> = list.nodes.into_iter().map(|node| node.peer).collect();
        peers.sort_unstable();
        let alone = peers.len() <= 1;
        let now = Instant::now();
        let stable = view.observe(peers, now);
        if !alone || bootstrap.is_empty() {
            if stable || now - start >= MAX_WAIT {
                return Ok(());
            }
        } else if now - start >= BOOTSTRAP_WAIT {
            return Err(Failure::run(format_args!(
                "no node of this swarm answers at {} after {} s; check the address, and that \
                 --swarm and --swarm-key are the same there",
                bootstrap.join(", "),
                BOOTSTRAP_WAIT.as_secs()
            )));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Detects when the set of nodes has stopped changing.
struct StableView {
    peers: Vec<String>,
    since: Instant,
}

impl StableView {
    fn new(now: Instant) -> StableView {
        StableView {
            peers: Vec::new(),
            since: now,
        }
    }

    /// Records the current view. Returns whether it has been unchanged for [`STABLE`].
    fn observe(&mut self, peers: Vec<String>, now: Instant) -> bool {
        if peers != self.peers {
            self.peers = peers;
            self.since = now;
        }
        now - self.since >= STABLE
    }
}

/// Waits until the swarm has `required` healthy nodes.
///
/// # Errors
/// It does not have them within [`WAIT_FOR`], or the user interrupted.
pub async fn wait_for(
    backend: &Backend,
    required: u32,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let start = Instant::now();
    let mut noted = false;
    loop {
        let healthy = backend.nodes().await?.pool.healthy;
        if healthy >= required {
            return Ok(());
        }
        if start.elapsed() >= WAIT_FOR {
            return Err(Failure::run(format_args!(
                "the swarm has {healthy} nodes after {} s, but --wait-for requires {required}; start \
                 more nodes, or lower --wait-for",
                WAIT_FOR.as_secs()
            )));
        }
        if !noted {
            note(&format!(
                "waiting for {required} nodes; the swarm has {healthy}"
            ));
            noted = true;
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = interrupts.next() => return Err(Failure::stopped(BEFORE_START)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_stable_after_one_second_without_a_change() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let peers = |n: usize| vec!["peer".to_owned(); n];
        let mut view = StableView::new(start);
        assert!(!view.observe(peers(1), at(100)));
        assert!(!view.observe(peers(2), at(900)));
        assert!(!view.observe(peers(2), at(1800)));
        assert!(view.observe(peers(2), at(1900)));
        assert!(!view.observe(peers(1), at(1950)));
    }
}
