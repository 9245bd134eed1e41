//! The parts of a worker's state.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::metrics::{Snapshot, StartError};
use crate::protocol::allocation::Allocation;
use crate::protocol::clock::ClockEstimate;
use crate::protocol::effects::EngineHeld;
use crate::protocol::id::{Digest, NodeId, Peer};
use crate::protocol::messages::{NumbersGrant, Order};
use crate::protocol::planted::{Bug, planted};
use crate::protocol::time::{RemoteTime, Time};
use crate::{MAX_HELD_INTERVALS, Numbers, Slots};

/// Time between two heartbeats that are sent early because their content changed.
const HEARTBEAT_SPACING: Duration = Duration::from_millis(10);

/// Sent heartbeats whose answer can still count: those of a share lease, plus slack.
const MAX_SENT: usize = 64;

/// State of the registration.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Stage {
    /// No coordinator is known, or the worker has left.
    NoCoordinator,
    /// A registration was sent; it is repeated at `next`.
    Registering { next: Time },
    /// Registered; the next heartbeat is due at `next`.
    Registered { next: Time },
}

/// The registration with a coordinator, and its heartbeats.
#[derive(Debug)]
pub(super) struct Contact {
    pub(super) stage: Stage,
    /// Term and node of the coordinator.
    pub(super) coordinator: Option<(u64, NodeId)>,
    /// Number of the registration.
    pub(super) registration: u64,
    /// Time between heartbeats.
    pub(super) interval: Duration,
    /// Number of the last heartbeat in this registration.
    pub(super) heartbeat: u64,
    /// Numbers and times of the last heartbeats.
    pub(super) sent: VecDeque<(u64, Time)>,
    /// Newest heartbeat whose answer arrived.
    pub(super) answered: u64,
}

impl Contact {
    pub(super) fn new(interval: Duration) -> Contact {
        Contact {
            stage: Stage::NoCoordinator,
            coordinator: None,
            registration: 0,
            interval,
            heartbeat: 0,
            sent: VecDeque::new(),
            answered: 0,
        }
    }

    pub(super) fn follows(&self, peer: &Peer) -> bool {
        self.coordinator
            .as_ref()
            .is_some_and(|(_, c)| c.peer == *peer)
    }

    /// Time of the next registration or heartbeat.
    pub(super) fn next(&self) -> Time {
        match self.stage {
            Stage::NoCoordinator => Time::MAX,
            Stage::Registering { next } | Stage::Registered { next } => next,
        }
    }

    /// Number of the registration.
    #[cfg(test)]
    pub(super) fn registration(&self) -> u64 {
        self.registration
    }

    pub(super) fn start_registration(&mut self) {
        self.registration += 1;
        self.heartbeat = 0;
        self.answered = 0;
        self.sent.clear();
    }

    /// Makes the next heartbeat due soon, because its content changed.
    pub(super) fn heartbeat_soon(&mut self, now: Time) {
        if let Stage::Registered { next } = &mut self.stage {
            let earliest = self
                .sent
                .back()
                .map_or(now, |(_, at)| *at + HEARTBEAT_SPACING);
            *next = (*next).min(earliest.max(now));
        }
    }

    /// Numbers a heartbeat that is sent at `now`.
    pub(super) fn start_heartbeat(&mut self, now: Time) -> u64 {
        self.heartbeat += 1;
        if self.sent.len() == MAX_SENT {
            self.sent.pop_front();
        }
        self.sent.push_back((self.heartbeat, now));
        self.heartbeat
    }

    /// Time at which a heartbeat was sent.
    pub(super) fn sent_at(&self, number: u64) -> Option<Time> {
        let newest = planted(Bug::AnswersUnnamed) || planted(Bug::OtherRegistrations);
        let sent = match self.sent.back() {
            Some(newest_sent) if newest => Some(newest_sent),
            _ => self.sent.iter().find(|(n, _)| *n == number),
        };
        sent.map(|(_, at)| *at)
    }

    pub(super) fn is_current_term(&self, term: u64) -> bool {
        planted(Bug::OtherRegistrations)
            || self.coordinator.as_ref().is_some_and(|(t, _)| *t == term)
    }
}

/// The share, the end of its lease, and the orders that set it.
#[derive(Debug, Default)]
pub(super) struct Lease {
    pub(super) share: Slots,
    pub(super) until: Time,
    /// Newest applied order.
    pub(super) applied: u64,
    /// Orders up to this number belong to earlier registrations.
    pub(super) order_floor: u64,
    /// Order that waits for the list of its allocation.
    pub(super) waiting: Option<Order>,
    /// Digest of the list that was requested.
    pub(super) requested: Option<Digest>,
    /// Newest allocation that this worker has checked.
    pub(super) list: Option<Arc<Allocation>>,
    /// Number of the newest change of the share on this node.
    pub(super) change: u64,
    /// Slots that left the share by changes that the engine has not confirmed.
    removed: Vec<(u64, Slots)>,
    /// What the engine acts on besides the share.
    engine: EngineHeld,
    /// Numbers of requests that the engine was given after that.
    added: Numbers,
    /// All numbers of requests that this node was granted and did not give back.
    granted: Numbers,
    /// Numbers in the newest grant.
    last_grant: u64,
    /// No more numbers will follow.
    last_numbers: bool,
    /// Numbers that the engine gave back and the coordinator may not know of.
    returned: Numbers,
    /// Those in the first heartbeat that is not answered, and its number.
    reported_returned: Option<(u64, Numbers)>,
}

impl Lease {
    /// Forgets order numbers: those of another coordinator start at 0.
    pub(super) fn reset_orders(&mut self) {
        self.applied = 0;
        self.order_floor = 0;
        self.waiting = None;
        self.requested = None;
        self.list = None;
        // The earlier coordinator may have granted them to another worker since.
        if self.reported_returned.take().is_some() {
            self.returned = Numbers::EMPTY;
        }
    }

    /// All slots that the engine may act on.
    pub(super) fn held(&self) -> Slots {
        let removed = self.removed.iter().flat_map(|(_, s)| s.intervals());
        let draining = self.engine.draining.intervals();
        let all = self.share.intervals().iter().chain(draining).chain(removed);
        Slots::union_of(all.copied())
    }

    /// All slots that the engine may act on, for a message. It may name others as well, which the
    /// coordinator ignores.
    pub(super) fn reported_held(&self) -> Slots {
        self.held().in_few_intervals(MAX_HELD_INTERVALS)
    }

    /// The same for a report to a new coordinator, which compares it with those of other workers.
    pub(super) fn report_held(&self) -> Slots {
        self.held().in_few_intervals(4 * MAX_HELD_INTERVALS)
    }

    /// Replaces the share. Returns the number of the change.
    pub(super) fn set_share(&mut self, share: Slots) -> u64 {
        self.change += 1;
        let removed = self.share.difference(&share);
        if !removed.is_empty() && !planted(Bug::RemovedAtOnce) {
            self.removed.push((self.change, removed));
        }
        self.share = share;
        self.change
    }

    /// Whether an allocation that this worker has checked contains a share of it.
    pub(super) fn is_checked(&self, me: &NodeId, order: &Order) -> bool {
        self.list.as_ref().is_some_and(|list| {
            list.number >= order.number
                && list.slots(me).is_some_and(|s| s.contains_all(&order.share))
        })
    }

    /// The engine reported what it acts on. Returns whether the coordinator should know soon.
    pub(super) fn engine_held(&mut self, held: EngineHeld) -> bool {
        let before = self.held();
        let wakes = self.engine.idle && !held.idle;
        self.removed.retain(|(change, _)| *change > held.change);
        self.engine = held;
        self.added = Numbers::EMPTY;
        let needs_numbers = self.last_grant > 0 && 2 * self.engine.unused.len() < self.last_grant;
        self.granted = self.granted.difference(&self.engine.returned);
        self.returned = self.returned.union(&self.engine.returned);
        let returns = !self.engine.returned.is_empty();
        self.held() != before || needs_numbers && !self.last_numbers || returns || wakes
    }

    /// Time since the start of the profile up to which the arrivals of slots that left the share
    /// were handled.
    pub(super) fn handled_until(&self) -> Duration {
        self.engine.handled_until
    }

    /// Numbers of requests that were granted and not used.
    pub(super) fn unused(&self) -> Numbers {
        self.engine.unused.union(&self.added)
    }

    /// Numbers that the engine gave back and the coordinator may not know of.
    pub(super) fn returned(&self) -> &Numbers {
        &self.returned
    }

    /// A heartbeat with this number reports what was given back.
    pub(super) fn report_returned(&mut self, number: u64) {
        if self.reported_returned.is_none() && !self.returned.is_empty() {
            self.reported_returned = Some((number, self.returned.clone()));
        }
    }

    /// A heartbeat with this number was answered.
    pub(super) fn confirm_returned(&mut self, number: u64) {
        if let Some((_, numbers)) = self.reported_returned.take_if(|(n, _)| *n <= number) {
            self.returned = self.returned.difference(&numbers);
        }
    }

    /// The engine has ended: the numbers that it has not used are returned.
    pub(super) fn return_unused(&mut self) {
        let unused = self.unused();
        self.returned = self.returned.union(&unused);
        self.granted = self.granted.difference(&unused);
        (self.engine.unused, self.added) = (Numbers::EMPTY, Numbers::EMPTY);
    }

    /// Whether the engine has numbers that it cannot use: it has no users, or the profile excludes
    /// them.
    pub(super) fn has_idle_numbers(&self) -> bool {
        (self.held().is_empty() || self.engine.idle) && !self.engine.unused.is_empty()
    }

    /// Whether the profile excludes all users of the engine.
    pub(super) fn is_idle(&self) -> bool {
        self.engine.idle
    }

    /// Numbers of requests were granted. Returns the new ones, if anything is new for the engine.
    pub(super) fn grant_numbers(&mut self, grant: &NumbersGrant) -> Option<Numbers> {
        // The coordinator may not know yet that a number was returned.
        let known = self.granted.union(&self.returned);
        let added = grant.granted.difference(&known);
        self.granted = self.granted.union(&added);
        self.added = self.added.union(&added);
        if !added.is_empty() {
            self.last_grant = grant.granted.len();
        }
        let news = !added.is_empty() || grant.last && !self.last_numbers;
        self.last_numbers |= grant.last;
        news.then_some(added)
    }

    pub(super) fn is_old(&self, order: u64) -> bool {
        match order <= self.applied.max(self.order_floor) {
            true if planted(Bug::OrdersUnnumbered) => order == self.applied,
            old => old,
        }
    }
}

/// Time after the start of the profile in which its error is measured: more than enough exchanges for
/// a good estimate, and a drift of 100 ppm adds at most 0.3 ms.
const MEASURED_FOR: Duration = Duration::from_secs(3);

/// The start of the profile, and the clock estimate that it is based on.
#[derive(Debug, Default)]
pub(super) struct ProfileStart {
    /// Estimate of the coordinator's clock.
    pub(super) clock: ClockEstimate,
    /// Start on this node's clock.
    pub(super) local: Option<Time>,
    /// Start on the coordinator's clock.
    pub(super) remote: Option<RemoteTime>,
    pub(super) error: Option<StartError>,
    measured_until: Time,
}

impl ProfileStart {
    /// A new coordinator has another clock, unless it is this node.
    pub(super) fn set_coordinator(&mut self, is_local: bool) {
        self.clock = if is_local {
            ClockEstimate::exact()
        } else {
            ClockEstimate::default()
        };
        self.remote = None;
    }

    /// The profile starts at `local`; this became known at `now`.
    pub(super) fn set(&mut self, now: Time, local: Time) {
        self.local = Some(local);
        self.measured_until = now.max(local) + MEASURED_FOR;
    }

    /// Measures the error of the start by the current best estimate of the coordinator's clock,
    /// until shortly after the start. Later estimates would add the drift of the clocks since then.
    pub(super) fn measure(&mut self, now: Time) {
        if now > self.measured_until && self.error.is_some() {
            return;
        }
        if let (Some(remote), Some(start)) = (self.remote, self.local)
            && let Some(best) = self.clock.to_local(remote)
            && let Some(round_trip) = self.clock.round_trip_ns()
        {
            self.error = Some(StartError {
                us: start.signed_since(best) / 1_000,
                within_us: u32::try_from((round_trip + 1_999) / 2_000).unwrap_or(u32::MAX),
            });
        }
    }
}

/// Deliveries of a final snapshot after the end, unless its coordinator appears again: 20 s at two
/// per second, longer than a test without a coordinator lasts.
pub(super) const LATE_DELIVERIES: u32 = 40;

/// The last snapshot, and its delivery.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) last: Option<Snapshot>,
    /// Newest snapshot that the coordinator has acknowledged.
    pub(super) acknowledged: Option<u64>,
    /// Time of the next delivery.
    pub(super) next: Time,
    /// Deliveries left once the test has ended on this node.
    pub(super) left: Option<u32>,
}

impl Default for Delivery {
    fn default() -> Delivery {
        Delivery {
            last: None,
            acknowledged: None,
            next: Time::MAX,
            left: None,
        }
    }
}

impl Delivery {
    /// A final snapshot is delivered again to a new coordinator.
    pub(super) fn new_coordinator(&mut self, now: Time) {
        if self.last.as_ref().is_some_and(|s| s.is_final) {
            self.acknowledged = None;
            self.next = now;
        }
    }

    /// The test has ended.
    pub(super) fn end(&mut self) {
        self.left = Some(LATE_DELIVERIES);
        if !self.final_is_missing() {
            self.next = Time::MAX;
        }
    }

    /// Whether the coordinator has not acknowledged the final snapshot.
    pub(super) fn final_is_missing(&self) -> bool {
        let unacknowledged = |s: &Snapshot| s.is_final && Some(s.number) > self.acknowledged;
        self.last.as_ref().is_some_and(unacknowledged)
    }

    /// Whether another delivery is allowed; counts it.
    pub(super) fn take_attempt(&mut self) -> bool {
        match &mut self.left {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }
}
