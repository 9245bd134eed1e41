//! The coordinator of one test in one term: registers workers, hands out shares, answers
//! heartbeats, ends the test. It exists only while its node has authority ([`super::election`])
//! and is thrown away when that ends; a successor learns what it must from the workers.
//!
//! Slots follow one rule, *shrink before grow*: whatever any worker may still act on
//! ([`super::ledger`]) is given to nobody else. A coordinator of a later term gives away
//! nothing that it has no report about until one share lease after its election, when every
//! lease granted before it has lapsed.

mod deciding;
mod event_log;
mod registering;
mod sharing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use event_log::EventLog;
pub use event_log::{MAX_EVENTS, MAX_TOLD};

use super::decisions::{Decision, LoadCommand, LogEntry, Record, values};
use super::effects::{Effects, Output};
use super::election::Acknowledged;
use super::id::{Digest, NodeId, TestId};
use super::ledger::Ledger;
use super::messages::{
    Assign, ClockReply, EndReason, Ended, Heartbeat, HeartbeatReply, Order, Register,
    RegisterReply, Request, RosterEntry, ShareReport, Status, StopOrder, TestEvent, TestState,
};
use super::planted::{Bug, planted};
use super::spec::{Balance, OnLost, SLOTS, TestSpec, Timings};
use super::split::split;
use super::time::{RemoteTime, Time, awaited};
use crate::Hook;

/// Most workers of a test: what a flat swarm is planned for, ten times over.
pub const MAX_WORKERS: usize = 10_000;
/// Authority leases for which an event is told with the beats: eight beats, which may be lost.
const TOLD_FOR: u32 = 2;

/// What an overloaded worker's weight is multiplied by, in thousandths, ...
const RELIEF: u32 = 800;
/// ... how small it becomes at most, ...
const MOST_RELIEF: u32 = 200;
/// ... and how long the effect is waited for before the next time.
const RELIEF_INTERVAL: Duration = Duration::from_secs(3);

const LAPSED: &str = "its lease lapsed unrenewed";

/// A worker as its coordinator sees it.
#[derive(Debug)]
struct Member {
    name: String,
    capacity: u32,
    registration: u64,
    registered_at: Time,
    order_floor: u64,
    honoured: Option<ShareReport>,
    /// A report of this incarnation has been taken into account in this term.
    reported: bool,
    unable: Option<String>,
    /// Takes part: registered, able, not lost, not gone.
    active: bool,
    last_heartbeat: u64,
    status: Status,
    finished: bool,
    had_share: bool,
    /// Thousandths of its weight that it is counted with: less, once it was overloaded.
    relief: u32,
    /// It has said that it is overloaded.
    overloaded: bool,
    /// Not relieved again before this.
    next_relief: Time,
    ledger: Ledger,
    last_snapshot: Option<(u64, bool)>,
    lost_at: Option<Duration>,
}

impl Member {
    fn takes_share(&self) -> bool {
        let heard = self.ledger.confirmed() || self.ledger.ordered() > 0;
        self.active && heard && !self.finished && self.status != Status::Draining
    }

    fn delivered(&self) -> bool {
        self.finished && self.last_snapshot.is_some_and(|(_, is_final)| is_final)
    }
}

/// Why a test ends whose shares are not known to be with anybody, under `hold`.
const HELD_BY_NOBODY: &str = "its coordinator was lost before any worker was known to have a \
    share, and on_lost_worker = \"hold\" forbids to give shares away a second time; start it again";

/// What a coordinator needs to know about its test.
#[derive(Clone, Debug)]
pub struct CoordinatorInit {
    /// The test.
    pub test: TestId,
    /// This node.
    pub me: NodeId,
    /// The term it was elected in.
    pub term: u64,
    /// When the majority was there.
    pub won_at: Time,
    /// The plan.
    pub spec: TestSpec,
    /// Its digest.
    pub digest: Digest,
    /// Longest share lease that an earlier coordinator may have granted.
    pub earlier_lease: Duration,
    /// The start of the profile, if this node knows it.
    pub start: Option<Time>,
    /// A stop that was heard before the election.
    pub stop: Option<StopOrder>,
    /// What was decided before.
    pub decisions: Vec<LogEntry>,
    /// What is known to have happened before.
    pub events: Vec<TestEvent>,
}

/// The coordinator of one test in one term.
#[derive(Debug)]
pub struct Coordinator {
    charge: CoordinatorInit,
    timings: Timings,
    members: BTreeMap<NodeId, Member>,
    last_order: u64,
    /// Slots without a report may be given away from here on.
    accounts_close: Time,
    /// Workers of earlier terms that have not come back by then have been told of.
    accounted: bool,
    start: Option<Time>,
    /// What a majority of electors knows of this term: a successor will hear it.
    acknowledged: Acknowledged,
    phase: TestState,
    stop: Option<(StopOrder, Time)>,
    failure: Option<String>,
    /// Something changed that the next tick acts on; it need not wait for its time.
    pressing: bool,
    /// Some slots may become free then.
    next_lapse: Time,
    chronicle: EventLog,
    decisions: Record,
    /// Setup or teardown is being run here, until this instant at most.
    running: Option<(Hook, Time)>,
    /// The teardown was run here.
    torn_down: bool,
    /// It has failed for this reason: its load is stopped, and then it ends.
    stopping: Option<String>,
    /// The test is to end for this reason, once the teardown is over.
    ending: Option<EndReason>,
}

impl Coordinator {
    /// Takes office.
    pub fn new(charge: CoordinatorInit, timings: Timings, fx: &mut Effects) -> Coordinator {
        let mut charge = charge;
        if planted(Bug::StartForgotten) {
            charge.start = None;
        }
        if planted(Bug::StretchNotWaited) {
            charge.earlier_lease = Duration::ZERO;
        }
        let accounts_close = if charge.term == 1 || planted(Bug::UnaccountedAtOnce) {
            charge.won_at
        } else {
            charge.won_at + awaited(timings.share_lease.max(charge.earlier_lease))
        };
        let (term, won_at) = (charge.term, charge.won_at);
        let mut coordinator = Coordinator {
            accounts_close,
            accounted: false,
            start: charge.start,
            phase: if charge.start.is_some() {
                TestState::Running
            } else {
                TestState::Registering
            },
            stop: charge.stop.map(|s| (s, won_at)),
            acknowledged: Acknowledged::default(),
            failure: None,
            pressing: true,
            next_lapse: Time::MAX,
            members: BTreeMap::new(),
            last_order: 0,
            chronicle: EventLog::after(std::mem::take(&mut charge.events)),
            decisions: Record::of(&charge.decisions),
            running: None,
            torn_down: false,
            stopping: None,
            ending: None,
            charge,
            timings,
        };
        // A teardown is begun after the load; what made it end early may not be known here.
        let torn = coordinator.decisions.begun_before(Hook::Teardown);
        if torn && !coordinator.over(won_at) {
            coordinator.stop = Some((coordinator.own_stop(), won_at));
        }
        if let Some(start) = coordinator.start {
            coordinator.chronicle.start_known(won_at, start);
        }
        let me = coordinator.charge.me.clone();
        coordinator.event(
            won_at,
            "elected",
            Some(&me),
            format!("coordinator of term {term}"),
            fx,
        );
        coordinator
    }

    /// What a majority of electors has acknowledged. Without the start among it no share is
    /// given: a successor elected without knowing it would start the profile a second time.
    pub fn acknowledged(&mut self, acknowledged: Acknowledged) {
        self.pressing |= acknowledged.start && !self.acknowledged.start;
        self.pressing |= acknowledged.decisions > self.acknowledged.decisions;
        self.decisions.acknowledged(acknowledged.decisions);
        self.acknowledged = acknowledged;
    }

    /// When to be ticked next, if nothing changes before.
    pub fn next_wake(&self) -> Time {
        let over = self.running.map_or(Time::MAX, |(_, until)| until);
        match self.pressing {
            true => Time::ZERO,
            false => self.next_lapse.min(over),
        }
    }

    /// How far the test is.
    pub fn phase(&self) -> TestState {
        self.phase
    }

    /// The start of the profile on this node's clock.
    pub fn start(&self) -> Option<Time> {
        self.start
    }

    /// The share-lease length that the roster's size calls for; beats announce it.
    pub fn wanted_share_lease(&self) -> Duration {
        self.timings.share_lease(self.active().count())
    }

    /// The share each active worker was last ordered, for display.
    pub fn shares(&self) -> impl Iterator<Item = (&NodeId, u32)> {
        self.members.iter().map(|(n, m)| (n, m.ledger.ordered()))
    }

    /// Slots that somebody may be acting on.
    pub fn reserved(&self, now: Time) -> u32 {
        self.members
            .values()
            .map(|m| self.reserved_by(m, now))
            .sum()
    }

    /// A stop was heard.
    pub fn stop(&mut self, now: Time, order: StopOrder, fx: &mut Effects) {
        if self.stop.is_some() {
            return;
        }
        self.stop = Some((order, now));
        self.pressing = true;
        let how = if order.graceful {
            "graceful"
        } else {
            "at once"
        };
        self.event(now, "stop", None, format!("stop requested, {how}"), fx);
        for (node, _) in self.active() {
            fx.send(
                &self.charge.me,
                &node.peer,
                Request::Stop {
                    test: self.charge.test,
                    term: self.charge.term,
                    order,
                },
            );
        }
    }

    /// Why it is about to be stopped, if nobody has stopped it yet.
    pub fn broke(&mut self, now: Time, why: String, fx: &mut Effects) -> bool {
        if self.stop.is_none() {
            self.event(now, "threshold", None, why, fx);
        }
        self.stop.is_none()
    }

    /// A worker's snapshot has been taken in, on whatever way.
    pub fn snapshot_received(&mut self, worker: &NodeId, number: u64, is_final: bool) {
        if let Some(m) = self.members.get_mut(worker)
            && m.last_snapshot.is_none_or(|(n, _)| number > n)
        {
            m.last_snapshot = Some((number, is_final));
            self.pressing |= is_final;
        }
    }

    fn active(&self) -> impl Iterator<Item = (&NodeId, &Member)> {
        self.members.iter().filter(|(_, m)| m.active)
    }

    fn reserved_by(&self, m: &Member, now: Time) -> u32 {
        if self.holds() && !m.delivered() {
            m.ledger.held_for_ever()
        } else {
            m.ledger.reserved(now)
        }
    }

    fn holds(&self) -> bool {
        self.charge.spec.on_lost == OnLost::Hold && !planted(Bug::HoldGivesAway)
    }

    /// Under `hold`: nobody has come back with a share in the time that registration takes,
    /// and none may be given.
    fn nobody_holds(&self, now: Time) -> bool {
        self.holds()
            && self.charge.term > 1
            && now >= self.accounts_close + self.timings.registration_window
            && !self.members.values().any(|m| m.had_share)
    }

    fn since_start(&self, now: Time) -> Option<Duration> {
        self.start.map(|s| now.since(s))
    }

    fn event(
        &mut self,
        now: Time,
        kind: &str,
        about: Option<&NodeId>,
        text: String,
        fx: &mut Effects,
    ) {
        let event = self.chronicle.record(now, kind, about, text);
        fx.outputs.push(Output::Event(self.charge.test, event));
    }

    /// What happened, in this term and before.
    pub fn events(&self) -> Vec<TestEvent> {
        self.chronicle.events()
    }

    /// What the beats tell now of it.
    pub fn told(&self, now: Time) -> Vec<TestEvent> {
        let told_for = self.timings.authority_lease * TOLD_FOR;
        self.chronicle
            .told(now, told_for, self.timings.beat_interval())
    }

    /// Time passed, or something changed. `able` are the live nodes that could take part.
    /// Called only under authority. Returns the end of the test, once.
    pub fn tick(&mut self, now: Time, able: &BTreeSet<NodeId>, fx: &mut Effects) -> Option<Ended> {
        if self.phase == TestState::Ended {
            return None;
        }
        self.pressing = false;
        self.give_up_running(now, fx);
        if let Some(reason) = self.ending.clone() {
            return self.end_after_teardown(now, reason, fx);
        }
        self.expire(now, fx);
        self.next_lapse = self.lapses_after(now);
        if let Some(reason) = self.failure.take() {
            if self.charge.spec.teardown.is_none() || self.start.is_none() {
                return self.end_after_teardown(now, EndReason::Failed(reason), fx);
            }
            // What the teardown takes away is in use as long as there is load.
            self.stopping = Some(reason);
            self.stop(now, self.own_stop(), fx);
        }
        if self.phase == TestState::Registering {
            // A setup that runs is let finish, so that the teardown finds what it has made.
            let waits = self.running.is_some() && self.stop.is_none_or(|(s, _)| s.graceful);
            if self.stop.is_some() && !waits {
                return self.end_after_teardown(now, EndReason::Stopped, fx);
            }
            if now >= self.accounts_close
                && !waits
                && let Err(reason) = self.try_start(now, able, fx)
            {
                return self.end_after_teardown(now, EndReason::Failed(reason), fx);
            }
        }
        if self.phase == TestState::Running {
            if self.over(now) {
                self.phase = TestState::Stopping;
            } else if self.nobody_holds(now) {
                let reason = EndReason::Failed(HELD_BY_NOBODY.into());
                return self.end_after_teardown(now, reason, fx);
            } else if now >= self.accounts_close
                && (self.acknowledged.start || planted(Bug::StartUnacknowledged))
            {
                self.rebalance(now, fx);
            }
        }
        if self.phase >= TestState::Running && self.complete(now) {
            let reason = match (self.stopping.take(), self.stop) {
                (Some(why), _) => EndReason::Failed(why),
                (None, Some(_)) => EndReason::Stopped,
                (None, None) => EndReason::Completed,
            };
            return self.end_after_teardown(now, reason, fx);
        }
        None
    }

    /// When some worker's slots may become free, or the accounts are closed. Renewals move it
    /// on; then it is a moment at which nothing happens.
    fn lapses_after(&self, now: Time) -> Time {
        let lapses = self.members.values();
        let lapses = lapses.filter_map(|m| m.ledger.lapses_after(now));
        let closes = Some(self.accounts_close).filter(|t| *t > now);
        lapses.chain(closes).min().unwrap_or(Time::MAX)
    }

    /// How it stops the load for a reason of its own.
    fn own_stop(&self) -> StopOrder {
        StopOrder {
            graceful: true,
            timeout: self.charge.spec.grace,
        }
    }

    /// It stops the load for a reason of its own: the others are to hear of it, so that a
    /// successor does as well.
    pub fn stops(&self) -> Option<StopOrder> {
        self.stopping.as_ref().map(|_| self.own_stop())
    }

    fn profile_end(&self) -> Option<Time> {
        self.start
            .map(|s| s + self.charge.spec.lasts(self.decisions.all(), &self.timings))
    }

    fn over(&self, now: Time) -> bool {
        self.stop.is_some() || self.profile_end().is_some_and(|end| now >= end)
    }

    /// Everybody that carries load has delivered its final snapshot, or time is up.
    fn complete(&self, now: Time) -> bool {
        let mut carriers = self.active().filter(|(_, m)| m.had_share).peekable();
        let some = carriers.peek().is_some();
        let all = carriers.all(|(_, m)| m.delivered());
        // A successor must first give every worker the time to report.
        let accounted = now >= self.accounts_close;
        if accounted && all && (some || self.phase == TestState::Stopping) {
            return true;
        }
        if self.phase != TestState::Stopping {
            return false;
        }
        let over = match (self.stop, self.profile_end()) {
            (Some((_, at)), Some(end)) => at.min(end),
            (Some((_, at)), None) => at,
            (None, Some(end)) => end,
            (None, None) => now,
        };
        let grace = self.stop.map_or(self.charge.spec.grace, |(s, _)| s.timeout);
        now >= over + grace + self.timings.share_lease.mul_f64(0.9)
    }

    fn end(&mut self, now: Time, reason: EndReason, fx: &mut Effects) -> Ended {
        self.phase = TestState::Ended;
        let text = match &reason {
            EndReason::Completed => "the plan was carried out".to_owned(),
            EndReason::Stopped => "stopped".to_owned(),
            EndReason::Failed(why) => why.clone(),
        };
        self.event(now, "ended", None, text, fx);
        let roster = self.members.iter().filter(|(_, m)| m.had_share);
        Ended {
            test: self.charge.test,
            term: self.charge.term,
            coordinator: self.charge.me.clone(),
            reason,
            roster: roster
                .map(|(node, m)| RosterEntry {
                    worker: node.clone(),
                    name: m.name.clone(),
                    last_snapshot: m.last_snapshot.map(|(n, _)| n),
                    is_final: m.last_snapshot.is_some_and(|(_, f)| f),
                    lost_at: m.lost_at,
                })
                .collect(),
            events: self.events(),
            decisions: self.decisions.settled().to_vec(),
        }
    }
}

fn clock_reply(now: Time) -> ClockReply {
    ClockReply {
        received: now.into(),
        sent: now.into(),
    }
}

fn percent(slots: u32) -> f64 {
    f64::from(slots) * 100.0 / f64::from(SLOTS)
}

/// All incarnations of a node from its own on.
fn newest_of(node: &NodeId) -> std::ops::RangeFrom<NodeId> {
    NodeId {
        peer: node.peer.clone(),
        incarnation: super::id::Incarnation(node.incarnation.0.saturating_add(1)),
    }..
}

#[cfg(test)]
#[path = "coordinator_tests.rs"]
mod tests;
