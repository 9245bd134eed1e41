//! What one worker may be acting on, as its coordinator must assume.
//!
//! Orders and answers can be lost or late, so a coordinator has no exact knowledge of a worker's
//! share. It has an upper bound: the largest share of any order not older than the one that the
//! worker last acknowledged, while a lease may still run. Every rule about slots uses this bound.

use std::collections::VecDeque;
use std::time::Duration;

use super::messages::{Order, ShareReport};
use super::planted::{Bug, planted};
use super::time::{Time, for_waiter};

/// Share orders and lease of one registration, and the remains of earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The newest order issued.
    order: Option<Order>,
    /// Orders not older than the acknowledged one, as (number, slots).
    open: VecDeque<(u64, u32)>,
    /// Number of the newest order that the worker acknowledged.
    applied: u64,
    /// Latest end of the lease.
    lease_until: Time,
    /// Shares of earlier registrations, with the latest end of their leases.
    earlier: Vec<(u32, Time)>,
    /// Heartbeats whose answer the worker has not confirmed, with the time of the answer.
    unconfirmed: VecDeque<(u64, Time)>,
    /// The worker confirmed an answer of this registration.
    confirmed: bool,
}

impl Ledger {
    /// Slots that must not be assigned to another worker at `now`.
    pub fn reserved(&self, now: Time) -> u32 {
        let early = match Duration::from_secs(1) {
            _ if !planted(Bug::AssignedBeforeExpiry) => Duration::ZERO,
            early => early,
        };
        let running = if now + early < self.lease_until {
            self.largest_open()
        } else {
            0
        };
        let earlier: u32 = self
            .earlier
            .iter()
            .filter(|(_, until)| now < *until)
            .map(|(slots, _)| *slots)
            .sum();
        running + earlier
    }

    /// Like `reserved`, regardless of leases: under `hold`, a share is never reassigned.
    pub fn reserved_without_expiry(&self) -> u32 {
        self.largest_open() + self.earlier.iter().map(|(s, _)| *s).sum::<u32>()
    }

    fn largest_open(&self) -> u32 {
        if planted(Bug::NewestOrderCounts) {
            return self.ordered();
        }
        self.open.iter().map(|(_, s)| *s).max().unwrap_or(0)
    }

    /// Newest order.
    pub fn order(&self) -> Option<Order> {
        self.order
    }

    /// Slots of the newest order.
    pub fn ordered(&self) -> u32 {
        self.order.map_or(0, |o| o.slots)
    }

    /// Whether the newest order has been applied.
    pub fn applied(&self) -> bool {
        self.order.is_none_or(|o| o.number <= self.applied)
    }

    /// Whether an answer of this registration reached the worker, so that it may get new slots.
    pub fn confirmed(&self) -> bool {
        self.confirmed || planted(Bug::SlotsUnconfirmed)
    }

    /// Latest end of the lease.
    pub fn lease_until(&self) -> Time {
        self.lease_until
    }

    /// Starts a new registration. Earlier shares stay reserved until their leases have certainly
    /// expired. An honoured report counts for a whole lease from `now`, because the time of its
    /// last renewal is not known.
    pub fn register(&mut self, now: Time, lease: Duration, honoured: Option<ShareReport>) {
        let remaining = self.reserved(now);
        let until = self
            .earlier
            .iter()
            .map(|(_, t)| *t)
            .chain([self.lease_until])
            .max()
            .unwrap_or(Time::ZERO);
        *self = Ledger::default();
        if remaining > 0 {
            self.earlier.push((remaining, until));
        }
        if let Some(report) = honoured {
            self.open.push_back((0, report.slots));
            self.order = Some(Order {
                number: 0,
                slots: report.slots,
                offset: report.offset,
                start: None,
            });
            self.lease_until = now + for_waiter(lease);
        }
    }

    /// Records an order. Its share counts from this moment.
    pub fn issue(&mut self, order: Order) {
        self.open.push_back((order.number, order.slots));
        self.order = Some(order);
    }

    /// Handles what a heartbeat acknowledges: the newest answer received and the newest order
    /// applied. Returns whether that may free slots or allow new ones.
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

    /// Whether an answer sent at `now` may renew the lease: no earlier one is unconfirmed for
    /// longer than `within`.
    pub fn may_renew(&self, now: Time, within: Duration) -> bool {
        self.unconfirmed
            .front()
            .is_none_or(|(_, at)| now.since(*at) <= within || planted(Bug::OneWayRenewed))
    }

    /// Renews the lease by an answer to heartbeat `number`, sent at `now`.
    pub fn renew(&mut self, now: Time, number: u64, lease: Duration) {
        self.unconfirmed.push_back((number, now));
        if planted(Bug::RenewalUncounted) && self.lease_until > Time::ZERO {
            return;
        }
        self.lease_until = self.lease_until.max(now + for_waiter(lease));
    }

    /// Next time after `now` at which a lease ends without another event.
    pub fn next_expiry(&self, now: Time) -> Option<Time> {
        let earlier = self.earlier.iter().map(|(_, until)| *until);
        earlier.chain([self.lease_until]).filter(|t| *t > now).min()
    }

    /// The worker returned its lease and sends nothing any more.
    pub fn release(&mut self) {
        self.open.clear();
        self.earlier.clear();
        self.lease_until = Time::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(2);
    const AFTER_EXPIRY: Time = Time(2_041_000_000);

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
    fn a_growth_counts_from_its_order() {
        let mut ledger = running();
        ledger.issue(order(2, 900));
        assert_eq!(ledger.reserved(Time(1)), 900);
    }

    #[test]
    fn a_share_counts_until_its_lease_has_expired_by_the_slowest_clock() {
        let ledger = running();
        assert_eq!(ledger.reserved(Time(2_039_999_999)), 500);
        assert_eq!(ledger.reserved(AFTER_EXPIRY), 0);
        assert_eq!(ledger.reserved_without_expiry(), 500);
    }

    #[test]
    fn an_acknowledgement_of_an_unknown_order_is_ignored() {
        let mut ledger = running();
        ledger.issue(order(2, 100));
        ledger.acknowledge(1, 77);
        assert_eq!(ledger.reserved(Time(1)), 500);
    }

    #[test]
    fn a_new_registration_keeps_the_old_share_reserved_until_its_lease_expired() {
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
        assert_eq!(ledger.reserved(AFTER_EXPIRY), 0);
    }
}
