//! One test as one node lives through it: its election, the coordinator if that is here, this
//! node's worker, the merged metrics, the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::coordinator::{Charge, Coordinator};
use super::effects::{Effects, Output};
use super::election::{BeatBody, Change, Election};
use super::id::{NodeId, Peer, TestId};
use super::merge::{Merge, WorkerMetrics};
use super::messages::{
    Announcement, EndReason, Ended, Gossip, Phase, Reply, Request, RosterEntry, StopOrder,
    TestEvent, TestMessage,
};
use super::metrics::{Piece, Snapshot};
use super::spec::{Myself, TestSpec, Timings};
use super::time::{Time, awaited};
use super::worker::Worker;

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
    /// All counters and histograms, cumulative.
    pub pieces: Vec<Piece>,
}

/// A coordinator's time in office, as seen here.
#[derive(Clone, PartialEq, Debug)]
pub struct Reign {
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
pub struct Test {
    announcement: Announcement,
    announced_at: Time,
    next_announce: Time,
    myself: Arc<Myself>,
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
    phase: Phase,
    heard_start: Option<Time>,
    last_beat: Option<Time>,
    stop: Option<(StopOrder, Time)>,
    /// This node repeats the stop until it is heeded.
    next_stop: Time,
    /// The stop was asked for here.
    stop_is_mine: bool,
    reigns: Vec<Reign>,
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

impl Test {
    /// A test whose announcement arrived at `now`.
    pub fn new(
        announcement: Announcement,
        myself: Arc<Myself>,
        timings: Timings,
        now: Time,
        fx: &mut Effects,
    ) -> Test {
        let election = Election::new(
            announcement.test,
            myself.node.clone(),
            announcement.electorate.clone(),
            timings.clone(),
            now,
        );
        let mine = announcement.submitter == myself.node;
        let mut test = Test {
            plan: None,
            next_plan_fetch: now,
            plan_fetches: 0,
            spec: None,
            election,
            coordinator: None,
            worker: None,
            merge: Merge::default(),
            snapshots: 0,
            phase: Phase::Electing,
            heard_start: None,
            last_beat: None,
            stop: None,
            next_stop: Time::MAX,
            stop_is_mine: false,
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

    // ---- what it looks like from outside ----

    /// The announcement.
    pub fn announcement(&self) -> &Announcement {
        &self.announcement
    }

    /// Its id.
    pub fn id(&self) -> TestId {
        self.announcement.test
    }

    /// The plan's bytes, once they are here.
    pub fn plan(&self) -> Option<&Arc<[u8]>> {
        self.plan.as_ref()
    }

    /// What the protocol knows of the plan, once it has been inspected.
    pub fn spec(&self) -> Option<&TestSpec> {
        self.spec.as_ref()
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        match &self.coordinator {
            _ if self.ended.is_some() => Phase::Ended,
            Some(c) => c.phase().max(self.phase),
            None => self.phase,
        }
    }

    /// The start of the profile on this node's clock, as exactly as it is known here.
    pub fn start(&self) -> Option<Time> {
        let worker = self.worker.as_ref().and_then(Worker::start);
        let office = self.coordinator.as_ref().and_then(Coordinator::start);
        worker.or(office).or(self.heard_start)
    }

    /// The merged metrics.
    pub fn merge(&self) -> &Merge {
        &self.merge
    }

    /// The end, once it is known.
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// When the end was learned of.
    pub fn ended_at(&self) -> Option<Time> {
        self.ended.as_ref().map(|_| self.ended_at)
    }

    /// Every final snapshot that the result consists of is here.
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// The coordinators so far.
    pub fn reigns(&self) -> &[Reign] {
        &self.reigns
    }

    /// What happened, as this node knows it.
    pub fn events(&self) -> &[TestEvent] {
        self.ended
            .as_ref()
            .filter(|_| !self.concluded)
            .map_or(&self.events, |e| &e.events)
    }

    /// This node's worker.
    pub fn worker(&self) -> Option<&Worker> {
        self.worker.as_ref()
    }

    /// The coordinator, if it is here.
    pub fn coordinator(&self) -> Option<&Coordinator> {
        self.coordinator.as_ref()
    }

    /// The election.
    pub fn election(&self) -> &Election {
        &self.election
    }

    /// When it was announced here.
    pub fn announced_at(&self) -> Time {
        self.announced_at
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
        let unable = unable.or_else(|| {
            self.draining
                .then(|| "is draining and takes no new share".to_owned())
        });
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
        self.worker = Some(worker);
        self.spec = Some(spec);
        self.election.allow_leading();
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
            ..
        } = message
            && *term >= self.election.term()
        {
            self.phase = *phase;
            self.last_beat = Some(now);
            if let Some(since) = since_start {
                // A beat that came late makes the start look later than it was.
                let start = now.shifted(since.saturating_neg());
                self.heard_start = Some(self.heard_start.map_or(start, |s| s.min(start)));
            }
            if *coordinator == self.myself.node {
                self.follow(now, *term, coordinator, fx);
            }
        }
        let change = self.election.handle(now, message, fx);
        self.react(now, change, fx);
        if let Some((order, at)) = self.election.heard().stop.map(|s| (s, now))
            && self.stop.is_none()
        {
            self.hear_stop(at, order, fx);
        }
    }

    fn react(&mut self, now: Time, change: Option<Change>, fx: &mut Effects) {
        match change {
            Some(Change::Won { term }) => self.take_office(now, term, fx),
            Some(Change::Lost { term }) => {
                self.coordinator = None;
                self.end_reign(now, term);
            }
            Some(Change::Leader { .. }) | None => {}
        }
        if self.election.leading().is_none()
            && let Some((term, node)) = self.election.leader().cloned()
            && self.reigns.last().is_none_or(|r| r.term < term)
        {
            self.coordinator = None;
            self.begin_reign(now, term, &node);
            self.follow(now, term, &node, fx);
        }
    }

    fn follow(&mut self, now: Time, term: u64, node: &NodeId, fx: &mut Effects) {
        if let Some(worker) = &mut self.worker {
            worker.follow(now, term, node, fx);
        }
    }

    fn begin_reign(&mut self, now: Time, term: u64, node: &NodeId) {
        if let Some(last) = self.reigns.last_mut() {
            last.to.get_or_insert(now);
        }
        if self.reigns.len() < MAX_REIGNS {
            self.reigns.push(Reign {
                term,
                node: node.clone(),
                from: now,
                to: None,
            });
        }
        self.next_announce = Time::MAX;
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
        let heard = self.election.heard();
        let charge = Charge {
            test: self.id(),
            me: self.myself.node.clone(),
            term,
            won_at: now,
            spec,
            digest: self.announcement.digest,
            earlier_lease: heard.share_lease,
            start: self.start(),
            stop: self.stop.map(|(s, _)| s).or(heard.stop),
        };
        self.coordinator = Some(Coordinator::new(charge, self.timings.clone(), fx));
        let me = self.myself.node.clone();
        self.begin_reign(now, term, &me);
    }

    // ---- stop and end ----

    /// A stop was asked for here: it is repeated until it is heeded.
    pub fn request_stop(&mut self, now: Time, order: StopOrder, fx: &mut Effects) {
        if self.ended.is_some() {
            return;
        }
        self.stop_is_mine = true;
        self.publish_stop(now, order, fx);
    }

    fn publish_stop(&mut self, now: Time, order: StopOrder, fx: &mut Effects) {
        if self.ended.is_none() {
            self.next_stop = now + REPEAT;
        }
        fx.publish(TestMessage::Stop {
            test: self.id(),
            by: self.myself.node.clone(),
            order,
        });
    }

    fn hear_stop(&mut self, now: Time, order: StopOrder, fx: &mut Effects) {
        if self.ended.is_some() {
            return;
        }
        match &mut self.stop {
            Some((known, _)) if known.graceful && !order.graceful => *known = order,
            Some(_) => {}
            None => self.stop = Some((order, now)),
        }
        self.election.hear_stop(order);
        if let Some(worker) = &mut self.worker {
            worker.stop(order, fx);
        }
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.stop(now, order, fx);
        }
    }

    fn on_ended(&mut self, now: Time, ended: &Ended, concluded: bool, fx: &mut Effects) {
        if self.ended.is_some() && !self.concluded {
            self.late_finals(now, ended, fx);
            return;
        }
        let first = self.ended.is_none();
        self.concluded = concluded;
        self.coordinator = None;
        self.next_stop = Time::MAX;
        self.next_announce = Time::MAX;
        if let Some(last) = self.reigns.last_mut() {
            last.to.get_or_insert(now);
        }
        if ended.coordinator == self.myself.node && !concluded {
            self.next_end = now + REPEAT;
        }
        self.ended = Some(ended.clone());
        if first {
            self.ended_at = now;
            if let Some(worker) = &mut self.worker {
                worker.end(fx);
            }
            fx.outputs.push(Output::Ended(self.id()));
        }
        if let Some(worker) = self.worker.as_mut().filter(|_| !concluded) {
            worker.report_to(now, ended.term, &ended.coordinator);
        }
        self.fetches = 0;
        self.check_complete(now, fx);
    }

    /// The coordinator repeats its end with snapshots in the roster that came in since.
    fn late_finals(&mut self, now: Time, again: &Ended, fx: &mut Effects) {
        let Some(ended) = self.ended.as_mut() else {
            return;
        };
        if (again.term, &again.coordinator) != (ended.term, &ended.coordinator) {
            return;
        }
        let mut news = false;
        for entry in &again.roster {
            if let Some(worker) = &mut self.worker
                && entry.worker == self.myself.node
                && entry.last_snapshot < Some(self.snapshots)
            {
                worker.report_to(now, again.term, &again.coordinator);
            }
            let known = ended.roster.iter_mut().find(|e| e.worker == entry.worker);
            match known {
                Some(known) if known.last_snapshot >= entry.last_snapshot => {}
                Some(known) => {
                    *known = entry.clone();
                    news = true;
                }
                None => {
                    ended.roster.push(entry.clone());
                    news = true;
                }
            }
        }
        if news {
            self.complete = false;
            self.fetches = 0;
            self.check_complete(now, fx);
        }
    }

    /// After the end, a worker's later snapshot arrived at the coordinator that ended the
    /// test: the end is repeated, so that everybody gets it.
    fn amend_end(&mut self, now: Time, snapshot: &Snapshot) {
        let whole = self.merge.has(&snapshot.worker, snapshot.number);
        let (Some(ended), Some(metrics)) = (
            self.ended.as_mut().filter(|_| whole && !self.concluded),
            self.merge.workers().get(&snapshot.worker),
        ) else {
            return;
        };
        if ended.coordinator != self.myself.node {
            return;
        }
        let mut roster = ended.roster.iter_mut();
        match roster.find(|e| e.worker == snapshot.worker) {
            Some(entry) if entry.last_snapshot >= Some(snapshot.number) => return,
            Some(entry) => {
                entry.last_snapshot = Some(snapshot.number);
                entry.is_final = snapshot.is_final;
            }
            None => ended.roster.push(unreported(&snapshot.worker, metrics)),
        }
        self.end_repeats = 0;
        self.next_end = self.next_end.min(now + REPEAT);
    }

    /// Whoever still believes the test to be running is told again that it ended; or, by the
    /// node that wanted it stopped, that it is to be.
    pub fn somebody_missed_the_end(&mut self, now: Time) {
        let elsewhere = |e: &Ended| e.coordinator != self.myself.node;
        let alone = self.concluded || self.ended.as_ref().is_some_and(elsewhere);
        if alone && self.stop_is_mine && self.next_stop == Time::MAX {
            self.next_stop = now + REPEAT;
        }
        if self
            .ended
            .as_ref()
            .is_some_and(|e| e.coordinator == self.myself.node)
            && !self.concluded
        {
            self.end_repeats = self.end_repeats.min(END_REPEATS - 1);
            self.next_end = self.next_end.min(now + REPEAT);
        }
    }

    fn check_complete(&mut self, now: Time, fx: &mut Effects) {
        let Some(ended) = &self.ended else {
            return;
        };
        if self.complete {
            return;
        }
        let has = |e: &RosterEntry| {
            e.last_snapshot
                .is_some_and(|n| self.merge.has(&e.worker, n))
        };
        let lost = |e: &RosterEntry| e.lost_at.is_some() && e.last_snapshot.is_none();
        self.complete = !self.concluded && ended.roster.iter().all(|e| has(e) || lost(e));
        if self.complete {
            self.next_fetch = Time::MAX;
            fx.outputs.push(Output::Completed(self.id()));
        } else if self.fetches < MAX_FETCHES {
            self.next_fetch = self.next_fetch.min(now + REPEAT);
        }
    }

    fn fetch_missing(&mut self, now: Time, fx: &mut Effects) {
        self.next_fetch = Time::MAX;
        let Some(ended) = &self.ended else {
            return;
        };
        if self.complete || self.fetches >= MAX_FETCHES {
            return;
        }
        let missing = ended.roster.iter().filter(|e| {
            e.last_snapshot
                .is_some_and(|n| !self.merge.has(&e.worker, n))
        });
        let mut sources: Vec<Peer> = missing.map(|e| e.worker.peer.clone()).collect();
        sources.push(ended.coordinator.peer.clone());
        sources.extend(self.announcement.electorate.iter().map(|n| n.peer.clone()));
        sources.retain(|p| *p != self.myself.node.peer);
        if !sources.is_empty() {
            let source = sources[self.fetches as usize % sources.len()].clone();
            let request = Request::FetchSnapshots {
                test: self.id(),
                after: None,
            };
            fx.send(&self.myself.node, &source, request);
        }
        self.fetches += 1;
        self.next_fetch = now + REPEAT;
    }

    /// The instant by which this node ends the test even if nobody tells it to.
    fn gives_up_at(&self) -> Time {
        let Some(spec) = &self.spec else {
            return self.announced_at + self.patience();
        };
        let lease = awaited(
            self.timings
                .share_lease
                .max(self.election.heard().share_lease),
        );
        let planned = self.start().map(|s| s + spec.length + spec.grace + lease);
        let stopped = self.stop.map(|(s, at)| at + s.timeout + lease);
        match (planned, stopped) {
            (Some(a), Some(b)) => a.min(b),
            (Some(t), None) | (None, Some(t)) => t,
            (None, None) => self.last_beat.unwrap_or(self.announced_at) + self.patience(),
        }
    }

    /// How long a test without a start may go without a beat.
    fn patience(&self) -> Duration {
        self.timings.registration_window + self.timings.share_lease * 8
    }

    fn give_up(&mut self, now: Time, fx: &mut Effects) {
        let reason = match (self.start(), self.stop) {
            (_, Some(_)) => EndReason::Stopped,
            (Some(_), None) => EndReason::Completed,
            (None, None) => EndReason::Failed(
                "no coordinator was elected: most of the nodes that may vote cannot be reached; \
                 see `vajra-node nodes`, and start the test again"
                    .into(),
            ),
        };
        let ended = Ended {
            test: self.id(),
            term: self.election.term(),
            coordinator: self.myself.node.clone(),
            reason,
            roster: self
                .merge
                .workers()
                .iter()
                .map(|(worker, m)| unreported(worker, m))
                .collect(),
            events: Vec::new(),
        };
        self.on_ended(now, &ended, true, fx);
    }

    // ---- metrics ----

    /// This node's engine measured.
    pub fn measured(&mut self, now: Time, m: Measurement, fx: &mut Effects) {
        let Some(worker) = &mut self.worker else {
            return;
        };
        self.snapshots += 1;
        let snapshot = Snapshot {
            test: self.announcement.test,
            worker: self.myself.node.clone(),
            number: self.snapshots,
            is_final: m.is_final,
            pieces_total: m.pieces.len() as u32,
            elapsed: m.elapsed,
            slots: worker.share(now),
            start_error_us: worker.start_error_us(),
            engine_cpu: m.engine_cpu,
            engine_threads: m.engine_threads,
            pieces: m.pieces,
        };
        fx.outputs
            .push(Output::Publish(Gossip::Snapshot(snapshot.clone())));
        worker.measured(now, snapshot.clone(), fx);
        self.snapshot(now, &snapshot, fx);
    }

    /// A snapshot, or pieces of one, arrived. Says whether anything was new.
    pub fn snapshot(&mut self, now: Time, snapshot: &Snapshot, fx: &mut Effects) -> bool {
        let news = self.merge.take(snapshot);
        if news
            && let Some(coordinator) = &mut self.coordinator
            && self.merge.has(&snapshot.worker, snapshot.number)
        {
            coordinator.snapshot_received(&snapshot.worker, snapshot.number, snapshot.is_final);
        }
        if news {
            self.amend_end(now, snapshot);
            self.check_complete(now, fx);
        }
        news
    }

    // ---- requests and replies ----

    /// Answers a request of `from` about this test.
    pub fn request(
        &mut self,
        now: Time,
        from: &Peer,
        request: &Request,
        fx: &mut Effects,
    ) -> Reply {
        let authority = self.election.has_authority(now) && self.ended.is_none();
        let acknowledged = self.election.acknowledged_share_lease();
        let office = self.coordinator.as_mut().filter(|_| authority);
        match request {
            Request::Register(r) if r.node.peer == *from => match office {
                Some(c) => {
                    let reply = c.register(now, r, fx);
                    // What came in before the registration will not be news again.
                    if let Some(m) = self.merge.workers().get(&r.node)
                        && m.whole()
                    {
                        c.snapshot_received(&r.node, m.number, m.is_final);
                    }
                    Reply::Register(reply)
                }
                None => not_coordinator(),
            },
            Request::Heartbeat(hb) if hb.node.peer == *from => office
                .and_then(|c| c.heartbeat(now, hb, acknowledged, fx))
                .map_or_else(not_coordinator, Reply::Heartbeat),
            Request::Assign(a) => match &mut self.worker {
                Some(w) if w.follows(from) && self.ended.is_none() => {
                    Reply::Assign(w.assigned(now, a, fx))
                }
                _ => Reply::Refused("this node does not follow you".into()),
            },
            Request::Stop { order, .. } => {
                self.hear_stop(now, *order, fx);
                Reply::Stop {
                    stopped: true,
                    message: String::new(),
                    interrupted: 0,
                }
            }
            Request::Metrics(s) if s.worker.peer == *from => {
                self.snapshot(now, s, fx);
                Reply::Metrics {
                    test: s.test,
                    number: s.number,
                    received: self.merge.has(&s.worker, s.number),
                }
            }
            _ => Reply::Refused("a request in another node's name".into()),
        }
    }

    /// An answer arrived from `from`.
    pub fn reply(&mut self, now: Time, from: &Peer, reply: &Reply, fx: &mut Effects) {
        let Some(worker) = self.worker.as_mut().filter(|w| w.follows(from)) else {
            return;
        };
        match reply {
            Reply::Metrics {
                number,
                received: true,
                ..
            } => worker.delivered(*number),
            _ if self.ended.is_some() => {}
            Reply::Register(r) => worker.registered(now, r, fx),
            Reply::Heartbeat(r) => worker.heartbeat_answered(now, r, fx),
            _ => {}
        }
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
        let office = self.coordinator.as_ref();
        if office.is_some_and(Coordinator::is_pressing) && self.ended.is_none() {
            return Time::ZERO;
        }
        let worker = self.worker.as_ref().map_or(Time::MAX, Worker::next_wake);
        if self.ended.is_some() {
            return always.min(worker);
        }
        always
            .min(worker)
            .min(self.next_announce)
            .min(self.next_plan_fetch)
            .min(self.election.next_wake())
            .min(self.gives_up_at())
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
        let change = self.election.tick(now, self.beat_body(now), fx);
        self.react(now, change, fx);
        if let Some(coordinator) = &mut self.coordinator
            && self.election.has_authority(now)
            && let Some(ended) = coordinator.tick(now, able, fx)
        {
            fx.publish(TestMessage::Ended(self.with_unreported(ended)));
        }
    }

    /// Workers of earlier terms that never came back, but whose metrics are known.
    fn with_unreported(&self, mut ended: Ended) -> Ended {
        for (worker, m) in self.merge.workers() {
            if !ended.roster.iter().any(|e| e.worker == *worker) {
                ended.roster.push(unreported(worker, m));
            }
        }
        ended
    }

    fn repeat_end(&mut self, now: Time, fx: &mut Effects) {
        self.next_end = Time::MAX;
        if let Some(ended) = &self.ended
            && self.end_repeats < END_REPEATS
        {
            self.end_repeats += 1;
            self.next_end = now + REPEAT * self.end_repeats;
            let message = TestMessage::Ended(ended.clone());
            fx.outputs.push(Output::Publish(Gossip::Test(message)));
        }
    }

    fn beat_body(&self, now: Time) -> BeatBody {
        let Some(c) = &self.coordinator else {
            return BeatBody::default();
        };
        BeatBody {
            share_lease: c.wanted_share_lease(),
            since_start: c.start().map(|s| now.signed_since(s)),
            phase: c.phase(),
        }
    }

    /// Keeps an event for display.
    pub fn note(&mut self, event: &TestEvent) {
        if self.events.len() < super::coordinator::MAX_EVENTS {
            self.events.push(event.clone());
        }
    }
}

/// A worker that is in no roster of this term, but whose metrics are known.
fn unreported(worker: &NodeId, m: &WorkerMetrics) -> RosterEntry {
    RosterEntry {
        worker: worker.clone(),
        name: String::new(),
        last_snapshot: Some(m.number),
        is_final: m.is_final,
        lost_at: (!m.is_final).then_some(m.elapsed),
    }
}

fn not_coordinator() -> Reply {
    Reply::Refused("this node is not the coordinator".into())
}
