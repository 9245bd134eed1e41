//! The whole protocol of one node: what comes in goes to the right test, what goes out is
//! collected, and messages of the node to itself are handled on the spot.

mod gossip;
mod queries;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::decisions::LoadCommand;
use super::effects::{Acceptance, Effects, Loopback, Output};
use super::id::{NodeId, Peer, TestId};
use super::membership::{Membership, News};
use super::messages::{
    Advert, Announcement, Gossip, KnownTest, Reply, Request, Status, StopOrder, TestMessage,
    TestState,
};
use super::planted::{Bug, planted};
use super::rendezvous::electorate;
use super::spec::{LocalNode, Submission, TestSpec, Timings};
use super::test_run::{Measurement, TestRun};
use super::time::Time;
use crate::Hook;

/// Most tests alive at once on a node; announcements beyond it are ignored.
pub const MAX_LIVE_TESTS: usize = 32;
/// Ended tests whose metrics are kept for others to fetch; the oldest go.
pub const MAX_ENDED_TESTS: usize = 32;
/// Plans of at most this many bytes ride along with their announcement.
pub const MAX_INLINE_PLAN: usize = 8 * 1024;
/// Snapshots in one reply: with up to three histograms of at most 50 KB each, they fit 1 MiB.
const SNAPSHOTS_A_REPLY: usize = 6;
/// Least time between two adverts of a node in a small swarm.
const ADVERT_SPACING: Duration = Duration::from_millis(200);
/// A gap between two inputs beyond which the node must have slept.
const SLEPT: Duration = Duration::from_secs(2);
/// Time between two questions about the same unknown test.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Rounds of messages to oneself in one input; a few are normal, this many are a bug.
const MAX_ROUNDS: usize = 10_000;

/// Something that happened to a node.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// Time passed.
    Tick,
    /// A gossip message; its author is authenticated.
    Gossip {
        /// Who wrote it.
        author: Peer,
        /// What it says.
        message: Gossip,
    },
    /// A request from an authenticated peer.
    Request {
        /// Who asks.
        from: Peer,
        /// What is asked.
        request: Request,
    },
    /// The answer to a request of ours. A failed request comes back as nothing.
    Reply {
        /// Who answers.
        from: Peer,
        /// What.
        reply: Reply,
    },
    /// The first connection to a peer is there.
    Connected(Peer),
    /// The last connection to a peer broke.
    Disconnected(Peer),
    /// Where this node can be dialled.
    Addresses(Vec<String>),
    /// A test is started here.
    Submit(Submission),
    /// The driver has inspected a plan, as [`Output::Inspect`] asked.
    Inspected {
        /// The test.
        test: TestId,
        /// What the protocol must know of the plan, or why it is no plan.
        spec: Result<TestSpec, String>,
        /// Why this node will not carry it.
        unable: Option<String>,
    },
    /// The engine measured.
    Measured(TestId, Measurement),
    /// A test is to be stopped on every node.
    StopTest(TestId, StopOrder),
    /// This node coordinates the test and has found that it is to end, for this reason.
    AbortTest(TestId, StopOrder, String),
    /// The load of a test is to be changed; the number is the asker's own for this request.
    LoadCommand(TestId, u64, LoadCommand),
    /// This node ran setup or teardown, as [`Output::RunOnce`] asked: the setup's values, or
    /// why it failed.
    Ran(TestId, Hook, Result<Arc<[u8]>, String>),
    /// This node has another name from now on.
    Rename(String),
    /// This node takes no new share from now on.
    Drain,
    /// This node leaves.
    Leave(StopOrder),
}

/// The protocol of one node.
#[derive(Debug)]
pub struct Node {
    myself: Arc<LocalNode>,
    timings: Timings,
    members: Membership,
    tests: BTreeMap<TestId, TestRun>,
    /// Tests ended and forgotten: never taken up again.
    forgotten: BTreeSet<TestId>,
    asked: BTreeMap<TestId, Time>,
    addresses: Vec<String>,
    advert_number: u64,
    next_advert: Time,
    last_advert: Option<Time>,
    advertised: Option<(Status, Vec<TestId>)>,
    last_input: Time,
    draining: bool,
    leaving: bool,
}

impl Node {
    /// A node that starts at `now`.
    pub fn new(myself: LocalNode, timings: Timings, now: Time) -> Node {
        Node {
            myself: Arc::new(myself),
            timings,
            members: Membership::default(),
            tests: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            asked: BTreeMap::new(),
            addresses: Vec::new(),
            advert_number: 0,
            next_advert: now,
            last_advert: None,
            advertised: None,
            last_input: now,
            draining: false,
            leaving: false,
        }
    }

    /// This node.
    pub fn myself(&self) -> &LocalNode {
        &self.myself
    }

    /// The other nodes.
    pub fn members(&self) -> &Membership {
        &self.members
    }

    /// Every test known.
    pub fn tests(&self) -> &BTreeMap<TestId, TestRun> {
        &self.tests
    }

    /// The clockwork.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Time between two measurements: longer in a large swarm.
    pub fn metrics_interval(&self) -> Duration {
        self.timings.metrics_interval(self.members.len() + 1)
    }

    /// What this node is doing.
    pub fn status(&self, now: Time) -> Status {
        let carries = |t: &TestRun| {
            t.worker()
                .is_some_and(|w| w.share(now) > 0 && !w.finished())
        };
        let overloaded = |t: &TestRun| carries(t) && t.worker().is_some_and(|w| w.overloaded());
        if self.leaving {
            Status::Leaving
        } else if self.draining {
            Status::Draining
        } else if self.tests.values().any(overloaded) {
            Status::Overloaded
        } else if self.tests.values().any(carries) {
            Status::Running
        } else {
            Status::Idle
        }
    }

    /// When [`Input::Tick`] is due, if nothing else comes in before.
    pub fn next_wake(&self) -> Time {
        let tests = self.tests.values().map(TestRun::next_wake).min();
        self.next_advert.min(tests.unwrap_or(Time::MAX))
    }

    /// Handles an input; the outputs are to be carried out in their order.
    pub fn handle(&mut self, now: Time, input: Input) -> Vec<Output> {
        let gap = now.since(self.last_input);
        let longest = SLEPT.max(self.timings.advert_interval(self.members.len()) * 2);
        if gap > longest && !planted(Bug::SleeperBlames) {
            self.members.slept(gap);
        }
        self.last_input = now;
        let mut fx = Effects::default();
        self.dispatch(now, input, &mut fx);
        for _ in 0..MAX_ROUNDS {
            while let Some(message) = fx.to_self.pop_front() {
                self.hear_myself(now, message, &mut fx);
            }
            self.tick(now, &mut fx);
            if fx.to_self.is_empty() {
                break;
            }
        }
        fx.outputs
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
                self.greet(now);
            }
            Input::Disconnected(peer) => self.members.disconnected(&peer),
            Input::Addresses(addresses) => {
                self.addresses = addresses;
                self.hurry_advert(now);
            }
            Input::Submit(submission) => self.submit(now, submission, fx),
            Input::Inspected { test, spec, unable } => self.inspected(now, test, spec, unable, fx),
            Input::Measured(test, measurement) => {
                let nodes = self.members.len() + 1;
                if let Some(t) = self.tests.get_mut(&test) {
                    t.measured(now, measurement, nodes, fx);
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
            Input::LoadCommand(test, id, steer) => {
                if let Some(t) = self.tests.get_mut(&test) {
                    t.request_steer(now, id, steer, fx);
                }
            }
            Input::Ran(test, once, how) => {
                if let Some(t) = self.tests.get_mut(&test) {
                    t.ran(now, once, how, fx);
                }
            }
            Input::Rename(name) => {
                Arc::make_mut(&mut self.myself).name = name;
                self.hurry_advert(now);
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

    fn hear_myself(&mut self, now: Time, message: Loopback, fx: &mut Effects) {
        let me = self.myself.node.peer.clone();
        match message {
            Loopback::Gossip(message) => {
                if let Some(t) = self.tests.get_mut(&message.test()) {
                    t.message(now, &message, fx);
                }
            }
            Loopback::Request(request) => {
                let reply = self.request(now, &me, &request, fx);
                fx.to_self.push_back(Loopback::Reply(reply));
            }
            Loopback::Reply(reply) => self.reply(now, &me, reply, fx),
        }
    }

    // ---- commands ----

    fn submit(&mut self, now: Time, s: Submission, fx: &mut Effects) {
        let live = self.members.live_ids(now).chain([self.myself.node.clone()]);
        let announcement = Announcement {
            test: s.test,
            submitter: self.myself.node.clone(),
            digest: s.digest(),
            plan_len: s.plan.len() as u32,
            plan: (s.plan.len() <= MAX_INLINE_PLAN).then(|| s.plan.clone()),
            electorate: electorate(s.test, live),
            submitted_unix_ms: s.unix_ms,
            name: s.name,
        };
        self.announced(now, announcement.clone(), fx);
        if let Some(t) = self.tests.get_mut(&s.test) {
            t.offered_plan(&s.plan, fx);
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
        spec: Result<TestSpec, String>,
        unable: Option<String>,
        fx: &mut Effects,
    ) {
        let Some(t) = self.tests.get_mut(&test) else {
            return;
        };
        match spec {
            Ok(spec) => t.inspected(now, spec, unable, fx),
            Err(why) => fx.outputs.push(Output::Log(format!(
                "the plan of test {test} cannot be used here: {why}"
            ))),
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
                Some(t) if t.wants_able() && t.phase() == TestState::Registering => {
                    self.able(now, t.spec())
                }
                _ => BTreeSet::new(),
            };
            if let Some(t) = self.tests.get_mut(&id) {
                for worker in t.left_behind(now) {
                    let known = self.members.get(&worker.peer);
                    let name = known.map_or("a node", |k| &k.advert.name);
                    t.lost_before(now, &worker, name, fx);
                }
                t.tick(now, &able, fx);
            }
        }
        self.advertise(now, fx);
    }

    /// The live nodes that say they could take part in a test.
    fn able(&self, now: Time, spec: Option<&TestSpec>) -> BTreeSet<NodeId> {
        let Some(spec) = spec else {
            return BTreeSet::new();
        };
        let fits = |a: &Advert| {
            !matches!(a.status, Status::Draining | Status::Leaving)
                && spec.unfit(&a.task_types, &a.labels).is_none()
        };
        self.members
            .live(now)
            .filter(|k| fits(&k.advert))
            .map(|k| k.advert.node.clone())
            .collect()
    }

    /// Something changed that others should know soon.
    fn hurry_advert(&mut self, now: Time) {
        self.advertise_by(now, now);
    }

    /// A newcomer should know of this node soon; if many come at once, one advert is for all.
    fn greet(&mut self, now: Time) {
        self.advertise_by(now, now + self.advert_spacing() / 2);
    }

    fn advertise_by(&mut self, now: Time, by: Time) {
        let spacing = self.advert_spacing();
        let earliest = self.last_advert.map_or(now, |at| at + spacing);
        self.next_advert = self.next_advert.min(earliest.max(by));
    }

    /// Least time between two adverts of this node: longer in a large swarm, of which all
    /// hear each.
    fn advert_spacing(&self) -> Duration {
        let regular = self.timings.advert_interval(self.members.len());
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
            self.hurry_advert(now);
        }
        if now < self.next_advert {
            return;
        }
        let interval = self.timings.advert_interval(self.members.len());
        self.advert_number += 1;
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
            node: self.myself.node.clone(),
            number: self.advert_number,
            name: self.myself.name.clone(),
            version: self.myself.version.clone(),
            addresses: self.addresses.clone(),
            capacity: self.myself.capacity,
            load: self
                .tests
                .values()
                .filter_map(TestRun::worker)
                .map(|w| w.in_flight())
                .sum(),
            task_types: self.myself.task_types.clone(),
            labels: self.myself.labels.clone(),
            status,
            interval,
            tests: known.collect(),
            environment: self.myself.environment.clone(),
        };
        self.advertised = Some((status, running));
        self.members.forget(now);
        fx.outputs.push(Output::Publish(Gossip::Advert(advert)));
    }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
