//! What one worker may be acting on, as its coordinator must assume.
//!
//! Orders and answers can be lost or late, so a coordinator has no exact knowledge of a worker's
//! share. It has an upper bound: all slots that the worker named in its newest heartbeat and all
//! slots of orders that it had not applied then, while a lease may still run. Every rule about slots
//! uses this bound.

use std::collections::VecDeque;
use std::time::Duration;

use super::messages::{Order, ShareReport};
use super::planted::{Bug, planted};
use super::time::{Time, for_waiter};
use crate::{MAX_HELD_INTERVALS, SLOTS, Slots};

/// Share orders and lease of one registration, and the remains of earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The newest order issued.
    order: Option<Order>,
    /// Number and share of each order that the worker has not applied.
    open: VecDeque<(u64, Slots)>,
    /// Slots that the worker held when it sent its newest heartbeat.
    held: Slots,
    /// Number of the newest order that the worker has applied.
    applied: u64,
    /// Latest end of the lease.
    lease_until: Time,
    /// Slots of earlier registrations, with the latest end of their leases.
    earlier: Vec<(Slots, Time)>,
    /// Heartbeats whose answer the worker has not confirmed, with the time of the answer.
    unconfirmed: VecDeque<(u64, Time)>,
    /// The worker confirmed an answer of this registration.
    confirmed: bool,
}

/// What a heartbeat confirms.
#[derive(Clone, Copy, Debug)]
pub struct Confirmation<'a> {
    /// Newest heartbeat whose answer arrived.
    pub answered: u64,
    /// Newest order applied.
    pub applied: u64,
    /// All slots that the worker may act on.
    pub held: &'a Slots,
}

impl Ledger {
    /// Slots that must not be assigned to another worker at `now`.
    pub fn reserved(&self, now: Time) -> Slots {
        let early = match Duration::from_secs(1) {
            _ if !planted(Bug::AssignedBeforeExpiry) => Duration::ZERO,
            early => early,
        };
        let running = now + early < self.lease_until;
        let earlier = self.earlier.iter().filter(|(_, until)| now < *until);
        self.sum(running, earlier)
    }

    /// Like `reserved`, regardless of leases: under `hold`, a share is never reassigned.
    pub fn reserved_without_expiry(&self) -> Slots {
        self.sum(true, self.earlier.iter())
    }

    fn sum<'a>(&self, running: bool, earlier: impl Iterator<Item = &'a (Slots, Time)>) -> Slots {
        let open = self.open.iter().map(|(_, slots)| slots).chain([&self.held]);
        let newest = self.order.as_ref().map(|o| &o.share);
        let current: Vec<&Slots> = match running {
            true if planted(Bug::NewestOrderCounts) => newest.into_iter().collect(),
            true => open.collect(),
            false => Vec::new(),
        };
        let all = current.into_iter().chain(earlier.map(|(slots, _)| slots));
        Slots::union_of(all.flat_map(|s| s.intervals()).copied())
    }

    /// Newest order.
    pub fn order(&self) -> Option<&Order> {
        self.order.as_ref()
    }

    /// Share of the newest order.
    pub fn share(&self) -> &Slots {
        static NONE: Slots = Slots::EMPTY;
        self.order.as_ref().map_or(&NONE, |o| &o.share)
    }

    /// Whether the newest order has been applied.
    pub fn applied(&self) -> bool {
        self.order.as_ref().is_none_or(|o| o.number <= self.applied)
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
        if !remaining.is_empty() {
            self.earlier.push((remaining, until));
        }
        if let Some(report) = honoured {
            self.held = report.held.union(&report.share);
            self.order = Some(Order {
                number: 0,
                share: report.share,
                floor: Duration::ZERO,
                start: None,
            });
            self.lease_until = now + for_waiter(lease);
        }
    }

    /// Records an order. Its share counts from this moment.
    pub fn issue(&mut self, order: Order) {
        self.open.push_back((order.number, order.share.clone()));
        self.order = Some(order);
    }

    /// Handles what a heartbeat confirms. Returns whether that may free slots or allow new ones.
    pub fn confirm(&mut self, hb: Confirmation<'_>) -> bool {
        let before = (self.confirmed, self.applied);
        if hb.answered > 0 {
            self.confirmed = true;
            self.unconfirmed.retain(|(n, _)| *n > hb.answered);
        }
        let known = hb.applied == self.applied || self.open.iter().any(|(n, _)| *n == hb.applied);
        if !known || hb.applied < self.applied {
            return before != (self.confirmed, self.applied);
        }
        // The worker can hold nothing that it was not given.
        let applied = self.open.iter().filter(|(n, _)| *n <= hb.applied);
        let possible = applied.flat_map(|(_, s)| s.intervals());
        let possible = Slots::union_of(possible.chain(self.held.intervals()).copied());
        let named = match (&self.order, planted(Bug::HeldIgnored)) {
            (Some(order), true) => &order.share,
            _ => hb.held,
        };
        let held = possible.intersection(named);
        // Released slots in too many pieces count once there are fewer.
        let held = match held.intervals().len() <= MAX_HELD_INTERVALS {
            true => held,
            false => possible,
        };
        self.applied = hb.applied;
        self.open.retain(|(n, _)| *n > hb.applied);
        let freed = held != self.held;
        self.held = held;
        if self.open.is_empty()
            && let Some(order) = &mut self.order
        {
            // It has lost slots of its share, for example because its lease expired.
            order.share = order.share.intersection(&self.held);
        }
        freed || before != (self.confirmed, self.applied)
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

    /// What a worker holds that has applied this order and nothing else, in tests.
    #[cfg(test)]
    pub fn held_after(&self, applied: u64) -> Slots {
        let open = self.open.iter().find(|(n, _)| *n == applied);
        open.map_or(&self.held, |(_, share)| share).clone()
    }

    /// Next time after `now` at which a lease ends without another event.
    pub fn next_expiry(&self, now: Time) -> Option<Time> {
        let earlier = self.earlier.iter().map(|(_, until)| *until);
        earlier.chain([self.lease_until]).filter(|t| *t > now).min()
    }

    /// The worker returned its lease and sends nothing any more.
    pub fn release(&mut self) {
        self.open.clear();
        self.held = Slots::EMPTY;
        self.earlier.clear();
        self.lease_until = Time::ZERO;
    }
}

/// Share as a percentage of the whole.
pub fn percent(share: &Slots) -> f64 {
    share.len() as f64 * 100.0 / f64::from(SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(2);
    const AFTER_EXPIRY: Time = Time(2_041_000_000);

    fn slots(from: u32, to: u32) -> Slots {
        Slots::range(from, to)
    }

    fn order(number: u64, share: Slots) -> Order {
        Order {
            number,
            share,
            floor: Duration::ZERO,
            start: None,
        }
    }

    fn confirm(ledger: &mut Ledger, answered: u64, applied: u64, held: &Slots) -> bool {
        ledger.confirm(Confirmation {
            answered,
            applied,
            held,
        })
    }

    /// A worker with the slots 0 to 500.
    fn running() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.register(Time(0), LEASE, None);
        ledger.issue(order(1, slots(0, 500)));
        ledger.renew(Time(0), 1, LEASE);
        confirm(&mut ledger, 1, 1, &slots(0, 500));
        ledger
    }

    #[test]
    fn a_shrink_frees_slots_only_once_the_worker_no_longer_holds_them() {
        let mut ledger = running();
        ledger.issue(order(2, slots(0, 200)));
        assert_eq!(ledger.reserved(Time(1)), slots(0, 500));
        // Applied, but users of the slots 200 to 300 have not finished.
        assert!(confirm(&mut ledger, 1, 2, &slots(0, 300)));
        assert_eq!(ledger.reserved(Time(1)), slots(0, 300));
        assert!(ledger.applied(), "the release blocks no other order");
        assert!(confirm(&mut ledger, 1, 2, &slots(0, 200)));
        assert_eq!(ledger.reserved(Time(1)), slots(0, 200));
    }

    #[test]
    fn a_growth_counts_from_its_order() {
        let mut ledger = running();
        ledger.issue(order(2, slots(0, 900)));
        assert_eq!(ledger.reserved(Time(1)), slots(0, 900));
        confirm(&mut ledger, 1, 1, &slots(0, 500));
        assert_eq!(ledger.reserved(Time(1)), slots(0, 900));
    }

    #[test]
    fn a_share_that_moves_counts_in_both_places_until_it_is_applied() {
        let mut ledger = running();
        ledger.issue(order(2, slots(400, 900)));
        assert_eq!(ledger.reserved(Time(1)), slots(0, 900));
        confirm(&mut ledger, 1, 2, &slots(400, 900));
        assert_eq!(ledger.reserved(Time(1)), slots(400, 900));
    }

    #[test]
    fn a_worker_cannot_hold_slots_that_it_was_not_given() {
        let mut ledger = running();
        confirm(&mut ledger, 1, 1, &Slots::whole());
        assert_eq!(ledger.reserved(Time(1)), slots(0, 500));
    }

    #[test]
    fn a_worker_that_lost_its_share_has_no_share() {
        let mut ledger = running();
        assert!(confirm(&mut ledger, 1, 1, &Slots::EMPTY));
        assert!(ledger.share().is_empty());
        assert!(ledger.reserved(Time(1)).is_empty());
    }

    #[test]
    fn a_share_counts_until_its_lease_has_expired_by_the_slowest_clock() {
        let ledger = running();
        assert_eq!(ledger.reserved(Time(2_039_999_999)), slots(0, 500));
        assert!(ledger.reserved(AFTER_EXPIRY).is_empty());
        assert_eq!(ledger.reserved_without_expiry(), slots(0, 500));
    }

    #[test]
    fn an_acknowledgement_of_an_unknown_order_is_ignored() {
        let mut ledger = running();
        ledger.issue(order(2, slots(0, 100)));
        confirm(&mut ledger, 1, 77, &Slots::EMPTY);
        assert_eq!(ledger.reserved(Time(1)), slots(0, 500));
    }

    #[test]
    fn a_new_registration_keeps_the_old_share_reserved_until_its_lease_expired() {
        let mut ledger = running();
        ledger.register(Time(1_000), LEASE, None);
        assert!(!ledger.confirmed());
        assert!(ledger.share().is_empty());
        assert_eq!(ledger.reserved(Time(1_001)), slots(0, 500));
        ledger.issue(order(2, slots(600, 900)));
        ledger.renew(Time(1_002), 1, LEASE);
        let both = slots(0, 500).union(&slots(600, 900));
        assert_eq!(ledger.reserved(Time(1_003)), both);
        assert_eq!(ledger.reserved(Time(2_040_000_500)), slots(600, 900));
    }

    #[test]
    fn no_renewal_while_an_answer_stays_unconfirmed_for_too_long() {
        let mut ledger = running();
        let within = Duration::from_secs(1);
        ledger.renew(Time(10), 2, LEASE);
        assert!(ledger.may_renew(Time(1_000_000_010), within));
        assert!(!ledger.may_renew(Time(1_000_000_011), within));
        confirm(&mut ledger, 2, 1, &slots(0, 500));
        assert!(ledger.may_renew(Time(1_000_000_011), within));
    }

    #[test]
    fn an_honoured_report_counts_for_a_whole_lease() {
        let mut ledger = Ledger::default();
        let report = ShareReport {
            share: slots(5, 60),
            held: slots(5, 75),
        };
        ledger.register(Time(0), LEASE, Some(report));
        assert_eq!(ledger.reserved(Time(1)), slots(5, 75));
        assert_eq!(*ledger.share(), slots(5, 60));
        assert!(ledger.reserved(AFTER_EXPIRY).is_empty());
    }
}
