//! The worker's rules, in terms of answers in, requests and engine orders out.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::effects::Output;
use super::super::fakes::{node, snapshot, spec};
use super::super::id::Incarnation;
use super::super::messages::ClockReply;
use super::*;

const TEST: TestId = TestId([1; 16]);
const MS: u64 = 1_000_000;
const LEASE: Duration = Duration::from_millis(2_500);
const STOP: StopOrder = StopOrder {
    graceful: true,
    timeout: Duration::from_secs(1),
};

fn at(ms: u64) -> Time {
    Time(ms * MS)
}

fn worker() -> Worker {
    let myself = Myself {
        node: node(5),
        name: "n5".into(),
        version: "0".into(),
        capacity: 10,
        task_types: vec!["SLEEP".into()],
        labels: Default::default(),
    };
    Worker::new(
        TEST,
        Arc::new(myself),
        spec(Duration::from_secs(10)),
        Digest([0; 32]),
        None,
        Timings::lan(),
        &mut Effects::default(),
    )
}

fn out(act: impl FnOnce(&mut Effects)) -> (Vec<Request>, Vec<EngineOrder>) {
    let mut fx = Effects::default();
    act(&mut fx);
    let (mut sent, mut orders) = (Vec::new(), Vec::new());
    for output in fx.outputs {
        match output {
            Output::Send(_, request) => sent.push(request),
            Output::Engine(_, order) => orders.push(order),
            _ => {}
        }
    }
    (sent, orders)
}

fn accepted(w: &Worker, honoured: Option<ShareReport>) -> RegisterReply {
    RegisterReply {
        test: TEST,
        term: w.coordinator.as_ref().unwrap().0,
        incarnation: Incarnation(1),
        number: w.registration,
        accepted: true,
        message: String::new(),
        heartbeat_interval: Duration::from_millis(250),
        metrics_interval: Duration::from_secs(1),
        order_floor: 0,
        honoured,
        clock: ClockReply::default(),
    }
}

/// The answer to the newest heartbeat.
fn renewed(w: &Worker, order: Option<Order>) -> HeartbeatReply {
    HeartbeatReply {
        test: TEST,
        term: w.coordinator.as_ref().unwrap().0,
        incarnation: Incarnation(1),
        registration: w.registration,
        number: w.heartbeat,
        lease: Some(LEASE),
        register_again: false,
        message: String::new(),
        order,
        stop: None,
        clock: ClockReply::default(),
    }
}

fn order(number: u64, slots: u32) -> Order {
    Order {
        number,
        slots,
        offset: 0,
        start: Some(RemoteTime(500 * MS)),
    }
}

/// An answer arrives from a coordinator whose clock is the worker's, and whose network is
/// equally fast both ways.
fn answer(w: &mut Worker, ms: u64, r: &HeartbeatReply) -> (Vec<Request>, Vec<EngineOrder>) {
    let mut r = r.clone();
    if let Some((_, sent)) = w.sent.iter().find(|(n, _)| *n == r.number) {
        let middle = Time((sent.0 + ms * MS) / 2);
        r.clock = ClockReply {
            received: middle.into(),
            sent: middle.into(),
        };
    }
    out(|fx| w.heartbeat_answered(at(ms), &r, fx))
}

/// Follows node 0 in term 1, registered at 0 ms; its first heartbeat left at 0 ms.
fn registered() -> Worker {
    let mut w = worker();
    out(|fx| w.follow(at(0), 1, &node(0), fx));
    let reply = accepted(&w, None);
    out(|fx| w.registered(at(0), &reply, fx));
    w
}

/// Acts on 300 slots since 10 ms, by a lease from 0 ms.
fn running() -> Worker {
    let mut w = registered();
    let reply = renewed(&w, Some(order(3, 300)));
    answer(&mut w, 10, &reply);
    assert_eq!(w.share(at(10)), 300);
    w
}

#[test]
fn the_lease_counts_from_the_sending_of_the_heartbeat() {
    let mut w = registered();
    let reply = renewed(&w, None);
    let (_, orders) = answer(&mut w, 900, &reply);
    assert_eq!(orders, [EngineOrder::Lease(at(2_450))], "98 % from 0 ms");
}

#[test]
fn a_late_answer_to_an_older_heartbeat_shortens_nothing() {
    let mut w = registered();
    let old = renewed(&w, None);
    out(|fx| w.tick(at(250), fx));
    let new = renewed(&w, None);
    answer(&mut w, 260, &new);
    assert!(answer(&mut w, 270, &old).1.is_empty());
}

#[test]
fn an_order_starts_the_engine_once_and_is_confirmed_at_once() {
    let mut w = registered();
    let reply = renewed(&w, Some(order(3, 300)));
    let (sent, orders) = answer(&mut w, 10, &reply);
    assert_eq!(orders[1], EngineOrder::Start(at(500)));
    let applied = |r: &Request| matches!(r, Request::Heartbeat(h) if h.applied == 3);
    assert!(sent.iter().any(applied));
    let mut again = renewed(&w, Some(order(4, 400)));
    again.order.as_mut().unwrap().start = Some(RemoteTime(9_000 * MS));
    let (_, orders) = answer(&mut w, 20, &again);
    assert!(!orders.iter().any(|o| matches!(o, EngineOrder::Start(_))));
    assert_eq!((w.start(), w.share(at(20))), (Some(at(500)), 400));
}

#[test]
fn older_orders_are_ignored_and_so_are_those_below_the_floor() {
    let mut w = running();
    let reply = renewed(&w, Some(order(2, 900)));
    answer(&mut w, 20, &reply);
    assert_eq!(w.share(at(20)), 300);
    let mut w = worker();
    out(|fx| w.follow(at(0), 1, &node(0), fx));
    let mut reply = accepted(&w, None);
    reply.order_floor = 7;
    out(|fx| w.registered(at(0), &reply, fx));
    let reply = renewed(&w, Some(order(7, 900)));
    answer(&mut w, 5, &reply);
    assert_eq!(w.share(at(5)), 0);
}

#[test]
fn answers_of_another_incarnation_registration_or_term_are_dropped() {
    let mut w = registered();
    let right = renewed(&w, Some(order(3, 300)));
    let mut incarnation = right.clone();
    incarnation.incarnation = Incarnation(2);
    let mut registration = right.clone();
    registration.registration += 1;
    let mut term = right.clone();
    term.term = 2;
    let mut never_sent = right.clone();
    never_sent.number = 99;
    for wrong in [incarnation, registration, term, never_sent] {
        assert_eq!(answer(&mut w, 10, &wrong), (vec![], vec![]));
    }
    answer(&mut w, 10, &right);
    assert_eq!(w.share(at(10)), 300);
}

#[test]
fn an_order_that_is_pushed_renews_no_lease() {
    let mut w = registered();
    let assign = Assign {
        test: TEST,
        term: 1,
        incarnation: Incarnation(1),
        registration: 1,
        digest: Digest([0; 32]),
        order: Order {
            start: None,
            ..order(3, 300)
        },
        description: Default::default(),
        sent: RemoteTime(0),
    };
    let mut reply = None;
    out(|fx| reply = Some(w.assigned(at(5), &assign, fx)));
    assert!(reply.unwrap().accepted);
    assert_eq!(w.share(at(5)), 0, "no heartbeat was answered yet");
    let mut other = assign;
    other.digest = Digest([9; 32]);
    out(|fx| assert!(!w.assigned(at(6), &other, fx).accepted));
}

#[test]
fn a_lapse_means_no_share_and_a_new_registration_without_a_report() {
    let mut w = running();
    assert!(out(|fx| w.tick(at(2_449), fx)).1.is_empty());
    let (sent, orders) = out(|fx| w.tick(at(2_450), fx));
    assert!(orders.contains(&EngineOrder::Share {
        slots: 0,
        offset: 0
    }));
    let [Request::Register(r)] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!((r.number, r.report), (2, None));
    assert_eq!(
        r.since_start,
        Some(1_950 * MS as i64),
        "the start is still known"
    );
}

#[test]
fn a_new_term_hears_of_a_share_only_while_its_lease_runs() {
    for (ms, expected) in [(2_449, Some(300)), (2_451, None)] {
        let mut w = running();
        let (sent, _) = out(|fx| w.follow(at(ms), 2, &node(1), fx));
        let [Request::Register(r)] = &sent[..] else {
            panic!("{sent:?}")
        };
        assert_eq!(r.report.map(|s| s.slots), expected);
    }
}

#[test]
fn a_share_is_kept_only_if_the_new_coordinator_honours_it() {
    let report = ShareReport {
        slots: 300,
        offset: 0,
    };
    for (honoured, left) in [(Some(report), 300), (None, 0)] {
        let mut w = running();
        out(|fx| w.follow(at(1_000), 2, &node(1), fx));
        assert_eq!(w.share(at(1_000)), 300, "meanwhile it runs on");
        let reply = accepted(&w, honoured);
        out(|fx| w.registered(at(1_010), &reply, fx));
        assert_eq!(w.share(at(1_010)), left);
    }
}

#[test]
fn a_coordinator_of_a_lower_term_is_not_followed() {
    let mut w = worker();
    out(|fx| w.follow(at(0), 3, &node(0), fx));
    assert!(out(|fx| w.follow(at(1), 2, &node(1), fx)).0.is_empty());
    assert!(w.follows(&node(0).peer));
}

#[test]
fn an_exchange_slower_than_an_authority_lease_starts_no_profile() {
    let mut w = registered();
    let reply = renewed(&w, Some(order(3, 300)));
    answer(&mut w, 1_001, &reply);
    assert_eq!(w.start(), None);
    out(|fx| w.tick(at(1_100), fx));
    let reply = renewed(&w, Some(order(3, 300)));
    answer(&mut w, 1_110, &reply);
    assert_eq!(w.start(), Some(at(500)));
}

#[test]
fn under_hold_a_running_share_outlives_its_lease() {
    let mut w = registered();
    w.spec.on_lost = OnLost::Hold;
    let reply = renewed(&w, Some(order(3, 300)));
    let (_, orders) = answer(&mut w, 10, &reply);
    assert!(orders.contains(&EngineOrder::Lease(Time::MAX)));
    out(|fx| w.tick(at(60_000), fx));
    assert_eq!(w.share(at(60_000)), 300);
}

#[test]
fn leaving_stops_the_load_first_and_then_gives_the_lease_back() {
    let mut w = running();
    let (_, orders) = out(|fx| w.leave(STOP, fx));
    assert!(orders.contains(&EngineOrder::Stop(STOP)));
    assert!(orders.contains(&EngineOrder::Lease(Time::ZERO)));
    let (sent, _) = out(|fx| w.tick(at(300), fx));
    let [Request::Heartbeat(h)] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!(h.status, Status::Leaving);
    let reply = renewed(&w, Some(order(9, 900)));
    answer(&mut w, 310, &reply);
    assert_eq!(w.share(at(310)), 0);
}

#[test]
fn a_stop_is_repeated_to_the_engine_only_if_it_is_harder() {
    let mut w = running();
    let now = StopOrder {
        graceful: false,
        ..STOP
    };
    assert_eq!(out(|fx| w.stop(STOP, fx)).1.len(), 1);
    assert_eq!(out(|fx| w.stop(STOP, fx)).1.len(), 0);
    assert_eq!(out(|fx| w.stop(now, fx)).1, [EngineOrder::Stop(now)]);
    assert_eq!(out(|fx| w.stop(STOP, fx)).1.len(), 0);
}

fn finished() -> Worker {
    let mut w = running();
    let mut last = snapshot(node(5), 7, 100);
    last.is_final = true;
    out(|fx| w.measured(at(100), last, fx));
    w
}

fn delivers(w: &mut Worker, ms: u64) -> bool {
    let (sent, _) = out(|fx| w.tick(at(ms), fx));
    let is_final = |r: &Request| matches!(r, Request::Metrics(s) if s.number == 7);
    sent.iter().any(is_final)
}

#[test]
fn a_final_snapshot_is_delivered_until_it_is_acknowledged() {
    let mut w = finished();
    assert!(delivers(&mut w, 600));
    w.delivered(6);
    assert!(delivers(&mut w, 1_100));
    w.delivered(7);
    assert!(!delivers(&mut w, 1_600));
}

#[test]
fn a_final_snapshot_is_delivered_again_to_a_new_coordinator() {
    let mut w = finished();
    w.delivered(7);
    out(|fx| w.follow(at(1_000), 2, &node(1), fx));
    assert!(delivers(&mut w, 1_000));
}

#[test]
fn the_end_does_not_keep_back_an_undelivered_final_snapshot_nor_send_it_for_ever() {
    let mut w = finished();
    out(|fx| w.end(fx));
    let sendings = (1..200).filter(|i| delivers(&mut w, i * 600)).count();
    assert_eq!(sendings, LATE_DELIVERIES as usize);
    w.report_to(at(200_000), 4, &node(2));
    assert!(delivers(&mut w, 200_000));
    assert!(w.follows(&node(2).peer));
}
