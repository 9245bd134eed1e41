//! `start-test` as a node of its own: joins the swarm for the length of one test.

use std::time::Duration;

use tokio::time::Instant;

use super::backend::Backend;
use super::exit::Failure;
use super::interrupt::Interrupts;
use super::output::note;
use vajra_runtime::Node;
use vajra_runtime::config::NodeConfig;
use vajra_runtime::run::{RunningNode, StartError};

/// How often the view of the swarm is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// A view that has not changed for this long is taken for the swarm.
const STABLE: Duration = Duration::from_secs(1);
/// A view that keeps changing is taken as it is after this long.
const MOST: Duration = Duration::from_secs(5);
/// How long bootstrap addresses may take to answer.
const BOOTSTRAP_WAIT: Duration = Duration::from_secs(10);
/// How long `--wait-for` waits.
pub const WAIT_FOR: Duration = Duration::from_secs(60);

/// Starts a node for one test and waits until it knows its swarm.
///
/// # Errors
/// It can't start, or none of the bootstrap addresses answers, or somebody interrupted.
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
    let settled = tokio::select! {
        settled = settle(&backend, &bootstrap) => settled,
        () = interrupts.next() => Err(Failure::stopped("interrupted before the test began")),
    };
    match settled {
        Ok(()) => Ok(node),
        Err(failure) => {
            node.shutdown().await;
            Err(failure)
        }
    }
}

async fn settle(backend: &Backend, bootstrap: &[String]) -> Result<(), Failure> {
    let began = Instant::now();
    let mut watch = StableView::new(began);
    loop {
        let list = backend.nodes().await?;
        let mut peers: Vec<String> = list.nodes.into_iter().map(|node| node.peer).collect();
        peers.sort_unstable();
        let alone = peers.len() <= 1;
        let now = Instant::now();
        let stable = watch.look(peers, now);
        if !alone || bootstrap.is_empty() {
            if stable || now - began >= MOST {
                return Ok(());
            }
        } else if now - began >= BOOTSTRAP_WAIT {
            return Err(Failure::run(format_args!(
                "no node of this swarm answers at {} after {} s; check the address, and that \
                 --swarm and --swarm-key are the same there",
                bootstrap.join(", "),
                BOOTSTRAP_WAIT.as_secs()
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Notices when the set of nodes has stopped changing.
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

    /// Takes the view as it is now; tells whether it has been the same for long enough.
    fn look(&mut self, peers: Vec<String>, now: Instant) -> bool {
        if peers != self.peers {
            self.peers = peers;
            self.since = now;
        }
        now - self.since >= STABLE
    }
}

/// Waits until the swarm has `wanted` healthy nodes.
///
/// # Errors
/// It does not get them within [`WAIT_FOR`], or somebody interrupted.
pub async fn wait_for(
    backend: &Backend,
    wanted: u32,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let began = Instant::now();
    let mut told = false;
    loop {
        let healthy = backend.nodes().await?.pool.healthy;
        if healthy >= wanted {
            return Ok(());
        }
        if began.elapsed() >= WAIT_FOR {
            return Err(Failure::run(format_args!(
                "the swarm has {healthy} nodes after {} s, not the {wanted} that --wait-for asks \
                 for; start more, or ask for fewer",
                WAIT_FOR.as_secs()
            )));
        }
        if !told {
            note(&format!("waiting for {wanted} nodes; {healthy} so far"));
            told = true;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = interrupts.next() => {
                return Err(Failure::stopped("interrupted before the test began"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_stable_once_it_has_not_changed_for_a_second() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let peers = |n: usize| vec!["peer".to_owned(); n];
        let mut view = StableView::new(began);
        assert!(!view.look(peers(1), at(100)));
        assert!(!view.look(peers(2), at(900)));
        assert!(!view.look(peers(2), at(1800)));
        assert!(view.look(peers(2), at(1900)));
        assert!(!view.look(peers(1), at(1950)));
    }
}
