//! Lifecycle of one test on one node: its election, its coordinator if that is this node, this
//! node's worker, the merged metrics, and the end.

mod absence;
mod aside;
mod coordination;
mod deadline;
mod end;
mod granted;
mod load_commands;
mod observed;
mod plan;
mod requests;
mod state;
mod views;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aside::Granted;
pub use state::Tenure;
use state::{End, LoadChanges, Observed, PlanCopy, Stop};

use super::beat::Beat;
use super::budget::Allowance;
use super::coordinator::{Coordinator, CoordinatorInit, MAX_EVENTS};
use super::effects::{Effects, EngineHeld, Output};
use super::election::{BeatBody, Change, Election};
use super::error::HookError;
use super::id::{NodeId, Peer, TestId};
use super::log::{LoadCommand, LogEntry, refusal};
use super::merge::Merge;
use super::messages::{
    Announcement, EndReason, Ended, Gossip, Reply, Request, StopOrder, TestEvent, TestMessage,
    TestState,
};
use super::planted::{Bug, planted};
use super::signature::{Keys, SIGNATURE_LEN, Signature};
use super::spec::{LocalNode, OnLost, TestSpec, Timings};
use super::stop::SignedStop;
use super::time::{Time, for_waiter};
use super::worker::Worker;
use crate::Hook;
use crate::metrics::{Piece, Snapshot};

/// Time between repetitions of announcements, stops, ends and fetches.
const REPEAT: Duration = Duration::from_millis(500);
/// Repetitions of the end without a request.
const END_REPEATS: u32 = 6;
/// Fetches of missing snapshots before the result stays incomplete.
const MAX_FETCHES: u32 = 40;
/// Metrics of the engine, passed in by the driver.
#[derive(Clone, PartialEq, Debug)]
pub struct Measurement {
    /// Whether it is the last measurement.
    pub is_final: bool,
    /// Time since the start of the profile.
    pub elapsed: Duration,
    /// CPU time of the engine threads.
    pub engine_cpu: Duration,
    /// Number of engine threads.
    pub engine_threads: u32,
    /// Whether the engine cannot time its load well, so that the share should be reduced.
    pub overloaded: bool,
    /// All counters and histograms, cumulative.
    pub pieces: Vec<Piece>,
}

/// How a test came to this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// It was submitted here.
    Submitted,
    /// Another node announced it.
    Announced,
}

/// What all tests of a node share.
#[derive(Clone, Debug)]
pub struct TestContext {
    /// Description of the node.
    pub local: Arc<LocalNode>,
    /// Keys of the node.
    pub keys: Arc<dyn Keys>,
    /// Timing profile.
    pub timings: Timings,
}

/// One test on one node.
#[derive(Debug)]
pub struct TestRun {
    announcement: Announcement,
    announced_at: Time,
    next_announce: Time,
    local: Arc<LocalNode>,
    keys: Arc<dyn Keys>,
    timings: Timings,
    /// It was submitted on this node, in this run of its process.
    submitted_here: bool,
    plan: PlanCopy,
    spec: Option<TestSpec>,
    election: Election,
    coordinator: Option<Coordinator>,
    worker: Option<Worker>,
    merge: Merge,
    granted: Granted,
    own: OwnMetrics,
    observed: Observed,
    stop: Stop,
    load_changes: LoadChanges,
    end: End,
    draining: bool,
}

/// Snapshots of this node's worker.
#[derive(Debug, Default)]
struct OwnMetrics {
    /// Number of the last snapshot.
    snapshots: u64,
    allowance: Allowance,
}

impl TestRun {
    /// A test whose authentic announcement arrived at `now`.
    pub fn new(
        announcement: Announcement,
        origin: Origin,
        context: TestContext,
        now: Time,
        fx: &mut Effects,
    ) -> TestRun {
        let TestContext {
            local,
            keys,
            timings,
        } = context;
        let election = Election::new(
            announcement.test,
            local.node.clone(),
            announcement.electorate.clone(),
            keys.clone(),
            timings.clone(),
            now,
        );
        // What this node did itself it knows from its own state, never from a message.
        let submitted_here = origin == Origin::Submitted;
        let mut test = TestRun {
            announced_at: now,
            next_announce: if submitted_here {
                now + REPEAT
            } else {
                Time::MAX
            },
            plan: PlanCopy {
                bytes: None,
                next_fetch: now,
                fetches: 0,
                inspecting: None,
                inspected: None,
            },
            spec: None,
            election,
            coordinator: None,
            worker: None,
            merge: Merge::default(),
            granted: Granted::default(),
            own: OwnMetrics::default(),
            observed: Observed::default(),
            stop: Stop::default(),
            load_changes: LoadChanges::default(),
            end: End::default(),
            draining: false,
            announcement,
            local,
            keys,
            timings,
            submitted_here,
        };
        if let Some(plan) = test.announcement.plan.clone() {
            test.plan_arrived(now, plan, fx);
        }
        test
    }

    /// Handles a message about this test. Its author is authenticated.
    pub fn message(&mut self, now: Time, message: &TestMessage, fx: &mut Effects) {
        match message {
            TestMessage::Ended(ended) => {
                self.on_ended(now, ended, false, fx);
                return;
            }
            TestMessage::Stop { stop, .. } => self.receive_stop(now, stop, fx),
            TestMessage::LoadCommand { id, command, .. } => {
                self.receive_load_command(now, *id, *command, fx)
            }
            _ => {}
        }
        if self.end.ended.is_some() {
            return;
        }
        if let TestMessage::Beat(beat) = message {
            let (term, coordinator) = (beat.term, &beat.coordinator);
            if !self.election.certify(term, coordinator, &beat.certificate) {
                return;
            }
            if term >= self.election.term()
                && (*coordinator == self.local.node || self.election.is_new_beat(term, beat.number))
            {
                self.beat(now, beat, fx);
            }
        }
        let change = self.election.handle(now, message, fx);
        self.react(now, change, fx);
        self.record_events(message);
        self.record_resignation(now, message);
        self.update_acknowledged();
        self.commit_own(now, fx);
        if let TestMessage::Vote { stop, .. } = message
            && let Some(stop) = stop
        {
            self.receive_stop(now, stop, fx);
        }
    }

    /// Takes over what a new beat of a certified coordinator says.
    fn beat(&mut self, now: Time, beat: &Beat, fx: &mut Effects) {
        let committed = (beat.committed as usize).min(beat.log.len());
        self.commit(&beat.log[..committed], fx);
        self.observed.state = beat.state;
        self.observed.beat_arrived(now, beat.ends_within);
        if let Some(since) = beat.since_start
            && !planted(Bug::StartForgotten)
        {
            let start = now.shifted(since.saturating_neg());
            self.election.record_start(beat.term, start);
        }
        self.allocation_named(now, beat.allocation, fx);
        if beat.coordinator == self.local.node {
            self.follow(now, beat.term, &beat.coordinator, fx);
        }
    }

    /// Takes no new share on this node.
    pub fn drain(&mut self) {
        self.draining = true;
        if let Some(worker) = &mut self.worker {
            worker.drain();
        }
    }

    /// This node leaves: its worker returns its share, its tenure ends.
    pub fn leave(&mut self, now: Time, order: StopOrder, fx: &mut Effects) {
        if self.end.ended.is_some() {
            return;
        }
        if let Some(worker) = &mut self.worker {
            worker.leave(order, fx);
        }
        if self.election.leading().is_some() {
            let change = self.election.step_down(now, fx);
            self.react(now, Some(change), fx);
        }
        self.election.retire();
    }

    /// Latest time of the next `tick`.
    pub fn next_wake(&self) -> Time {
        let always = self
            .end
            .next_repeat
            .min(self.end.next_fetch)
            .min(self.stop.next_repeat);
        let always = always.min(self.load_changes.next_repeat);
        let coordinator = self.coordinator.as_ref();
        let coordinator = coordinator.filter(|_| self.election.leading().is_some());
        let coordinator = coordinator.map_or(Time::MAX, Coordinator::next_wake);
        let worker = self.worker.as_ref().map_or(Time::MAX, Worker::next_wake);
        if self.end.ended.is_some() {
            return always.min(worker);
        }
        always
            .min(worker)
            .min(coordinator)
            .min(self.next_announce)
            .min(self.plan.next_fetch)
            .min(self.election.next_wake())
            .min(self.absence_due())
            .min(self.deadline())
    }

    /// Handles the passing of time. `able` are the live nodes that could take part.
    pub fn tick(&mut self, now: Time, able: &BTreeSet<NodeId>, fx: &mut Effects) {
        if now >= self.end.next_repeat {
            self.repeat_end(now, fx);
        }
        if now >= self.end.next_fetch {
            self.fetch_missing(now, fx);
        }
        if let Some(worker) = &mut self.worker {
            worker.tick(now, fx);
        }
        if now >= self.stop.next_repeat {
            self.stop.next_repeat = Time::MAX;
            let own = |(stop, _): &(SignedStop, Time)| stop.by == self.local.node;
            if let Some((stop, _)) = self.stop.request.clone().filter(own) {
                self.publish_stop(now, stop, fx);
            }
        }
        if now >= self.load_changes.next_repeat {
            self.repeat_load_commands(now, fx);
        }
        if self.end.ended.is_some() {
            return;
        }
        if now >= self.deadline() {
            self.conclude(now, fx);
            return;
        }
        if now >= self.absence_due() {
            self.record_absence(fx);
        }
        if now >= self.next_announce {
            self.next_announce = now + REPEAT;
            fx.publish(TestMessage::Announced(self.announcement.clone()));
        }
        if now >= self.plan.next_fetch {
            self.fetch_plan(now, fx);
        }
        self.tick_election(now, fx);
        let Some(coordinator) = &mut self.coordinator else {
            return;
        };
        if !self.election.has_authority(now) {
            return;
        }
        let known = |c: &Coordinator| {
            let numbers = c.free_numbers().map(|(_, generation)| generation);
            (c.start().is_some(), c.log().len(), numbers)
        };
        let before = known(coordinator);
        if let Some(ended) = coordinator.tick(now, able, fx) {
            let mut ended = Ended {
                certificate: self.election.certificate(),
                ..self.with_unregistered(ended)
            };
            ended.sign(&*self.keys);
            fx.publish(TestMessage::Ended(ended));
            return;
        }
        let changed = known(coordinator) != before;
        self.see_own_list(now, fx);
        let Some(coordinator) = &mut self.coordinator else {
            return;
        };
        if let Some(order) = coordinator
            .failure_stop()
            .filter(|_| !self.stop.requested_here)
        {
            self.request_stop(now, order, fx);
        }
        if changed {
            // Electors must acknowledge the change before it is acted on.
            self.election.beat_now(now);
            self.tick_election(now, fx);
        }
    }

    fn tick_election(&mut self, now: Time, fx: &mut Effects) {
        let change = self.election.tick(now, self.beat_body(now), fx);
        self.react(now, change, fx);
        self.update_acknowledged();
        self.commit_own(now, fx);
    }
}

#[cfg(test)]
mod tests;

fn not_coordinator() -> Reply {
    Reply::Refused("this node is not the coordinator".into())
}
