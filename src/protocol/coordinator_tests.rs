//! The coordinator's rules, in terms of registrations and heartbeats in, answers and orders
//! out.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::fakes::{node, spec};
use super::super::id::{Incarnation, Peer};
use super::*;

const TEST: TestId = TestId([1; 16]);
const MS: u64 = 1_000_000;
const LEASE: Duration = Duration::from_millis(2_500);
/// A share lease as waited for, in milliseconds.
const LAPSED_AFTER: u64 = 2_550;

fn at(ms: u64) -> Time {
    Time(ms * MS)
}

/// A coordinator, the workers it talks to, and the orders that reached them.
struct Office {
    c: Coordinator,
    numbers: BTreeMap<NodeId, (u64, u64)>,
    orders: BTreeMap<Peer, Order>,
    able: BTreeSet<NodeId>,
    ended: Option<Ended>,
}

fn registration(worker: NodeId, number: u64) -> Register {
    Register {
        test: TEST,
        term: 1,
        name: format!("{worker:?}"),
        node: worker,
        number,
        capacity: 100,
        task_types: vec!["SLEEP".into()],
        version: "0".into(),
        labels: BTreeMap::new(),
        unable: None,
        report: None,
        since_start: None,
        stop: None,
        finished: false,
        sent: RemoteTime(0),
    }
}

impl Office {
    fn with(term: u64, change: impl FnOnce(&mut Charge)) -> Office {
        let mut charge = Charge {
            test: TEST,
            me: node(0),
            term,
            won_at: at(0),
            spec: spec(Duration::from_secs(60)),
            digest: Digest([0; 32]),
            earlier_lease: Duration::ZERO,
            start: None,
            stop: None,
        };
        change(&mut charge);
        Office {
            c: Coordinator::new(charge, Timings::lan(), &mut Effects::default()),
            numbers: BTreeMap::new(),
            orders: BTreeMap::new(),
            able: BTreeSet::new(),
            ended: None,
        }
    }

    fn take(&mut self, fx: Effects) {
        for output in fx.outputs {
            if let Output::Send(to, Request::Assign(a)) = output {
                self.orders.insert(to, a.order);
            }
        }
    }

    fn register_as(
        &mut self,
        ms: u64,
        change: impl FnOnce(&mut Register),
        who: NodeId,
    ) -> RegisterReply {
        let number = self.numbers.get(&who).map_or(1, |(n, _)| n + 1);
        self.numbers.insert(who.clone(), (number, 0));
        let mut r = registration(who, number);
        r.term = self.c.charge.term;
        change(&mut r);
        let mut fx = Effects::default();
        let reply = self.c.register(at(ms), &r, &mut fx);
        self.take(fx);
        reply
    }

    fn register(&mut self, ms: u64, i: u32) -> RegisterReply {
        self.register_as(ms, |_| {}, node(i))
    }

    fn heartbeat(
        &mut self,
        ms: u64,
        i: u32,
        change: impl FnOnce(&mut Heartbeat),
    ) -> Option<HeartbeatReply> {
        let (registration, number) = self.numbers.get_mut(&node(i)).unwrap();
        *number += 1;
        let mut hb = Heartbeat {
            test: TEST,
            term: self.c.charge.term,
            node: node(i),
            registration: *registration,
            number: *number,
            answered: *number - 1,
            applied: self.orders.get(&node(i).peer).map_or(0, |o| o.number),
            load: 0,
            status: Status::Running,
            finished: false,
            sent: RemoteTime(0),
        };
        change(&mut hb);
        let mut fx = Effects::default();
        let reply = self.c.heartbeat(at(ms), &hb, Duration::ZERO, &mut fx);
        self.take(fx);
        reply
    }

    fn tick(&mut self, ms: u64) {
        let mut fx = Effects::default();
        let ended = self.c.tick(at(ms), &self.able.clone(), &mut fx);
        self.ended = self.ended.take().or(ended);
        self.take(fx);
    }

    /// Everybody beats twice and the coordinator acts: shares settle.
    fn round(&mut self, ms: u64, workers: &[u32]) {
        for _ in 0..2 {
            for i in workers {
                self.heartbeat(ms, *i, |_| {});
            }
            self.tick(ms);
        }
    }

    fn slots(&self, i: u32) -> u32 {
        self.orders.get(&node(i).peer).map_or(0, |o| o.slots)
    }

    /// Workers 1 to `count` registered and running at 0 ms.
    fn running(count: u32) -> Office {
        let mut office = Office::with(1, |_| {});
        let all: Vec<u32> = (1..=count).collect();
        office.able = all.iter().map(|i| node(*i)).collect();
        for i in &all {
            office.register(0, *i);
        }
        office.round(0, &all);
        office.round(0, &all);
        office
    }

    fn failure(&self) -> &str {
        match &self.ended.as_ref().expect("ended").reason {
            EndReason::Failed(why) => why,
            other => panic!("{other:?}"),
        }
    }
}

fn report(slots: u32) -> Option<ShareReport> {
    Some(ShareReport { slots, offset: 0 })
}

#[test]
fn shares_add_up_by_the_largest_remainder_and_order_numbers_rise_over_all_workers() {
    let office = Office::running(3);
    assert_eq!(
        [1, 2, 3].map(|i| office.slots(i)),
        [333_334, 333_333, 333_333]
    );
    let numbers: BTreeSet<u64> = office.orders.values().map(|o| o.number).collect();
    assert_eq!(numbers, BTreeSet::from([1, 2, 3]));
}

#[test]
fn shares_follow_capacity_unless_they_are_to_be_equal() {
    for (balance, expected) in [(Balance::Capacity, 250_000), (Balance::Equal, 500_000)] {
        let mut office = Office::with(1, |c| c.spec.balance = balance);
        office.register(0, 1);
        office.register_as(0, |r| r.capacity = 300, node(2));
        office.able = BTreeSet::from([node(1), node(2)]);
        office.round(0, &[1, 2]);
        assert_eq!(office.slots(1), expected);
    }
}

#[test]
fn nobody_gets_slots_before_an_answer_was_confirmed() {
    let mut office = Office::with(1, |_| {});
    office.able = BTreeSet::from([node(1)]);
    office.register(0, 1);
    office.heartbeat(1, 1, |_| {});
    office.tick(1);
    assert_eq!(office.slots(1), 0);
    office.heartbeat(2, 1, |_| {});
    office.tick(2);
    assert_eq!(office.slots(1), SLOTS);
}

#[test]
fn a_registration_names_the_last_order_as_its_floor() {
    let mut office = Office::running(2);
    assert_eq!(office.register(10, 3).order_floor, 2);
}

#[test]
fn a_registration_that_comes_twice_is_answered_alike() {
    let mut office = Office::with(2, |_| {});
    let r = Register {
        term: 2,
        report: report(70),
        ..registration(node(1), 1)
    };
    let first = office.c.register(at(0), &r, &mut Effects::default());
    assert_eq!(first.honoured, report(70));
    let second = office.c.register(at(5), &r, &mut Effects::default());
    assert_eq!(second.honoured, first.honoured);
    assert_eq!(office.c.reserved(at(5)), 70);
}

#[test]
fn a_report_is_honoured_once_per_incarnation_and_term() {
    let mut office = Office::with(2, |_| {});
    assert_eq!(
        office
            .register_as(0, |r| r.report = report(70), node(1))
            .honoured,
        report(70)
    );
    assert_eq!(
        office
            .register_as(5, |r| r.report = report(70), node(1))
            .honoured,
        None
    );
}

#[test]
fn a_report_is_honoured_only_until_unaccounted_slots_are_handed_out_and_only_if_it_fits() {
    let mut office = Office::with(2, |_| {});
    let mut honoured = |ms, i, slots| {
        office
            .register_as(ms, |r| r.report = report(slots), node(i))
            .honoured
    };
    assert_eq!(honoured(2_549, 1, 600_000), report(600_000));
    assert_eq!(honoured(2_549, 2, 400_001), None);
    assert_eq!(honoured(2_550, 3, 5), None);
    let mut first_term = Office::with(1, |_| {});
    assert_eq!(
        first_term
            .register_as(0, |r| r.report = report(5), node(1))
            .honoured,
        None
    );
}

#[test]
fn a_later_coordinator_hands_out_unaccounted_slots_only_after_the_longest_lease() {
    for (earlier, waits) in [
        (Duration::ZERO, LAPSED_AFTER),
        (LEASE * 2, 2 * LAPSED_AFTER),
    ] {
        let mut office = Office::with(2, |c| {
            c.start = Some(at(0));
            c.earlier_lease = earlier;
        });
        office.register(0, 1);
        for ms in (0..waits).step_by(250) {
            office.round(ms, &[1]);
        }
        office.round(waits - 1, &[1]);
        assert_eq!(office.slots(1), 0);
        office.round(waits, &[1]);
        assert_eq!(office.slots(1), SLOTS);
    }
}

#[test]
fn a_late_joiner_grows_only_by_what_others_acknowledged_to_have_lost() {
    let mut office = Office::running(2);
    let before: Vec<Order> = office.orders.values().copied().collect();
    office.register(100, 3);
    office.heartbeat(100, 3, |_| {});
    office.heartbeat(101, 3, |_| {});
    office.tick(101);
    assert!(office.slots(1) < before[0].slots);
    assert_eq!(office.slots(3), 0, "ordered to shrink is not yet shrunk");
    office.heartbeat(102, 1, |_| {});
    office.tick(102);
    let freed = 500_000 - office.slots(1);
    assert_eq!(office.slots(3), freed);
    office.heartbeat(103, 2, |_| {});
    office.heartbeat(103, 3, |_| {});
    office.tick(103);
    assert_eq!(
        [1, 2, 3].map(|i| office.slots(i)).iter().sum::<u32>(),
        SLOTS
    );
}

#[test]
fn a_lost_workers_slots_move_only_when_its_lease_has_certainly_lapsed() {
    let mut office = Office::running(2);
    for ms in (250..LAPSED_AFTER).step_by(250) {
        office.round(ms, &[1]);
    }
    office.round(LAPSED_AFTER - 1, &[1]);
    assert_eq!(office.slots(1), 500_000);
    office.round(LAPSED_AFTER, &[1]);
    assert_eq!(office.slots(1), SLOTS);
    let reply = office.heartbeat(LAPSED_AFTER + 1, 2, |_| {}).unwrap();
    assert!(reply.register_again && reply.lease.is_none());
}

#[test]
fn unconfirmed_answers_stop_renewal() {
    let mut office = Office::running(1);
    let mut deaf = |ms| office.heartbeat(ms, 1, |h| h.answered = 1).unwrap().lease;
    assert_eq!(deaf(1_000), Some(LEASE));
    assert_eq!(deaf(1_001), None);
}

#[test]
fn a_heartbeat_not_newer_than_the_last_is_no_heartbeat() {
    let mut office = Office::running(1);
    assert!(office.heartbeat(1, 1, |h| h.number = 1).is_none());
    assert!(office.heartbeat(1, 1, |h| h.term = 9).is_none());
}

#[test]
fn a_newer_incarnation_starts_at_zero_while_the_old_share_stays_reserved() {
    let mut office = Office::running(2);
    let mut reborn = node(2);
    reborn.incarnation = Incarnation(2);
    assert!(office.register_as(100, |_| {}, reborn.clone()).accepted);
    let old = office.register_as(101, |_| {}, node(2));
    assert!(
        !old.accepted,
        "the older one is heard no more: {}",
        old.message
    );
    assert_eq!(office.c.reserved(at(101)), SLOTS);
    office.round(102, &[1]);
    assert_eq!(office.slots(1), 500_000);
    assert_eq!(office.c.members[&reborn].ledger.reserved(at(102)), 0);
    assert!(office.c.reserved(at(LAPSED_AFTER)) <= 500_000);
}

#[test]
fn a_node_that_leaves_gives_its_slots_back_at_once() {
    let mut office = Office::running(2);
    office.heartbeat(100, 2, |h| h.status = Status::Leaving);
    assert_eq!(office.c.reserved(at(100)), 500_000);
    office.round(101, &[1]);
    assert_eq!(office.slots(1), SLOTS);
}

#[test]
fn a_draining_worker_is_shrunk_to_nothing_before_the_others_grow() {
    let mut office = Office::running(2);
    office.heartbeat(100, 2, |h| h.status = Status::Draining);
    office.tick(100);
    assert_eq!((office.slots(1), office.slots(2)), (500_000, 0));
    office.heartbeat(101, 2, |h| h.status = Status::Draining);
    office.tick(101);
    assert_eq!(office.slots(1), SLOTS);
}

#[test]
fn under_hold_a_lost_workers_slots_are_given_to_nobody() {
    let mut office = Office::running(2);
    office.c.charge.spec.on_lost = OnLost::Hold;
    for ms in (250..20_000).step_by(250) {
        office.round(ms, &[1]);
    }
    assert_eq!(office.slots(1), 500_000);
    let back = office.register_as(20_000, |r| r.report = report(500_000), node(2));
    assert_eq!(
        back.honoured,
        report(500_000),
        "it carries on with what it kept"
    );
}

#[test]
fn under_hold_a_test_that_lost_its_coordinator_before_the_start_ends_and_says_so() {
    let mut office = Office::with(2, |c| c.spec.on_lost = OnLost::Hold);
    office.register(0, 1);
    for ms in (0..=LAPSED_AFTER).step_by(250) {
        office.round(ms, &[1]);
    }
    office.tick(LAPSED_AFTER);
    assert!(office.failure().contains("hold"), "{}", office.failure());
}

#[test]
fn under_fail_a_lost_worker_ends_the_test_and_is_named() {
    let mut office = Office::running(2);
    office.c.charge.spec.on_lost = OnLost::Fail;
    for ms in (250..=LAPSED_AFTER + 250).step_by(250) {
        office.round(ms, &[1]);
    }
    assert!(office.failure().contains("lost"), "{}", office.failure());
}

#[test]
fn the_start_waits_for_every_able_node_or_the_window() {
    let mut office = Office::with(1, |_| {});
    office.able = BTreeSet::from([node(1), node(2)]);
    office.register(0, 1);
    for ms in (0..3_000).step_by(250) {
        office.round(ms, &[1]);
    }
    office.round(2_999, &[1]);
    assert_eq!(office.c.start(), None);
    office.round(3_000, &[1]);
    assert_eq!(office.c.start(), Some(at(3_400)));
}

#[test]
fn too_few_workers_end_the_test_with_every_refusal_in_the_text() {
    let mut office = Office::with(1, |c| {
        c.spec.min_workers = 3;
        c.spec.labels.insert("zone".into(), "a".into());
    });
    let unable = |r: &mut Register| r.unable = Some("see --allow-target".into());
    assert!(!office.register_as(0, unable, node(1)).accepted);
    assert!(
        !office
            .register_as(0, |r| r.task_types = vec!["CPU".into()], node(2))
            .accepted
    );
    assert!(!office.register(0, 3).accepted);
    office.tick(3_000);
    for part in [
        "--allow-target",
        "cannot run SLEEP tasks",
        "lacks the label zone=a",
    ] {
        assert!(office.failure().contains(part), "{}", office.failure());
    }
}

#[test]
fn registrations_of_another_term_and_older_ones_are_refused() {
    let mut office = Office::running(1);
    assert!(!office.register_as(1, |r| r.term = 2, node(2)).accepted);
    office.register(2, 1);
    assert!(!office.register_as(3, |r| r.number = 1, node(1)).accepted);
}

#[test]
fn a_successor_keeps_the_start_that_a_worker_knows() {
    let mut office = Office::with(2, |_| {});
    let reply = office.register_as(1_000, |r| r.since_start = Some(400 * MS as i64), node(1));
    assert!(reply.accepted);
    assert_eq!(office.c.start(), Some(at(600)));
    assert_eq!(office.c.phase(), Phase::Running);
}

#[test]
fn a_test_is_complete_when_every_carrier_has_delivered_its_final_snapshot() {
    let mut office = Office::running(2);
    for i in [1, 2] {
        office.heartbeat(100, i, |h| h.finished = true);
        office.tick(100);
        assert!(office.ended.is_none());
        office.c.snapshot_received(&node(i), 9, true);
        office.tick(101);
    }
    let ended = office.ended.unwrap();
    assert_eq!(ended.reason, EndReason::Completed);
    let last: Vec<_> = ended
        .roster
        .iter()
        .map(|e| (e.last_snapshot, e.is_final))
        .collect();
    assert_eq!(last, [(Some(9), true); 2]);
}

#[test]
fn after_the_plan_missing_snapshots_are_waited_for_no_longer_than_grace_and_lease() {
    let mut office = Office::running(1);
    let over = office.c.start().unwrap() + Duration::from_secs(60);
    let by = (over + Duration::from_secs(1) + LEASE).0 / MS;
    let mut ms = 0;
    while office.ended.is_none() {
        ms += 250;
        assert!(ms <= by, "not ended by {by} ms");
        office.round(ms, &[1]);
    }
    assert!(at(ms) > over + Duration::from_secs(1));
    assert_eq!(office.ended.unwrap().roster[0].last_snapshot, None);
}

#[test]
fn a_stop_before_the_start_ends_the_test_at_once() {
    let mut office = Office::with(1, |_| {});
    office.register(0, 1);
    let order = StopOrder {
        graceful: true,
        timeout: Duration::from_secs(9),
    };
    office.c.stop(at(1), order, &mut Effects::default());
    office.tick(2);
    assert_eq!(office.ended.unwrap().reason, EndReason::Stopped);
}
