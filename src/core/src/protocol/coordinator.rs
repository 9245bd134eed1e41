//! The coordinator of one test in one term: registers workers, assigns shares, answers heartbeats,
//! ends the test. It exists only while its node has authority ([`super::election`]); a successor
//! collects the state again from the workers.
//!
//! All slots follow one rule, *shrink before grow*: slots that any worker may still act on
//! ([`super::ledger`]) are assigned to no other worker. The coordinator of a later term assigns no
//! slots without a report until one share lease after its election, when every earlier lease has
//! expired.

mod event_log;
mod hooks;
mod registration;
mod shares;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use event_log::EventLog;
pub use event_log::{MAX_EVENTS, MAX_EVENTS_PER_BEAT};

use super::allocation::{Allocation, AllocationEntry, Allocations};
use super::effects::{Effects, Output};
use super::election::Acknowledged;
use super::error::StartRefusal;
use super::event_kind::EventKind;
use super::id::{Digest, NodeId, TestId};
use super::layout::{Mode, Units};
use super::ledger::{Confirmation, Ledger, percent};
use super::log::{CoordinatorLog, EntryKind, LoadCommand, LogEntry, setup_values};
use super::messages::{
    Assign, ClockReply, EndReason, Ended, Heartbeat, HeartbeatReply, NumbersGrant, Order, Register,
    RegisterReply, Request, RosterEntry, ShareReport, Status, StopOrder, TestEvent, TestState,
};
use super::numbers::{self, NumberPool};
use super::planted::{Bug, planted};
use super::signature::{Keys, SIGNATURE_LEN, Signature};
use super::spec::{Balance, OnLost, TestSpec, Timings};
use super::stop::SignedStop;
use super::time::{RemoteTime, Time, for_holder, for_waiter};
use crate::{Hook, Numbers, Slots};

/// Authority leases for which beats repeat an event: eight beats, since beats may be lost.
const EVENT_REPEAT_LEASES: u32 = 2;

/// Factor of an overloaded worker's weight, in thousandths.
const WEIGHT_FACTOR: u32 = 800;
/// Lower limit of a worker's weight, in thousandths.
const MIN_WEIGHT: u32 = 200;
/// Time between two reductions of a worker's weight, in which the effect becomes visible.
const REDUCTION_INTERVAL: Duration = Duration::from_secs(3);

const LEASE_EXPIRED: &str = "its lease expired";

/// A worker as known to its coordinator.
#[derive(Debug)]
struct WorkerEntry {
    name: String,
    capacity: u32,
    registration: u64,
    registered_at: Time,
    order_floor: u64,
    /// Whether the report of its registration was honoured.
    honoured: bool,
    /// Whether a report of this incarnation was honoured in this term.
    reported: bool,
    unable: Option<String>,
    /// Registered, able, neither lost nor gone.
    active: bool,
    last_heartbeat: u64,
    status: Status,
    finished: bool,
    had_share: bool,
    /// Weight in thousandths: reduced after overload.
    weight: u32,
    /// Whether it has reported overload.
    overloaded: bool,
    /// Earliest time of the next reduction.
    next_reduction: Time,
    ledger: Ledger,
    last_snapshot: Option<(u64, bool)>,
    lost_at: Option<Duration>,
    /// End of its newest lease in the time of the profile, by its own clock.
    leased_until: Duration,
}

impl WorkerEntry {
    fn takes_share(&self) -> bool {
        let reached = self.ledger.confirmed() || !self.ledger.share().is_empty();
        let drains = self.status == Status::Draining && !planted(Bug::DrainIgnored);
        self.active && reached && !self.finished && !drains
    }

    fn delivered(&self) -> bool {
        self.finished && self.last_snapshot.is_some_and(|(_, is_final)| is_final)
    }
}

/// Initial state of a coordinator.
#[derive(Clone, Debug)]
pub struct CoordinatorInit {
    /// Test id.
    pub test: TestId,
    /// This node.
    pub me: NodeId,
    /// Keys of this node.
    pub keys: Arc<dyn Keys>,
    /// Term of the coordinator.
    pub term: u64,
    /// Time of the election.
    pub won_at: Time,
    /// Plan.
    pub spec: TestSpec,
    /// Digest of the plan.
    pub digest: Digest,
    /// Longest share lease that an earlier coordinator may have granted.
    pub earlier_lease: Duration,
    /// Time by which the profile must have started.
    pub start_by: Time,
    /// Start of the profile, if this node knows it.
    pub start: Option<Time>,
    /// Latest end of all leases in the newest known beat, in the time of the profile.
    pub leased_until: Duration,
    /// Free numbers of requests in the newest known beat.
    pub free: Option<Arc<Numbers>>,
    /// Stop request known before the election.
    pub stop: Option<SignedStop>,
    /// Log of earlier terms.
    pub log: Vec<LogEntry>,
    /// Known events of earlier terms.
    pub events: Vec<TestEvent>,
}

/// The coordinator of one test in one term: registers workers, assigns shares, answers heartbeats,
/// ends the test. It exists only while its node has authority ([`super::election`]); a successor
/// collects the state again from the workers.
///
/// All slots follow one rule, *shrink before grow*: slots that any worker may still act on
/// ([`super::ledger`]) are assigned to no other worker. The coordinator of a later term assigns no
/// slots without a report until one share lease after its election, when every earlier lease has
/// expired.
#[derive(Debug)]
pub struct Coordinator {
    init: CoordinatorInit,
    timings: Timings,
    workers: BTreeMap<NodeId, WorkerEntry>,
    /// Number of active workers.
    active_count: usize,
    /// Number of the newest allocation.
    last_order: u64,
    allocations: Allocations,
    units: Units,
    mode: Mode,
    /// Time since the start of the profile up to which former holders have handled the arrivals of
    /// all slots that are free.
    floor: Duration,
    /// Leases of earlier registrations: when each has certainly expired, and its end in the time of
    /// the profile.
    earlier_leases: Vec<(Time, Duration)>,
    /// Latest end of all leases in the time of the profile.
    leased_until: Duration,
    /// Numbers of requests, if the plan limits them.
    numbers: Option<NumberPool>,
    /// End of the wait for reports of earlier shares. From then on, slots without a report are
    /// free.
    reports_until: Time,
    /// Whether workers of earlier terms that did not register were declared lost.
    missing_declared: bool,
    start: Option<Time>,
    /// What a majority of electors has acknowledged of this term.
    acknowledged: Acknowledged,
    state: TestState,
    stop: Option<(SignedStop, Time)>,
    failure: Option<String>,
    /// Whether a change requires a tick soon.
    needs_tick: bool,
    last_tick: Time,
    /// Whether shares may have to change.
    unbalanced: bool,
    /// Whether too few numbers of requests are ready to be granted.
    needs_numbers: bool,
    /// Next time at which slots may become free.
    next_expiry: Time,
    event_log: EventLog,
    log: CoordinatorLog,
    /// Hook that is running on this node, and its time limit.
    running_hook: Option<(Hook, Time)>,
    /// Whether the teardown has run on this node.
    teardown_done: bool,
    /// Reason for a failure: the load is being stopped, then the test ends.
    failing: Option<String>,
    /// Reason for the end of the test after the teardown.
    ending: Option<EndReason>,
}

impl Coordinator {
    /// A coordinator that was just elected.
    pub fn new(init: CoordinatorInit, timings: Timings, fx: &mut Effects) -> Coordinator {
        let mut init = init;
        if planted(Bug::StartForgotten) {
            init.start = None;
        }
        if planted(Bug::StretchNotWaited) {
            init.earlier_lease = Duration::ZERO;
        }
        let reports_until = if init.term == 1 || planted(Bug::UnreportedAtOnce) {
            init.won_at
        } else {
            init.won_at + for_waiter(timings.share_lease.max(init.earlier_lease))
        };
        let (term, won_at) = (init.term, init.won_at);
        let mut coordinator = Coordinator {
            reports_until,
            missing_declared: false,
            start: init.start,
            state: if init.start.is_some() {
                TestState::Running
            } else {
                TestState::Registering
            },
            stop: init.stop.clone().map(|s| (s, won_at)),
            acknowledged: Acknowledged::default(),
            failure: None,
            needs_tick: true,
            last_tick: won_at,
            unbalanced: true,
            needs_numbers: false,
            next_expiry: Time::MAX,
            workers: BTreeMap::new(),
            active_count: 0,
            last_order: 0,
            allocations: Allocations::default(),
            units: Units::of(init.spec.users),
            mode: Mode::default(),
            // Leases were renewed after the newest known beat, but not for longer than the
            // authority that its acknowledgements gave.
            floor: match init.term {
                1 => Duration::ZERO,
                _ => init.leased_until + for_waiter(timings.authority_lease),
            },
            earlier_leases: Vec::new(),
            leased_until: init.leased_until,
            numbers: init.spec.requests.map(|most| {
                let known = init.free.take();
                let all = Numbers::range(0, most);
                let free = known.unwrap_or_else(|| Arc::new(all.clone()));
                let adoptable = if init.term > 1 { all } else { Numbers::EMPTY };
                NumberPool::new(free, adoptable)
            }),
            event_log: EventLog::continuing(std::mem::take(&mut init.events)),
            log: CoordinatorLog::new(&init.log),
            running_hook: None,
            teardown_done: false,
            failing: None,
            ending: None,
            init,
            timings,
        };
        // The teardown starts after the load. The reason for an early end may not be known here.
        let teardown_started = coordinator.log.hook_started_before(Hook::Teardown);
        if teardown_started && !coordinator.over(won_at) {
            coordinator.stop = Some((coordinator.own_stop(), won_at));
        }
        if let Some(start) = coordinator.start {
            coordinator.event_log.start_known(won_at, start);
        }
        let me = coordinator.init.me.clone();
        coordinator.event(
            won_at,
            EventKind::Elected,
            Some(&me),
            format!("coordinator of term {term}"),
            fx,
        );
        coordinator
    }

    /// Updates what a majority of electors has acknowledged. No share is assigned before that
    /// includes the start: a successor without the start would start the profile a second time.
    pub fn acknowledged(&mut self, acknowledged: Acknowledged) {
        self.needs_tick |= acknowledged.start && !self.acknowledged.start;
        self.needs_tick |= acknowledged.log_len > self.acknowledged.log_len;
        self.log.acknowledge(acknowledged.log_len);
        if let Some(pool) = &mut self.numbers {
            pool.acknowledge(acknowledged.numbers);
        }
        self.acknowledged = acknowledged;
    }

    /// Latest time of the next `tick`, if no other input arrives.
    pub fn next_wake(&self) -> Time {
        let over = self.running_hook.map_or(Time::MAX, |(_, until)| until);
        let staging = self.needs_numbers && self.state == TestState::Running;
        match self.needs_tick || staging && self.acknowledged.start {
            true => self.last_tick + tick_spacing(self.active_count),
            false => self.next_expiry.min(over),
        }
    }

    /// State of the test.
    pub fn state(&self) -> TestState {
        self.state
    }

    /// Start of the profile on this node's clock.
    pub fn start(&self) -> Option<Time> {
        self.start
    }

    /// Share lease for the current number of workers; announced by beats.
    pub fn target_share_lease(&self) -> Duration {
        self.timings.share_lease(self.active_count)
    }

    /// Last ordered share of each worker, for display.
    pub fn shares(&self) -> impl Iterator<Item = (&NodeId, &Slots)> {
        self.workers.iter().map(|(n, m)| (n, m.ledger.share()))
    }

    /// Slots that any worker may be acting on.
    pub fn reserved(&self, now: Time) -> Slots {
        let all = self.workers.values().map(|m| self.reserved_by(m, now));
        let all: Vec<Slots> = all.collect();
        Slots::union_of(all.iter().flat_map(|s| s.intervals()).copied())
    }

    /// Latest end of all granted leases in the time of the profile.
    pub fn leased_until(&self) -> Duration {
        self.leased_until
    }

    /// The newest allocations.
    pub fn allocations(&self) -> &Allocations {
        &self.allocations
    }

    /// Free numbers of requests for a beat, and the generation of that list, if the plan limits
    /// them.
    pub fn free_numbers(&self) -> Option<(&Arc<Numbers>, u64)> {
        self.numbers.as_ref().map(NumberPool::announced)
    }

    /// A request to stop the test arrived. Its signature is checked.
    pub fn stop(&mut self, now: Time, stop: &SignedStop, fx: &mut Effects) {
        if self.stop.is_some() {
            return;
        }
        self.stop = Some((stop.clone(), now));
        self.needs_tick = true;
        let mode = if stop.order.graceful {
            "graceful"
        } else {
            "immediate"
        };
        self.event(
            now,
            EventKind::StopRequested,
            Some(&stop.by),
            format!("stop requested, {mode}"),
            fx,
        );
        for (node, _) in self.active() {
            fx.send(
                &self.init.me,
                &node.peer,
                Request::Stop {
                    test: self.init.test,
                    term: self.init.term,
                    stop: stop.clone(),
                },
            );
        }
    }

    /// Records that a threshold stops the test. Returns `false` if it is being stopped already.
    pub fn threshold_failed(&mut self, now: Time, why: String, fx: &mut Effects) -> bool {
        if self.stop.is_none() {
            self.event(now, EventKind::Threshold, None, why, fx);
        }
        self.stop.is_none()
    }

    /// A worker's snapshot has arrived, by any route.
    pub fn snapshot_received(&mut self, worker: &NodeId, number: u64, is_final: bool) {
        if let Some(m) = self.workers.get_mut(worker)
            && m.last_snapshot.is_none_or(|(n, _)| number > n)
        {
            m.last_snapshot = Some((number, is_final));
            self.needs_tick |= is_final;
        }
    }

    fn active(&self) -> impl Iterator<Item = (&NodeId, &WorkerEntry)> {
        self.workers.iter().filter(|(_, m)| m.active)
    }

    fn reserved_by(&self, m: &WorkerEntry, now: Time) -> Slots {
        if self.hold_mode() && !m.delivered() {
            m.ledger.reserved_without_expiry()
        } else {
            m.ledger.reserved(now)
        }
    }

    fn hold_mode(&self) -> bool {
        self.init.spec.on_lost == OnLost::Hold && !planted(Bug::HoldReassigns)
    }

    /// Under `hold`: no worker has reported a share in time, and none may be assigned.
    fn no_share_known(&self, now: Time) -> bool {
        self.hold_mode()
            && self.init.term > 1
            && now >= self.reports_until + self.timings.registration_window
            && !self.workers.values().any(|m| m.had_share)
    }

    fn since_start(&self, now: Time) -> Option<Duration> {
        self.start.map(|s| now.since(s))
    }

    fn event(
        &mut self,
        now: Time,
        kind: EventKind,
        about: Option<&NodeId>,
        text: String,
        fx: &mut Effects,
    ) {
        let text = match planted(Bug::EventsEmpty) {
            true => String::new(),
            false => text,
        };
        let event = self.event_log.record(now, kind, about, text);
        fx.outputs.push(Output::Event(self.init.test, event));
    }

    /// All events of this and earlier terms.
    pub fn events(&self) -> Vec<TestEvent> {
        self.event_log.events()
    }

    /// Events for a beat sent now.
    pub fn recent_events(&self, now: Time) -> Vec<TestEvent> {
        let repeat_for = self.timings.authority_lease * EVENT_REPEAT_LEASES;
        self.event_log
            .recent(now, repeat_for, self.timings.beat_interval())
    }

    /// Handles the passing of time and changes. `able` are the live nodes that could take part.
    /// Must be called only under authority. Returns the end of the test, once.
    pub fn tick(&mut self, now: Time, able: &BTreeSet<NodeId>, fx: &mut Effects) -> Option<Ended> {
        if self.state == TestState::Ended {
            return None;
        }
        self.unbalanced |= self.needs_tick;
        self.needs_tick = false;
        self.last_tick = now;
        self.expire_hook(now, fx);
        if let Some(reason) = self.ending.clone() {
            return self.end_after_teardown(now, reason, fx);
        }
        if now >= self.next_expiry {
            self.raise_floor(now);
            self.unbalanced = true;
        }
        self.expire_leases(now, fx);
        self.next_expiry = self.next_expiry_after(now);
        if let Some(reason) = self.failure.take() {
            if self.init.spec.teardown.is_none() || self.start.is_none() {
                return self.end_after_teardown(now, EndReason::Failed(reason), fx);
            }
            // The load may still use what the teardown removes.
            self.failing = Some(reason);
            self.stop(now, &self.own_stop(), fx);
        }
        if self.state == TestState::Registering {
            // A running setup may finish, so that the teardown finds what it created.
            let waits = self.running_hook.is_some()
                && self.stop.as_ref().is_none_or(|(s, _)| s.order.graceful);
            if self.stop.is_some() && !waits {
                return self.end_after_teardown(now, EndReason::Stopped, fx);
            }
            if now >= self.init.start_by {
                let reason = EndReason::Failed(self.too_late().to_string());
                return self.end_after_teardown(now, reason, fx);
            }
            if now >= self.reports_until
                && !waits
                && let Err(reason) = self.try_start(now, able, fx)
            {
                return self.end_after_teardown(now, EndReason::Failed(reason.to_string()), fx);
            }
        }
        if self.state == TestState::Running {
            if self.over(now) {
                self.state = TestState::Stopping;
            } else if self.no_share_known(now) {
                let reason = EndReason::Failed(StartRefusal::HoldWithoutShares.to_string());
                return self.end_after_teardown(now, reason, fx);
            } else if self.acknowledged.start || planted(Bug::StartUnacknowledged) {
                // The free numbers are known without the workers' reports.
                self.stage_numbers();
                if now >= self.reports_until && std::mem::take(&mut self.unbalanced) {
                    self.rebalance(now, fx);
                }
            }
        }
        if self.state >= TestState::Running && self.complete(now) {
            let reason = match (self.failing.take(), &self.stop) {
                (Some(why), _) => EndReason::Failed(why),
                (None, Some(_)) => EndReason::Stopped,
                (None, None) => EndReason::Completed,
            };
            return self.end_after_teardown(now, reason, fx);
        }
        None
    }

    /// Next time at which a worker's slots may become free or the wait for reports ends. A renewal
    /// makes this too early, which is harmless.
    fn next_expiry_after(&self, now: Time) -> Time {
        let expiries = self.workers.values();
        let expiries = expiries.filter_map(|m| m.ledger.next_expiry(now));
        let closes = Some(self.reports_until).filter(|t| *t > now);
        let registering = self.state == TestState::Registering;
        let start_by = Some(self.init.start_by).filter(|t| registering && *t > now);
        let times = expiries.chain(closes).chain(start_by);
        times.min().unwrap_or(Time::MAX)
    }

    fn too_late(&self) -> StartRefusal {
        StartRefusal::TooLate {
            limit: self.timings.start_limit,
            ready: self.active().filter(|(_, m)| m.takes_share()).count(),
            required: self.init.spec.min_workers.max(1) as usize,
        }
    }

    /// Stop order for a failure that the coordinator detected.
    fn stop_order(&self) -> StopOrder {
        StopOrder {
            graceful: true,
            timeout: self.init.spec.grace,
        }
    }

    /// The same, signed.
    fn own_stop(&self) -> SignedStop {
        let CoordinatorInit { test, me, keys, .. } = &self.init;
        SignedStop::new(*test, self.stop_order(), me, &**keys)
    }

    /// Stop order for a failure that the coordinator detected. It is published, so that a successor
    /// knows it.
    pub fn failure_stop(&self) -> Option<StopOrder> {
        self.failing.as_ref().map(|_| self.stop_order())
    }

    fn profile_end(&self) -> Option<Time> {
        self.start.map(|s| {
            s + self
                .init
                .spec
                .load_duration(self.log.entries(), &self.timings)
        })
    }

    fn over(&self, now: Time) -> bool {
        let exhausted = |pool: &NumberPool| self.start.is_some() && pool.exhausted();
        self.stop.is_some()
            || self.profile_end().is_some_and(|end| now >= end)
            || now >= self.reports_until && self.numbers.as_ref().is_some_and(exhausted)
    }

    /// Whether all workers with a share have delivered their final snapshots, or the time limit has
    /// passed.
    fn complete(&self, now: Time) -> bool {
        let mut loaded = self.active().filter(|(_, m)| m.had_share).peekable();
        let some = loaded.peek().is_some();
        let all = loaded.all(|(_, m)| m.delivered());
        // A successor must first wait for all reports.
        let reports_in = now >= self.reports_until;
        if reports_in && all && (some || self.state == TestState::Stopping) {
            return true;
        }
        if self.state != TestState::Stopping {
            return false;
        }
        let over = match (&self.stop, self.profile_end()) {
            (Some((_, at)), Some(end)) => (*at).min(end),
            (Some((_, at)), None) => *at,
            (None, Some(end)) => end,
            (None, None) => now,
        };
        let grace = self.stop.as_ref();
        let grace = grace.map_or(self.init.spec.grace, |(s, _)| s.order.timeout);
        now >= over + grace + self.timings.share_lease.mul_f64(0.9)
    }

    fn end(&mut self, now: Time, reason: EndReason, fx: &mut Effects) -> Ended {
        self.state = TestState::Ended;
        let text = match &reason {
            EndReason::Completed => "plan completed".to_owned(),
            EndReason::Stopped => "stopped".to_owned(),
            EndReason::Failed(why) => why.clone(),
        };
        self.event(now, EventKind::Ended, None, text, fx);
        let forgotten = |m: &WorkerEntry| m.lost_at.is_some() && planted(Bug::LostForgotten);
        let roster = self.workers.iter();
        let roster = roster.filter(|(_, m)| m.had_share && !forgotten(m));
        Ended {
            test: self.init.test,
            term: self.init.term,
            coordinator: self.init.me.clone(),
            reason,
            roster: roster
                .map(|(node, m)| RosterEntry {
                    worker: node.clone(),
                    name: m.name.clone(),
                    last_snapshot: m.last_snapshot.map(|(n, _)| n),
                    is_final: m.last_snapshot.is_some_and(|(_, f)| f),
                    lost_at: m
                        .lost_at
                        .filter(|_| m.last_snapshot.is_none_or(|(_, is_final)| !is_final)),
                })
                .collect(),
            events: self.events(),
            log: self.log.committed().to_vec(),
            unused_numbers: self.numbers.as_ref().map(NumberPool::unused),
            certificate: Arc::default(),
            signature: Signature([0; SIGNATURE_LEN]),
        }
    }
}

/// Time between two ticks because of changes: each costs time in proportion to the workers.
fn tick_spacing(workers: usize) -> Duration {
    match workers {
        0..64 => Duration::ZERO,
        _ => Duration::from_micros(20 * workers as u64),
    }
}

fn clock_reply(now: Time) -> ClockReply {
    ClockReply {
        received: now.into(),
        sent: now.into(),
    }
}

/// Range of the later incarnations of a node.
fn newest_of(node: &NodeId) -> std::ops::RangeFrom<NodeId> {
    NodeId {
        peer: node.peer.clone(),
        incarnation: super::id::Incarnation(node.incarnation.0.saturating_add(1)),
    }..
}

#[cfg(test)]
#[path = "coordinator_tests.rs"]
mod tests;
