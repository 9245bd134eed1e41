//! What the node shows: nodes, tests, results.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::driver::Driver;
use super::handle::CommandError;
use crate::engine::load_changes;
use vajra_core::protocol::membership::{Health, Known};
use vajra_core::protocol::messages::Status;
use vajra_core::protocol::spec::SLOTS;
use vajra_core::protocol::test_run::TestRun;
use vajra_core::protocol::{NodeId, TestId, Time};
use vajra_network as network;
use vajra_plan::decode_values;
use vajra_results::{
    Event, NodeEntry, NodeHealth, NodeList, NodeStatus, Pool, ResultInput, Tenure, TestEntry,
    TestList, TestResult, WorkerInput, rfc3339,
};

impl Driver {
    // ---- nodes ----

    pub(super) fn nodes(&self) -> NodeList {
        let now = self.now();
        let me = self.core.local();
        let isolated = self.isolated() && self.core.members().live(now).next().is_none();
        let status = match self.own_status() {
            Status::Idle if isolated => NodeStatus::Isolated,
            other => other.into(),
        };
        let mut nodes = vec![NodeEntry {
            peer: network::show_peer(&me.node.peer),
            incarnation: me.node.incarnation.0,
            name: me.name.clone(),
            is_self: true,
            addresses: self.addresses().to_vec(),
            version: me.version.clone(),
            status,
            health: NodeHealth::Healthy,
            capacity: me.capacity,
            load: self.own_load(),
            task_types: me.task_types.clone(),
            labels: me.labels.clone(),
            environment: me.environment.clone(),
            lag_p99_ms: self.lag_of(&network::show_peer(&me.node.peer)),
            shares: self.shares_of(&me.node),
            ..NodeEntry::default()
        }];
        // Who has left said so: nobody waits for it.
        let others = self.core.members().all();
        let others = others.filter(|k| k.advert.status != Status::Leaving);
        nodes.extend(others.map(|k| self.node_entry(k, now)));
        let pool = Pool::of(&nodes);
        NodeList { nodes, pool }
    }

    fn own_load(&self) -> u32 {
        let workers = self.core.tests().values().filter_map(TestRun::worker);
        workers.map(|w| w.in_flight()).sum()
    }

    fn node_entry(&self, k: &Known, now: Time) -> NodeEntry {
        let (a, peer) = (&k.advert, &k.advert.node.peer);
        let health = k.health(now);
        let clock = self.neighbours.clocks.best(peer);
        NodeEntry {
            peer: network::show_peer(peer),
            incarnation: a.node.incarnation.0,
            name: a.name.clone(),
            is_self: false,
            addresses: a.addresses.clone(),
            version: a.version.clone(),
            status: a.status.into(),
            health: health.into(),
            capacity: a.capacity,
            load: a.load,
            task_types: a.task_types.clone(),
            labels: a.labels.clone(),
            last_seen_ms: Some(now.since(k.received).as_millis() as u64),
            round_trip_ms: self.neighbours.round_trips.get(peer).copied().map(show_ms),
            clock_offset_ms: clock.map(|c| c.offset_ms.round() + 0.0),
            environment: a.environment.clone(),
            lag_p99_ms: self.lag_of(&network::show_peer(&a.node.peer)),
            shares: match health {
                // What it last told is not its any more.
                Health::Gone => BTreeMap::new(),
                Health::Healthy | Health::Late => self.shares_of(&a.node),
            },
        }
    }

    /// A node's share of each running test, as it last told.
    fn shares_of(&self, node: &NodeId) -> BTreeMap<String, f64> {
        let running = self.core.tests().values().filter(|t| t.ended().is_none());
        running
            .filter_map(|t| {
                let slots = t.merge().workers().get(node)?.slots;
                let share = f64::from(slots) / f64::from(SLOTS);
                (slots > 0).then(|| (t.id().to_string(), share))
            })
            .collect()
    }

    // ---- tests ----

    /// Those of others, overlaid with what is known here.
    pub(super) fn list_tests(&self) -> TestList {
        let others = self.history.others.entries();
        let mut tests: BTreeMap<TestId, TestEntry> =
            others.map(|(id, entry)| (id, entry.clone())).collect();
        let kept = self.old.iter();
        tests.extend(kept.map(|(id, listed)| (*id, listed.entry.clone())));
        for (id, t) in self.core.tests() {
            let kept = self.tests.get(id).and_then(|s| s.result.as_ref());
            let entry = kept.map_or_else(
                || live_entry(t, t.start().map(|s| self.unix_ms_of(s))),
                |r| r.entry(),
            );
            tests.insert(*id, entry);
        }
        TestList {
            tests: tests.into_values().rev().collect(),
        }
    }

    pub(super) fn status(
        &self,
        test: TestId,
        reply: oneshot::Sender<Result<Arc<TestResult>, CommandError>>,
    ) {
        // Whoever asked may be gone; so below.
        if let Some(result) = self.tests.get(&test).and_then(|s| s.result.clone()) {
            let _ = reply.send(Ok(result));
            return;
        }
        let unknown = match self.core.tests().contains_key(&test) {
            true => format!("the plan of test {test} has not arrived here yet; try again"),
            false => format!("no test {test} is known here"),
        };
        let (store, input) = (self.store.clone(), self.result_input(test));
        // Reading, or decoding and adding up many histograms, takes a while; the loop goes on.
        tokio::task::spawn_blocking(move || {
            let made = || input.map(|input| Arc::new(input.build()));
            let result = store.get(test).or_else(made);
            let _ = reply.send(result.ok_or(CommandError::NotFound(unknown)));
        });
    }

    /// Everything that a test's result is made of.
    pub(super) fn result_input(&self, id: TestId) -> Option<ResultInput> {
        let t = self.core.tests().get(&id)?;
        let plan = self.tests.get(&id)?.plan.clone()?;
        let start = t.start();
        let since = |at: Time| start.map_or(0, |s| at.signed_since(s) / 1_000_000);
        let started_unix_ms = start.map(|s| self.unix_ms_of(s));
        Some(ResultInput {
            test: id,
            name: t.announcement().name.clone(),
            state: t.state(),
            complete: t.complete(),
            reason: t.ended().map(|e| e.reason.clone()),
            plan,
            started_unix_ms,
            coordinators: t
                .tenures()
                .iter()
                .map(|r| Tenure {
                    term: r.term,
                    peer: network::show_peer(&r.node.peer),
                    name: self.name_of(&r.node, t),
                    from_ms: since(r.from),
                    to_ms: r.to.map(since),
                })
                .collect(),
            workers: self.workers(t),
            events: t
                .events()
                .iter()
                .map(|e| Event {
                    at_ms: e.at_ms,
                    kind: e.kind.to_string(),
                    peer: e.node.as_ref().map(|n| network::show_peer(&n.peer)),
                    text: e.text.clone(),
                })
                .collect(),
            changes: load_changes(t.log(), self.room.max_pause),
            // Written by a node of the swarm; what is no table of values is none.
            values: t
                .setup_values()
                .and_then(|bytes| decode_values(bytes).ok())
                .unwrap_or_default(),
        })
    }

    fn workers(&self, t: &TestRun) -> Vec<WorkerInput> {
        let roster = t.ended().map_or(&[][..], |e| &e.roster[..]);
        let lost = t.lost();
        t.merge()
            .workers()
            .iter()
            .filter(|(n, m)| {
                m.slots > 0 || sent(m.counters()) > 0 || roster.iter().any(|e| e.worker == **n)
            })
            .map(|(n, m)| WorkerInput {
                peer: network::show_peer(&n.peer),
                incarnation: n.incarnation.0,
                name: self.name_of(n, t),
                metrics: m.clone(),
                lost_at: lost.get(n).copied(),
                environment: self.environment_of(n),
            })
            .collect()
    }

    /// What a worker's machine is, and what runs on it; empty if nobody says.
    fn environment_of(&self, node: &NodeId) -> String {
        let me = self.core.local();
        let (machine, version) = match self.core.members().get(&node.peer) {
            _ if node.peer == me.node.peer => (&me.environment, &me.version),
            Some(k) => (&k.advert.environment, &k.advert.version),
            None => return String::new(),
        };
        match machine.is_empty() {
            true => format!("vajra-node {version}"),
            false => format!("{machine}, vajra-node {version}"),
        }
    }

    pub(super) fn name_of(&self, node: &NodeId, t: &TestRun) -> String {
        if node.peer == self.core.local().node.peer {
            return self.core.local().name.clone();
        }
        let advertised = self
            .core
            .members()
            .get(&node.peer)
            .map(|k| k.advert.name.clone());
        let roster = t
            .ended()
            .and_then(|e| e.roster.iter().find(|r| r.worker == *node));
        let listed = roster.map(|r| r.name.clone()).filter(|n| !n.is_empty());
        listed.or(advertised).unwrap_or_default()
    }
}

fn sent(steps: &[vajra_core::metrics::StepCounters]) -> u64 {
    steps.iter().map(|s| s.counters.sent).sum()
}

fn live_entry(t: &TestRun, started_unix_ms: Option<u64>) -> TestEntry {
    TestEntry {
        test_id: t.id().to_string(),
        name: Some(t.announcement().name.clone()).filter(|n| !n.is_empty()),
        state: t.state(),
        verdict: None,
        started_at: started_unix_ms.map(rfc3339),
    }
}

/// A span in milliseconds, to the microsecond.
pub(super) fn show_ms(d: Duration) -> f64 {
    d.as_micros() as f64 / 1e3
}
