//! The worker of one test on one node: registers with the coordinator, keeps its lease alive
//! by heartbeats, acts on share orders, and delivers its final snapshot.
//!
//! What it may send is bounded by its lease alone, counted from the *sending* of the
//! heartbeat that was answered; the load engine holds that deadline and needs nobody to stop.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::clock::ClockEstimate;
use super::decisions::{LogEntry, values};
use super::effects::{Effects, EngineOrder};
use super::id::{Digest, Incarnation, NodeId, Peer, TestId};
use super::messages::{
    Assign, AssignReply, Heartbeat, HeartbeatReply, Order, Register, RegisterReply, Request,
    ShareReport, Status, StopOrder,
};
use super::planted::{Bug, planted};
use super::spec::{LocalNode, OnLost, SLOTS, TestSpec, Timings};
use super::time::{RemoteTime, Time, held};
use crate::metrics::{Piece, Snapshot, StartError};

/// Heartbeats whose answer can still count: those of a share lease, and slack.
const HEARTBEATS_KEPT: usize = 64;
/// Deliveries of a final snapshot after the end, unless its coordinator shows itself again:
/// at two a second, 20 s of them, longer than a test without a coordinator lives.
const LATE_DELIVERIES: u32 = 40;

/// Where the worker stands with its coordinator.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Stage {
    /// Knows of no coordinator, or has left.
    Alone,
    /// Asked to be taken on; asks again at `next`.
    Registering { next: Time },
    /// Taken on; sends its next heartbeat at `next`.
    Registered { next: Time },
}

/// The worker of one test on one node.
#[derive(Debug)]
pub struct Worker {
    test: TestId,
    me: NodeId,
    myself: Arc<LocalNode>,
    timings: Timings,
    spec: TestSpec,
    digest: Digest,
    unable: Option<String>,
    stage: Stage,
    coordinator: Option<(u64, NodeId)>,
    registration: u64,
    interval: Duration,
    heartbeat: u64,
    sent: VecDeque<(u64, Time)>,
    answered: u64,
    applied: u64,
    floor: u64,
    share: ShareReport,
    lease_until: Time,
    clock: ClockEstimate,
    start: Option<Time>,
    /// The start as its coordinator named it, by the coordinator's clock.
    start_there: Option<RemoteTime>,
    start_error: Option<StartError>,
    stop: Option<StopOrder>,
    /// The decisions acted on.
    decisions: Arc<[LogEntry]>,
    finished: bool,
    leaving: bool,
    draining: bool,
    /// The engine says that it cannot time its load well.
    overloaded: bool,
    in_flight: u32,
    last: Option<Snapshot>,
    delivered: Option<u64>,
    next_delivery: Time,
    /// Deliveries left, once the test has ended here.
    late_deliveries: Option<u32>,
}

impl Worker {
    /// A worker for a test whose plan has been inspected; `unable` says why this node will
    /// carry nothing, if so.
    pub fn new(
        test: TestId,
        myself: Arc<LocalNode>,
        spec: TestSpec,
        digest: Digest,
        unable: Option<String>,
        timings: Timings,
        fx: &mut Effects,
    ) -> Worker {
        if unable.is_none() {
            fx.engine(test, EngineOrder::Prepare);
        }
        Worker {
            test,
            me: myself.node.clone(),
            myself,
            spec,
            digest,
            unable,
            stage: Stage::Alone,
            coordinator: None,
            registration: 0,
            interval: timings.beat_interval(),
            heartbeat: 0,
            sent: VecDeque::new(),
            answered: 0,
            applied: 0,
            floor: 0,
            share: ShareReport {
                slots: 0,
                offset: 0,
            },
            lease_until: Time::ZERO,
            clock: ClockEstimate::default(),
            start: None,
            start_there: None,
            start_error: None,
            stop: None,
            decisions: Arc::from([]),
            finished: false,
            leaving: false,
            draining: false,
            overloaded: false,
            in_flight: 0,
            last: None,
            delivered: None,
            next_delivery: Time::MAX,
            late_deliveries: None,
            timings,
        }
    }

    /// The start of the profile on this node's clock.
    pub fn start(&self) -> Option<Time> {
        self.start
    }

    /// The share that is acted on at `now`.
    pub fn share(&self, now: Time) -> u32 {
        if self.holding() || now < self.lease_until {
            self.share.slots
        } else {
            0
        }
    }

    /// How far the engine's start was from the planned one.
    pub fn start_error(&self) -> Option<StartError> {
        self.start_error
    }

    /// The decisions acted on.
    pub fn decisions(&self) -> &Arc<[LogEntry]> {
        &self.decisions
    }

    /// These are settled: they are acted on from now on. What is settled only grows.
    pub fn decide(&mut self, settled: &[LogEntry], fx: &mut Effects) {
        if settled.len() > self.decisions.len() {
            self.decisions = settled.into();
            fx.engine(self.test, EngineOrder::LogEntry(self.decisions.clone()));
        }
    }

    /// This node's load is over.
    pub fn finished(&self) -> bool {
        self.finished
    }

    /// Whether an answer from this peer is one from the coordinator followed.
    pub fn follows(&self, peer: &Peer) -> bool {
        self.coordinator
            .as_ref()
            .is_some_and(|(_, c)| c.peer == *peer)
    }

    /// Requests in flight, as last measured.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Why this node carries nothing.
    pub fn unable(&self) -> Option<&str> {
        self.unable.as_deref()
    }

    /// Under `hold`, once the profile runs, a lapsed lease stops nobody.
    fn holding(&self) -> bool {
        self.spec.on_lost == OnLost::Hold && self.start.is_some() && self.share.slots > 0
    }

    /// When to be woken next.
    pub fn next_wake(&self) -> Time {
        let contact = match self.stage {
            Stage::Alone => Time::MAX,
            Stage::Registering { next } | Stage::Registered { next } => next,
        };
        contact.min(self.lapses()).min(self.next_delivery)
    }

    /// When this worker will have to drop its share, unless it is renewed.
    fn lapses(&self) -> Time {
        let lapsed = planted(Bug::LapsedReported) && self.lease_until == Time::ZERO;
        if self.share.slots > 0 && !self.holding() && !lapsed {
            self.lease_until
        } else {
            Time::MAX
        }
    }

    /// A beat of this coordinator was heard: a new one is registered with at once, with a
    /// report of the share that still runs.
    pub fn follow(&mut self, now: Time, term: u64, coordinator: &NodeId, fx: &mut Effects) {
        let news = match &self.coordinator {
            Some((known, _)) if term < *known => return,
            Some((known, who)) => term > *known || who != coordinator,
            None => true,
        };
        if !news || (self.leaving && self.finished) {
            return;
        }
        self.coordinator = Some((term, coordinator.clone()));
        self.clock = if *coordinator == self.me {
            ClockEstimate::of_myself()
        } else {
            ClockEstimate::default()
        };
        self.start_there = None;
        self.applied = 0;
        self.floor = 0;
        self.register_anew(now, fx);
        if self.last.as_ref().is_some_and(|s| s.is_final) {
            self.delivered = None;
            self.next_delivery = now;
        }
    }

    fn register_anew(&mut self, now: Time, fx: &mut Effects) {
        self.registration += 1;
        self.heartbeat = 0;
        self.answered = 0;
        self.sent.clear();
        self.register(now, fx);
    }

    fn register(&mut self, now: Time, fx: &mut Effects) {
        let Some((term, coordinator)) = &self.coordinator else {
            return;
        };
        let runs = self.share(now) > 0 || planted(Bug::LapsedReported) && self.share.slots > 0;
        let request = Request::Register(Register {
            test: self.test,
            term: *term,
            node: self.me.clone(),
            number: self.registration,
            name: self.myself.name.clone(),
            capacity: self.myself.capacity,
            task_types: self.myself.task_types.clone(),
            version: self.myself.version.clone(),
            labels: self.myself.labels.clone(),
            unable: self.unable.clone(),
            report: runs.then_some(self.share),
            since_start: self.start.map(|s| now.signed_since(s)),
            stop: self.stop,
            finished: self.finished,
            sent: now.into(),
        });
        fx.send(&self.me, &coordinator.peer, request);
        self.stage = Stage::Registering {
            next: now + self.timings.authority_lease / 2,
        };
    }

    fn current(&self, term: u64) -> bool {
        if planted(Bug::OtherRegistrations) {
            return true;
        }
        self.coordinator.as_ref().is_some_and(|(t, _)| *t == term)
    }

    /// What names this registration of this incarnation is meant for this worker.
    fn mine(&self, registration: u64, incarnation: Incarnation) -> bool {
        let registration = registration == self.registration || planted(Bug::OtherRegistrations);
        let incarnation = incarnation == self.me.incarnation || planted(Bug::IncarnationsUnnamed);
        registration && incarnation
    }

    /// The coordinator answered a registration.
    pub fn registered(&mut self, now: Time, r: &RegisterReply, fx: &mut Effects) {
        let waiting = matches!(self.stage, Stage::Registering { .. });
        let mine = self.mine(r.number, r.incarnation);
        if !waiting || !mine || !self.current(r.term) {
            return;
        }
        if !r.accepted {
            self.drop_share(fx);
            self.stage = Stage::Registering {
                next: now + self.timings.authority_lease * 2,
            };
            if self.unable.is_some() {
                self.stage = Stage::Alone;
            }
            return;
        }
        self.floor = r.order_floor;
        self.interval = r.heartbeat_interval;
        if r.honoured.is_none_or(|h| h.slots != self.share.slots) {
            self.drop_share(fx);
        }
        self.send_heartbeat(now, fx);
    }

    fn drop_share(&mut self, fx: &mut Effects) {
        if self.share.slots > 0 {
            self.share.slots = 0;
            fx.engine(
                self.test,
                EngineOrder::Share {
                    slots: 0,
                    offset: self.share.offset,
                },
            );
        }
    }

    fn send_heartbeat(&mut self, now: Time, fx: &mut Effects) {
        let Some((term, coordinator)) = &self.coordinator else {
            return;
        };
        self.heartbeat += 1;
        if self.sent.len() == HEARTBEATS_KEPT {
            self.sent.pop_front();
        }
        self.sent.push_back((self.heartbeat, now));
        let status = match (self.leaving, self.share.slots) {
            (true, _) => Status::Leaving,
            _ if self.draining => Status::Draining,
            (false, 0) => Status::Idle,
            _ if self.overloaded => Status::Overloaded,
            _ => Status::Running,
        };
        let request = Request::Heartbeat(Heartbeat {
            test: self.test,
            term: *term,
            node: self.me.clone(),
            registration: self.registration,
            number: self.heartbeat,
            answered: self.answered,
            applied: self.applied,
            load: self.in_flight,
            status,
            finished: self.finished,
            decisions: self.decisions.len() as u32,
            sent: now.into(),
        });
        fx.send(&self.me, &coordinator.peer, request);
        self.stage = Stage::Registered {
            next: now + self.interval,
        };
    }

    /// The coordinator answered a heartbeat.
    pub fn heartbeat_answered(&mut self, now: Time, r: &HeartbeatReply, fx: &mut Effects) {
        let registered = matches!(self.stage, Stage::Registered { .. });
        let mine = self.mine(r.registration, r.incarnation);
        if !registered || !mine || !self.current(r.term) || self.leaving {
            return;
        }
        let newest = planted(Bug::AnswersUnnamed) || planted(Bug::OtherRegistrations);
        let named = match self.sent.back() {
            Some(newest_sent) if newest => Some(newest_sent),
            _ => self.sent.iter().find(|(n, _)| *n == r.number),
        };
        let Some((_, sent)) = named.copied() else {
            return;
        };
        let elsewhere = self
            .coordinator
            .as_ref()
            .is_some_and(|(_, c)| *c != self.me);
        // A slower exchange (one of us stood still) is too vague to start a profile by.
        if elsewhere && now.since(sent) <= self.timings.authority_lease {
            self.clock.add(sent, r.clock, now);
        }
        let first = self.answered == 0;
        self.answered = self.answered.max(r.number);
        if r.register_again {
            if !self.holding() {
                self.drop_share(fx);
            }
            self.register_anew(now, fx);
            return;
        }
        self.decide(&r.decisions, fx);
        if let Some(lease) = r.lease {
            let from = if planted(Bug::LeaseFromReceipt) {
                now
            } else {
                sent
            };
            let until = from + held(lease);
            if until > self.lease_until {
                self.lease_until = until;
                self.tell_lease(fx);
            }
        }
        if let Some(order) = r.order {
            self.apply(now, order, fx);
        }
        if let Some(stop) = r.stop {
            self.stop(stop, fx);
        }
        self.measure_start();
        if first {
            // The coordinator waits for this confirmation before it gives any share.
            self.send_heartbeat(now, fx);
        }
    }

    /// The engine's deadline: the lease, or under `hold` none once the profile is known.
    fn tell_lease(&mut self, fx: &mut Effects) {
        let until = if self.holding() {
            Time::MAX
        } else {
            self.lease_until
        };
        fx.engine(self.test, EngineOrder::Lease(until));
    }

    /// A share was pushed. The lease is another matter: only answers to heartbeats renew it.
    pub fn assigned(&mut self, now: Time, a: &Assign, fx: &mut Effects) -> AssignReply {
        let registered = matches!(self.stage, Stage::Registered { .. });
        let mine = self.mine(a.registration, a.incarnation);
        let refusal = if a.digest != self.digest {
            Some("another plan")
        } else if !registered || !mine || !self.current(a.term) || self.leaving {
            Some("not of this registration")
        } else {
            self.apply(now, a.order, fx);
            None
        };
        let total =
            a.description.target_rate_milli as f64 / 1000.0 * a.description.duration.as_secs_f64();
        AssignReply {
            test: self.test,
            accepted: refusal.is_none(),
            message: refusal.unwrap_or_default().into(),
            estimated_tasks: total as u64,
        }
    }

    fn apply(&mut self, now: Time, order: Order, fx: &mut Effects) {
        let older = match order.number <= self.applied.max(self.floor) {
            true if planted(Bug::OrdersUnnumbered) => order.number == self.applied,
            older => older,
        };
        // Without the setup's values there is nothing to send; the order comes again.
        let waits = self.spec.setup.is_some() && values(&self.decisions).is_none();
        if older || order.slots > SLOTS || waits {
            return;
        }
        if let Some(start) = order.start {
            self.start_there = Some(start);
            if self.start.is_none() {
                let Some(at) = self.clock.to_local(start) else {
                    return;
                };
                self.start = Some(at);
                fx.engine(self.test, EngineOrder::Start(at));
            }
        }
        self.applied = order.number;
        self.share = ShareReport {
            slots: order.slots,
            offset: order.offset,
        };
        fx.engine(
            self.test,
            EngineOrder::Share {
                slots: order.slots,
                offset: order.offset,
            },
        );
        self.tell_lease(fx);
        self.measure_start();
        self.send_heartbeat(now, fx);
    }

    /// By the best estimate so far of the clock that named the start instant, how wrong was
    /// the estimate that the start was based on?
    fn measure_start(&mut self) {
        if let (Some(there), Some(start)) = (self.start_there, self.start)
            && let Some(best) = self.clock.to_local(there)
            && let Some(round_trip) = self.clock.round_trip_ns()
        {
            self.start_error = Some(StartError {
                us: start.signed_since(best) / 1_000,
                within_us: u32::try_from((round_trip + 1_999) / 2_000).unwrap_or(u32::MAX),
            });
        }
    }

    /// Stops the load here.
    pub fn stop(&mut self, order: StopOrder, fx: &mut Effects) {
        let harder = self.stop.is_some_and(|s| s.graceful && !order.graceful);
        if self.stop.is_none() || harder {
            self.stop = Some(order);
            fx.engine(self.test, EngineOrder::Stop(order));
        }
    }

    /// Leaves the swarm: the load stops, and once it has, the lease is given back.
    pub fn leave(&mut self, order: StopOrder, fx: &mut Effects) {
        self.leaving = true;
        if planted(Bug::LeavesWhileSending) {
            return;
        }
        self.stop(order, fx);
        self.drop_share(fx);
        self.lease_until = Time::ZERO;
        fx.engine(self.test, EngineOrder::Lease(Time::ZERO));
    }

    /// Takes no new share from now on, and gives up what it has.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether the engine can time its load well.
    pub fn set_overloaded(&mut self, overloaded: bool) {
        self.overloaded = overloaded;
    }

    /// The engine cannot time its load well.
    pub fn overloaded(&self) -> bool {
        self.overloaded
    }

    /// The engine measured. A final snapshot is delivered until it is acknowledged.
    pub fn measured(&mut self, now: Time, snapshot: Snapshot, fx: &mut Effects) {
        self.finished |= snapshot.is_final;
        let is_final = snapshot.is_final;
        self.in_flight = in_flight(&snapshot);
        self.last = Some(snapshot);
        self.deliver(now, fx);
        if is_final && matches!(self.stage, Stage::Registered { .. }) {
            self.send_heartbeat(now, fx);
        }
        if !is_final {
            self.next_delivery = Time::MAX;
        }
    }

    fn deliver(&mut self, now: Time, fx: &mut Effects) {
        if let Some(left) = &mut self.late_deliveries {
            if *left == 0 {
                self.next_delivery = Time::MAX;
                return;
            }
            *left -= 1;
        }
        if let (Some(snapshot), Some((_, coordinator))) = (&self.last, &self.coordinator)
            && *coordinator != self.me
        {
            fx.send(
                &self.me,
                &coordinator.peer,
                Request::Metrics(snapshot.clone()),
            );
            self.next_delivery = now + self.timings.authority_lease / 2;
        } else {
            self.next_delivery = Time::MAX;
        }
    }

    /// The coordinator has taken in a snapshot.
    pub fn delivered(&mut self, number: u64) {
        self.delivered = self.delivered.max(Some(number));
        if self
            .last
            .as_ref()
            .is_some_and(|s| Some(s.number) <= self.delivered)
        {
            self.next_delivery = Time::MAX;
        }
    }

    /// The final snapshot exists, and its coordinator is not known to have it.
    fn owes_final(&self) -> bool {
        let undelivered = |s: &Snapshot| s.is_final && Some(s.number) > self.delivered;
        self.last.as_ref().is_some_and(undelivered)
    }

    /// The coordinator that ended the test is this one: a final snapshot that it lacks is
    /// delivered there.
    pub fn report_to(&mut self, now: Time, term: u64, coordinator: &NodeId) {
        if self
            .coordinator
            .as_ref()
            .is_none_or(|(_, c)| c != coordinator)
        {
            self.delivered = None;
        }
        self.coordinator = Some((term, coordinator.clone()));
        self.late_deliveries = Some(LATE_DELIVERIES);
        if self.owes_final() {
            self.next_delivery = now;
        }
    }

    /// The test has ended: but for an undelivered final snapshot, nothing more is sent on its
    /// behalf.
    pub fn end(&mut self, fx: &mut Effects) {
        self.stage = Stage::Alone;
        self.late_deliveries = Some(LATE_DELIVERIES);
        if !self.owes_final() {
            self.next_delivery = Time::MAX;
        }
        if !self.finished {
            self.stop(
                StopOrder {
                    graceful: false,
                    timeout: Duration::ZERO,
                },
                fx,
            );
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Time, fx: &mut Effects) {
        if now >= self.lapses() {
            if planted(Bug::LapsedReported) {
                self.lease_until = Time::ZERO;
            } else {
                self.drop_share(fx);
            }
            if self.stage != Stage::Alone {
                self.register_anew(now, fx);
            }
        }
        match self.stage {
            Stage::Registering { next } if now >= next => self.register(now, fx),
            Stage::Registered { next } if now >= next => self.send_heartbeat(now, fx),
            _ => {}
        }
        if now >= self.next_delivery {
            self.deliver(now, fx);
        }
    }
}

fn in_flight(snapshot: &Snapshot) -> u32 {
    let steps = snapshot.pieces.iter().filter_map(|p| match p {
        Piece::Counters(steps) => Some(steps),
        Piece::Histogram { .. } => None,
    });
    let sum: u64 = steps.flatten().map(|s| s.counters.in_flight).sum();
    u32::try_from(sum).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
