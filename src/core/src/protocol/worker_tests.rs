//! A worker and its coordinator, one rule per test.

use super::super::allocation::AllocationEntry;
use super::super::fakes::{node, snapshot, spec};
use super::super::id::Incarnation;
use super::super::log::EntryKind;
use super::super::messages::ClockReply;
use super::super::messages::NumbersGrant;
use super::super::signature::Signature;
use super::super::time::RemoteTime;
use super::*;
use crate::Numbers;

const TEST: TestId = TestId([5; 16]);
const MS: i64 = 1_000_000;
const PLAN: Digest = Digest([8; 32]);

struct Fixture {
    w: Worker,
    now: Time,
    sent: Vec<Request>,
    engine: Vec<EngineOrder>,
}

impl Fixture {
    fn new() -> Fixture {
        let local = LocalNode {
            node: node(1),
            name: "n1".into(),
            version: "0".into(),
            capacity: 10,
            task_types: vec!["SLEEP".into()],
            labels: Default::default(),
            environment: String::new(),
        };
        let mut fx = Effects::default();
        let spec = spec(Duration::from_secs(60));
        let w = Worker::new(
            TEST,
            Arc::new(local),
            spec,
            PLAN,
            None,
            Timings::lan(),
            &mut fx,
        );
        Fixture {
            w,
            now: Time(0),
            sent: Vec::new(),
            engine: Vec::new(),
        }
    }

    fn act(&mut self, ms: i64, act: impl FnOnce(&mut Worker, Time, &mut Effects)) -> &mut Fixture {
        self.now = Time(ms * MS);
        let mut fx = Effects::default();
        act(&mut self.w, self.now, &mut fx);
        (self.sent, self.engine) = (Vec::new(), Vec::new());
        for output in fx.outputs {
            match output {
                Output::Send(_, request) => self.sent.push(request),
                Output::Engine(_, order) => self.engine.push(order),
                other => panic!("not an output of a worker: {other:?}"),
            }
        }
        self
    }

    fn tick(&mut self, ms: i64) -> &mut Fixture {
        self.act(ms, |w, now, fx| w.tick(now, fx))
    }

    fn follow(&mut self, ms: i64, term: u64) -> &mut Fixture {
        self.act(ms, |w, now, fx| {
            w.follow(now, term, &node(term as u32 + 10), fx)
        })
    }

    fn registered(&mut self, ms: i64, honoured: bool) -> &mut Fixture {
        let reply = RegisterReply {
            test: TEST,
            term: self.term(),
            incarnation: Incarnation(1),
            number: self.w.contact.registration(),
            accepted: true,
            message: String::new(),
            heartbeat_interval: Duration::from_millis(250),
            metrics_interval: Duration::from_secs(1),
            order_floor: 3,
            honoured,
            clock: ClockReply::default(),
        };
        self.act(ms, |w, now, fx| w.registered(now, &reply, fx))
    }

    fn term(&self) -> u64 {
        self.w.contact.coordinator.as_ref().map_or(0, |(t, _)| *t)
    }

    fn answer(&self, number: u64) -> HeartbeatReply {
        HeartbeatReply {
            test: TEST,
            term: self.term(),
            incarnation: Incarnation(1),
            registration: self.w.contact.registration(),
            number,
            lease: Some(Duration::from_millis(2_500)),
            register_again: false,
            message: String::new(),
            order: None,
            allocation: None,
            numbers: None,
            stop: None,
            log: Vec::new(),
            clock: ClockReply {
                received: RemoteTime(self.now.0),
                sent: RemoteTime(self.now.0),
            },
        }
    }

    /// An answer, with the allocation of its order known already.
    fn answered(&mut self, ms: i64, reply: &HeartbeatReply) -> &mut Fixture {
        let list = reply.order.as_ref().map(|o| self.allocation(o));
        self.act(ms, |w, now, fx| {
            if let Some(list) = list {
                w.check_list(&list, list.name(), fx);
            }
            w.heartbeat_answered(now, reply, fx)
        })
    }

    fn allocation(&self, order: &Order) -> Arc<Allocation> {
        let others = Slots::whole().difference(&order.share);
        let entry = |(i, slots)| AllocationEntry {
            worker: node(i),
            slots,
        };
        Arc::new(Allocation {
            test: TEST,
            term: self.term(),
            number: order.number,
            coordinator: node(self.term() as u32 + 10),
            entries: [(1, order.share.clone()), (2, others)].map(entry).into(),
            signature: Signature([0; 64]),
        })
    }

    fn order(number: u64, slots: u32) -> Order {
        Order {
            number,
            share: Slots::range(0, slots),
            floor: Duration::ZERO,
            start: Some(RemoteTime(5_000 * MS)),
        }
    }

    /// The engine acts on the newest share; users of these slots have not finished.
    fn held(&mut self, ms: i64, draining: Slots) -> &mut Fixture {
        let held = EngineHeld {
            change: self.w.lease.change,
            draining,
            ..EngineHeld::default()
        };
        self.act(ms, |w, now, fx| w.engine_held(now, held, fx))
    }

    fn share(&self) -> u32 {
        self.w.share(self.now).count()
    }

    fn has_no_share(&self) -> bool {
        let none =
            |o: &EngineOrder| matches!(o, EngineOrder::Share { slots, .. } if slots.is_empty());
        self.engine.iter().any(none)
    }

    /// Registered at 0 ms, heartbeat 1 sent at 1 ms and answered at 5 ms with a share.
    fn running() -> Fixture {
        let mut s = Fixture::new();
        s.follow(0, 1).registered(1, false);
        let mut reply = s.answer(1);
        reply.order = Some(Fixture::order(4, 300_000));
        s.answered(5, &reply);
        assert_eq!(s.share(), 300_000);
        s
    }

    fn lease(&self) -> Option<Time> {
        self.engine.iter().rev().find_map(|o| match o {
            EngineOrder::Lease(until) => Some(*until),
            _ => None,
        })
    }
}

#[test]
fn a_lease_counts_from_the_sending_of_the_heartbeat_minus_the_margin() {
    let mut s = Fixture::running();
    assert_eq!(s.lease(), Some(Time(2_451 * MS)));
    // Two more heartbeats were sent at 5 ms: for the order, and to confirm the first answer.
    let reply = s.answer(2);
    s.answered(900, &reply);
    assert_eq!(s.lease(), Some(Time(2_455 * MS)));
}

#[test]
fn answers_of_another_registration_incarnation_term_or_heartbeat_are_dropped() {
    let mut s = Fixture::running();
    let good = s.answer(2);
    let mut others = vec![good.clone(); 4];
    others[0].registration += 1;
    others[1].incarnation.0 += 1;
    others[2].term += 1;
    others[3].number = 77;
    for reply in &others {
        s.answered(100, reply);
        assert!(s.engine.is_empty() && s.sent.is_empty());
    }
    assert!(s.answered(100, &good).lease().is_some());
}

#[test]
fn older_orders_and_those_below_the_floor_are_ignored() {
    let mut s = Fixture::running();
    for number in [2, 3, 4] {
        let mut reply = s.answer(2);
        reply.order = Some(Fixture::order(number, 900_000));
        s.answered(100, &reply);
        assert_eq!(s.share(), 300_000, "order {number}");
    }
    let mut reply = s.answer(3);
    reply.order = Some(Fixture::order(5, 100_000));
    s.answered(110, &reply);
    assert_eq!(s.share(), 100_000);
    assert!(
        matches!(&s.sent[..], [Request::Heartbeat(hb)] if hb.applied == 5),
        "it acknowledges at once"
    );
}

#[test]
fn an_expired_lease_ends_the_share_and_the_worker_registers_again() {
    let mut s = Fixture::running();
    s.tick(2_450);
    assert_eq!(s.share(), 300_000);
    s.tick(2_451);
    assert_eq!(s.share(), 0);
    assert!(s.has_no_share());
    let again = s
        .sent
        .iter()
        .any(|r| matches!(r, Request::Register(r) if r.number == 2 && r.report.is_none()));
    assert!(again, "{:?}", s.sent);
}

#[test]
fn a_new_coordinator_receives_the_running_share_and_the_start() {
    let mut s = Fixture::running();
    s.follow(1_000, 2);
    let [Request::Register(r)] = &s.sent[..] else {
        panic!("{:?}", s.sent);
    };
    let report = r.report.as_ref().expect("a report");
    assert_eq!(report.share, Slots::range(0, 300_000));
    assert_eq!(report.held, report.share);
    assert!(r.since_start.is_some());
    s.registered(1_010, true);
    assert_eq!(s.share(), 300_000);
    s.follow(1_020, 1);
    assert!(s.sent.is_empty(), "an older term is not followed");
}

#[test]
fn a_report_that_is_not_honoured_ends_the_share_at_once() {
    let mut s = Fixture::running();
    s.follow(1_000, 2).registered(1_010, false);
    assert_eq!(s.share(), 0);
    assert!(s.has_no_share());
}

#[test]
fn an_unanswered_registration_is_repeated_with_the_same_number() {
    let mut s = Fixture::new();
    s.follow(0, 1).tick(499);
    assert!(s.sent.is_empty());
    s.tick(500);
    assert!(matches!(&s.sent[..], [Request::Register(r)] if r.number == 1));
}

#[test]
fn a_profile_starts_once_regardless_of_later_orders() {
    let mut s = Fixture::running();
    let start = s.w.start();
    assert!(start.is_some());
    let mut reply = s.answer(3);
    reply.order = Some(Order {
        start: Some(RemoteTime(9_000 * MS)),
        ..Fixture::order(6, 300_000)
    });
    s.answered(200, &reply);
    assert_eq!(s.w.start(), start);
    assert!(!s.engine.iter().any(|o| matches!(o, EngineOrder::Start(_))));
}

#[test]
fn a_pushed_share_of_another_plan_or_registration_is_refused() {
    let mut s = Fixture::running();
    let good = Assign {
        test: TEST,
        term: 1,
        incarnation: Incarnation(1),
        registration: 1,
        digest: PLAN,
        order: Fixture::order(9, 50_000),
        allocation: s.allocation(&Fixture::order(9, 50_000)).name(),
        list: None,
        description: Default::default(),
        sent: RemoteTime(0),
    };
    let bad = [
        Assign {
            digest: Digest([0; 32]),
            ..good.clone()
        },
        Assign {
            registration: 2,
            ..good.clone()
        },
        Assign {
            term: 2,
            ..good.clone()
        },
    ];
    for assign in &bad {
        s.act(10, |w, now, fx| {
            assert!(!w.assigned(now, assign, fx).accepted)
        });
    }
    s.act(10, |w, now, fx| {
        assert!(w.assigned(now, &good, fx).accepted)
    });
    assert_eq!(s.share(), 50_000);
    assert_eq!(
        s.lease(),
        Some(Time(2_451 * MS)),
        "a pushed share does not renew the lease"
    );
}

#[test]
fn the_final_snapshot_is_delivered_until_acknowledged_and_again_to_a_new_coordinator() {
    let mut s = Fixture::running();
    let mut last = snapshot(node(1), 8, 100);
    last.is_final = true;
    s.act(100, |w, now, fx| w.measured(now, last, fx));
    let delivers = |s: &Fixture| {
        s.sent
            .iter()
            .any(|r| matches!(r, Request::Metrics(m) if m.number == 8))
    };
    assert!(delivers(&s));
    assert!(delivers(s.tick(600)), "again, unacknowledged");
    s.act(610, |w, _, _| w.delivered(8));
    assert!(!delivers(s.tick(1_200)));
    s.follow(1_300, 2);
    assert!(delivers(s.tick(1_300)));
}

#[test]
fn a_leaving_worker_stops_its_load_before_it_reports_leaving() {
    let mut s = Fixture::running();
    let now_order = StopOrder {
        graceful: false,
        timeout: Duration::ZERO,
    };
    s.act(100, |w, _, fx| w.leave(now_order, fx));
    assert_eq!(s.lease(), Some(Time::ZERO));
    assert_eq!(s.share(), 0);
    s.tick(300);
    let status = |s: &Fixture| match &s.sent[..] {
        [Request::Heartbeat(hb)] => hb.status,
        other => panic!("{other:?}"),
    };
    assert_eq!(status(&s), Status::Draining, "its engine has not confirmed");
    s.held(310, Slots::EMPTY);
    assert_eq!(status(s.tick(320)), Status::Leaving);
}

#[test]
fn a_share_waits_for_the_setups_values() {
    let mut s = Fixture::new();
    s.w.spec.setup = Some(Duration::from_secs(1));
    s.follow(0, 1).registered(1, false);
    let order = Order {
        start: Some(RemoteTime(0)),
        ..Fixture::order(4, 10)
    };
    let mut reply = s.answer(1);
    reply.order = Some(order.clone());
    s.answered(2, &reply);
    assert_eq!(s.share(), 0);
    let mut reply = s.answer(2);
    reply.order = Some(order);
    reply.log = vec![LogEntry {
        id: 0,
        at: Duration::ZERO,
        max_delay: Duration::ZERO,
        kind: EntryKind::SetupValues(b"{}"[..].into()),
    }];
    s.answered(3, &reply);
    assert_eq!(s.share(), 10);
    let decided = |o: &EngineOrder| matches!(o, EngineOrder::Log(_));
    let share = |o: &EngineOrder| matches!(o, EngineOrder::Share { .. });
    let (decided, share) = (
        s.engine.iter().position(decided),
        s.engine.iter().position(share),
    );
    assert!(decided < share && decided.is_some(), "{:?}", s.engine);
}

#[test]
fn new_slots_are_acted_on_only_once_their_allocation_is_checked() {
    let mut s = Fixture::running();
    let order = Fixture::order(5, 600_000);
    let list = s.allocation(&order);
    let mut reply = s.answer(2);
    (reply.order, reply.allocation) = (Some(order), Some(list.name()));
    s.act(100, |w, now, fx| w.heartbeat_answered(now, &reply, fx));
    assert_eq!(s.share(), 300_000);
    let fetch = Request::FetchAllocation {
        test: TEST,
        digest: Some(list.digest()),
    };
    assert_eq!(s.sent, [fetch]);
    let mut wrong = Allocation::clone(&list);
    wrong.entries[1].slots = Slots::range(599_999, 1_000_000);
    let wrong = Arc::new(wrong);
    s.act(110, |w, now, fx| {
        w.allocation_arrived(now, Some(&wrong), fx)
    });
    assert_eq!(s.share(), 300_000, "another list than the named one");
    s.act(120, |w, now, fx| w.allocation_arrived(now, Some(&list), fx));
    assert_eq!(s.share(), 600_000);
    assert!(matches!(&s.sent[..], [Request::Heartbeat(hb)] if hb.applied == 5));
}

#[test]
fn an_allocation_that_grants_a_slot_twice_is_not_acted_on() {
    let mut s = Fixture::running();
    let order = Fixture::order(5, 600_000);
    let mut list = Allocation::clone(&s.allocation(&order));
    list.entries[1].slots = Slots::range(599_999, 1_000_000);
    let list = Arc::new(list);
    let mut reply = s.answer(2);
    (reply.order, reply.allocation) = (Some(order), Some(list.name()));
    s.act(100, |w, now, fx| w.heartbeat_answered(now, &reply, fx));
    let mut fx = Effects::default();
    s.w.allocation_arrived(s.now, Some(&list), &mut fx);
    assert_eq!(s.share(), 300_000);
    let logged = |o: &Output| matches!(o, Output::Log(text) if text.contains("same slot"));
    assert!(fx.outputs.iter().any(logged), "{:?}", fx.outputs);
}

#[test]
fn lost_slots_are_given_up_before_the_allocation_is_checked() {
    let mut s = Fixture::running();
    let moved = Order {
        share: Slots::range(200_000, 400_000),
        ..Fixture::order(5, 0)
    };
    let mut reply = s.answer(2);
    reply.order = Some(moved);
    s.act(100, |w, now, fx| w.heartbeat_answered(now, &reply, fx));
    assert_eq!(*s.w.share(s.now), Slots::range(200_000, 300_000));
    assert_eq!(s.w.lease.applied, 4, "the order is not applied");
}

#[test]
fn slots_of_removed_users_are_held_until_the_engine_has_finished_them() {
    let mut s = Fixture::running();
    s.held(50, Slots::EMPTY);
    let mut reply = s.answer(2);
    reply.order = Some(Fixture::order(5, 100_000));
    s.answered(100, &reply);
    let held = |s: &Fixture| match &s.sent[..] {
        [Request::Heartbeat(hb)] => hb.held.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        held(&s),
        Slots::range(0, 300_000),
        "not confirmed by the engine"
    );
    s.held(105, Slots::range(100_000, 150_000));
    assert_eq!(
        held(s.tick(110)),
        Slots::range(0, 150_000),
        "soon, but not at once"
    );
    s.held(115, Slots::EMPTY);
    assert_eq!(held(s.tick(120)), Slots::range(0, 100_000));
}

#[test]
fn a_report_names_the_slots_of_removed_users() {
    let mut s = Fixture::running();
    let mut reply = s.answer(2);
    reply.order = Some(Fixture::order(5, 0));
    s.answered(100, &reply);
    s.held(110, Slots::range(0, 10));
    s.follow(1_000, 2);
    let [Request::Register(r)] = &s.sent[..] else {
        panic!("{:?}", s.sent);
    };
    let report = r.report.as_ref().expect("a report");
    assert!(report.share.is_empty());
    assert_eq!(report.held, Slots::range(0, 10));
}

#[test]
fn numbers_of_requests_are_passed_on_once_and_counted_as_unused_until_the_engine_reports() {
    let mut s = Fixture::running();
    let mut reply = s.answer(2);
    let grant = |from, to, last| NumbersGrant {
        granted: Numbers::range(from, to),
        last,
    };
    reply.numbers = Some(grant(0, 10, false));
    s.answered(100, &reply);
    let added = EngineOrder::Numbers {
        added: Numbers::range(0, 10),
        last: false,
    };
    assert!(s.engine.contains(&added), "{:?}", s.engine);
    assert_eq!(s.w.lease.unused(), Numbers::range(0, 10));
    s.answered(110, &reply);
    assert!(!s.engine.contains(&added), "the same grant again");
    let held = EngineHeld {
        change: 1,
        unused: Numbers::range(7, 10),
        ..EngineHeld::default()
    };
    s.act(120, |w, now, fx| w.engine_held(now, held, fx));
    s.tick(130);
    let asks = |r: &Request| matches!(r, Request::Heartbeat(hb) if hb.unused.len() == 3);
    assert!(s.sent.iter().any(asks), "it asks for more: {:?}", s.sent);
    let mut reply = s.answer(3);
    reply.numbers = Some(grant(7, 12, true));
    s.answered(140, &reply);
    let rest = EngineOrder::Numbers {
        added: Numbers::range(10, 12),
        last: true,
    };
    assert!(s.engine.contains(&rest), "{:?}", s.engine);
}

#[test]
fn the_drift_of_the_clocks_after_the_start_is_no_start_error() {
    let mut s = Fixture::running();
    // The coordinator's clock is 50 ppm fast: 180 ms after an hour.
    for number in 2..14_400 {
        let ms = number * 250;
        s.tick(ms);
        let mut reply = s.answer(number as u64);
        let fast = RemoteTime(s.now.0 + s.now.0 / 20_000);
        (reply.clock.received, reply.clock.sent) = (fast, fast);
        s.answered(ms, &reply);
    }
    let error = s.w.start_error().map(|e| e.us);
    assert!(error.is_some_and(|us| us.abs() < 1_000), "{error:?}");
}
