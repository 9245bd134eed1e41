//! The coordinator of one test in one term: registers workers, hands out shares, answers
//! heartbeats, ends the test. It exists only while its node has authority ([`super::election`])
//! and is thrown away when that ends; a successor learns what it must from the workers.
//!
//! Slots follow one rule, *shrink before grow*: whatever any worker may still act on
//! ([`super::ledger`]) is given to nobody else. A coordinator of a later term gives away
//! nothing that it has no report about until one share lease after its election, when every
//! lease granted before it has lapsed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::effects::{Effects, Output};
use super::id::{Digest, NodeId, TestId};
use super::ledger::Ledger;
use super::messages::{
    Assign, ClockReply, EndReason, Ended, Heartbeat, HeartbeatReply, Order, Phase, Register,
    RegisterReply, Request, RosterEntry, ShareReport, Status, StopOrder, TestEvent,
};
use super::spec::{Balance, OnLost, SLOTS, TestSpec, Timings};
use super::split::split;
use super::time::{RemoteTime, Time, awaited};

/// Most workers of a test: what a flat swarm is planned for, ten times over.
pub const MAX_WORKERS: usize = 10_000;
/// Most events kept of a test; later ones are dropped, the first tell how it went wrong.
pub const MAX_EVENTS: usize = 200;

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
    ledger: Ledger,
    last_snapshot: Option<(u64, bool)>,
    lost_at: Option<Duration>,
}

impl Member {
    fn takes_share(&self) -> bool {
        self.active && !self.finished && self.status != Status::Draining
    }

    fn delivered(&self) -> bool {
        self.finished && self.last_snapshot.is_some_and(|(_, is_final)| is_final)
    }
}

/// What a coordinator needs to know about its test.
#[derive(Clone, Debug)]
pub struct Charge {
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
}

/// The coordinator of one test in one term.
#[derive(Debug)]
pub struct Coordinator {
    charge: Charge,
    timings: Timings,
    members: BTreeMap<NodeId, Member>,
    last_order: u64,
    /// Slots without a report may be given away from here on.
    accounts_close: Time,
    start: Option<Time>,
    phase: Phase,
    stop: Option<(StopOrder, Time)>,
    failure: Option<String>,
    /// Something changed that the next tick acts on; it need not wait for its time.
    pressing: bool,
    events: Vec<TestEvent>,
}

impl Coordinator {
    /// Takes office.
    pub fn new(charge: Charge, timings: Timings, fx: &mut Effects) -> Coordinator {
        let accounts_close = if charge.term == 1 {
            charge.won_at
        } else {
            charge.won_at + awaited(timings.share_lease.max(charge.earlier_lease))
        };
        let (term, won_at) = (charge.term, charge.won_at);
        let mut coordinator = Coordinator {
            accounts_close,
            start: charge.start,
            phase: if charge.start.is_some() {
                Phase::Running
            } else {
                Phase::Registering
            },
            stop: charge.stop.map(|s| (s, won_at)),
            failure: None,
            pressing: true,
            members: BTreeMap::new(),
            last_order: 0,
            events: Vec::new(),
            charge,
            timings,
        };
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

    /// Something changed that a tick should act on at once.
    pub fn is_pressing(&self) -> bool {
        self.pressing
    }

    /// How far the test is.
    pub fn phase(&self) -> Phase {
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
        self.charge.spec.on_lost == OnLost::Hold
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
        let event = TestEvent {
            at_ms: self.start.map_or(0, |s| now.signed_since(s) / 1_000_000),
            kind: kind.into(),
            peer: about.map(|n| n.peer.clone()),
            text,
        };
        fx.outputs
            .push(Output::Event(self.charge.test, event.clone()));
        if self.events.len() < MAX_EVENTS {
            self.events.push(event);
        }
    }

    /// A worker offers itself. Called only under authority.
    pub fn register(&mut self, now: Time, r: &Register, fx: &mut Effects) -> RegisterReply {
        let refusal = self.refuse_registration(r);
        let mut reply = RegisterReply {
            test: r.test,
            term: self.charge.term,
            incarnation: r.node.incarnation,
            number: r.number,
            accepted: refusal.is_none(),
            message: refusal.unwrap_or_default(),
            heartbeat_interval: self.timings.heartbeat_interval(self.active().count() + 1),
            metrics_interval: self.timings.metrics_interval,
            order_floor: self.last_order,
            honoured: None,
            clock: clock_reply(now),
        };
        if !reply.accepted {
            return reply;
        }
        if let Some(m) = self.members.get(&r.node)
            && m.registration == r.number
        {
            reply.honoured = m.honoured;
            reply.order_floor = m.order_floor;
            reply.accepted = m.unable.is_none();
            reply.message = m.unable.clone().unwrap_or_default();
            return reply;
        }
        if let Some(stop) = r.stop {
            self.stop(now, stop, fx);
        }
        if let Some(since) = r.since_start {
            // Delays make a start look later than it was: the earliest is the truest.
            let start = now.shifted(since.saturating_neg());
            self.start = Some(self.start.map_or(start, |s| s.min(start)));
            self.phase = self.phase.max(Phase::Running);
        }
        self.pressing = true;
        self.supersede(now, &r.node, fx);
        let honoured = r.report.filter(|report| self.honours(now, &r.node, report));
        self.enter(now, r, honoured, fx);
        reply.honoured = honoured;
        if let Some(m) = self.members.get(&r.node)
            && let Some(reason) = &m.unable
        {
            reply.accepted = false;
            reply.message = reason.clone();
        }
        reply
    }

    fn refuse_registration(&self, r: &Register) -> Option<String> {
        if r.term != self.charge.term {
            return Some(format!("this is term {}", self.charge.term));
        }
        let newer = self
            .members
            .range(newest_of(&r.node))
            .next()
            .is_some_and(|(n, _)| n.peer == r.node.peer && n.incarnation > r.node.incarnation);
        if newer {
            return Some("a newer incarnation of this node has registered".into());
        }
        match self.members.get(&r.node) {
            Some(m) if r.number < m.registration => Some("an older registration".into()),
            None if self.members.len() >= MAX_WORKERS => {
                Some(format!("a test has at most {MAX_WORKERS} workers"))
            }
            _ => None,
        }
    }

    /// A report is honoured once per incarnation and term, while unreported slots are kept
    /// back, and only if it fits with what else is reserved.
    fn honours(&self, now: Time, node: &NodeId, report: &ShareReport) -> bool {
        let member = self.members.get(node);
        if self.holds() && member.is_some_and(|m| m.ledger.held_for_ever() == report.slots) {
            return true;
        }
        let once = !member.is_some_and(|m| m.reported);
        let in_time = self.charge.term > 1 && (now < self.accounts_close || self.holds());
        once && in_time && self.reserved(now) + report.slots <= SLOTS
    }

    /// Older incarnations of a node are heard no more; their shares stay reserved.
    fn supersede(&mut self, now: Time, newer: &NodeId, fx: &mut Effects) {
        let older: Vec<NodeId> = self
            .members
            .iter()
            .filter(|(n, m)| n.peer == newer.peer && n.incarnation < newer.incarnation && m.active)
            .map(|(n, _)| n.clone())
            .collect();
        for node in older {
            self.lose(now, &node, "restarted".into(), fx);
        }
    }

    fn enter(&mut self, now: Time, r: &Register, honoured: Option<ShareReport>, fx: &mut Effects) {
        let unable = r.unable.clone().or_else(|| self.unfit(r));
        let lease = self.timings.share_lease;
        // Under `hold` a worker that comes back carries on with the share kept for it.
        let keeps = self.holds() && honoured.is_some();
        let joined = self.phase >= Phase::Running;
        let known = self.members.contains_key(&r.node);
        let m = self
            .members
            .entry(r.node.clone())
            .or_insert_with(|| Member {
                name: r.name.clone(),
                capacity: r.capacity,
                registration: 0,
                registered_at: now,
                order_floor: 0,
                honoured: None,
                reported: false,
                unable: None,
                active: false,
                last_heartbeat: 0,
                status: Status::Unknown,
                finished: false,
                had_share: false,
                ledger: Ledger::default(),
                last_snapshot: None,
                lost_at: None,
            });
        m.registration = r.number;
        m.registered_at = now;
        m.order_floor = self.last_order;
        m.honoured = honoured;
        m.reported |= honoured.is_some();
        m.had_share |= honoured.is_some() || r.finished;
        m.capacity = r.capacity;
        m.last_heartbeat = 0;
        m.finished = r.finished;
        m.active = unable.is_none();
        if keeps {
            m.ledger.give_back();
        }
        m.ledger.register(now, lease, honoured);
        let text = unable.clone().unwrap_or_else(|| {
            honoured.map_or_else(
                || format!("{}, capacity {}", r.name, r.capacity),
                |h| format!("{}, carries on {:.1} %", r.name, percent(h.slots)),
            )
        });
        m.unable = unable.clone();
        let kind = match (&unable, joined, known) {
            (Some(_), _, _) => "refused",
            (None, true, false) if honoured.is_none() => "joined",
            (None, _, true) => "returned",
            _ => "registered",
        };
        self.event(now, kind, Some(&r.node), text, fx);
    }

    fn unfit(&self, r: &Register) -> Option<String> {
        let spec = &self.charge.spec;
        if !r.task_types.contains(&spec.task.task_type) {
            return Some(format!("cannot run {} tasks", spec.task.task_type));
        }
        let missing = spec
            .labels
            .iter()
            .find(|(k, v)| r.labels.get(*k) != Some(v))?;
        Some(format!("lacks the label {}={}", missing.0, missing.1))
    }

    /// A worker asks for renewal. Called only under authority; `None` is no answer.
    pub fn heartbeat(
        &mut self,
        now: Time,
        hb: &Heartbeat,
        acknowledged_lease: Duration,
        fx: &mut Effects,
    ) -> Option<HeartbeatReply> {
        if hb.term != self.charge.term {
            return None;
        }
        let workers = self.active().count();
        let lease = self.granted(acknowledged_lease);
        let within = self.timings.confirm_within(workers);
        let mut reply = HeartbeatReply {
            test: hb.test,
            term: self.charge.term,
            incarnation: hb.node.incarnation,
            registration: hb.registration,
            number: hb.number,
            lease: None,
            register_again: false,
            message: String::new(),
            order: None,
            stop: self.stop.map(|(s, _)| s),
            clock: clock_reply(now),
        };
        if self.silent(now, &hb.node) {
            self.lose(now, &hb.node, LAPSED.into(), fx);
        }
        let known = self
            .members
            .get_mut(&hb.node)
            .filter(|m| m.registration == hb.registration && m.active);
        let Some(m) = known else {
            reply.register_again = true;
            reply.message = "not registered, or lost meanwhile".into();
            return Some(reply);
        };
        if hb.number <= m.last_heartbeat {
            return None;
        }
        m.last_heartbeat = hb.number;
        let news = m.ledger.acknowledge(hb.answered, hb.applied);
        self.pressing |= news || m.status != hb.status || m.finished != hb.finished;
        m.status = hb.status;
        m.finished |= hb.finished;
        if hb.status == Status::Leaving {
            m.ledger.give_back();
            m.active = false;
            let name = m.name.clone();
            self.event(
                now,
                "left",
                Some(&hb.node),
                format!("{name} left and gave its share back"),
                fx,
            );
            return Some(reply);
        }
        if m.ledger.may_renew(now, within) {
            m.ledger.renew(now, hb.number, lease);
            reply.lease = Some(lease);
        } else {
            reply.message = "answers do not arrive".into();
        }
        reply.order = m.ledger.order().filter(|o| o.number > 0);
        Some(reply)
    }

    /// The lease that may be granted: a longer one than the basic only after a majority
    /// of electors acknowledged a beat that said so.
    fn granted(&self, acknowledged: Duration) -> Duration {
        self.wanted_share_lease()
            .min(acknowledged.max(self.timings.share_lease))
    }

    fn lose(&mut self, now: Time, node: &NodeId, why: String, fx: &mut Effects) {
        let at = self.since_start(now);
        let Some(m) = self.members.get_mut(node) else {
            return;
        };
        m.active = false;
        if m.had_share && !m.delivered() {
            m.lost_at = m.lost_at.or(at);
            if self.charge.spec.on_lost == OnLost::Fail {
                self.failure
                    .get_or_insert(format!("worker {} was lost ({why})", m.name));
            }
        }
        let text = format!("{}: {why}", m.name);
        self.event(now, "lost", Some(node), text, fx);
    }

    /// Declares lost whoever has certainly no lease any more.
    fn expire(&mut self, now: Time, fx: &mut Effects) {
        let silent: Vec<NodeId> = self
            .active()
            .filter(|(n, _)| self.silent(now, n))
            .map(|(n, _)| n.clone())
            .collect();
        for node in silent {
            self.lose(now, &node, LAPSED.into(), fx);
        }
    }

    fn silent(&self, now: Time, node: &NodeId) -> bool {
        let first_contact = awaited(self.timings.share_lease);
        self.members.get(node).is_some_and(|m| {
            m.active && now >= m.ledger.lease_until().max(m.registered_at + first_contact)
        })
    }

    /// Time passed, or something changed. `able` are the live nodes that could take part.
    /// Called only under authority. Returns the end of the test, once.
    pub fn tick(&mut self, now: Time, able: &BTreeSet<NodeId>, fx: &mut Effects) -> Option<Ended> {
        if self.phase == Phase::Ended {
            return None;
        }
        self.pressing = false;
        self.expire(now, fx);
        if let Some(reason) = self.failure.take() {
            return Some(self.end(now, EndReason::Failed(reason), fx));
        }
        if self.phase == Phase::Registering {
            if self.stop.is_some() {
                return Some(self.end(now, EndReason::Stopped, fx));
            }
            if now >= self.accounts_close
                && let Err(reason) = self.try_start(now, able, fx)
            {
                return Some(self.end(now, EndReason::Failed(reason), fx));
            }
        }
        if self.phase == Phase::Running {
            if self.over(now) {
                self.phase = Phase::Stopping;
            } else if now >= self.accounts_close {
                self.rebalance(now, fx);
            }
        }
        if self.phase >= Phase::Running && self.complete(now) {
            let reason = match self.stop {
                Some(_) => EndReason::Stopped,
                None => EndReason::Completed,
            };
            return Some(self.end(now, reason, fx));
        }
        None
    }

    fn profile_end(&self) -> Option<Time> {
        self.start.map(|s| s + self.charge.spec.length)
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
        if accounted && all && (some || self.phase == Phase::Stopping) {
            return true;
        }
        if self.phase != Phase::Stopping {
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

    fn weight(&self, m: &Member) -> u32 {
        match self.charge.spec.balance {
            Balance::Equal => 1,
            Balance::Capacity => m.capacity.max(1),
        }
    }

    /// Assigns shares and chooses the start instant, if everybody is there or the window
    /// has passed; says why the test cannot be run, if so.
    fn try_start(
        &mut self,
        now: Time,
        able: &BTreeSet<NodeId>,
        fx: &mut Effects,
    ) -> Result<(), String> {
        if self.holds() && self.charge.term > 1 {
            return Err(
                "its coordinator was lost before the start, and on_lost_worker = \"hold\" \
                        forbids to give shares away a second time; start it again"
                    .into(),
            );
        }
        let ready = self
            .active()
            .filter(|(_, m)| m.ledger.confirmed() && m.takes_share())
            .count();
        let answered = |n: &NodeId| {
            self.members
                .get(n)
                .is_some_and(|m| m.unable.is_some() || m.ledger.confirmed())
        };
        let everybody = able.iter().all(answered);
        let closes = self.accounts_close + self.timings.registration_window;
        let wanted = self.charge.spec.min_workers.max(1) as usize;
        if !(everybody && ready >= wanted) && now < closes {
            return Ok(());
        }
        if ready < wanted {
            return Err(self.too_few(ready, wanted));
        }
        let delay = self.timings.start_delay + self.timings.heartbeat_interval(ready)
            - self.timings.beat_interval();
        self.start = Some(now + delay);
        self.phase = Phase::Running;
        self.event(
            now,
            "assigned",
            None,
            format!(
                "{ready} workers share the load; start in {} ms",
                delay.as_millis()
            ),
            fx,
        );
        self.rebalance(now, fx);
        Ok(())
    }

    fn too_few(&self, ready: usize, wanted: usize) -> String {
        let refusals: Vec<String> = self
            .members
            .values()
            .filter_map(|m| m.unable.as_ref().map(|why| format!("{}: {why}", m.name)))
            .take(5)
            .collect();
        let asked = match ready {
            0 => "no able worker".to_owned(),
            n => format!("{n} able workers of {wanted} asked for (--min-workers)"),
        };
        if refusals.is_empty() {
            format!("{asked} registered; start more nodes, or lower --min-workers")
        } else {
            format!("{asked}; {}", refusals.join("; "))
        }
    }

    /// Moves shares towards their goal: shrinks at once, grows as slots become free.
    fn rebalance(&mut self, now: Time, fx: &mut Effects) {
        if self.holds() && self.charge.term > 1 {
            return;
        }
        let goals = self.goals();
        let mut free = SLOTS.saturating_sub(self.reserved(now));
        let mut orders: Vec<(NodeId, u32, u32)> = Vec::new();
        for (node, m) in self.active() {
            let (goal, offset) = goals.get(node).copied().unwrap_or((0, 0));
            let current = m.ledger.ordered();
            let placed = m.ledger.order().is_some_and(|o| o.offset == offset);
            let idle = m.ledger.settled() && m.ledger.confirmed();
            let moved = goal == current && current > 0 && !placed;
            if goal < current || (idle && moved) {
                orders.push((node.clone(), goal, offset));
            } else if goal > current && idle {
                let grow = (goal - current).min(free);
                if grow > 0 {
                    free -= grow;
                    orders.push((node.clone(), current + grow, offset));
                }
            }
        }
        for (node, slots, offset) in orders {
            self.issue(now, &node, slots, offset, fx);
        }
    }

    /// Each worker's share when all is settled: its size, and where its slots begin.
    fn goals(&self) -> BTreeMap<NodeId, (u32, u32)> {
        let takers: Vec<(&NodeId, u32)> = self
            .members
            .iter()
            .filter(|(_, m)| m.takes_share())
            .map(|(n, m)| (n, self.weight(m)))
            .collect();
        let kept: u32 = if self.holds() {
            let gone = self.members.values().filter(|m| !m.takes_share());
            gone.map(|m| self.reserved_by(m, Time::MAX)).sum()
        } else {
            0
        };
        let weights: Vec<u32> = takers.iter().map(|(_, w)| *w).collect();
        let parts = split(SLOTS.saturating_sub(kept), &weights);
        let mut offset = 0;
        takers
            .into_iter()
            .zip(parts)
            .map(|((node, _), slots)| {
                let goal = (node.clone(), (slots, offset));
                offset = (offset + slots) % SLOTS;
                goal
            })
            .collect()
    }

    fn issue(&mut self, now: Time, node: &NodeId, slots: u32, offset: u32, fx: &mut Effects) {
        self.last_order += 1;
        let order = Order {
            number: self.last_order,
            slots,
            offset,
            start: self.start.map(RemoteTime::from),
        };
        let late = self.start.is_some_and(|s| now >= s);
        let spec = &self.charge.spec;
        let Some(m) = self.members.get_mut(node) else {
            return;
        };
        let before = m.ledger.ordered();
        m.ledger.issue(order);
        m.had_share |= slots > 0;
        let mut description = spec.task.clone();
        let part = |whole: u64| (whole * u64::from(slots)).div_ceil(u64::from(SLOTS));
        description.target_rate_milli = part(description.target_rate_milli);
        description.max_concurrency = part(u64::from(description.max_concurrency)) as u32;
        let assign = Assign {
            test: self.charge.test,
            term: self.charge.term,
            incarnation: node.incarnation,
            registration: m.registration,
            digest: self.charge.digest,
            order,
            description,
            sent: now.into(),
        };
        let text = format!(
            "{}: {:.1} % → {:.1} %",
            m.name,
            percent(before),
            percent(slots)
        );
        fx.send(&self.charge.me, &node.peer, Request::Assign(assign));
        if late && before != slots {
            self.event(now, "rebalanced", Some(node), text, fx);
        }
    }

    fn end(&mut self, now: Time, reason: EndReason, fx: &mut Effects) -> Ended {
        self.phase = Phase::Ended;
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
            events: self.events.clone(),
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
