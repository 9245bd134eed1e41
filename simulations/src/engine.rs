//! A cheap model of the load engine. It carries out arrivals, users and request numbers by the rules
//! of the plan, without requests: the checkers see each of them. It follows the orders of the
//! protocol and enforces its lease by the local clock.
//!
//! Between two orders nothing changes, so it computes what it has done since the last one only when
//! the next arrives ([`Engine::advance`]).

mod act;
mod users;

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use vajra_core::metrics::{Counters, Piece, StepCounters, TimeKind, new_histogram};
use vajra_core::protocol::log::{EntryKind, LoadCommand, LogEntry, paused_for};
use vajra_core::protocol::messages::StopOrder;
use vajra_core::protocol::planted::{Bug, planted};
use vajra_core::protocol::{EngineHeld, EngineOrder, Measurement, Time};
use vajra_core::{Numbers, SLOTS, Slots};
use vajra_plan::{Change, LoadChange, Profile};

use crate::scenario::{Load, Plan};
use act::STEP;
pub use act::{Act, EngineSpec};
use users::Users;

/// Longest time until all engine threads act on a change of the share.
pub const APPLIES_WITHIN: Duration = Duration::from_millis(5);
/// Time between two reports of unused request numbers.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// One test's load on one machine.
#[derive(Debug)]
pub struct Engine {
    spec: EngineSpec,
    profile: Profile,
    start: Option<Time>,
    /// The newest share.
    share: Slots,
    /// The share, and slots that the threads have not given up yet.
    acting: Slots,
    /// Slots with the profile instant, in nanoseconds, before which their arrivals belong to others.
    floors: Vec<(Slots, u64)>,
    /// Number of the newest change of the share, and of the newest that all threads act on.
    change: (u64, u64),
    applies_at: Time,
    handled_until: Duration,
    lease: Time,
    stop: Option<(StopOrder, Time)>,
    advanced_to: Time,
    /// Log entries that it acts on.
    log: Arc<[LogEntry]>,
    users: Users,
    sent: u64,
    recorded: u64,
    histogram: Histogram<u64>,
    finished: bool,
    reported: EngineHeld,
    next_report: Time,
    /// Request numbers arrived after the last report, which must therefore be repeated.
    unreported: bool,
    /// Rises whenever it may act on more slots.
    version: u64,
    /// What it has done since this was last taken.
    acts: Vec<Act>,
    /// Whether it reports overload.
    pub overloaded: bool,
}

/// Slot of an arrival.
fn slot_of_arrival(k: u64) -> u32 {
    let slots = u64::from(SLOTS);
    ((k % slots) * STEP % slots) as u32
}

fn plan_load(plan: &Plan) -> vajra_plan::Load {
    match plan.load {
        Load::Open { rate } => vajra_plan::Load::open(f64::from(rate), plan.length),
        Load::Closed { users, .. } => vajra_plan::Load::closed(users, plan.length),
    }
}

impl Engine {
    /// An engine without a share.
    pub fn new(spec: EngineSpec) -> Engine {
        let profile = Profile::of(&plan_load(&spec.plan));
        let users = Users::new(&spec, &profile, &[]);
        Engine {
            profile,
            start: None,
            share: Slots::EMPTY,
            acting: Slots::EMPTY,
            floors: Vec::new(),
            change: (0, 0),
            applies_at: Time::MAX,
            handled_until: Duration::ZERO,
            lease: Time::ZERO,
            stop: None,
            advanced_to: Time::ZERO,
            log: Arc::from([]),
            users,
            sent: 0,
            recorded: 0,
            histogram: new_histogram(),
            finished: false,
            reported: EngineHeld::default(),
            next_report: Time::MAX,
            unreported: false,
            version: 0,
            acts: Vec::new(),
            overloaded: false,
            spec,
        }
    }

    /// End of the profile, once its start is known.
    pub fn ends(&self) -> Option<Time> {
        let more = paused_for(&self.log, self.spec.max_pause);
        self.start.map(|s| s + self.spec.plan.length + more)
    }

    /// Log entries that it acts on.
    pub fn log(&self) -> &[LogEntry] {
        &self.log
    }

    /// Whether the final measurement was made.
    pub fn finished(&self) -> bool {
        self.finished
    }

    /// Number that rises whenever it may act on more slots.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Time since the start of the profile.
    pub fn elapsed(&self, now: Time) -> Duration {
        self.start.map_or(Duration::ZERO, |s| now.since(s))
    }

    /// Whether it sends nothing more, except the requests in flight.
    fn over(&self, now: Time) -> bool {
        self.ends().is_none_or(|end| now >= end) || self.stop.is_some() || self.finished
    }

    fn gate_closed(&self, now: Time) -> bool {
        now >= self.lease && !planted(Bug::GateOpen)
    }

    /// Share that it acts on at `now`. Before the start this is what it will send from the start on,
    /// which is stricter than what the target receives.
    pub fn sending(&self, now: Time) -> &Slots {
        static NONE: Slots = Slots::EMPTY;
        match self.over(now) || self.gate_closed(now) {
            true => &NONE,
            false => &self.share,
        }
    }

    /// All slots that it may act on at `now`: the share, slots that it is giving up, and those of
    /// removed users that have not finished.
    pub fn acting(&self, now: Time) -> Slots {
        if self.gate_closed(now) || self.finished {
            return Slots::EMPTY;
        }
        let draining = self.users.draining(&self.acting, now);
        match self.over(now) {
            true => draining,
            false => draining.union(&self.acting),
        }
    }

    /// Number of the plan's users in a share.
    pub fn users(&self, share: &Slots) -> u32 {
        let planned = self.spec.plan.load.users().unwrap_or_default();
        self.users.within(share, planned)
    }

    /// What it has done since the last call.
    pub fn take_acts(&mut self) -> Vec<Act> {
        std::mem::take(&mut self.acts)
    }

    fn profile_ns(&self, at: Time) -> u64 {
        let since = self.start.map_or(0, |s| at.signed_since(s));
        since.max(0).unsigned_abs()
    }

    /// Does what is due until `now`.
    pub fn advance(&mut self, now: Time) {
        let from = self.advanced_to;
        self.advanced_to = self.advanced_to.max(now);
        let (Some(start), Some(end)) = (self.start, self.ends()) else {
            return;
        };
        if self.finished {
            return;
        }
        let gate = match planted(Bug::GateOpen) {
            true => Time::MAX,
            false => self.lease,
        };
        let stop = self.stop.map_or(Time::MAX, |(_, at)| at);
        let until = now.min(end).min(gate).min(stop);
        match self.spec.plan.load {
            Load::Open { .. } => self.send_arrivals(from.max(start), until),
            Load::Closed { .. } => {
                let limits = users::Limits {
                    start,
                    from,
                    now,
                    until,
                    cut: gate.min(self.cut()),
                };
                let sent = self
                    .users
                    .advance(limits, &self.acting, &self.profile, &mut self.acts);
                self.sent += sent;
            }
        }
    }

    fn send_arrivals(&mut self, from: Time, to: Time) {
        if to <= from || self.acting.is_empty() {
            return;
        }
        let first = self.profile.first_arrival_from_ns(self.profile_ns(from));
        let last = self.profile.first_arrival_from_ns(self.profile_ns(to));
        let floors = !self.floors.is_empty();
        let gaps: Vec<_> = self.profile.gaps().collect();
        for k in first..last {
            let slot = slot_of_arrival(k);
            if !self.acting.contains(slot) || gaps.iter().any(|gap| gap.contains(&k)) {
                continue;
            }
            if floors {
                let due = self.profile.arrival_ns(k);
                let of_others =
                    |(slots, floor): &(Slots, u64)| due < *floor && slots.contains(slot);
                if self.floors.iter().any(of_others) {
                    continue;
                }
            }
            self.acts.push(Act::Arrival(k));
            self.sent += 1;
        }
        let reached = self.profile_ns(to);
        self.floors.retain(|(_, floor)| *floor > reached);
    }

    /// The machine was paused until `now`: responses arrived, but nothing was sent.
    pub fn skip_to(&mut self, now: Time) {
        self.users.skip_to(now, self.lease, &mut self.acts);
        self.advanced_to = now;
    }

    /// The process ends at `now`: its connections are closed.
    pub fn abort(&mut self, now: Time) {
        self.users.interrupt(now, &mut self.acts);
        self.finished = true;
    }

    /// Carries out an order. The threads act on a smaller share after `delay`.
    pub fn order(&mut self, now: Time, order: &EngineOrder, delay: Duration) {
        self.advance(now);
        match order {
            EngineOrder::Prepare => {}
            EngineOrder::Start(at) => {
                self.start = Some(*at);
                self.users.start(*at);
            }
            EngineOrder::Share {
                change,
                slots,
                floor,
            } => self.change_share(now, *change, slots, *floor, delay),
            EngineOrder::Numbers { added, last } => {
                self.users.add_numbers(added, *last);
                self.unreported = true;
                self.next_report = self.next_report.min(now + REPORT_INTERVAL);
            }
            EngineOrder::ReturnNumbers => {
                self.users.return_numbers();
                self.unreported = true;
                self.next_report = now;
            }
            EngineOrder::Lease(until) => {
                if self.gate_closed(now) {
                    // A thread carries out its orders in sequence: it sends nothing before it acts on
                    // the share that came before this lease.
                    self.apply_share(now);
                    self.version += 1;
                }
                self.lease = *until;
            }
            EngineOrder::Log(log) => {
                self.log = log.clone();
                self.update_profile();
            }
            EngineOrder::Stop(order) => {
                let at = self.stop.map_or(now, |(_, at)| at);
                self.stop = Some((*order, at));
            }
        }
    }

    fn change_share(
        &mut self,
        now: Time,
        change: u64,
        slots: &Slots,
        floor: Duration,
        delay: Duration,
    ) {
        let added = slots.difference(&self.share);
        let elapsed = self.elapsed(now);
        let begins = match planted(Bug::FloorIgnored) {
            true => elapsed,
            false => floor.max(elapsed),
        };
        if !added.is_empty() {
            self.floors.push((added.clone(), begins.as_nanos() as u64));
            let started = self.start.is_some_and(|s| now > s);
            self.users.arrive(&added, started.then_some(now));
            self.version += 1;
        }
        self.acting = self.acting.union(slots);
        self.share = slots.clone();
        self.change.0 = change;
        self.applies_at = now + delay;
    }

    /// All threads act on the newest share.
    fn apply_share(&mut self, now: Time) {
        let removed = self.acting.difference(&self.share);
        self.change.1 = self.change.0;
        self.applies_at = Time::MAX;
        if !removed.is_empty() {
            self.handled_until = self.elapsed(now);
            self.users.remove(&removed, now + self.spec.plan.grace);
        }
        self.acting = self.share.clone();
    }

    fn update_profile(&mut self) {
        let changes = self.log.iter().filter_map(|entry| {
            let EntryKind::LoadChanged(command) = &entry.kind else {
                return None;
            };
            Some(LoadChange {
                at: entry.at,
                lag: entry.max_delay,
                what: match command {
                    LoadCommand::Load { level_milli } => Change::Level(*level_milli as f64 / 1e3),
                    LoadCommand::Pause => Change::Pause(self.spec.max_pause),
                    LoadCommand::Resume => Change::Resume,
                },
            })
        });
        let changes: Vec<LoadChange> = changes.collect();
        self.profile = Profile::changed(&plan_load(&self.spec.plan), &changes);
        self.users.layout(&self.spec, &self.profile, &changes);
    }

    /// Next time at which it has something to report.
    pub fn next_wake(&self) -> Option<Time> {
        if self.finished {
            return None;
        }
        let unreported = self.change.1 > self.reported.change;
        let applies = match unreported {
            true => Some(self.advanced_to),
            false => (self.change.1 < self.change.0).then_some(self.applies_at),
        };
        let drained = self.users.next_drained(&self.acting);
        let used = self.unreported || self.users.unused() != &self.reported.unused;
        let numbers = used.then_some(self.next_report);
        applies.into_iter().chain(drained).chain(numbers).min()
    }

    /// What it acts on besides its share, if that has changed since the last report.
    pub fn report(&mut self, now: Time) -> Option<EngineHeld> {
        self.advance(now);
        if now >= self.applies_at {
            self.apply_share(now);
        }
        let held = EngineHeld {
            change: self.change.1,
            draining: self.users.draining(&self.acting, now),
            handled_until: self.handled_until,
            unused: self.users.unused().clone(),
            returned: self.users.take_returned(),
            idle: self.idle(now),
        };
        if held == self.reported && !self.unreported {
            return None;
        }
        self.unreported = false;
        self.next_report = now + REPORT_INTERVAL;
        self.reported = EngineHeld {
            returned: Numbers::EMPTY,
            ..held.clone()
        };
        Some(held)
    }

    /// Whether the profile excludes all of its users.
    fn idle(&self, now: Time) -> bool {
        let since = self.start.map(|start| now.signed_since(start));
        since.is_some_and(|since| {
            since >= 0
                && self
                    .users
                    .all_excluded(&self.acting, &self.profile, since.unsigned_abs())
        })
    }

    /// Time at which no request is in flight any more, if the load is over.
    pub fn idle_at(&self, now: Time) -> Option<Time> {
        let started = self.start.is_some();
        let over = started && self.over(now) || self.stop.is_some() || self.users.exhausted();
        over.then(|| self.users.last_end().unwrap_or(now).min(self.cut()))
    }

    /// Time at which the last requests in flight are interrupted.
    fn cut(&self) -> Time {
        let stop = self
            .stop
            .map_or(Time::MAX, |(order, at)| match order.graceful {
                true => at + order.timeout,
                false => at,
            });
        let end = self
            .ends()
            .map_or(Time::MAX, |end| end + self.spec.plan.grace);
        stop.min(end)
    }

    /// Number of requests sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Takes a measurement.
    pub fn measure(&mut self, now: Time, is_final: bool) -> Measurement {
        self.advance(now);
        if is_final {
            self.users.interrupt(now, &mut self.acts);
        }
        self.finished |= is_final;
        let sent = self.sent;
        self.histogram
            .saturating_record_n(self.spec.response_us, sent - self.recorded);
        self.recorded = sent;
        let mut data = Vec::new();
        if let Err(e) = V2DeflateSerializer::new().serialize(&self.histogram, &mut data) {
            unreachable!("writing a histogram to memory: {e:?}");
        }
        Measurement {
            is_final,
            elapsed: self.elapsed(now),
            engine_cpu: Duration::ZERO,
            engine_threads: 1,
            overloaded: self.overloaded,
            pieces: vec![
                Piece::Counters(vec![StepCounters {
                    name: "request".into(),
                    counters: Counters {
                        planned: sent,
                        sent,
                        ok: sent,
                        ..Counters::default()
                    },
                }]),
                Piece::Histogram {
                    step: 0,
                    kind: TimeKind::Response,
                    data: Arc::from(data),
                },
            ],
        }
    }
}

#[cfg(test)]
mod tests;
