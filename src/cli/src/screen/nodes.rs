//! The rows of the node list, merged from the workers of the result and the nodes of the swarm.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use vajra_core::protocol::event_kind::EventKind;
use vajra_results::NodeHealth;
use vajra_results::{NodeEntry, NodeList, NodeResult, TestResult};

/// Number of results over which the rate of a worker is measured: about six seconds, so that a
/// delayed snapshot does not appear as a dip.
const RATE_OVER: usize = 4;

/// State of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Health {
    /// A worker that is no longer reachable.
    Lost,
    /// Its advert is overdue.
    Late,
    /// A worker.
    Working,
    /// A worker that left gracefully.
    Left,
    /// Not a worker of this test.
    Idle,
}

/// A row of the list.
#[derive(Clone, PartialEq, Debug)]
pub struct NodeRow {
    /// Name, or else the end of the peer id.
    pub name: String,
    /// State.
    pub health: Health,
    /// Whether it is the coordinator.
    pub coordinates: bool,
    /// Whether it is the node that runs the command.
    pub is_self: bool,
    /// Share of the load, 0 to 1.
    pub share: Option<f64>,
    /// Requests sent per second.
    pub rate: Option<f64>,
    /// 99th percentile of the lag, in milliseconds.
    pub lag_p99: Option<f64>,
    /// Requests sent.
    pub sent: u64,
    /// Status in the swarm.
    pub status: String,
}

/// Peer id and incarnation of a worker.
type WorkerId = (String, u64);

/// The workers and the nodes of the swarm.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct NodeTable {
    workers: Vec<NodeResult>,
    /// Latest event of each worker: `joined`, `lost`, `left`.
    last_events: BTreeMap<String, EventKind>,
    nodes: Vec<NodeEntry>,
    test: String,
    sent: VecDeque<(Duration, BTreeMap<WorkerId, u64>)>,
}

fn worker_id(n: &NodeResult) -> WorkerId {
    (n.peer.clone(), n.incarnation)
}

impl NodeTable {
    /// Updates the workers from a result received at `now`.
    pub fn result(&mut self, result: &TestResult, now: Duration) {
        self.workers = result.nodes.clone();
        self.last_events.clear();
        for event in &result.events {
            let presence = matches!(
                event.kind,
                EventKind::Joined | EventKind::Lost | EventKind::Left
            );
            if let Some(peer) = event.peer.as_ref().filter(|_| presence) {
                self.last_events.insert(peer.clone(), event.kind.clone());
            }
        }
        if self.sent.len() == RATE_OVER {
            self.sent.pop_front();
        }
        let sent = result.nodes.iter().map(|n| (worker_id(n), n.sent));
        self.sent.push_back((now, sent.collect()));
    }

    /// Updates the nodes of the swarm.
    pub fn nodes(&mut self, test: &str, list: NodeList) {
        self.test = test.to_owned();
        self.nodes = list.nodes;
    }

    /// Number of healthy nodes of the swarm; 0 while unknown.
    pub fn healthy(&self) -> usize {
        self.nodes
            .iter()
            .filter(|n| n.health == NodeHealth::Healthy)
            .count()
    }

    /// Name of a node, or else the end of its peer id.
    pub fn name(&self, peer: &str) -> String {
        let worker = self.workers.iter().find(|n| n.peer == peer);
        let entry = self.nodes.iter().find(|n| n.peer == peer);
        let named = worker.map(|n| &n.name).filter(|name| !name.is_empty());
        let named = named.or(entry.map(|n| &n.name).filter(|name| !name.is_empty()));
        named.cloned().unwrap_or_else(|| ending(peer))
    }

    fn rate(&self, worker: &WorkerId) -> Option<f64> {
        let (now, newest) = self.sent.back()?;
        let known = |(_, sent): &&(Duration, BTreeMap<WorkerId, u64>)| sent.contains_key(worker);
        let (then, oldest) = self.sent.iter().find(known)?;
        let seconds = now.saturating_sub(*then).as_secs_f64();
        let sent = newest.get(worker)?.saturating_sub(*oldest.get(worker)?);
        (seconds > 0.0).then(|| sent as f64 / seconds)
    }

    /// The rows: lost nodes first, so that they are visible in a short list, then workers, then other
    /// nodes.
    pub fn rows(&self, coordinator: Option<&str>) -> Vec<NodeRow> {
        let workers = self.workers.iter().map(|w| self.worker(w, coordinator));
        let idle = self.nodes.iter().filter(|n| {
            let works = self.workers.iter().any(|w| w.peer == n.peer);
            !works && n.health != NodeHealth::Gone
        });
        let idle = idle.map(|n| self.idle(n, coordinator));
        let mut rows: Vec<NodeRow> = workers.chain(idle).collect();
        rows.sort_by(|a, b| (a.health, &a.name).cmp(&(b.health, &b.name)));
        rows
    }

    fn worker(&self, w: &NodeResult, coordinator: Option<&str>) -> NodeRow {
        let entry = self.nodes.iter().find(|n| n.peer == w.peer);
        let newer = entry.is_some_and(|n| n.incarnation > w.incarnation);
        let event = self.last_events.get(&w.peer);
        let health = match (event, entry.map(|n| n.health.as_str())) {
            _ if w.lost_at_ms.is_some() || newer => Health::Lost,
            (Some(EventKind::Lost), _) => Health::Lost,
            (Some(EventKind::Left), _) => Health::Left,
            (_, Some("gone")) => Health::Lost,
            (_, Some("late")) => Health::Late,
            _ => Health::Working,
        };
        let active = matches!(health, Health::Late | Health::Working);
        let share = entry.and_then(|n| n.shares.get(&self.test).copied());
        NodeRow {
            name: self.name(&w.peer),
            health,
            coordinates: active && coordinator == Some(w.peer.as_str()),
            is_self: entry.is_some_and(|n| n.is_self),
            share: active.then_some(share.unwrap_or(w.share)),
            rate: self.rate(&worker_id(w)).filter(|_| active),
            lag_p99: w.lag_p99_ms,
            sent: w.sent,
            status: entry.map(|n| n.status.to_string()).unwrap_or_default(),
        }
    }

    fn idle(&self, n: &NodeEntry, coordinator: Option<&str>) -> NodeRow {
        NodeRow {
            name: self.name(&n.peer),
            health: match n.health {
                NodeHealth::Late => Health::Late,
                _ => Health::Idle,
            },
            coordinates: coordinator == Some(n.peer.as_str()),
            is_self: n.is_self,
            share: None,
            rate: None,
            lag_p99: None,
            sent: 0,
            status: n.status.to_string(),
        }
    }
}

/// The end of a peer id; all peer ids start alike.
fn ending(peer: &str) -> String {
    let from = peer.char_indices().rev().nth(7).map_or(0, |(at, _)| at);
    match from {
        0 => peer.to_owned(),
        _ => format!("…{}", &peer[from..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::fakes::{self, entry, swarm, worker};
    use vajra_plan::Load;
    use vajra_results::Event;

    fn result(nodes: Vec<NodeResult>, events: &[(&str, &str)]) -> TestResult {
        let mut result = fakes::result(&Load::open(10.0, Duration::from_secs(30)));
        result.nodes = nodes;
        let event = |(kind, name): &(&str, &str)| Event {
            at_ms: 0,
            kind: (*kind).into(),
            peer: Some(format!("peer-{name}")),
            text: String::new(),
        };
        result.events = events.iter().map(event).collect();
        result
    }

    fn healths(table: &NodeTable) -> Vec<(String, Health)> {
        let rows = table.rows(None).into_iter();
        rows.map(|m| (m.name, m.health)).collect()
    }

    #[test]
    fn a_lost_worker_is_first_and_has_neither_share_nor_rate() {
        let mut table = NodeTable::default();
        for (second, sent) in [(0, 100), (2, 300)] {
            let nodes = vec![worker("alpha", 0.5, sent), worker("beta", 0.5, 100)];
            let result = result(nodes, &[("lost", "beta")]);
            table.result(&result, Duration::from_secs(second));
        }
        let rows = table.rows(Some("peer-beta"));
        let (beta, alpha) = (&rows[0], &rows[1]);
        assert_eq!((beta.name.as_str(), beta.health), ("beta", Health::Lost));
        assert_eq!(
            (beta.share, beta.rate, beta.coordinates),
            (None, None, false)
        );
        assert_eq!((alpha.health, alpha.rate), (Health::Working, Some(100.0)));
    }

    #[test]
    fn a_worker_that_rejoined_is_not_lost() {
        let mut table = NodeTable::default();
        let nodes = vec![worker("alpha", 1.0, 1)];
        let events = [("lost", "alpha"), ("joined", "alpha")];
        table.result(&result(nodes, &events), Duration::ZERO);
        assert_eq!(healths(&table), [("alpha".into(), Health::Working)]);
    }

    #[test]
    fn a_worker_whose_node_restarted_is_lost() {
        let mut table = NodeTable::default();
        table.result(&result(vec![worker("alpha", 1.0, 1)], &[]), Duration::ZERO);
        let mut again = entry("alpha", NodeHealth::Healthy);
        again.incarnation = 2;
        table.nodes("t", swarm(vec![again]));
        assert_eq!(healths(&table), [("alpha".into(), Health::Lost)]);
    }

    #[test]
    fn idle_nodes_are_last_and_gone_nodes_are_omitted() {
        let mut table = NodeTable::default();
        table.result(&result(vec![worker("zeta", 1.0, 1)], &[]), Duration::ZERO);
        table.nodes(
            "t",
            swarm(vec![
                entry("alpha", NodeHealth::Healthy),
                entry("zeta", NodeHealth::Late),
                entry("old", NodeHealth::Gone),
            ]),
        );
        assert_eq!(
            healths(&table),
            [
                ("zeta".into(), Health::Late),
                ("alpha".into(), Health::Idle)
            ]
        );
        assert_eq!(table.healthy(), 1);
    }

    #[test]
    fn a_node_without_a_name_is_shown_by_the_end_of_its_peer_id() {
        assert_eq!(NodeTable::default().name("12D3KooWabcdefghij"), "…cdefghij");
        assert_eq!(NodeTable::default().name("short"), "short");
    }
}
