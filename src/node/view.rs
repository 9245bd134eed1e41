//! What the node shows: nodes, tests, results, progress.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use tokio::sync::{broadcast, oneshot};

use super::driver::Driver;
use super::handle::{CommandError, EVENT_QUEUE, Progress};
use crate::network;
use crate::node::engine::load_changes;
use crate::plan::{Profile, Task, decode_values};
use crate::protocol::membership::{Health, Known};
use crate::protocol::messages::{Phase, Status};
use crate::protocol::metrics::{Counters, TimeKind, new_histogram};
use crate::protocol::test::Test;
use crate::protocol::{NodeId, TestId, Time};
use crate::report::{
    Event, NodeEntry, NodeList, Pool, Reign, ResultInput, TestEntry, TestList, TestResult,
    WorkerInput, phase_word,
};

/// Who listens to a test, and what the last line told them.
#[derive(Default)]
pub(super) struct Watchers {
    sender: Option<broadcast::Sender<Arc<Progress>>>,
    last: Option<Last>,
}

/// The totals behind the last line of progress; the next shows the difference.
struct Last {
    at: Time,
    sent: u64,
    response: Histogram<u64>,
    lag: Histogram<u64>,
}

impl Driver {
    // ---- nodes ----

    pub(super) fn nodes(&self) -> NodeList {
        let now = self.now();
        let me = self.core.myself();
        let isolated = self.isolated() && self.core.members().live(now).next().is_none();
        let status = match self.own_status() {
            Status::Idle if isolated => "isolated",
            other => status_word(other),
        };
        let mut nodes = vec![NodeEntry {
            peer: network::show_peer(&me.node.peer),
            incarnation: me.node.incarnation.0,
            name: me.name.clone(),
            is_self: true,
            addresses: self.addresses().to_vec(),
            version: me.version.clone(),
            status: status.into(),
            health: "healthy".into(),
            capacity: me.capacity,
            load: self.own_load(),
            task_types: me.task_types.clone(),
            labels: me.labels.clone(),
            ..NodeEntry::default()
        }];
        nodes.extend(self.core.members().all().map(|k| node_entry(k, now)));
        let pool = Pool::of(&nodes);
        NodeList { nodes, pool }
    }

    fn own_load(&self) -> u32 {
        let workers = self.core.tests().values().filter_map(Test::worker);
        workers.map(|w| w.in_flight()).sum()
    }

    // ---- tests ----

    pub(super) fn list_tests(&self) -> TestList {
        let mut tests: BTreeMap<TestId, TestEntry> = self
            .old
            .iter()
            .map(|(id, entry)| (*id, entry.clone()))
            .collect();
        for (id, t) in self.core.tests() {
            let kept = self.tests.get(id).and_then(|s| s.result.as_ref());
            let entry = kept.map_or_else(|| live_entry(t), |r| r.entry());
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
        if let Some(result) = self.kept(test) {
            // Whoever asked may be gone.
            let _ = reply.send(Ok(result));
            return;
        }
        match self.result_input(test) {
            // Decoding and adding up many histograms takes a while; the loop goes on.
            Some(input) => drop(tokio::task::spawn_blocking(move || {
                let _ = reply.send(Ok(Arc::new(input.build())));
            })),
            None => {
                let unknown = if self.core.tests().contains_key(&test) {
                    format!("the plan of test {test} has not arrived here yet; try again")
                } else {
                    format!("no test {test} is known here")
                };
                let _ = reply.send(Err(CommandError::NotFound(unknown)));
            }
        }
    }

    /// Everything that a test's result is made of.
    pub(super) fn result_input(&self, id: TestId) -> Option<ResultInput> {
        let t = self.core.tests().get(&id)?;
        let plan = self.tests.get(&id)?.plan.clone()?;
        let now = self.now();
        let start = t.start();
        let since = |at: Time| start.map_or(0, |s| at.signed_since(s) / 1_000_000);
        let started_unix_ms = start.map(|s| {
            let ago = now.signed_since(s) / 1_000_000;
            super::driver::unix_ms().saturating_add_signed(-ago)
        });
        Some(ResultInput {
            test: id,
            name: t.announcement().name.clone(),
            phase: t.phase(),
            complete: t.complete(),
            reason: t.ended().map(|e| e.reason.clone()),
            plan,
            started_unix_ms,
            coordinators: t
                .reigns()
                .iter()
                .map(|r| Reign {
                    term: r.term,
                    peer: network::show_peer(&r.node.peer),
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
                    kind: e.kind.clone(),
                    peer: e.peer.as_ref().map(network::show_peer),
                    text: e.text.clone(),
                })
                .collect(),
            changes: load_changes(t.decisions(), self.room.max_pause),
            // Written by a node of the swarm; what is no table of values is none.
            values: t
                .values()
                .and_then(|bytes| decode_values(bytes).ok())
                .unwrap_or_default(),
        })
    }

    fn workers(&self, t: &Test) -> Vec<WorkerInput> {
        let roster = t.ended().map_or(&[][..], |e| &e.roster[..]);
        let lost = |n: &NodeId| {
            roster
                .iter()
                .find(|e| e.worker == *n)
                .and_then(|e| e.lost_at)
        };
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
                lost_at: lost(n),
                environment: String::new(),
            })
            .collect()
    }

    fn name_of(&self, node: &NodeId, t: &Test) -> String {
        if node.peer == self.core.myself().node.peer {
            return self.core.myself().name.clone();
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

    // ---- progress ----

    pub(super) fn watch(
        &mut self,
        test: TestId,
    ) -> Result<broadcast::Receiver<Arc<Progress>>, CommandError> {
        if let Some(result) = self.kept(test) {
            let (sender, receiver) = broadcast::channel(1);
            // The receiver is right here.
            let _ = sender.send(Arc::new(ended_progress(&result)));
            return Ok(receiver);
        }
        if !self.core.tests().contains_key(&test) {
            return Err(CommandError::NotFound(format!(
                "no test {test} is known here"
            )));
        }
        let watchers = &mut self.served(test).watchers;
        let sender = watchers
            .sender
            .get_or_insert_with(|| broadcast::channel(EVENT_QUEUE).0);
        Ok(sender.subscribe())
    }

    fn kept(&self, test: TestId) -> Option<Arc<TestResult>> {
        let live = self.tests.get(&test).and_then(|s| s.result.clone());
        live.or_else(|| self.store.get(test))
    }

    /// A line of progress to whoever listens.
    pub(super) fn report_progress(&mut self) {
        let watched: Vec<TestId> = self
            .tests
            .iter()
            .filter(|(_, s)| {
                s.watchers
                    .sender
                    .as_ref()
                    .is_some_and(|w| w.receiver_count() > 0)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in watched {
            self.progress_of(id);
        }
    }

    /// The last line: the test has ended and its result is kept.
    pub(super) fn report_end(&mut self, test: TestId) {
        let Some(result) = self.kept(test) else {
            return;
        };
        let watchers = &mut self.served(test).watchers;
        if let Some(sender) = watchers.sender.take() {
            // Nobody may be listening any more.
            let _ = sender.send(Arc::new(ended_progress(&result)));
        }
        watchers.last = None;
    }

    fn progress_of(&mut self, id: TestId) {
        let now = self.now();
        let Some(t) = self.core.tests().get(&id) else {
            return;
        };
        let plan = self.tests.get(&id).and_then(|s| s.plan.clone());
        let elapsed_s = t.start().map_or(0.0, |s| now.signed_since(s) as f64 / 1e9);
        let (mut asked, mut users, mut duration_s) = (0.0, 0, 0.0);
        if let Some(plan) = &plan {
            let profile = Profile::changed(
                &plan.load,
                &load_changes(t.decisions(), self.room.max_pause),
            );
            duration_s = profile.end().as_secs_f64();
            let at = Duration::from_secs_f64(elapsed_s.max(0.0));
            users = profile.users_at(at);
            // Of scenarios it is not known beforehand how many requests they are.
            asked = match plan.task {
                Task::Scenarios(_) => 0.0,
                _ => profile.rate_at(at),
            };
        }
        let mut totals = Counters::default();
        let mut nodes = 0;
        for m in t.merge().workers().values() {
            nodes += u32::from(m.slots > 0);
            m.counters().iter().for_each(|s| totals.add(&s.counters));
        }
        let response = merged(t, TimeKind::Response);
        let lag = merged(t, TimeKind::Lag);
        let phase = t.phase();
        let watchers = &mut self.served(id).watchers;
        let since = |h: &Histogram<u64>, last: Option<&Histogram<u64>>| {
            let mut interval = h.clone();
            // What was merged earlier is part of what is merged now, so this cannot fail.
            let subtracted = last.is_none_or(|l| interval.subtract(l).is_ok());
            (subtracted && !interval.is_empty()).then_some(interval)
        };
        let last = watchers.last.as_ref();
        let interval = since(&response, last.map(|l| &l.response));
        let lag_interval = since(&lag, last.map(|l| &l.lag));
        // The first line tells of all the time before it.
        let seconds = last.map_or(elapsed_s.max(1.0), |l| {
            now.since(l.at).as_secs_f64().max(0.001)
        });
        let ms = |h: &Option<Histogram<u64>>, q| {
            h.as_ref().map(|h| h.value_at_quantile(q) as f64 / 1000.0)
        };
        let progress = Progress {
            test_id: id.to_string(),
            // The last line, with state `ended`, is sent with the result.
            state: phase_word(phase.min(Phase::Stopping)).into(),
            elapsed_s,
            duration_s,
            nodes,
            asked,
            users,
            rate: totals.sent.saturating_sub(last.map_or(0, |l| l.sent)) as f64 / seconds,
            sent: totals.sent,
            failed: totals.failed,
            p50_ms: ms(&interval, 0.5),
            p99_ms: ms(&interval, 0.99),
            lag_p99_ms: ms(&lag_interval, 0.99),
        };
        watchers.last = Some(Last {
            at: now,
            sent: totals.sent,
            response,
            lag,
        });
        if let Some(sender) = &watchers.sender {
            // Nobody may be listening any more.
            let _ = sender.send(Arc::new(progress));
        }
    }
}

fn sent(steps: &[crate::protocol::metrics::StepCounters]) -> u64 {
    steps.iter().map(|s| s.counters.sent).sum()
}

fn merged(t: &Test, kind: TimeKind) -> Histogram<u64> {
    let mut all = new_histogram();
    let mut decoder = Deserializer::new();
    for (_, data) in t
        .merge()
        .workers()
        .values()
        .flat_map(|m| m.histograms(kind))
    {
        // Checked where it came in, and of the one configuration.
        if let Ok(h) = decoder.deserialize::<u64, _>(&mut &data[..]) {
            let _ = all.add(&h);
        }
    }
    all
}

fn ended_progress(result: &TestResult) -> Progress {
    Progress {
        test_id: result.test_id.clone(),
        state: "ended".into(),
        elapsed_s: result.duration_s,
        duration_s: result.duration_s,
        nodes: result.nodes.len() as u32,
        asked: result.rate.asked,
        users: 0,
        rate: result.rate.achieved,
        sent: result.totals.sent,
        failed: result.totals.failed,
        p50_ms: result.response_time_ms.as_ref().map(|s| s.p50),
        p99_ms: result.response_time_ms.as_ref().map(|s| s.p99),
        lag_p99_ms: result.lag_ms.as_ref().map(|s| s.p99),
    }
}

fn live_entry(t: &Test) -> TestEntry {
    TestEntry {
        test_id: t.id().to_string(),
        name: Some(t.announcement().name.clone()).filter(|n| !n.is_empty()),
        state: phase_word(t.phase()).into(),
        verdict: None,
        started_at: None,
    }
}

fn node_entry(k: &Known, now: Time) -> NodeEntry {
    let a = &k.advert;
    NodeEntry {
        peer: network::show_peer(&a.node.peer),
        incarnation: a.node.incarnation.0,
        name: a.name.clone(),
        is_self: false,
        addresses: a.addresses.clone(),
        version: a.version.clone(),
        status: status_word(a.status).into(),
        health: match k.health(now) {
            Health::Healthy => "healthy",
            Health::Late => "late",
            Health::Gone => "gone",
        }
        .into(),
        capacity: a.capacity,
        load: a.load,
        task_types: a.task_types.clone(),
        labels: a.labels.clone(),
        heard_ms: Some(now.since(k.heard).as_millis() as u64),
        ..NodeEntry::default()
    }
}

fn status_word(status: Status) -> &'static str {
    match status {
        Status::Unknown => "unknown",
        Status::Idle => "idle",
        Status::Running => "running",
        Status::Overloaded => "overloaded",
        Status::Error => "error",
        Status::Draining => "draining",
        Status::Leaving => "leaving",
    }
}
