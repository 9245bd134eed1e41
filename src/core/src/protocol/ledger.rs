//! What one worker may be acting on, as its coordinator must assume.
//!
//! Orders and answers can be lost or late, so a coordinator never knows a worker's share; it
//! knows a bound: the largest share of any order not older than the one that the worker last
//! acknowledged, for as long as a lease may still run. Every rule about slots reads this bound.

use std::collections::VecDeque;
use std::time::Duration;

use super::messages::{Order, ShareReport};
use super::planted::{Bug, planted};
use super::time::{Time, awaited};

/// Share orders and lease of one registration, and what is left of earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The newest order issued.
    order: Option<Order>,
    /// Orders not older than the acknowledged one, as (number, slots).
    open: VecDeque<(u64, u32)>,
    /// The newest order that the worker says it applied.
    applied: u64,
    /// The lease may run until here.
    lease_until: Time,
    /// Shares of earlier registrations whose lease may still run.
    tails: Vec<(u32, Time)>,
    /// Heartbeats whose answer the worker has not confirmed, with the time of the answer.
    unconfirmed: VecDeque<(u64, Time)>,
    /// An answer of this registration was confirmed.
    confirmed: bool,
}

impl Ledger {
    /// Slots that must not be given to anybody else at `now`.
    pub fn reserved(&self, now: Time) -> u32 {
        let early = match Duration::from_secs(1) {
            _ if !planted(Bug::GivenBeforeLapse) => Duration::ZERO,
            early => early,
        };
        let running = if now + early < self.lease_until {
            self.largest_open()
        } else {
            0
        };
        let tails: u32 = self
            .tails
            .iter()
            .filter(|(_, until)| now < *until)
            .map(|(slots, _)| *slots)
            .sum();
        running + tails
    }

    /// The same with no regard to time: under `hold`, a share is never given away.
    pub fn held_for_ever(&self) -> u32 {
        self.largest_open() + self.tails.iter().map(|(s, _)| *s).sum::<u32>()
    }

    fn largest_open(&self) -> u32 {
        if planted(Bug::NewestOrderCounts) {
            return self.ordered();
        }
        self.open.iter().map(|(_, s)| *s).max().unwrap_or(0)
    }

    /// The newest order.
    pub fn order(&self) -> Option<Order> {
        self.order
    }

    /// Slots of the newest order.
    pub fn ordered(&self) -> u32 {
        self.order.map_or(0, |o| o.slots)
    }

    /// The newest order has been applied.
    pub fn settled(&self) -> bool {
        self.order.is_none_or(|o| o.number <= self.applied)
    }

    /// An answer of this registration reached the worker: it may get new slots.
    pub fn confirmed(&self) -> bool {
        self.confirmed || planted(Bug::SlotsUnconfirmed)
    }

    /// Until when the lease may run.
    pub fn lease_until(&self) -> Time {
        self.lease_until
    }

    /// A new registration begins: whatever ran before keeps its slots reserved until its
    /// lease has certainly lapsed. A reported share that is honoured counts from now for a
    /// whole lease, because it is not known when it was last renewed.
    pub fn register(&mut self, now: Time, lease: Duration, honoured: Option<ShareReport>) {
        let left = self.reserved(now);
        let until = self
            .tails
            .iter()
            .map(|(_, t)| *t)
            .chain([self.lease_until])
            .max()
            .unwrap_or(Time::ZERO);
        *self = Ledger::default();
        if left > 0 {
            self.tails.push((left, until));
        }
        if let Some(report) = honoured {
            self.open.push_back((0, report.slots));
            self.order = Some(Order {
                number: 0,
                slots: report.slots,
                offset: report.offset,
                start: None,
            });
            self.lease_until = now + awaited(lease);
        }
    }

    /// Issues an order. Its share counts from this moment.
    pub fn issue(&mut self, order: Order) {
        self.open.push_back((order.number, order.slots));
        self.order = Some(order);
    }

    /// A heartbeat says which answer arrived last and which order is applied. Returns whether
    /// that may free slots, or allow new ones.
    pub fn acknowledge(&mut self, answered: u64, applied: u64) -> bool {
        let before = (self.confirmed, self.applied);
        if answered > 0 {
            self.confirmed = true;
            self.unconfirmed.retain(|(n, _)| *n > answered);
        }
        if applied > self.applied && self.open.iter().any(|(n, _)| *n == applied) {
            self.applied = applied;
            self.open.retain(|(n, _)| *n >= applied);
        }
        before != (self.confirmed, self.applied)
    }

    /// Whether an answer given at `now` may renew the lease: none is unconfirmed for longer
    /// than `within`.
    pub fn may_renew(&self, now: Time, within: Duration) -> bool {
        self.unconfirmed
            .front()
            .is_none_or(|(_, at)| now.since(*at) <= within || planted(Bug::OneWayRenewed))
    }

    /// The lease is renewed by an answer to heartbeat `number` given at `now`.
    pub fn renew(&mut self, now: Time, number: u64, lease: Duration) {
        self.unconfirmed.push_back((number, now));
        if planted(Bug::RenewalUncounted) && self.lease_until > Time::ZERO {
            return;
        }
        self.lease_until = self.lease_until.max(now + awaited(lease));
    }

    /// When fewer slots may be reserved than at `now`, if nothing else happens.
    pub fn lapses_after(&self, now: Time) -> Option<Time> {
        let tails = self.tails.iter().map(|(_, until)| *until);
        tails.chain([self.lease_until]).filter(|t| *t > now).min()
    }

    /// The worker has given its lease back: it sends nothing any more.
    pub fn give_back(&mut self) {
        self.open.clear();
        self.tails.clear();
        self.lease_until = Time::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(2);
    const AFTER_LEASE: Time = Time(2_041_000_000);

    fn order(number: u64, slots: u32) -> Order {
        Order {
            number,
            slots,
            offset: 0,
            start: None,
        }
    }

    fn running() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.register(Time(0), LEASE, None);
        ledger.issue(order(1, 500));
        ledger.renew(Time(0), 1, LEASE);
        ledger.acknowledge(1, 1);
        ledger
    }

    #[test]
    fn a_shrink_frees_slots_only_once_it_is_acknowledged() {
        let mut ledger = running();
        ledger.issue(order(2, 200));
        assert_eq!(ledger.reserved(Time(1)), 500);
        ledger.acknowledge(1, 2);
        assert_eq!(ledger.reserved(Time(1)), 200);
    }

    #[test]
    fn a_growth_counts_from_the_moment_it_is_ordered() {
        let mut ledger = running();
        ledger.issue(order(2, 900));
        assert_eq!(ledger.reserved(Time(1)), 900);
    }

    #[test]
    fn a_share_counts_until_its_lease_has_lapsed_by_the_slowest_clock() {
        let ledger = running();
        assert_eq!(ledger.reserved(Time(2_039_999_999)), 500);
        assert_eq!(ledger.reserved(AFTER_LEASE), 0);
        assert_eq!(ledger.held_for_ever(), 500);
    }

    #[test]
    fn an_order_that_was_never_issued_acknowledges_nothing() {
        let mut ledger = running();
        ledger.issue(order(2, 100));
        ledger.acknowledge(1, 77);
        assert_eq!(ledger.reserved(Time(1)), 500);
    }

    #[test]
    fn registering_anew_keeps_the_old_share_reserved_until_its_lease_lapsed() {
        let mut ledger = running();
        ledger.register(Time(1_000), LEASE, None);
        assert!(!ledger.confirmed());
        assert_eq!(ledger.ordered(), 0);
        assert_eq!(ledger.reserved(Time(1_001)), 500);
        ledger.issue(order(2, 300));
        ledger.renew(Time(1_002), 1, LEASE);
        assert_eq!(ledger.reserved(Time(1_003)), 800);
        assert_eq!(ledger.reserved(Time(2_040_000_500)), 300);
    }

    #[test]
    fn no_renewal_while_an_answer_stays_unconfirmed_for_too_long() {
        let mut ledger = running();
        let within = Duration::from_secs(1);
        ledger.renew(Time(10), 2, LEASE);
        assert!(ledger.may_renew(Time(1_000_000_010), within));
        assert!(!ledger.may_renew(Time(1_000_000_011), within));
        ledger.acknowledge(2, 1);
        assert!(ledger.may_renew(Time(1_000_000_011), within));
    }

    #[test]
    fn an_honoured_report_counts_for_a_whole_lease() {
        let mut ledger = Ledger::default();
        let report = ShareReport {
            slots: 70,
            offset: 5,
        };
        ledger.register(Time(0), LEASE, Some(report));
        assert_eq!(ledger.reserved(Time(1)), 70);
        assert_eq!(ledger.reserved(AFTER_LEASE), 0);
    }
}
