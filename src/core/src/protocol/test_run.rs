//! One test as one node lives through it: its election, the coordinator if that is here, this
//! node's worker, the merged metrics, the end.

mod answering;
mod deciding;
mod ending;
mod views;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::budget::Allowance;
use super::coordinator::{Coordinator, CoordinatorInit, MAX_EVENTS};
use super::decisions::{LoadCommand, LogEntry, refuse};
use super::effects::{Effects, Output};
use super::election::{BeatBody, Change, Election};
use super::id::{NodeId, Peer, TestId};
use super::merge::Merge;
use super::messages::{
    Announcement, EndReason, Ended, Gossip, Reply, Request, StopOrder, TestEvent, TestMessage,
    TestState,
};
use super::planted::{Bug, planted};
use super::spec::{LocalNode, TestSpec, Timings};
use super::time::{Time, awaited};
use super::worker::Worker;
use crate::Hook;
use crate::metrics::{Piece, Snapshot};

/// Time between repetitions of what must not be missed: announcement, stop, end, fetches.
const REPEAT: Duration = Duration::from_millis(500);
/// How often the end is repeated, unasked.
const END_REPEATS: u32 = 6;
/// How often missing snapshots are asked for before the result stays incomplete.
const MAX_FETCHES: u32 = 40;
/// Terms remembered for display; more mean that the swarm is in no state to test anything.
const MAX_REIGNS: usize = 64;

/// What the engine measured, as the driver hands it in.
#[derive(Clone, PartialEq, Debug)]
pub struct Measurement {
    /// No later one follows.
    pub is_final: bool,
    /// Time since the start of the profile.
    pub elapsed: Duration,
    /// CPU time of the engine threads.
    pub engine_cpu: Duration,
    /// The engine threads.
    pub engine_threads: u32,
    /// It cannot time its load well any more: this node wants a smaller share.
    pub overloaded: bool,
    /// All counters and histograms, cumulative.
    pub pieces: Vec<Piece>,
}

/// A coordinator's time in office, as seen here.
#[derive(Clone, PartialEq, Debug)]
pub struct Tenure {
    /// Its term.
    pub term: u64,
    /// Who.
    pub node: NodeId,
    /// First heard of.
    pub from: Time,
    /// Followed by another, or resigned.
    pub to: Option<Time>,
}

/// One test on one node.
#[derive(Debug)]
pub struct TestRun {
    announcement: Announcement,
    announced_at: Time,
    next_announce: Time,
    myself: Arc<LocalNode>,
    timings: Timings,
    plan: Option<Arc<[u8]>>,
    next_plan_fetch: Time,
    plan_fetches: usize,
    spec: Option<TestSpec>,
    election: Election,
    coordinator: Option<Coordinator>,
    worker: Option<Worker>,
    merge: Merge,
    snapshots: u64,
    allowance: Allowance,
    phase: TestState,
    last_beat: Option<Time>,
    stop: Option<(StopOrder, Time)>,
    /// This node repeats the stop until it is heeded.
    next_stop: Time,
    /// The stop was asked for here.
    stop_is_mine: bool,
    /// The settled decisions, as far as they are known here.
    settled: Arc<[LogEntry]>,
    /// Changes of the load asked for here and not decided yet, and until when they are
    /// repeated.
    asked: Vec<(u64, LoadCommand, Time)>,
    next_steer: Time,
    reigns: Vec<Tenure>,
    events: Vec<TestEvent>,
    ended: Option<Ended>,
    ended_at: Time,
    /// The end was concluded here, not heard from a coordinator.
    concluded: bool,
    end_repeats: u32,
    next_end: Time,
    complete: bool,
    next_fetch: Time,
    fetches: u32,
    draining: bool,
}

impl TestRun {
    /// A test whose announcement arrived at `now`.
    pub fn new(
        announcement: Announcement,
        myself: Arc<LocalNode>,
        timings: Timings,
        now: Time,
        fx: &mut Effects,
    ) -> TestRun {
        let election = Election::new(
            announcement.test,
            myself.node.clone(),
            announcement.electorate.clone(),
            timings.clone(),
            now,
        );
        let mine = announcement.submitter == myself.node;
        let mut test = TestRun {
            plan: None,
            next_plan_fetch: now,
            plan_fetches: 0,
            spec: None,
            election,
            coordinator: None,
            worker: None,
            merge: Merge::default(),
            snapshots: 0,
            allowance: Allowance::default(),
            phase: TestState::Electing,
            last_beat: None,
            stop: None,
            next_stop: Time::MAX,
            stop_is_mine: false,
            settled: Arc::from([]),
            asked: Vec::new(),
            next_steer: Time::MAX,
            reigns: Vec::new(),
            events: Vec::new(),
            ended: None,
            ended_at: Time::MAX,
            concluded: false,
            end_repeats: 0,
            next_end: Time::MAX,
            complete: false,
            next_fetch: Time::MAX,
            fetches: 0,
            draining: false,
            announced_at: now,
            next_announce: if mine { now + REPEAT } else { Time::MAX },
            announcement,
            myself,
            timings,
        };
        if let Some(plan) = test.announcement.plan.clone() {
            test.plan_arrived(plan, fx);
        }
        test
    }

    // ---- the plan ----

    fn plan_arrived(&mut self, plan: Arc<[u8]>, fx: &mut Effects) {
        if self.plan.is_some() || super::id::Digest::of(&plan) != self.announcement.digest {
            return;
        }
        self.plan = Some(plan.clone());
        self.next_plan_fetch = Time::MAX;
        fx.outputs.push(Output::Inspect {
            test: self.id(),
            submitter: self.announcement.submitter.clone(),
            plan,
        });
    }

    /// Bytes that may be this test's plan.
    pub fn offered_plan(&mut self, plan: &Arc<[u8]>, fx: &mut Effects) {
        if self.ended.is_none() {
            self.plan_arrived(plan.clone(), fx);
        }
    }

    /// The driver has looked at the plan: a spec, and why this node will not carry it, if so.
    pub fn inspected(
        &mut self,
        now: Time,
        spec: TestSpec,
        unable: Option<String>,
        fx: &mut Effects,
    ) {
        if self.spec.is_some() || self.ended.is_some() {
            return;
        }
        let me = &self.myself;
        let unable = unable.or_else(|| spec.unfit(&me.task_types, &me.labels));
        let unable = unable.or_else(|| {
            self.draining
                .then(|| "is draining and takes no new share".to_owned())
        });
        // Whoever can't carry out the plan can't carry out its setup and teardown either.
        let stands_back = unable.is_some() && spec.around() > Duration::ZERO;
        let mut worker = Worker::new(
            self.id(),
            self.myself.clone(),
            spec.clone(),
            self.announcement.digest,
            unable,
            self.timings.clone(),
            fx,
        );
        if let Some((term, node)) = self.election.leader() {
            worker.follow(now, *term, &node.clone(), fx);
        }
        if let Some((order, _)) = self.stop {
            worker.stop(order, fx);
        }
        worker.decide(&self.settled, fx);
        self.worker = Some(worker);
        self.spec = Some(spec);
        self.election.allow_leading();
        if stands_back {
            self.election.stand_back(now);
        }
    }

    fn fetch_plan(&mut self, now: Time, fx: &mut Effects) {
        let mut sources = vec![&self.announcement.submitter];
        sources.extend(&self.announcement.electorate);
        sources.retain(|n| **n != self.myself.node);
        self.next_plan_fetch = now + REPEAT;
        if sources.is_empty() {
            return;
        }
        let source = sources[self.plan_fetches % sources.len()].peer.clone();
        self.plan_fetches += 1;
        fx.send(
            &self.myself.node,
            &source,
            Request::FetchPlan(self.announcement.digest),
        );
    }

    // ---- gossip ----

    /// Handles a message about this test; its author is proven.
    pub fn message(&mut self, now: Time, message: &TestMessage, fx: &mut Effects) {
        match message {
            TestMessage::Ended(ended) => {
                self.on_ended(now, ended, false, fx);
                return;
            }
            TestMessage::Stop { order, .. } => self.hear_stop(now, *order, fx),
            TestMessage::LoadCommand { id, steer, .. } => self.hear_steer(now, *id, *steer, fx),
            _ => {}
        }
        if self.ended.is_some() {
            return;
        }
        if let TestMessage::Beat {
            term,
            coordinator,
            since_start,
            phase,
            decisions,
            settled,
            ..
        } = message
            && *term >= self.election.term()
        {
            let settled = (*settled as usize).min(decisions.len());
            self.settle(&decisions[..settled], fx);
            self.phase = *phase;
            self.last_beat = Some(now);
            if let Some(since) = since_start
                && !planted(Bug::StartForgotten)
            {
                let start = now.shifted(since.saturating_neg());
                self.election.hear_start(*term, start);
            }
            if *coordinator == self.myself.node {
                self.follow(now, *term, coordinator, fx);
            }
        }
        let change = self.election.handle(now, message, fx);
        self.react(now, change, fx);
        self.note_events(message);
        self.tell_acknowledged();
        self.settle_own(now, fx);
        if let Some((order, at)) = self.election.heard().stop.map(|s| (s, now))
            && self.stop.is_none()
        {
            self.hear_stop(at, order, fx);
        }
    }

    /// Shares are given only once a majority of electors knows the start.
    fn tell_acknowledged(&mut self) {
        let acknowledged = self.election.acknowledged();
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.acknowledged(acknowledged);
        }
    }

    /// What became settled in this node's office is acted on here, too, and told at once.
    fn settle_own(&mut self, now: Time, fx: &mut Effects) {
        let office = self.coordinator.as_ref();
        let settled = office.map_or(&[][..], Coordinator::settled);
        if settled.len() > self.settled.len() {
            let settled = settled.to_vec();
            self.settle(&settled, fx);
            self.election.hurry_beat(now);
        }
    }

    fn react(&mut self, now: Time, change: Option<Change>, fx: &mut Effects) {
        match change {
            Some(Change::Won { term }) => self.take_office(now, term, fx),
            Some(Change::Lost { term }) => {
                self.leave_office();
                self.end_reign(now, term);
            }
            Some(Change::Leader { .. }) | None => {}
        }
        if self.election.leading().is_none()
            && let Some((term, node)) = self.election.leader().cloned()
            && self.reigns.last().is_none_or(|r| r.term < term)
        {
            self.leave_office();
            if self.begin_reign(now, term, &node) {
                fx.outputs.push(Output::Led(self.id(), node.clone()));
            }
            self.follow(now, term, &node, fx);
        }
    }

    fn follow(&mut self, now: Time, term: u64, node: &NodeId, fx: &mut Effects) {
        if let Some(worker) = &mut self.worker {
            worker.follow(now, term, node, fx);
        }
    }

    /// Returns whether there was room to note it.
    fn begin_reign(&mut self, now: Time, term: u64, node: &NodeId) -> bool {
        if let Some(last) = self.reigns.last_mut() {
            last.to.get_or_insert(now);
        }
        let room = self.reigns.len() < MAX_REIGNS;
        if room {
            self.reigns.push(Tenure {
                term,
                node: node.clone(),
                from: now,
                to: None,
            });
        }
        self.next_announce = Time::MAX;
        room
    }

    fn end_reign(&mut self, now: Time, term: u64) {
        if let Some(last) = self.reigns.iter_mut().find(|r| r.term == term) {
            last.to.get_or_insert(now);
        }
    }

    fn take_office(&mut self, now: Time, term: u64, fx: &mut Effects) {
        let Some(spec) = self.spec.clone() else {
            return;
        };
        let heard = self.election.heard().clone();
        let charge = CoordinatorInit {
            test: self.id(),
            me: self.myself.node.clone(),
            term,
            won_at: now,
            spec,
            digest: self.announcement.digest,
            earlier_lease: heard.share_lease,
            start: self.start(),
            stop: self.stop.map(|(s, _)| s).or(heard.stop),
            decisions: heard.decisions.list.to_vec(),
            events: self.events.clone(),
        };
        self.coordinator = Some(Coordinator::new(charge, self.timings.clone(), fx));
        let me = self.myself.node.clone();
        self.begin_reign(now, term, &me);
    }

    // ---- drain and leave ----

    /// This node takes no new share.
    pub fn drain(&mut self) {
        self.draining = true;
        if let Some(worker) = &mut self.worker {
            worker.drain();
        }
    }

    /// This node leaves: its worker gives its share back, its office ends.
    pub fn leave(&mut self, now: Time, order: StopOrder, fx: &mut Effects) {
        if self.ended.is_some() {
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

    // ---- time ----

    /// When to be woken next.
    pub fn next_wake(&self) -> Time {
        let always = self.next_end.min(self.next_fetch).min(self.next_stop);
        let always = always.min(self.next_steer);
        let office = self.coordinator.as_ref();
        let office = office.filter(|_| self.election.leading().is_some());
        let office = office.map_or(Time::MAX, Coordinator::next_wake);
        let worker = self.worker.as_ref().map_or(Time::MAX, Worker::next_wake);
        if self.ended.is_some() {
            return always.min(worker);
        }
        always
            .min(worker)
            .min(office)
            .min(self.next_announce)
            .min(self.next_plan_fetch)
            .min(self.election.next_wake())
            .min(self.gives_up_at())
    }

    /// If this node coordinates, ends the test for a reason of its own.
    pub fn abort(&mut self, now: Time, order: StopOrder, why: String, fx: &mut Effects) {
        let office = self.coordinator.as_mut();
        if office.is_some_and(|c| c.broke(now, why, fx)) {
            self.request_stop(now, order, fx);
        }
    }

    /// Whether this node coordinates and wants to know who could take part.
    pub fn wants_able(&self) -> bool {
        self.coordinator.is_some()
    }

    /// Time passed. `able` are the live nodes that could take part.
    pub fn tick(&mut self, now: Time, able: &BTreeSet<NodeId>, fx: &mut Effects) {
        if now >= self.next_end {
            self.repeat_end(now, fx);
        }
        if now >= self.next_fetch {
            self.fetch_missing(now, fx);
        }
        if let Some(worker) = &mut self.worker {
            worker.tick(now, fx);
        }
        if now >= self.next_stop {
            self.next_stop = Time::MAX;
            if let Some((order, _)) = self.stop {
                self.publish_stop(now, order, fx);
            }
        }
        if now >= self.next_steer {
            self.ask_again(now, fx);
        }
        if self.ended.is_some() {
            return;
        }
        if now >= self.gives_up_at() {
            self.give_up(now, fx);
            return;
        }
        if now >= self.next_announce {
            self.next_announce = now + REPEAT;
            fx.publish(TestMessage::Announced(self.announcement.clone()));
        }
        if now >= self.next_plan_fetch {
            self.fetch_plan(now, fx);
        }
        self.tick_election(now, fx);
        let Some(coordinator) = &mut self.coordinator else {
            return;
        };
        if !self.election.has_authority(now) {
            return;
        }
        let known = |c: &Coordinator| (c.start().is_some(), c.decisions().len());
        let before = known(coordinator);
        if let Some(ended) = coordinator.tick(now, able, fx) {
            fx.publish(TestMessage::Ended(self.with_unreported(ended)));
            return;
        }
        let changed = known(coordinator) != before;
        if let Some(order) = coordinator.stops().filter(|_| !self.stop_is_mine) {
            self.request_stop(now, order, fx);
        }
        if changed {
            // The electors must know it before anybody acts on it.
            self.election.hurry_beat(now);
            self.tick_election(now, fx);
        }
    }

    /// If this node coordinates, the workers of earlier terms that have not come back in time,
    /// and that nobody has told of. Hook.
    pub fn left_behind(&mut self, now: Time) -> Vec<NodeId> {
        if !self.election.has_authority(now) {
            return Vec::new();
        }
        let office = self.coordinator.as_mut();
        if !office.is_some_and(|c| c.closes_accounts(now)) {
            return Vec::new();
        }
        let (told, office) = (self.lost(), self.coordinator.as_ref());
        let came = |n: &NodeId| office.is_some_and(|c| c.knows(n));
        let workers = self.merge.workers().iter();
        let carried = workers.filter(|(_, m)| m.carried() && !m.is_final);
        let untold = carried.filter(|(n, _)| !told.contains_key(n) && !came(n));
        untold.map(|(n, _)| n.clone()).collect()
    }

    /// One of them is lost.
    pub fn lost_before(&mut self, now: Time, worker: &NodeId, name: &str, fx: &mut Effects) {
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.lost_before(now, worker, name, fx);
        }
    }

    fn tick_election(&mut self, now: Time, fx: &mut Effects) {
        let change = self.election.tick(now, self.beat_body(now), fx);
        self.react(now, change, fx);
        self.tell_acknowledged();
        self.settle_own(now, fx);
    }

    fn beat_body(&self, now: Time) -> BeatBody {
        let Some(c) = &self.coordinator else {
            return BeatBody::default();
        };
        BeatBody {
            share_lease: c.wanted_share_lease(),
            since_start: c.start().map(|s| now.signed_since(s)),
            phase: c.phase(),
            decisions: c.decisions().into(),
            events: c.told(now),
        }
    }

    fn leave_office(&mut self) {
        if let Some(coordinator) = self.coordinator.take() {
            self.events = coordinator.events();
        }
    }

    /// Keeps what the beat of the coordinator, if that is another node, tells of what happened;
    /// each event is told more than once.
    fn note_events(&mut self, message: &TestMessage) {
        let TestMessage::Beat {
            term,
            coordinator,
            events,
            ..
        } = message
        else {
            return;
        };
        let leads = |(t, node): &(u64, NodeId)| (t, node) == (term, coordinator);
        if self.coordinator.is_some() || !self.election.leader().is_some_and(leads) {
            return;
        }
        for event in events {
            if self.events.len() < MAX_EVENTS && !self.events.contains(event) {
                self.events.push(event.clone());
            }
        }
    }
}

fn not_coordinator() -> Reply {
    Reply::Refused("this node is not the coordinator".into())
}
