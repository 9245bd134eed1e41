//! Metrics of the node, of its network, and of the swarm as seen by this node.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::families::{Families, Labels};
use crate::build_info::BuildInfo;
use vajra_core::protocol::messages::TestState;
use vajra_network::NetworkStats;
use vajra_results::{NodeHealth, state_name};
use vajra_runtime::observe::Observation;

/// All values of the label `health`.
const HEALTH: [NodeHealth; 3] = [NodeHealth::Healthy, NodeHealth::Late, NodeHealth::Gone];
/// All values of the label `state`.
const STATES: [TestState; 5] = [
    TestState::Electing,
    TestState::Registering,
    TestState::Running,
    TestState::Stopping,
    TestState::Ended,
];

#[derive(Debug)]
pub(super) struct NodeCollector(pub Arc<Observation>, pub BuildInfo);

impl Collector for NodeCollector {
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

fn labels<const N: usize>(pairs: [(&'static str, &str); N]) -> Labels {
    pairs.map(|(name, value)| (name, value.to_owned())).to_vec()
}

impl NodeCollector {
    fn identity(&self, f: &mut Families<'_>) -> fmt::Result {
        let build = labels([
            ("version", self.1.version),
            ("commit", self.1.commit.unwrap_or("")),
        ]);
        f.gauge(
            "vajra_build_info",
            "Build of the node; always 1.",
            [(build, 1u32)],
        )?;
        let Some(node) = self.0.nodes.nodes.iter().find(|n| n.is_self) else {
            return Ok(());
        };
        f.gauge(
            "vajra_node_info",
            "Peer id and name of the node; always 1.",
            [(labels([("peer", &node.peer), ("node", &node.name)]), 1u32)],
        )?;
        f.gauge(
            "vajra_node_status",
            "1 for the current status of the node.",
            [(labels([("status", node.status.as_str())]), 1u32)],
        )?;
        f.gauge(
            "vajra_node_capacity_tasks",
            "Maximum number of concurrent tasks of the node.",
            [(Labels::new(), node.capacity)],
        )?;
        f.gauge(
            "vajra_node_load_tasks",
            "Tasks currently running on the node.",
            [(Labels::new(), node.load)],
        )?;
        f.gauge(
            "vajra_engine_threads",
            "Engine threads per test.",
            [(Labels::new(), self.0.engine_threads)],
        )
    }

    fn swarm(&self, f: &mut Families<'_>) -> fmt::Result {
        let nodes = &self.0.nodes.nodes;
        let count = |health: NodeHealth| nodes.iter().filter(|n| n.health == health).count();
        f.gauge(
            "vajra_swarm_nodes",
            "Nodes of the swarm as seen by this node, including itself.",
            HEALTH.map(|health| (labels([("health", health.as_str())]), count(health))),
        )?;
        f.gauge(
            "vajra_swarm_capacity_tasks",
            "Maximum number of concurrent tasks of all healthy nodes.",
            [(Labels::new(), self.0.nodes.pool.capacity)],
        )?;
        let tests = |state: &TestState| self.0.by_state.get(state).copied().unwrap_or(0);
        f.gauge(
            "vajra_tests",
            "Tests known to this node by state, including stored ones.",
            STATES.map(|state| (labels([("state", state_name(state))]), tests(&state))),
        )
    }
}

fn network(f: &mut Families<'_>, s: &NetworkStats) -> fmt::Result {
    f.gauge(
        "vajra_network_peers",
        "Connected nodes of this swarm.",
        [(Labels::new(), s.peers)],
    )?;
    let outcomes = |counts: &[(&'static str, u64)]| -> Vec<(Labels, u64)> {
        let each = counts.iter();
        each.map(|(outcome, n)| (labels([("outcome", outcome)]), *n))
            .collect()
    };
    f.counter(
        "vajra_network_gossip_sent_messages",
        "Gossip messages of this node: published, or dropped because no peer was connected, all queues were full, or the message was too large.",
        outcomes(&[
            ("published", s.gossip_published),
            ("no_peers", s.gossip_no_peers),
            ("queue_full", s.gossip_queue_full),
            ("too_large", s.gossip_too_large),
        ]),
    )?;
    f.counter(
        "vajra_network_gossip_received_messages",
        "Gossip messages from other nodes: accepted, or dropped because this node fell behind.",
        outcomes(&[
            ("accepted", s.gossip_received),
            ("dropped", s.gossip_dropped),
        ]),
    )?;
    f.counter(
        "vajra_network_gossip_refused_messages",
        "Gossip messages from other nodes that were not forwarded: rejected as malformed or forged, or ignored as old or unknown.",
        outcomes(&[
            ("rejected", s.gossip_rejected),
            ("ignored", s.gossip_ignored),
        ]),
    )?;
    f.counter(
        "vajra_network_requests",
        "Requests from other nodes: accepted, dropped because too many were pending, or malformed.",
        outcomes(&[
            ("accepted", s.requests_received),
            ("dropped", s.requests_dropped),
            ("malformed", s.requests_malformed),
        ]),
    )?;
    for (name, help, n) in [
        (
            "vajra_network_slow_peers",
            "Number of times that a peer was too slow for this node's gossip.",
            s.slow_peers,
        ),
        (
            "vajra_network_inbound_failures",
            "Inbound connections that failed during the handshake: scans, nodes with another key, invalid data.",
            s.inbound_failed,
        ),
        (
            "vajra_network_strangers",
            "Peers disconnected because they belong to another swarm.",
            s.strangers,
        ),
        (
            "vajra_network_commands_dropped",
            "Messages of this node dropped because its network fell behind.",
            s.commands_dropped,
        ),
        (
            "vajra_network_events_lost",
            "Network events lost because the node fell behind.",
            s.events_lost,
        ),
    ] {
        f.counter(name, help, [(Labels::new(), n)])?;
    }
    Ok(())
}
