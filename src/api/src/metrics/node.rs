//! The node, its network, and the swarm as it sees it.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::families::{Families, Labels};
use crate::BuildInfo;
use vajra_network::NetworkStats;
use vajra_results::phase_word;
use vajra_runtime::observe::Observation;

/// What a node can be seen as.
const HEALTH: [&str; 3] = ["healthy", "late", "gone"];
/// How far a test can be.
const STATES: [&str; 5] = ["electing", "registering", "running", "stopping", "ended"];

#[derive(Debug)]
pub(super) struct OfNode(pub Arc<Observation>, pub BuildInfo);

impl Collector for OfNode {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut f = Families(encoder);
        self.identity(&mut f)?;
        self.swarm(&mut f)?;
        match &self.0.network {
            Some(stats) => network(&mut f, stats),
            None => Ok(()),
        }
    }
}

fn labels<const N: usize>(of: [(&'static str, &str); N]) -> Labels {
    of.map(|(name, value)| (name, value.to_owned())).to_vec()
}

impl OfNode {
    fn identity(&self, f: &mut Families<'_>) -> fmt::Result {
        let build = labels([
            ("version", self.1.version),
            ("commit", self.1.commit.unwrap_or("")),
        ]);
        f.gauge(
            "vajra_build_info",
            "Always 1; the labels tell which build this is.",
            [(build, 1u32)],
        )?;
        let Some(me) = self.0.nodes.nodes.iter().find(|n| n.is_self) else {
            return Ok(());
        };
        f.gauge(
            "vajra_node_info",
            "Always 1; the labels tell which node this is.",
            [(labels([("peer", &me.peer), ("node", &me.name)]), 1u32)],
        )?;
        f.gauge(
            "vajra_node_status",
            "1 for the status that the node is in.",
            [(labels([("status", &me.status)]), 1u32)],
        )?;
        f.gauge(
            "vajra_node_capacity_tasks",
            "Tasks that the node offers to run at once.",
            [(Labels::new(), me.capacity)],
        )?;
        f.gauge(
            "vajra_node_load_tasks",
            "Tasks that the node runs now.",
            [(Labels::new(), me.load)],
        )?;
        f.gauge(
            "vajra_engine_threads",
            "Threads that make load for each test.",
            [(Labels::new(), self.0.engine_threads)],
        )
    }

    fn swarm(&self, f: &mut Families<'_>) -> fmt::Result {
        let nodes = &self.0.nodes.nodes;
        let of = |health: &str| nodes.iter().filter(|n| n.health == health).count();
        f.gauge(
            "vajra_swarm_nodes",
            "Nodes of the swarm as this one sees them, itself included.",
            HEALTH.map(|health| (labels([("health", health)]), of(health))),
        )?;
        f.gauge(
            "vajra_swarm_capacity_tasks",
            "Tasks that the healthy nodes together offer to run at once.",
            [(Labels::new(), self.0.nodes.pool.capacity)],
        )?;
        let by_state = || self.0.by_state.iter().map(|(s, n)| (phase_word(*s), *n));
        let tests = |state| by_state().find(|(s, _)| *s == state).map_or(0, |(_, n)| n);
        f.gauge(
            "vajra_tests",
            "Tests that this node knows, by their state; those kept on disk included.",
            STATES.map(|state| (labels([("state", state)]), tests(state))),
        )
    }
}

fn network(f: &mut Families<'_>, s: &NetworkStats) -> fmt::Result {
    f.gauge(
        "vajra_network_peers",
        "Nodes of this swarm that are connected.",
        [(Labels::new(), s.peers)],
    )?;
    let outcomes = |of: &[(&'static str, u64)]| -> Vec<(Labels, u64)> {
        let each = of.iter();
        each.map(|(outcome, n)| (labels([("outcome", outcome)]), *n))
            .collect()
    };
    f.counter(
        "vajra_network_gossip_sent_messages",
        "Gossip of this node: published, or not because nobody was there (unheard), every queue was full (unsent) or it was too large.",
        outcomes(&[
            ("published", s.gossip_published),
            ("unheard", s.gossip_unheard),
            ("unsent", s.gossip_unsent),
            ("too_large", s.gossip_too_large),
        ]),
    )?;
    f.counter(
        "vajra_network_gossip_received_messages",
        "Gossip of others: taken, or dropped because this node was behind.",
        outcomes(&[("taken", s.gossip_received), ("dropped", s.gossip_dropped)]),
    )?;
    f.counter(
        "vajra_network_gossip_refused_messages",
        "Gossip of others that was not passed on: rejected as malformed or forged, or ignored as old or unknown.",
        outcomes(&[
            ("rejected", s.gossip_rejected),
            ("ignored", s.gossip_ignored),
        ]),
    )?;
    f.counter(
        "vajra_network_requests",
        "Requests of others: taken, dropped because too many were unanswered, or malformed.",
        outcomes(&[
            ("taken", s.requests_received),
            ("dropped", s.requests_dropped),
            ("malformed", s.requests_malformed),
        ]),
    )?;
    for (name, help, n) in [
        (
            "vajra_network_slow_peers",
            "Times that a peer did not keep up with this node's gossip.",
            s.slow_peers,
        ),
        (
            "vajra_network_inbound_failures",
            "Connections to this node that failed before they stood: scans, other keys, garbage.",
            s.inbound_failed,
        ),
        (
            "vajra_network_strangers",
            "Peers that were sent away because they are of another swarm.",
            s.strangers,
        ),
        (
            "vajra_network_commands_dropped",
            "Messages of this node that were dropped because its network was behind.",
            s.commands_dropped,
        ),
        (
            "vajra_network_events_lost",
            "Events that the node missed because it was far behind.",
            s.events_lost,
        ),
    ] {
        f.counter(name, help, [(Labels::new(), n)])?;
    }
    Ok(())
}
