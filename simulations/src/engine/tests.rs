use super::*;

const SECOND: i64 = 1_000_000_000;

fn spec(load: Load) -> EngineSpec {
    let mut plan =
        crate::scenario::Scenario::from_seed(1, Some(1), crate::scenario::Faults::None).plan;
    plan.length = Duration::from_secs(10);
    plan.grace = Duration::from_secs(2);
    plan.load = load;
    EngineSpec {
        plan,
        max_pause: Duration::ZERO,
        seed: 1,
        response_us: 5,
    }
}

fn share(engine: &mut Engine, at: i64, change: u64, slots: Slots, floor: Duration) {
    let order = EngineOrder::Share {
        change,
        slots,
        floor,
    };
    engine.order(Time(at), &order, Duration::ZERO);
    engine.report(Time(at));
}

fn started(load: Load, slots: Slots) -> Engine {
    let mut engine = Engine::new(spec(load));
    engine.order(Time(0), &EngineOrder::Start(Time(SECOND)), Duration::ZERO);
    share(&mut engine, 0, 1, slots, Duration::ZERO);
    engine.order(
        Time(0),
        &EngineOrder::Lease(Time(3 * SECOND)),
        Duration::ZERO,
    );
    engine
}

/// The slots of five users of ten.
fn five_users() -> Slots {
    Slots::range(0, SLOTS * 55 / 100)
}

fn half() -> Slots {
    Slots::range(0, SLOTS / 2)
}

#[test]
fn it_sends_its_share_of_the_rate_while_its_lease_runs() {
    let mut engine = started(Load::Open { rate: 1_000 }, half());
    assert_eq!(*engine.sending(Time(2 * SECOND)), half());
    assert!(engine.sending(Time(3 * SECOND)).is_empty());
    engine.advance(Time(5 * SECOND));
    let sent = engine.sent() as i64;
    assert!((sent - 1_000).abs() < 5, "{sent}");
    let lease = EngineOrder::Lease(Time(20 * SECOND));
    engine.order(Time(6 * SECOND), &lease, Duration::ZERO);
    engine.advance(Time(30 * SECOND));
    let sent = engine.sent() as i64;
    assert!(
        (sent - 3_500).abs() < 10,
        "missed arrivals are not sent later: {sent}"
    );
}

#[test]
fn arrivals_before_the_floor_belong_to_the_former_holder() {
    let mut engine = started(Load::Open { rate: 1_000 }, Slots::EMPTY);
    share(&mut engine, 0, 2, Slots::whole(), Duration::from_secs(1));
    engine.advance(Time(3 * SECOND));
    assert_eq!(engine.sent(), 1_000);
}

#[test]
fn a_removed_user_finishes_and_its_slots_are_held_until_then() {
    let load = Load::Closed {
        users: 10,
        quickest: Duration::from_millis(600),
        slowest: Duration::from_millis(601),
        requests: None,
    };
    let mut engine = started(load, Slots::whole());
    let removed = SECOND * 3 / 2;
    let order = EngineOrder::Share {
        change: 2,
        slots: five_users(),
        floor: Duration::ZERO,
    };
    engine.order(Time(removed), &order, Duration::ZERO);
    let held = engine.report(Time(removed)).expect("a change");
    assert_eq!(held.change, 2);
    assert!(!held.draining.is_empty());
    assert_eq!(engine.acting(Time(removed)), Slots::whole());
    let end = engine.next_wake().expect("users drain");
    assert!(end < Time(SECOND * 7 / 4), "{end:?}");
    let held = engine.report(Time(SECOND * 7 / 4)).expect("a change");
    assert!(held.draining.is_empty());
    assert_eq!(engine.acting(Time(SECOND * 7 / 4)), five_users());
}

#[test]
fn users_use_each_number_once_and_wait_for_more() {
    let load = Load::Closed {
        users: 4,
        quickest: Duration::from_millis(10),
        slowest: Duration::from_millis(11),
        requests: Some(100),
    };
    let mut engine = started(load, Slots::whole());
    let numbers = |from, to, last| EngineOrder::Numbers {
        added: Numbers::range(from, to),
        last,
    };
    engine.order(Time(0), &numbers(0, 6, false), Duration::ZERO);
    engine.advance(Time(2 * SECOND));
    assert_eq!(engine.sent(), 6);
    assert_eq!(engine.idle_at(Time(2 * SECOND)), None);
    engine.order(Time(2 * SECOND), &numbers(6, 8, true), Duration::ZERO);
    engine.advance(Time(5 * SECOND / 2));
    assert_eq!(engine.sent(), 8);
    assert!(engine.idle_at(Time(5 * SECOND / 2)).is_some());
}

#[test]
fn scaling_adds_a_layer_and_moves_nobody() {
    let load = Load::Closed {
        users: 10,
        quickest: Duration::from_millis(10),
        slowest: Duration::from_millis(11),
        requests: None,
    };
    let spec = spec(load);
    let more = [LoadChange {
        at: Duration::from_secs(1),
        lag: Duration::ZERO,
        what: Change::Level(25.0),
    }];
    let changed = Profile::changed(&plan_load(&spec.plan), &more);
    let before = Users::new(&spec, &changed, &[]);
    let after = Users::new(&spec, &changed, &more);
    assert_eq!(before.slots(), after.slots()[..10]);
    assert_eq!(after.slots().len(), 25);
}
