//! The nodes as the view lists them: what the result tells of each worker, and what the swarm
//! tells of each node, in one line.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use vajra_results::NodeHealth;
use vajra_results::{NodeEntry, NodeList, NodeResult, TestResult};

/// Results that a worker's rate is measured over: some six seconds, so that a snapshot that
/// came a moment late does not look like a dip.
const RATE_OVER: usize = 4;

/// How a node is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Health {
    /// It took part, and is gone.
    Lost,
    /// Its advert is overdue.
    Late,
    /// It takes part.
    Well,
    /// It handed its share back, and left.
    Left,
    /// It is there, and takes no part.
    Idle,
}

/// A node.
#[derive(Clone, PartialEq, Debug)]
pub struct Member {
    /// Its name, or else the end of its peer id.
    pub name: String,
    /// How it is.
    pub health: Health,
    /// It coordinates.
    pub coordinates: bool,
    /// It is the node that answers.
    pub is_self: bool,
    /// Its share, 0 to 1.
    pub share: Option<f64>,
    /// Requests that it sends a second.
    pub rate: Option<f64>,
    /// 99th percentile of its lag, in milliseconds.
    pub lag_p99: Option<f64>,
    /// Requests that it sent.
    pub sent: u64,
    /// What the swarm calls its state.
    pub status: String,
}

/// A worker: its peer id and incarnation.
type Who = (String, u64);

/// All of them.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Crew {
    workers: Vec<NodeResult>,
    /// The last thing that befell a worker: `joined`, `lost`, `left`.
    fates: BTreeMap<String, String>,
    nodes: Vec<NodeEntry>,
    test: String,
    sent: VecDeque<(Duration, BTreeMap<Who, u64>)>,
}

fn who(n: &NodeResult) -> Who {
    (n.peer.clone(), n.incarnation)
}

impl Crew {
    /// The result so far, and when it came.
    pub fn result(&mut self, result: &TestResult, now: Duration) {
        self.workers = result.nodes.clone();
        self.fates.clear();
        for event in &result.events {
            if let (Some(peer), "joined" | "lost" | "left") = (&event.peer, event.kind.as_str()) {
                self.fates.insert(peer.clone(), event.kind.clone());
            }
        }
        if self.sent.len() == RATE_OVER {
            self.sent.pop_front();
        }
        let sent = result.nodes.iter().map(|n| (who(n), n.sent));
        self.sent.push_back((now, sent.collect()));
    }

    /// The swarm, as the node sees it.
    pub fn nodes(&mut self, test: &str, list: NodeList) {
        self.test = test.to_owned();
        self.nodes = list.nodes;
    }

    /// Healthy nodes of the swarm; 0 while unknown.
    pub fn healthy(&self) -> usize {
        self.nodes
            .iter()
            .filter(|n| n.health == NodeHealth::Healthy)
            .count()
    }

    /// A node's name, or else the end of its peer id.
    pub fn name(&self, peer: &str) -> String {
        let worker = self.workers.iter().find(|n| n.peer == peer);
        let entry = self.nodes.iter().find(|n| n.peer == peer);
        let named = worker.map(|n| &n.name).filter(|name| !name.is_empty());
        let named = named.or(entry.map(|n| &n.name).filter(|name| !name.is_empty()));
        named.cloned().unwrap_or_else(|| ending(peer))
    }

    fn rate(&self, worker: &Who) -> Option<f64> {
        let (now, newest) = self.sent.back()?;
        let known = |(_, sent): &&(Duration, BTreeMap<Who, u64>)| sent.contains_key(worker);
        let (then, oldest) = self.sent.iter().find(known)?;
        let seconds = now.saturating_sub(*then).as_secs_f64();
        let sent = newest.get(worker)?.saturating_sub(*oldest.get(worker)?);
        (seconds > 0.0).then(|| sent as f64 / seconds)
    }

    /// Lost ones first, so that they are seen however short the list is; then whoever carries
    /// load, then the rest.
    pub fn members(&self, coordinator: Option<&str>) -> Vec<Member> {
        let workers = self.workers.iter().map(|w| self.worker(w, coordinator));
        let idle = self.nodes.iter().filter(|n| {
            let works = self.workers.iter().any(|w| w.peer == n.peer);
            !works && n.health != NodeHealth::Gone
        });
        let idle = idle.map(|n| self.idle(n, coordinator));
        let mut members: Vec<Member> = workers.chain(idle).collect();
        members.sort_by(|a, b| (a.health, &a.name).cmp(&(b.health, &b.name)));
        members
    }

    fn worker(&self, w: &NodeResult, coordinator: Option<&str>) -> Member {
        let entry = self.nodes.iter().find(|n| n.peer == w.peer);
        let newer = entry.is_some_and(|n| n.incarnation > w.incarnation);
        let fate = self.fates.get(&w.peer).map(String::as_str);
        let health = match (fate, entry.map(|n| n.health.as_str())) {
            _ if w.lost_at_ms.is_some() || newer => Health::Lost,
            (Some("lost"), _) => Health::Lost,
            (Some("left"), _) => Health::Left,
            (_, Some("gone")) => Health::Lost,
            (_, Some("late")) => Health::Late,
            _ => Health::Well,
        };
        let here = matches!(health, Health::Late | Health::Well);
        let told = entry.and_then(|n| n.shares.get(&self.test).copied());
        Member {
            name: self.name(&w.peer),
            health,
            coordinates: here && coordinator == Some(w.peer.as_str()),
            is_self: entry.is_some_and(|n| n.is_self),
            share: here.then_some(told.unwrap_or(w.share)),
            rate: self.rate(&who(w)).filter(|_| here),
            lag_p99: w.lag_p99_ms,
            sent: w.sent,
            status: entry.map(|n| n.status.to_string()).unwrap_or_default(),
        }
    }

    fn idle(&self, n: &NodeEntry, coordinator: Option<&str>) -> Member {
        Member {
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

/// The end of a peer id, by which people tell nodes apart.
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

    fn healths(crew: &Crew) -> Vec<(String, Health)> {
        let members = crew.members(None).into_iter();
        members.map(|m| (m.name, m.health)).collect()
    }

    #[test]
    fn a_lost_worker_is_first_and_has_neither_share_nor_rate() {
        let mut crew = Crew::default();
        for (second, sent) in [(0, 100), (2, 300)] {
            let nodes = vec![worker("alpha", 0.5, sent), worker("beta", 0.5, 100)];
            let result = result(nodes, &[("lost", "beta")]);
            crew.result(&result, Duration::from_secs(second));
        }
        let members = crew.members(Some("peer-beta"));
        let (beta, alpha) = (&members[0], &members[1]);
        assert_eq!((beta.name.as_str(), beta.health), ("beta", Health::Lost));
        assert_eq!(
            (beta.share, beta.rate, beta.coordinates),
            (None, None, false)
        );
        assert_eq!((alpha.health, alpha.rate), (Health::Well, Some(100.0)));
    }

    #[test]
    fn a_worker_that_joined_again_is_lost_no_more() {
        let mut crew = Crew::default();
        let nodes = vec![worker("alpha", 1.0, 1)];
        let events = [("lost", "alpha"), ("joined", "alpha")];
        crew.result(&result(nodes, &events), Duration::ZERO);
        assert_eq!(healths(&crew), [("alpha".into(), Health::Well)]);
    }

    #[test]
    fn a_worker_whose_node_was_started_anew_is_lost() {
        let mut crew = Crew::default();
        crew.result(&result(vec![worker("alpha", 1.0, 1)], &[]), Duration::ZERO);
        let mut again = entry("alpha", NodeHealth::Healthy);
        again.incarnation = 2;
        crew.nodes("t", swarm(vec![again]));
        assert_eq!(healths(&crew), [("alpha".into(), Health::Lost)]);
    }

    #[test]
    fn nodes_without_a_share_come_last_and_gone_ones_are_left_out() {
        let mut crew = Crew::default();
        crew.result(&result(vec![worker("zeta", 1.0, 1)], &[]), Duration::ZERO);
        crew.nodes(
            "t",
            swarm(vec![
                entry("alpha", NodeHealth::Healthy),
                entry("zeta", NodeHealth::Late),
                entry("old", NodeHealth::Gone),
            ]),
        );
        assert_eq!(
            healths(&crew),
            [
                ("zeta".into(), Health::Late),
                ("alpha".into(), Health::Idle)
            ]
        );
        assert_eq!(crew.healthy(), 1);
    }

    #[test]
    fn a_node_without_a_name_is_called_by_the_end_of_its_peer_id() {
        assert_eq!(Crew::default().name("12D3KooWabcdefghij"), "…cdefghij");
        assert_eq!(Crew::default().name("short"), "short");
    }
}
