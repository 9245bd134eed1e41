//! The protocol of one node: routes inputs to tests, collects outputs, and handles messages of the
//! node to itself at once.

mod able_nodes;
mod gossip;
mod queries;
mod test_age;
mod unknown_tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use self::able_nodes::AbleNodes;
use super::announcement::Submission;
use super::effects::{Acceptance, Effects, EngineHeld, Loopback, Output};
use super::error::{HookError, PlanRejection};
use super::id::{NodeId, Peer, TestId};
use super::log::LoadCommand;
use super::membership::{AdvertChange, Membership};
use super::messages::{
    Advert, Announcement, Gossip, KnownTest, Reply, Request, Status, StopOrder, TestMessage,
    TestState,
};
use super::planted::{Bug, planted};
use super::signature::Keys;
use super::spec::{LocalNode, TestSpec, Timings};
use super::test_run::{Measurement, Origin, TestContext, TestRun};
use super::time::Time;
use crate::Hook;
use unknown_tests::UnknownTests;

pub use super::announcement::MAX_INLINE_PLAN;
pub use super::spec::MAX_LIVE_TESTS;
/// Ended tests whose metrics are kept for other nodes; the oldest are removed.
pub const MAX_ENDED_TESTS: usize = 32;
/// Removed tests whose ids are known; announcements older than a test can last are ignored anyway.
const MAX_FORGOTTEN: usize = MAX_ENDED_TESTS * 32;
/// Snapshots per reply: with up to three histograms of at most 50 KB each, they fit 1 MiB.
const SNAPSHOTS_PER_REPLY: usize = 6;
/// Minimum time between two adverts of a node in a small swarm.
const ADVERT_SPACING: Duration = Duration::from_millis(200);
/// Number of adverts after the start of a node that are repeated as soon as those of a busy one.
const FIRST_ADVERTS: u64 = 4;
/// Gap between two inputs from which on the node must have been suspended.
const SUSPENDED: Duration = Duration::from_secs(2);
/// Most rounds of messages of the node to itself per input; a few are normal, this many are a bug.
const MAX_ROUNDS: usize = 10_000;

/// An input of the state machine.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// Time passed.
    Tick,
    /// A gossip message. Its author is authenticated.
    Gossip {
        /// Author.
        author: Peer,
        /// Message.
        message: Gossip,
    },
    /// A request from an authenticated peer.
    Request {
        /// Sender.
        from: Peer,
        /// Request.
        request: Request,
    },
    /// The answer to a request of this node. A failed request has no input.
    Reply {
        /// Sender.
        from: Peer,
        /// Reply.
        reply: Reply,
    },
    /// The first connection to a peer was established.
    Connected(Peer),
    /// The last connection to a peer broke.
    Disconnected(Peer),
    /// Multiaddresses of this node.
    Addresses(Vec<String>),
    /// A test is submitted on this node: its announcement ([`Node::announcement`]) and plan.
    Submit(Announcement, Arc<[u8]>),
    /// Outcome of [`Output::Inspect`].
    Inspected {
        /// Test id.
        test: TestId,
        /// The plan's specification, or the reason why the plan cannot be used.
        spec: Result<TestSpec, PlanRejection>,
        /// Reason why this node cannot take part, if so.
        unable: Option<String>,
    },
    /// Metrics of the engine.
    Measured(TestId, Measurement),
    /// What the engine still acts on after a change of the share.
    Held(TestId, EngineHeld),
    /// Stop a test on every node.
    StopTest(TestId, StopOrder),
    /// This node, the coordinator, found that a threshold ends the test, for this reason.
    AbortTest(TestId, StopOrder, String),
    /// Change the load of a test; the number is the id of this request.
    LoadCommand(TestId, u64, LoadCommand),
    /// Outcome of [`Output::RunHook`]: the setup's values, or the reason for the failure.
    HookFinished(TestId, Hook, Result<Arc<[u8]>, HookError>),
    /// This node has another name from now on.
    Rename(String),
    /// Take no new share from now on.
    Drain,
    /// Leave the swarm.
    Leave(StopOrder),
}

/// The protocol of one node.
#[derive(Debug)]
pub struct Node {
    local: Arc<LocalNode>,
    keys: Arc<dyn Keys>,
    timings: Timings,
    members: Membership,
    tests: BTreeMap<TestId, TestRun>,
    /// Ended tests that were removed, oldest first; they are not taken up again.
    forgotten: VecDeque<TestId>,
    /// Running tests in adverts of which this node lacks the announcement.
    unknown: UnknownTests,
    /// Peers with a connection to this node.
    connected: BTreeSet<Peer>,
    addresses: Vec<String>,
    able: AbleNodes,
    advert_number: u64,
    next_advert: Time,
    last_advert: Option<Time>,
    advertised: Option<(Status, Vec<TestId>)>,
    last_input: Time,
    draining: bool,
    leaving: bool,
    /// Unix time in milliseconds at a local time, if the driver named one.
    wall_clock: Option<(Time, u64)>,
}

impl Node {
    /// A node that starts at `now`.
    pub fn new(local: LocalNode, keys: Arc<dyn Keys>, timings: Timings, now: Time) -> Node {
        Node {
            local: Arc::new(local),
            keys,
            timings,
            members: Membership::default(),
            tests: BTreeMap::new(),
            forgotten: VecDeque::new(),
            unknown: UnknownTests::default(),
            connected: BTreeSet::new(),
            addresses: Vec::new(),
            able: AbleNodes::default(),
            advert_number: 0,
            next_advert: now,
            last_advert: None,
            advertised: None,
            last_input: now,
            draining: false,
            leaving: false,
            wall_clock: None,
        }
    }

    /// Description of this node.
    pub fn local(&self) -> &LocalNode {
        &self.local
    }

    /// The other nodes.
    pub fn members(&self) -> &Membership {
        &self.members
    }

    /// All known tests.
    pub fn tests(&self) -> &BTreeMap<TestId, TestRun> {
        &self.tests
    }

    /// Timing profile.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Time between two snapshots: longer in a large swarm.
    pub fn metrics_interval(&self) -> Duration {
        self.timings.metrics_interval(self.members.len() + 1)
    }

    /// Status of this node.
    pub fn status(&self, now: Time) -> Status {
        let has_load = |t: &TestRun| {
            t.worker()
                .is_some_and(|w| !w.share(now).is_empty() && !w.finished())
        };
        let overloaded = |t: &TestRun| has_load(t) && t.worker().is_some_and(|w| w.overloaded());
        if self.leaving {
            Status::Leaving
        } else if self.draining {
            Status::Draining
        } else if self.tests.values().any(overloaded) {
            Status::Overloaded
        } else if self.tests.values().any(has_load) {
            Status::Running
        } else {
            Status::Idle
        }
    }

    /// Latest time of the next [`Input::Tick`], if no other input arrives before. A quiet node
    /// ticks as well, so that a gap between inputs means that it was suspended.
    pub fn next_wake(&self) -> Time {
        let tests = self.tests.values().map(TestRun::next_wake).min();
        let quiet = self.last_input + SUSPENDED;
        let wake = self.next_advert.min(quiet).min(self.unknown.next_wake());
        wake.min(tests.unwrap_or(Time::MAX))
    }

    /// Handles an input. The driver must carry out the outputs in order.
    pub fn handle(&mut self, now: Time, input: Input) -> Vec<Output> {
        let gap = now.since(self.last_input);
        let longest = SUSPENDED.max(self.timings.advert_interval(self.members.len(), true) * 2);
        if gap > longest && !planted(Bug::SuspensionIgnored) {
            self.members.suspended(gap);
        }
        self.last_input = now;
        let mut fx = Effects::default();
        self.dispatch(now, input, &mut fx);
        for _ in 0..MAX_ROUNDS {
            while let Some(message) = fx.loopback.pop_front() {
                self.handle_loopback(now, message, &mut fx);
            }
            self.tick(now, &mut fx);
            if fx.loopback.is_empty() {
                break;
            }
        }
        for output in &mut fx.outputs {
            self.gossip_if_unconnected(output);
        }
        fx.outputs
    }

    /// A message of an election to a node without a connection is gossiped, since others may relay
    /// it.
    fn gossip_if_unconnected(&self, output: &mut Output) {
        if let Output::Send(to, Request::Election(message)) = output
            && !self.connected.contains(to)
        {
            *output = Output::Publish(Gossip::Test(message.clone()));
        }
    }

    fn dispatch(&mut self, now: Time, input: Input, fx: &mut Effects) {
        match input {
            Input::Tick => {}
            Input::Gossip { author, message } => {
                let acceptance = self.gossip(now, &author, message, fx);
                fx.outputs.push(Output::Acceptance(acceptance));
            }
            Input::Request { from, request } => {
                let reply = self.request(now, &from, &request, fx);
                fx.outputs.push(Output::Reply(reply));
            }
            Input::Reply { from, reply } => self.reply(now, &from, reply, fx),
            Input::Connected(peer) => {
                self.members.connected(&peer);
                for t in self.tests.values_mut() {
                    t.node_rejoined(now, &peer, fx);
                }
                self.connected.insert(peer);
                self.advertise_soon(now);
            }
            Input::Disconnected(peer) => {
                self.members.disconnected(&peer);
                self.connected.remove(&peer);
            }
            Input::Addresses(addresses) => {
                self.addresses = addresses;
                self.advertise_now(now);
            }
            Input::Submit(announcement, plan) => self.submit(now, announcement, &plan, fx),
            Input::Inspected { test, spec, unable } => self.inspected(now, test, spec, unable, fx),
            Input::Measured(test, measurement) => {
                let nodes = self.members.len() + 1;
                if let Some(t) = self.tests.get_mut(&test) {
                    t.measured(now, measurement, nodes, fx);
                }
            }
            Input::Held(test, held) => {
                if let Some(t) = self.tests.get_mut(&test) {
                    t.engine_held(now, held, fx);
                }
            }
            Input::StopTest(test, order) => {
                if let Some(t) = self.tests.get_mut(&test) {
                    t.request_stop(now, order, fx);
                }
            }
            Input::AbortTest(test, order, why) => {
                if let Some(t) = self.tests.get_mut(&test) {
                    t.abort(now, order, why, fx);
                }
            }
            Input::LoadCommand(test, id, command) => {
                if let Some(t) = self.tests.get_mut(&test) {
                    t.request_load_change(now, id, command, fx);
                }
            }
            Input::HookFinished(test, hook, outcome) => {
                if let Some(t) = self.tests.get_mut(&test) {
                    t.hook_finished(now, hook, outcome, fx);
                }
            }
            Input::Rename(name) => {
                Arc::make_mut(&mut self.local).name = name;
                self.advertise_now(now);
            }
            Input::Drain => self.drain(),
            Input::Leave(order) => {
                self.leaving = true;
                for t in self.tests.values_mut() {
                    t.leave(now, order, fx);
                }
                self.next_advert = now;
            }
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        self.tests.values_mut().for_each(TestRun::drain);
    }

    fn handle_loopback(&mut self, now: Time, message: Loopback, fx: &mut Effects) {
        let me = self.local.node.peer.clone();
        match message {
            Loopback::Gossip(message) => {
                if let Some(t) = self.tests.get_mut(&message.test()) {
                    t.message(now, &message, fx);
                }
            }
            Loopback::Request(request) => {
                let reply = self.request(now, &me, &request, fx);
                fx.loopback.push_back(Loopback::Reply(reply));
            }
            Loopback::Reply(reply) => self.reply(now, &me, reply, fx),
        }
    }

    // ---- commands ----

    /// The announcement of a test that is to be submitted on this node.
    pub fn announcement(&self, now: Time, submission: &Submission) -> Announcement {
        let node = &self.local.node;
        let live = self.members.live_ids(now).chain([node.clone()]);
        Announcement::new(submission, node, live, &*self.keys)
    }

    fn submit(
        &mut self,
        now: Time,
        announcement: Announcement,
        plan: &Arc<[u8]>,
        fx: &mut Effects,
    ) {
        let id = announcement.test;
        self.add_test(now, announcement.clone(), Origin::Submitted, fx);
        if let Some(t) = self.tests.get_mut(&id) {
            t.offer_plan(now, plan, fx);
            fx.outputs
                .push(Output::Publish(Gossip::Test(TestMessage::Announced(
                    announcement,
                ))));
        }
    }

    fn inspected(
        &mut self,
        now: Time,
        test: TestId,
        spec: Result<TestSpec, PlanRejection>,
        unable: Option<String>,
        fx: &mut Effects,
    ) {
        let age_fits = |t: &TestRun, spec: &TestSpec| {
            self.may_be_running(now, t.announcement(), self.longest(spec))
        };
        let spec = match (self.tests.get(&test), spec) {
            (Some(t), Ok(spec)) if !age_fits(t, &spec) => {
                Err("its submission is too long ago, by the clock of this node"
                    .to_owned()
                    .into())
            }
            (_, spec) => spec,
        };
        let Some(t) = self.tests.get_mut(&test) else {
            return;
        };
        match spec {
            Ok(spec) => t.inspected(now, spec, unable, fx),
            Err(why) => {
                t.inspection_failed(now);
                fx.outputs.push(Output::Log(format!(
                    "the plan of test {test} cannot be used on this node: {why}"
                )));
            }
        }
    }

    // ---- time ----

    fn tick(&mut self, now: Time, fx: &mut Effects) {
        let due: Vec<TestId> = self
            .tests
            .iter()
            .filter(|(_, t)| t.next_wake() <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let able = match self.tests.get(&id) {
                Some(t) if t.needs_able_nodes() && t.state() == TestState::Registering => {
                    self.able.of_test(now, &self.members, t)
                }
                _ => Arc::default(),
            };
            if let Some(t) = self.tests.get_mut(&id) {
                for worker in t.missing_workers(now) {
                    let known = self.members.get(&worker.peer);
                    let name = known.map_or("a node", |k| &k.advert.name);
                    t.mark_missing(now, &worker, name, fx);
                }
                t.tick(now, &able, fx);
            }
        }
        self.request_announcements(now, fx);
        self.advertise(now, fx);
    }

    /// Sends the next advert as soon as possible.
    fn advertise_now(&mut self, now: Time) {
        self.advertise_by(now, now);
    }

    /// Sends the next advert soon, for a new node; one advert serves several new nodes.
    fn advertise_soon(&mut self, now: Time) {
        self.advertise_by(now, now + self.spacing(true) / 2);
    }

    fn advertise_by(&mut self, now: Time, by: Time) {
        let spacing = self.advert_spacing();
        let earliest = self.last_advert.map_or(now, |at| at + spacing);
        self.next_advert = self.next_advert.min(earliest.max(by));
    }

    /// Minimum time between two adverts of this node: one serves all changes and new nodes in between.
    /// Shorter right after its start, when other nodes wait for it; longer in a large swarm, in which
    /// every node receives each.
    fn advert_spacing(&self) -> Duration {
        self.spacing(self.advert_number <= FIRST_ADVERTS)
    }

    fn spacing(&self, short: bool) -> Duration {
        let regular = self.timings.advert_interval(self.members.len(), short);
        ADVERT_SPACING.max(regular / 10)
    }

    fn advertise(&mut self, now: Time, fx: &mut Effects) {
        let status = self.status(now);
        let running: Vec<TestId> = self
            .tests
            .values()
            .filter(|t| t.ended().is_none())
            .map(TestRun::id)
            .collect();
        if self
            .advertised
            .as_ref()
            .is_none_or(|(s, r)| *s != status || *r != running)
        {
            self.advertise_now(now);
        }
        if now < self.next_advert {
            return;
        }
        self.advert_number += 1;
        // The first adverts are repeated sooner: gossip to and from a new node may be lost.
        let busy = !running.is_empty() || self.advert_number <= FIRST_ADVERTS;
        let interval = self.timings.advert_interval(self.members.len(), busy);
        self.last_advert = Some(now);
        self.next_advert = now + interval;
        let known = running.iter().filter_map(|id| self.tests.get(id)).map(|t| {
            let leader = t.election().leader();
            KnownTest {
                test: t.id(),
                term: leader.map_or(0, |(term, _)| *term),
                coordinator: leader.map(|(_, n)| n.clone()),
                digest: t.announcement().digest,
            }
        });
        let advert = Advert {
            node: self.local.node.clone(),
            number: self.advert_number,
            name: self.local.name.clone(),
            version: self.local.version.clone(),
            addresses: self.addresses.clone(),
            capacity: self.local.capacity,
            load: self
                .tests
                .values()
                .filter_map(TestRun::worker)
                .map(|w| w.in_flight())
                .sum(),
            task_types: self.local.task_types.clone(),
            labels: self.local.labels.clone(),
            status,
            interval,
            tests: known.collect(),
            environment: self.local.environment.clone(),
        };
        self.advertised = Some((status, running));
        self.members.forget(now);
        self.able.retain(&self.tests);
        fx.outputs
            .push(Output::Publish(Gossip::Advert(Arc::new(advert))));
    }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
