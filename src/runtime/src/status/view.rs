//! Nodes, tests and results, as the API shows them. All names of nodes are made unique here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::observe::{MAX_SHOWN, Observation, ObservedTest, ObservedWorker, SHOWN_AFTER_END};
use crate::names::{DisplayNames, name_of};
use crate::peers::Peers;
use crate::plans::{PlannedLoad, Plans};
use crate::queries::{is_running, newest_term};
use crate::results::Results;
use crate::time::{NodeClock, in_ms};
use crate::timeline::Timelines;
use vajra_core::protocol::membership::{Health, Known};
use vajra_core::protocol::messages::{Status, TestState};
use vajra_core::protocol::spec::SLOTS;
use vajra_core::protocol::test_run::{Tenure as Observed, TestRun};
use vajra_core::protocol::{Node, NodeId, TestId, Time};
use vajra_network::{self as network, NetworkHandle};
use vajra_plan::decode_values;
use vajra_results::{
    Absence, Event, NoCoordinator, NodeEntry, NodeHealth, NodeList, NodeStatus, Pool, ResultInput,
    SwarmEvent, Tenure, TestEntry, TestList, WorkerInput, rfc3339,
};

/// The state of a node, for display.
pub struct View<'a> {
    /// The protocol.
    pub core: &'a Node,
    /// The clocks.
    pub clock: &'a NodeClock,
    /// The plans of the tests.
    pub plans: &'a Plans,
    /// The results.
    pub results: &'a Results,
    /// The timelines.
    pub timelines: &'a Timelines,
    /// The other nodes.
    pub peers: &'a Peers,
    /// Addresses at which this node can be dialled.
    pub addresses: &'a [String],
}

impl View<'_> {
    fn now(&self) -> Time {
        self.clock.now()
    }

    // ---- nodes ----

    /// The nodes of the swarm, this one first.
    pub fn nodes(&self) -> NodeList {
        let (now, me) = (self.now(), self.core.local());
        let is_isolated =
            self.peers.never_connected() && self.core.members().live(now).next().is_none();
        let status = match self.core.status(now) {
            Status::Idle if is_isolated => NodeStatus::Isolated,
            other => other.into(),
        };
        let names = DisplayNames::of_swarm(self.core, None);
        let mut nodes = vec![NodeEntry {
            peer: network::show_peer(&me.node.peer),
            incarnation: me.node.incarnation.0,
            name: names.show(&me.node.peer, &me.name),
            configured_name: me.name.clone(),
            is_self: true,
            addresses: self.addresses.to_vec(),
            version: me.version.clone(),
            status,
            health: NodeHealth::Healthy,
            capacity: me.capacity,
            load: self.own_load(),
            task_types: me.task_types.clone(),
            labels: me.labels.clone(),
            environment: me.environment.clone(),
            lag_p99_ms: self.lag_of(&me.node),
            shares: self.shares_of(&me.node),
            ..NodeEntry::default()
        }];
        let others = self.core.members().all();
        let others = others.filter(|known| known.advert.status != Status::Leaving);
        nodes.extend(others.map(|known| self.node_entry(known, &names, now)));
        let pool = Pool::of(&nodes);
        NodeList { nodes, pool }
    }

    fn own_load(&self) -> u32 {
        let workers = self.core.tests().values().filter_map(TestRun::worker);
        workers.map(|w| w.in_flight()).sum()
    }

    fn node_entry(&self, known: &Known, names: &DisplayNames, now: Time) -> NodeEntry {
        let (advert, peer) = (&known.advert, &known.advert.node.peer);
        let health = known.health(now);
        let clock_offset_ms = self.peers.clock_offset_ms(peer);
        NodeEntry {
            peer: network::show_peer(peer),
            incarnation: advert.node.incarnation.0,
            name: names.show(peer, &advert.name),
            configured_name: advert.name.clone(),
            is_self: false,
            addresses: advert.addresses.clone(),
            version: advert.version.clone(),
            status: advert.status.into(),
            health: health.into(),
            capacity: advert.capacity,
            load: advert.load,
            task_types: advert.task_types.clone(),
            labels: advert.labels.clone(),
            last_seen_ms: Some(now.since(known.received).as_millis() as u64),
            round_trip_ms: self.peers.round_trip(peer).map(in_ms),
            // Adding 0.0 turns -0.0 into 0.0.
            clock_offset_ms: clock_offset_ms.map(|ms| ms.round() + 0.0),
            environment: advert.environment.clone(),
            lag_p99_ms: self.lag_of(&advert.node),
            shares: match health {
                // Its last report is out of date.
                Health::Gone => BTreeMap::new(),
                Health::Healthy | Health::Late => self.shares_of(&advert.node),
            },
        }
    }

    fn lag_of(&self, node: &NodeId) -> Option<f64> {
        let peer = network::show_peer(&node.peer);
        self.timelines
            .lag_of(&peer, |test| is_running(self.core, test))
    }

    /// A node's share of each running test, as last reported.
    fn shares_of(&self, node: &NodeId) -> BTreeMap<String, f64> {
        let running = self.core.tests().values().filter(|t| t.ended().is_none());
        let shares = running.filter_map(|t| {
            let slots = t.merge().workers().get(node)?.slots;
            let share = f64::from(slots) / f64::from(SLOTS);
            (slots > 0).then(|| (t.id().to_string(), share))
        });
        shares.collect()
    }

    /// The newest events of the swarm, newest first.
    pub fn swarm_events(&self, limit: usize) -> Vec<SwarmEvent> {
        let names = DisplayNames::of_swarm(self.core, None);
        let mut events = self.peers.events(limit);
        for event in &mut events {
            if let Some(peer) = network::parse_peer(&event.peer) {
                event.name = names.show(&peer, &event.name);
            }
        }
        events
    }

    // ---- tests ----

    /// The tests of all nodes, newest first. What this node tracks itself takes precedence.
    pub fn tests(&self) -> TestList {
        let mut tests = self.results.entries();
        for (id, t) in self.core.tests() {
            let entry = self.results.current(*id).map_or_else(
                || live_entry(t, t.start().map(|start| self.clock.unix_ms_at(start))),
                |result| result.entry(),
            );
            tests.insert(*id, entry);
        }
        TestList {
            tests: tests.into_values().rev().collect(),
        }
    }

    /// The input for the result of a test; none before its plan was read.
    pub fn result_input(&self, test: TestId) -> Option<ResultInput> {
        let t = self.core.tests().get(&test)?;
        let plan = self.plans.get(test)?.clone();
        let names = DisplayNames::of_swarm(self.core, Some(t));
        let name = |node: &NodeId| names.show(&node.peer, name_of(self.core, t, node));
        let start = t.start();
        let since_start = |at: Time| start.map_or(0, |s| at.signed_since(s) / 1_000_000);
        let absent = t.no_coordinator_since(self.now());
        // A coordinator without a message for longer than its authority lasts is none.
        let ended = |tenure: &Observed| absent.map(|since| since.max(tenure.from));
        let tenures = t.tenures().iter().map(|tenure| Tenure {
            term: tenure.term,
            peer: network::show_peer(&tenure.node.peer),
            name: name(&tenure.node),
            from_ms: since_start(tenure.from),
            to_ms: tenure.to.or(ended(tenure)).map(since_start),
        });
        let events = t.events();
        let events = events.iter().map(|event| Event {
            at_ms: event.at_ms,
            kind: event.kind.clone(),
            peer: event.node.as_ref().map(|n| network::show_peer(&n.peer)),
            text: event.text.clone(),
        });
        Some(ResultInput {
            test,
            name: t.announcement().name.clone(),
            state: t.state(),
            complete: t.complete(),
            reason: t.ended().map(|e| e.reason.clone()),
            plan,
            redacted: self.plans.redacted(test).cloned(),
            started_unix_ms: start.map(|s| self.clock.unix_ms_at(s)),
            coordinators: tenures.collect(),
            absence: self.absence(t),
            workers: self.workers(t, name),
            events: events.collect(),
            changes: self.plans.changes(t),
            // Another node wrote them; invalid ones are ignored.
            values: t
                .setup_values()
                .and_then(|bytes| decode_values(bytes).ok())
                .unwrap_or_default(),
            unused_numbers: t.ended().and_then(|e| e.unused_numbers),
        })
    }

    /// The absence of a coordinator of a running test. It is shown once an election has had time to
    /// replace the coordinator.
    fn absence(&self, t: &TestRun) -> Option<Absence> {
        let now = self.now();
        let (start, since) = (t.start()?, t.no_coordinator_since(now)?);
        let (silent, electors) = t.silent_electors(now)?;
        let since_start = |at: Time| at.signed_since(start) / 1_000_000;
        let stopped = t.load_stopped_at(now);
        // Reports arrive several times in a share lease.
        let lease = self.core.timings().share_lease(t.merge().workers().len());
        let reported = stopped.is_some_and(|at| now >= at + lease);
        Some(Absence {
            shown: NoCoordinator {
                since_ms: since_start(since),
                load_stopped_ms: stopped.map(since_start),
                silent_electors: silent as u32,
                electors: electors as u32,
            },
            accounted: reported.then(|| now.since(start)),
        })
    }

    fn workers(&self, t: &TestRun, name: impl Fn(&NodeId) -> String) -> Vec<WorkerInput> {
        let roster = t.ended().map_or(&[][..], |ended| &ended.roster[..]);
        let registered: BTreeSet<&NodeId> = roster.iter().map(|entry| &entry.worker).collect();
        let lost = t.lost();
        let workers = t.merge().workers().iter();
        let carried = workers.filter(|(node, metrics)| {
            let sent = metrics.counters().iter().any(|s| s.counters.sent > 0);
            metrics.slots > 0 || sent || registered.contains(node)
        });
        let inputs = carried.map(|(node, metrics)| WorkerInput {
            peer: network::show_peer(&node.peer),
            incarnation: node.incarnation.0,
            name: name(node),
            metrics: metrics.clone(),
            lost_at: lost.get(node).copied(),
            environment: self.environment_of(node),
        });
        inputs.collect()
    }

    /// A worker's machine and version; empty if unknown.
    fn environment_of(&self, node: &NodeId) -> String {
        let me = self.core.local();
        let (machine, version) = match self.core.members().get(&node.peer) {
            _ if node.peer == me.node.peer => (&me.environment, &me.version),
            Some(known) => (&known.advert.environment, &known.advert.version),
            None => return String::new(),
        };
        match machine.is_empty() {
            true => format!("vajra-node {version}"),
            false => format!("{machine}, vajra-node {version}"),
        }
    }

    // ---- monitoring ----

    /// The figures for a monitoring system. `engine_threads` is the number per test.
    pub fn observe(&self, net: Option<&NetworkHandle>, engine_threads: usize) -> Observation {
        let now = self.now();
        let tests = self.core.tests();
        let recent = tests.values().filter(|t| {
            t.ended_at()
                .is_none_or(|at| now.since(at) <= SHOWN_AFTER_END)
        });
        // Ids sort by start time.
        let shown = recent.rev().take(MAX_SHOWN);
        let mut by_state: BTreeMap<TestState, u64> = BTreeMap::new();
        for t in tests.values() {
            *by_state.entry(t.state()).or_default() += 1;
        }
        let stored_only = self.results.stored().filter(|id| !tests.contains_key(id));
        *by_state.entry(TestState::Ended).or_default() += stored_only.count() as u64;
        Observation {
            nodes: self.nodes(),
            by_state,
            tests: shown.map(|t| self.observe_test(t)).collect(),
            network: net.map(NetworkHandle::stats),
            libp2p: net.map(NetworkHandle::libp2p_metrics),
            engine_threads,
        }
    }

    fn observe_test(&self, t: &TestRun) -> ObservedTest {
        let result = self.results.current(t.id());
        let elapsed = match (result, t.start()) {
            (Some(result), _) => Duration::from_secs_f64(result.duration_s.max(0.0)),
            (None, Some(start)) => self.now().since(start),
            (None, None) => Duration::ZERO,
        };
        let mut planned = self.plans.planned(t, elapsed);
        if t.state() == TestState::Ended {
            planned = PlannedLoad {
                duration_s: planned.duration_s,
                ..PlannedLoad::default()
            };
        }
        let plan = self.plans.get(t.id());
        ObservedTest {
            id: t.id(),
            name: t.announcement().name.clone(),
            state: t.state(),
            verdict: result.and_then(|r| r.verdict),
            elapsed,
            duration: Duration::from_secs_f64(planned.duration_s),
            planned: planned.rate,
            users: planned.users,
            term: newest_term(self.core, t.id()),
            coordinator_changes: t.tenures().len().saturating_sub(1) as u64,
            limits: plan.map(|plan| plan.limits.clone()).unwrap_or_default(),
            workers: self.observe_workers(t),
        }
    }

    fn observe_workers(&self, t: &TestRun) -> Vec<ObservedWorker> {
        let (me, lost) = (&self.core.local().node, t.lost());
        let carrying = t.merge().workers().iter().filter(|(_, m)| m.had_load());
        let workers = carrying.map(|(node, metrics)| ObservedWorker {
            is_self: node == me,
            metrics: metrics.clone(),
            lost: lost.contains_key(node) || self.is_absent(node),
        });
        workers.collect()
    }

    fn is_absent(&self, node: &NodeId) -> bool {
        let now = self.now();
        let is_present = |k: &Known| k.advert.node == *node && k.health(now) != Health::Gone;
        let known = self.core.members().get(&node.peer);
        *node != self.core.local().node && !known.is_some_and(is_present)
    }
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
