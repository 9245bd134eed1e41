//! A coordinator and its workers, one rule per test. Shares in these tests are
//! equal unless a worker has another capacity.

use super::super::error::HookError;
use super::super::fakes::FakeKeys;
use super::super::fakes::{node, spec};
use super::super::id::Peer;
use super::*;
use crate::SLOTS;
use crate::protocol::spec::OnLost;

const TEST: TestId = TestId([4; 16]);
const MS: i64 = 1_000_000;

struct Fixture {
    c: Coordinator,
    now: Time,
    able: BTreeSet<NodeId>,
    sent: Vec<(Peer, Request)>,
    ended: Option<Ended>,
}

impl Fixture {
    fn new(term: u64, change: impl FnOnce(&mut TestSpec)) -> Fixture {
        let mut spec = spec(Duration::from_secs(10));
        spec.balance = Balance::Capacity;
        change(&mut spec);
        let init = CoordinatorInit {
            test: TEST,
            me: node(99),
            keys: Arc::new(FakeKeys::of(&node(99))),
            term,
            won_at: Time(0),
            spec,
            digest: Digest([1; 32]),
            earlier_lease: Duration::ZERO,
            start_by: Time(60_000 * MS),
            start: None,
            leased_until: Duration::ZERO,
            free: None,
            stop: None,
            log: Vec::new(),
            events: Vec::new(),
        };
        Fixture {
            c: Coordinator::new(init, Timings::lan(), &mut Effects::default()),
            now: Time(0),
            able: BTreeSet::new(),
            sent: Vec::new(),
            ended: None,
        }
    }

    fn at(&mut self, ms: i64) -> &mut Fixture {
        self.now = Time(ms * MS);
        self
    }

    fn tick(&mut self) -> &mut Fixture {
        let mut fx = Effects::default();
        let ended = self.c.tick(self.now, &self.able, &mut fx);
        self.ended = self.ended.take().or(ended);
        // The electors acknowledge the start at once.
        if self.c.start().is_some() && !self.c.acknowledged.start {
            self.c.acknowledged(Acknowledged {
                start: true,
                ..self.c.acknowledged
            });
            let ended = self.c.tick(self.now, &self.able, &mut fx);
            self.ended = self.ended.take().or(ended);
        }
        self.sent = fx
            .outputs
            .into_iter()
            .filter_map(|o| match o {
                Output::Send(to, request) => Some((to, request)),
                _ => None,
            })
            .collect();
        self
    }

    fn register(
        &mut self,
        i: u32,
        number: u64,
        change: impl FnOnce(&mut Register),
    ) -> RegisterReply {
        let mut r = Register {
            test: TEST,
            term: self.c.init.term,
            node: node(i),
            number,
            name: format!("n{i}"),
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
        };
        change(&mut r);
        self.c.register(self.now, &r, &mut Effects::default())
    }

    /// Heartbeat `number`, which confirms the previous answer.
    fn beat(&mut self, i: u32, number: u64, applied: u64) -> Option<HeartbeatReply> {
        self.heartbeat(i, number, number - 1, applied, |_| {})
    }

    fn heartbeat(
        &mut self,
        i: u32,
        number: u64,
        answered: u64,
        applied: u64,
        change: impl FnOnce(&mut Heartbeat),
    ) -> Option<HeartbeatReply> {
        let entry = self.c.workers.get(&node(i));
        let registration = entry.map_or(1, |m| m.registration);
        let held = entry.map_or(Slots::EMPTY, |m| m.ledger.held_after(applied));
        let mut hb = Heartbeat {
            test: TEST,
            term: self.c.init.term,
            node: node(i),
            registration,
            number,
            answered,
            applied,
            held,
            handled_until: Duration::ZERO,
            since_start: self.c.start().map(|s| self.now.signed_since(s)),
            unused: Numbers::EMPTY,
            returned: Numbers::EMPTY,
            load: 0,
            status: Status::Running,
            finished: false,
            stop: None,
            idle: false,
            log_len: 0,
            sent: RemoteTime(0),
        };
        change(&mut hb);
        self.c.heartbeat(self.now, &hb, &mut Effects::default())
    }

    /// Workers 0 to `count` registered, confirmed, and with their shares applied.
    fn running(count: u32) -> Fixture {
        let mut o = Fixture::new(1, |_| {});
        for i in 0..count {
            o.register(i, 1, |_| {});
            o.beat(i, 1, 0);
            o.beat(i, 2, 0);
        }
        o.tick();
        for i in 0..count {
            let order = o.ordered(i).expect("a share").number;
            o.beat(i, 3, order);
        }
        o
    }

    fn ordered(&self, i: u32) -> Option<Order> {
        let entry = self.c.workers.get(&node(i));
        entry.and_then(|m| m.ledger.order()).cloned()
    }

    fn share(&self, i: u32) -> Slots {
        self.ordered(i).map_or(Slots::EMPTY, |o| o.share)
    }

    fn slots(&self, i: u32) -> u32 {
        self.share(i).count()
    }

    fn reserved(&self) -> u32 {
        self.c.reserved(self.now).count()
    }
}

fn report(from: u32, to: u32) -> ShareReport {
    ShareReport {
        share: Slots::range(from, to),
        held: Slots::range(from, to),
    }
}

#[test]
fn shares_are_in_proportion_to_capacity() {
    let mut o = Fixture::new(1, |_| {});
    for (i, capacity) in [(0, 100), (1, 300)] {
        o.register(i, 1, |r| r.capacity = capacity);
        o.beat(i, 1, 0);
        o.beat(i, 2, 0);
    }
    o.tick();
    let (a, b) = (o.ordered(0).expect("a"), o.ordered(1).expect("b"));
    assert_eq!(a.share, Slots::range(0, 250_000));
    assert_eq!(b.share, Slots::range(250_000, SLOTS));
    assert!(b.number == a.number && a.start == b.start && a.start.is_some());
    assert_eq!(o.sent.len(), 2, "each share is pushed");
    let (name, list) = o.c.allocations().newest().expect("an allocation");
    assert_eq!((name.number, list.check()), (1, Ok(())));
    assert_eq!(list.slots(&node(1)), Some(&b.share));
}

#[test]
fn a_share_waits_for_a_confirmed_answer() {
    let mut o = Fixture::new(1, |_| {});
    o.register(0, 1, |_| {});
    o.beat(0, 1, 0);
    o.tick();
    assert_eq!(o.ordered(0), None);
    o.beat(0, 2, 0);
    o.tick();
    assert_eq!(o.slots(0), SLOTS);
}

#[test]
fn the_start_waits_for_able_nodes_at_most_for_the_registration_window() {
    let mut o = Fixture::new(1, |_| {});
    o.able.extend([node(0), node(1)]);
    o.register(0, 1, |_| {});
    o.beat(0, 1, 0);
    o.beat(0, 2, 0);
    o.tick();
    assert_eq!(o.c.state(), TestState::Registering);
    for (number, ms) in [(3, 1_000), (4, 2_000), (5, 2_999)] {
        o.at(ms).beat(0, number, 0);
        o.tick();
    }
    assert_eq!(o.c.state(), TestState::Registering);
    o.at(3_000).tick();
    assert_eq!(o.slots(0), SLOTS);
}

#[test]
fn too_few_workers_end_the_test_with_every_refusal() {
    let mut o = Fixture::new(1, |s| s.min_workers = 2);
    o.register(0, 1, |_| {});
    o.beat(0, 1, 0);
    o.beat(0, 2, 0);
    let refused = o.register(1, 1, |r| r.task_types.clear());
    assert!(
        !refused.accepted && refused.message.contains("SLEEP"),
        "{}",
        refused.message
    );
    o.at(2_000).beat(0, 3, 0);
    o.at(3_000).tick();
    let Some(EndReason::Failed(why)) = o.ended.map(|e| e.reason) else {
        panic!("not failed");
    };
    assert!(
        why.contains("1 able workers of 2") && why.contains("n1: cannot run SLEEP"),
        "{why}"
    );
}

#[test]
fn a_repeated_registration_gets_the_same_answer() {
    let mut o = Fixture::new(2, |_| {});
    let report = Some(report(7, 400_007));
    let first = o.register(0, 1, |r| r.report = report.clone());
    let again = o.register(0, 1, |r| r.report = report.clone());
    assert_eq!(first, again);
    assert!(again.honoured);
    assert!(
        !o.register(0, 0, |_| {}).accepted,
        "an older one is refused"
    );
}

#[test]
fn a_report_is_honoured_once_per_term() {
    let mut o = Fixture::new(2, |_| {});
    let report = Some(report(0, 400_000));
    assert!(o.register(0, 1, |r| r.report = report.clone()).honoured);
    assert!(!o.register(0, 2, |r| r.report = report.clone()).honoured);
    assert_eq!(o.reserved(), 400_000, "the first one may still run");
}

#[test]
fn reports_of_the_same_slots_are_not_honoured() {
    let mut o = Fixture::new(2, |_| {});
    let mut honoured = |i, from, to| {
        let reply = o.register(i, 1, |r| r.report = Some(report(from, to)));
        reply.honoured
    };
    assert!(honoured(0, 0, 600_000));
    assert!(!honoured(1, 599_999, SLOTS));
    assert!(honoured(2, 600_000, SLOTS));
    assert!(!honoured(3, 600_000, SLOTS + 1));
}

#[test]
fn slots_that_a_worker_has_not_released_count_in_its_report() {
    let mut o = Fixture::new(2, |_| {});
    let draining = ShareReport {
        share: Slots::EMPTY,
        held: Slots::range(0, 100),
    };
    assert!(o.register(0, 1, |r| r.report = Some(draining)).honoured);
    assert!(
        !o.register(1, 1, |r| r.report = Some(report(99, 200)))
            .honoured
    );
    assert_eq!((o.slots(0), o.reserved()), (0, 100));
}

#[test]
fn a_successor_assigns_unreported_slots_one_share_lease_after_its_election() {
    let mut o = Fixture::new(2, |_| {});
    o.register(0, 1, |r| {
        r.report = Some(report(0, 400_000));
        r.since_start = Some(1_000 * MS);
    });
    for (number, ms) in [(1, 0), (2, 500), (3, 1_500), (4, 2_500)] {
        o.at(ms).beat(0, number, 0);
        o.tick();
    }
    assert_eq!(o.slots(0), 400_000);
    o.at(2_549).tick();
    assert_eq!(o.slots(0), 400_000);
    let late = o
        .at(2_550)
        .register(1, 1, |r| r.report = Some(report(500_000, SLOTS)));
    assert!(!late.honoured, "too late to report");
    o.tick();
    assert!(o.slots(0) > 400_000);
}

#[test]
fn a_profile_is_not_started_again_if_a_worker_knows_its_start() {
    let mut o = Fixture::new(3, |_| {});
    o.at(100)
        .register(0, 1, |r| r.since_start = Some(4_000 * MS));
    assert_eq!(o.c.state(), TestState::Running);
    o.at(200)
        .register(1, 1, |r| r.since_start = Some(4_105 * MS));
    let start = o.c.start().expect("known");
    assert_eq!(start, Time(-3_905 * MS), "before the origin of this clock");
    // It differs by more than an authority lease.
    o.register(2, 1, |r| r.since_start = Some(5_200 * MS));
    assert_eq!(o.c.start(), Some(start));
}

#[test]
fn a_late_joiner_grows_only_as_others_acknowledge_smaller_shares() {
    let mut o = Fixture::running(2);
    o.at(1_000);
    o.register(2, 1, |_| {});
    o.beat(2, 1, 0);
    o.beat(2, 2, 0);
    o.tick();
    assert_eq!(o.slots(2), 0, "nothing is free yet");
    assert_eq!(o.reserved(), SLOTS);
    let shrunk = o.ordered(0).expect("a share").number;
    o.beat(0, 4, shrunk);
    o.tick();
    assert_eq!(o.slots(2), 500_000 - o.slots(0));
    assert_eq!(o.reserved(), SLOTS);
}

#[test]
fn a_lost_workers_slots_move_once_its_lease_has_certainly_expired() {
    let mut o = Fixture::running(2);
    for (number, ms) in [(4, 1_000), (5, 2_000), (6, 2_549)] {
        o.at(ms).beat(0, number, 1);
        o.tick();
    }
    assert_eq!(o.slots(0), 500_000);
    o.at(2_550).beat(0, 7, 1);
    o.tick();
    assert_eq!(o.slots(0), SLOTS);
    let late = o.at(2_560).beat(1, 4, 1).expect("a reply");
    assert!(late.register_again && late.lease.is_none());
}

#[test]
fn no_renewal_while_answers_are_unconfirmed() {
    let mut o = Fixture::running(1);
    assert!(
        o.at(100)
            .heartbeat(0, 4, 3, 1, |_| {})
            .expect("answer")
            .lease
            .is_some()
    );
    assert!(
        o.at(1_000)
            .heartbeat(0, 5, 3, 1, |_| {})
            .expect("answer")
            .lease
            .is_some()
    );
    assert!(
        o.at(1_101)
            .heartbeat(0, 6, 3, 1, |_| {})
            .expect("answer")
            .lease
            .is_none()
    );
    assert!(
        o.at(1_200)
            .heartbeat(0, 7, 6, 1, |_| {})
            .expect("answer")
            .lease
            .is_some()
    );
}

#[test]
fn an_old_heartbeat_gets_no_answer() {
    let mut o = Fixture::running(1);
    assert!(o.beat(0, 3, 1).is_none());
    assert!(
        o.heartbeat(0, 9, 3, 1, |hb| hb.term = 7).is_none(),
        "nor one of another term"
    );
}

#[test]
fn a_newer_incarnation_starts_at_zero_and_the_old_share_stays_reserved() {
    let mut o = Fixture::running(2);
    let reply = o.at(1_000).register(0, 1, |r| r.node.incarnation.0 = 2);
    assert!(reply.accepted && !reply.honoured);
    o.tick();
    assert_eq!(o.reserved(), SLOTS);
    let old = o.beat(0, 4, 1).expect("a reply");
    assert!(old.register_again);
    assert!(
        !o.register(0, 2, |_| {}).accepted,
        "the older incarnation is refused"
    );
}

#[test]
fn a_leaving_worker_returns_its_share_at_once() {
    let mut o = Fixture::running(2);
    o.at(500)
        .heartbeat(1, 4, 3, 1, |hb| hb.status = Status::Leaving);
    assert_eq!(o.reserved(), 500_000);
    o.tick();
    assert_eq!(o.slots(0), SLOTS);
}

#[test]
fn slots_of_an_expired_lease_start_where_its_holder_must_have_stopped() {
    let mut o = Fixture::running(2);
    // The clock of worker 1 is 200 ms ahead.
    let ahead = |hb: &mut Heartbeat| hb.since_start = hb.since_start.map(|ns| ns + 200 * MS);
    o.at(1_000).heartbeat(1, 4, 3, 1, ahead);
    for (number, ms) in [(4, 1_000), (5, 2_000), (6, 3_000), (7, 3_600)] {
        o.at(ms).beat(0, number, 1);
        o.tick();
    }
    let order = o.ordered(0).expect("an order");
    assert_eq!(order.share, Slots::whole());
    let start = o.c.start().expect("a start");
    let sent = Time(1_200 * MS).since(start);
    assert_eq!(order.floor, sent + for_holder(Timings::lan().share_lease));
}

#[test]
fn a_successor_starts_free_slots_after_the_end_of_all_earlier_leases() {
    let o = Fixture::running(1);
    assert!(o.c.leased_until() > Duration::ZERO, "beats announce it");
    let init = CoordinatorInit {
        term: 2,
        leased_until: Duration::from_secs(7),
        ..o.c.init.clone()
    };
    let next = Coordinator::new(init, Timings::lan(), &mut Effects::default());
    assert_eq!(
        next.floor,
        Duration::from_secs(7) + Duration::from_millis(1_020)
    );
}

#[test]
fn a_draining_worker_gets_no_share() {
    let mut o = Fixture::running(2);
    o.at(500)
        .heartbeat(1, 4, 3, 1, |hb| hb.status = Status::Draining);
    o.tick();
    assert_eq!(o.slots(1), 0);
    let order = o.ordered(1).expect("an order").number;
    o.heartbeat(1, 5, 4, order, |hb| hb.status = Status::Draining);
    o.tick();
    assert_eq!(o.slots(0), SLOTS);
}

#[test]
fn under_hold_a_lost_workers_share_is_not_reassigned() {
    let mut o = Fixture::new(1, |s| s.on_lost = OnLost::Hold);
    for i in 0..2 {
        o.register(i, 1, |_| {});
        o.beat(i, 1, 0);
        o.beat(i, 2, 0);
    }
    o.tick();
    for ms in (500..8_000).step_by(500) {
        o.at(ms).beat(0, 3 + ms as u64, 1);
        o.tick();
    }
    assert_eq!(o.slots(0), 500_000);
    assert_eq!(o.share(0), Slots::range(0, 500_000));
    let back = o.register(1, 2, |r| r.report = Some(report(500_000, SLOTS)));
    assert!(back.honoured, "it keeps its share");
    assert_eq!(o.reserved(), SLOTS);
}

#[test]
fn under_fail_a_lost_worker_ends_the_test() {
    let mut o = Fixture::new(1, |s| s.on_lost = OnLost::Fail);
    for i in 0..2 {
        o.register(i, 1, |_| {});
        o.beat(i, 1, 0);
        o.beat(i, 2, 0);
    }
    o.tick();
    for (number, ms) in [(3, 1_000), (4, 2_000), (5, 2_551)] {
        o.at(ms).beat(0, number, 1);
        o.tick();
    }
    let reason = o.ended.map(|e| e.reason);
    assert!(
        matches!(&reason, Some(EndReason::Failed(why)) if why.contains("n1")),
        "{reason:?}"
    );
}

#[test]
fn the_test_ends_when_all_have_delivered_their_final_snapshot() {
    let mut o = Fixture::running(2);
    for second in 1..=10 {
        for i in 0..2 {
            o.at(second * 1_000).beat(i, 3 + second as u64, 1);
        }
        o.tick();
    }
    for i in 0..2 {
        assert!(o.ended.is_none());
        o.at(10_500)
            .heartbeat(i, 14, 13, 1, |hb| hb.finished = true);
        o.c.snapshot_received(&node(i), 9, true);
        o.tick();
    }
    let ended = o.ended.expect("ended");
    assert_eq!(ended.reason, EndReason::Completed);
    assert!(
        ended
            .roster
            .iter()
            .all(|r| r.is_final && r.last_snapshot == Some(9))
    );
}

#[test]
fn the_share_of_an_overloaded_worker_is_reduced_if_another_can_take_it() {
    let mut o = Fixture::running(2);
    assert_eq!((o.slots(0), o.slots(1)), (500_000, 500_000));
    o.heartbeat(0, 4, 3, 1, |hb| hb.status = Status::Overloaded);
    o.tick();
    assert_eq!(o.slots(0), 444_444);
    o.heartbeat(0, 5, 4, 1, |hb| hb.status = Status::Overloaded);
    o.tick();
    assert_eq!(o.slots(0), 444_444, "the next reduction waits");
}

#[test]
fn no_share_is_reduced_when_all_workers_are_overloaded() {
    let mut o = Fixture::running(1);
    o.heartbeat(0, 4, 3, 1, |hb| hb.status = Status::Overloaded);
    o.tick();
    assert_eq!(o.slots(0), 1_000_000);
    let mut o = Fixture::running(2);
    o.heartbeat(0, 4, 3, 1, |hb| hb.status = Status::Overloaded);
    o.heartbeat(1, 4, 3, 1, |hb| hb.status = Status::Overloaded);
    o.at(3_100);
    o.heartbeat(1, 5, 4, 1, |hb| hb.status = Status::Overloaded);
    assert_eq!(o.c.workers[&node(1)].weight, 1_000);
}

#[test]
fn under_hold_a_worker_that_registers_again_between_two_orders_keeps_its_share() {
    let mut o = Fixture::new(1, |s| s.on_lost = OnLost::Hold);
    o.register(0, 1, |_| {});
    o.beat(0, 1, 0);
    o.beat(0, 2, 0);
    o.tick();
    let has = o.slots(0);
    let reply = o
        .at(9_000)
        .register(0, 2, |r| r.report = Some(report(0, has - 1)));
    assert!(reply.honoured);
    assert_eq!((o.slots(0), o.reserved()), (has - 1, has - 1));
}

#[test]
fn under_hold_a_successor_without_a_reported_share_ends_the_test() {
    let mut o = Fixture::new(2, |s| s.on_lost = OnLost::Hold);
    o.c.start = Some(Time(0));
    o.c.state = TestState::Running;
    let window = o.c.reports_until + o.c.timings.registration_window;
    o.register(0, 1, |_| {});
    o.beat(0, 1, 0);
    o.beat(0, 2, 0);
    o.now = Time(window.0 - 1);
    assert!(o.tick().ended.is_none(), "a worker may still report");
    o.now = window;
    let reason = o.tick().ended.take().map(|e| e.reason);
    assert!(
        matches!(&reason, Some(EndReason::Failed(why)) if why.contains("start the test again")),
        "{reason:?}"
    );
}

// ---- log entries and hooks ----

impl Fixture {
    /// A majority acknowledges the whole log.
    fn committed(&mut self) -> &mut Fixture {
        let log_len = self.c.log().len();
        self.c.acknowledged(Acknowledged {
            log_len,
            ..self.c.acknowledged
        });
        self
    }

    fn load_command(&mut self, id: u64, command: LoadCommand) -> bool {
        self.c
            .load_command(self.now, id, command, &mut Effects::default())
    }

    /// One tick; returns the hook that is to run now.
    fn running_hook(&mut self) -> Option<Hook> {
        let mut fx = Effects::default();
        let ended = self.c.tick(self.now, &self.able, &mut fx);
        self.ended = self.ended.take().or(ended);
        let mut outputs = fx.outputs.into_iter();
        outputs.find_map(|o| match o {
            Output::RunHook(_, hook) => Some(hook),
            _ => None,
        })
    }

    fn hook_finished(&mut self, hook: Hook, outcome: Result<&str, &str>) {
        let outcome = outcome
            .map(|v| v.as_bytes().into())
            .map_err(|why| HookError::Failed(why.into()));
        self.c
            .hook_finished(self.now, hook, outcome, &mut Effects::default());
    }

    /// A registered worker of a plan with setup and teardown.
    fn with_setup(term: u64, decisions: Vec<LogEntry>) -> Fixture {
        let mut o = Fixture::new(term, |s| {
            s.setup = Some(Duration::from_secs(2));
            s.teardown = Some(Duration::from_secs(2));
        });
        o.c.log = CoordinatorLog::new(&decisions);
        o.committed();
        o.c.reports_until = Time(0);
        o.register(0, 1, |_| {});
        o.beat(0, 1, 0);
        o.beat(0, 2, 0);
        o
    }

    fn failure(&self) -> String {
        match self.ended.as_ref().map(|e| &e.reason) {
            Some(EndReason::Failed(why)) => why.clone(),
            other => format!("{other:?}"),
        }
    }
}

fn started(hook: Hook) -> LogEntry {
    LogEntry {
        id: 0,
        at: Duration::ZERO,
        max_delay: Duration::ZERO,
        kind: EntryKind::HookStarted(hook),
    }
}

const HALF: LoadCommand = LoadCommand::Load { level_milli: 500 };

#[test]
fn a_load_change_is_sent_to_workers_once_a_majority_acknowledged_it() {
    let mut o = Fixture::running(1);
    o.at(1_000);
    assert!(o.load_command(7, HALF));
    assert!(!o.load_command(7, HALF), "a repeated request");
    let reply = o.beat(0, 4, 1).expect("a reply");
    assert!(reply.log.is_empty(), "not acknowledged");
    o.committed();
    let reply = o.beat(0, 5, 1).expect("a reply");
    assert_eq!(reply.log.len(), 1);
    let start = o.c.start().expect("a start");
    let since = o.now.since(start);
    assert_eq!(reply.log[0].at, since + Duration::from_millis(400));
    let reply = o.heartbeat(0, 6, 5, 1, |hb| hb.log_len = 1);
    assert!(reply.expect("a reply").log.is_empty(), "the worker has it");
}

#[test]
fn a_load_is_not_changed_before_its_start_or_after_its_end() {
    let mut o = Fixture::new(1, |_| {});
    assert!(!o.load_command(1, HALF));
    let mut o = Fixture::running(1);
    let order = StopOrder {
        graceful: true,
        timeout: Duration::ZERO,
    };
    o.at(1_000);
    let stop = SignedStop::new(TEST, order, &node(0), &FakeKeys::of(&node(0)));
    o.c.stop(o.now, &stop, &mut Effects::default());
    assert!(!o.load_command(2, HALF));
}

#[test]
fn under_hold_the_load_is_not_changed() {
    let mut o = Fixture::running(1);
    o.c.init.spec.on_lost = OnLost::Hold;
    o.at(1_000);
    assert!(!o.load_command(1, HALF));
}

#[test]
fn a_pause_moves_the_end() {
    let mut o = Fixture::running(1);
    o.at(1_000);
    assert!(o.load_command(1, LoadCommand::Pause));
    let start = o.c.start().expect("a start");
    let longest = o.c.timings.max_pause;
    let length = Duration::from_secs(10);
    assert_eq!(o.c.profile_end(), Some(start + length + longest));
    o.at(4_000);
    assert!(o.load_command(2, LoadCommand::Resume));
    let pause = Duration::from_secs(3);
    assert_eq!(o.c.profile_end(), Some(start + length + pause));
}

#[test]
fn no_hook_runs_before_a_majority_acknowledged_its_start() {
    let mut o = Fixture::with_setup(1, Vec::new());
    assert_eq!(o.running_hook(), None);
    assert_eq!(o.c.log()[0].kind, EntryKind::HookStarted(Hook::Setup));
    assert_eq!(o.committed().running_hook(), Some(Hook::Setup));
    assert_eq!(o.running_hook(), None, "once");
    assert!(o.c.start().is_none(), "no load before the setup");
}

#[test]
fn the_load_starts_once_a_majority_has_the_setups_values() {
    let mut o = Fixture::with_setup(1, Vec::new());
    o.running_hook();
    o.committed().running_hook();
    o.hook_finished(Hook::Setup, Ok("{}"));
    o.running_hook();
    assert!(o.c.start().is_none());
    o.committed().running_hook();
    assert!(o.c.start().is_some());
}

#[test]
fn a_setup_that_fails_or_takes_too_long_ends_the_test() {
    let mut o = Fixture::with_setup(1, Vec::new());
    o.running_hook();
    o.committed().running_hook();
    o.hook_finished(Hook::Setup, Err("status 503"));
    assert_eq!(o.running_hook(), None, "no teardown after a failed setup");
    assert_eq!(o.failure(), "the setup failed: status 503");
    let mut o = Fixture::with_setup(1, Vec::new());
    o.running_hook();
    o.committed().running_hook();
    o.at(2_000).running_hook();
    assert_eq!(o.failure(), "the setup failed: it took too long");
}

#[test]
fn a_hook_that_an_earlier_coordinator_started_is_not_repeated() {
    let mut o = Fixture::with_setup(2, vec![started(Hook::Setup)]);
    assert_eq!(o.running_hook(), None);
    assert!(
        o.failure().contains("was lost while the setup ran"),
        "{}",
        o.failure()
    );
}

#[test]
fn the_teardown_runs_between_the_load_and_the_end() {
    let values = LogEntry {
        kind: EntryKind::SetupValues(b"{}"[..].into()),
        ..started(Hook::Setup)
    };
    let mut o = Fixture::with_setup(2, vec![started(Hook::Setup), values]);
    let order = StopOrder {
        graceful: true,
        timeout: Duration::ZERO,
    };
    let stop = SignedStop::new(TEST, order, &node(0), &FakeKeys::of(&node(0)));
    o.c.stop(o.now, &stop, &mut Effects::default());
    assert_eq!(o.running_hook(), None);
    assert_eq!(o.committed().running_hook(), Some(Hook::Teardown));
    assert!(o.ended.is_none());
    o.hook_finished(Hook::Teardown, Err("status 500"));
    o.running_hook();
    let ended = o.ended.as_ref().expect("an end");
    assert_eq!(ended.reason, EndReason::Stopped);
    let events = ended.events.iter().find(|e| e.kind == "teardown_failed");
    assert!(events.is_some_and(|e| e.text.contains("status 500")));
    assert_eq!(ended.log.len(), 3);
}

#[test]
fn the_load_stops_before_the_teardown_of_a_failed_test() {
    let mut o = Fixture::new(1, |s| {
        s.on_lost = OnLost::Fail;
        s.teardown = Some(Duration::from_secs(2));
    });
    for i in 0..2 {
        o.register(i, 1, |_| {});
        o.beat(i, 1, 0);
        o.beat(i, 2, 0);
    }
    o.tick();
    for (number, ms) in [(3, 1_000), (4, 2_000), (5, 2_551)] {
        o.at(ms).beat(0, number, 1);
        o.tick();
    }
    let events =
        |(to, r): &(Peer, Request)| *to == node(0).peer && matches!(r, Request::Stop { .. });
    assert!(o.sent.iter().any(events), "{:?}", o.sent);
    assert!(o.c.failure_stop().is_some(), "a successor must know it");
    assert_eq!(o.running_hook(), None);
    assert!(!o.c.log.hook_started(Hook::Teardown), "the load still runs");
    o.heartbeat(0, 6, 5, 1, |hb| hb.finished = true);
    o.c.snapshot_received(&node(0), 9, true);
    assert_eq!(o.running_hook(), None);
    assert_eq!(o.committed().running_hook(), Some(Hook::Teardown));
    o.hook_finished(Hook::Teardown, Ok("{}"));
    o.running_hook();
    assert!(o.failure().contains("n1"), "{}", o.failure());
}

#[test]
fn the_load_does_not_continue_after_a_teardown_was_started() {
    let o = Fixture::running(1);
    let mut init = o.c.init.clone();
    (init.term, init.start) = (2, o.c.start);
    init.won_at = Time(5_000 * MS);
    let next =
        |init: CoordinatorInit| Coordinator::new(init, Timings::lan(), &mut Effects::default());
    assert!(!next(init.clone()).over(Time(5_000 * MS)));
    init.log = vec![started(Hook::Teardown)];
    assert!(next(init).over(Time(5_000 * MS)));
}

#[test]
fn a_command_that_would_count_after_the_end_is_refused() {
    let mut o = Fixture::running(1);
    let end = o.c.profile_end().expect("a start");
    let before = |ms: i64| end.0 / MS - ms;
    o.at(before(400));
    assert!(!o.load_command(1, LoadCommand::Pause));
    o.at(before(500));
    assert!(o.load_command(2, LoadCommand::Pause));
}

/// The workers of term 1, and the events of its coordinator.
fn first_term() -> (Fixture, Vec<TestEvent>) {
    let mut o = Fixture::new(1, |_| {});
    for i in 0..2 {
        o.register(i, 1, |_| {});
        o.beat(i, 1, 0);
        o.beat(i, 2, 0);
    }
    o.tick();
    let events = o.c.recent_events(o.now);
    (o, events)
}

fn kinds(events: &[TestEvent]) -> Vec<&str> {
    events.iter().map(|e| e.kind.as_str()).collect()
}

#[test]
fn events_are_in_some_beats_and_passed_to_a_successor() {
    let (o, events) = first_term();
    let happened = ["elected", "registered", "registered", "assigned"];
    assert_eq!(kinds(&events), happened);
    assert!(events.iter().all(|e| e.at_ms < 0), "{events:?}");
    assert_eq!(o.c.recent_events(Time(2_000 * MS)), []);

    let init = CoordinatorInit {
        term: 2,
        start: o.c.start(),
        events: events.clone(),
        ..o.c.init.clone()
    };
    let mut fx = Effects::default();
    let mut successor = Coordinator::new(init, Timings::lan(), &mut fx);
    assert_eq!(kinds(&successor.recent_events(Time(0))), ["elected"]);
    let ended = successor.end(Time(MS), EndReason::Completed, &mut fx);
    assert_eq!(ended.events[..4], events);
    assert_eq!(kinds(&ended.events[4..]), ["elected", "ended"]);
}

#[test]
fn the_report_deadline_of_an_earlier_term_passes_once() {
    let mut first = Fixture::new(1, |_| {});
    assert!(
        !first.c.report_deadline_passed(Time(i64::MAX / 2)),
        "there was no earlier term"
    );
    let mut o = Fixture::new(2, |_| {});
    let close = o.c.reports_until;
    assert!(!o.c.report_deadline_passed(Time(close.0 - 1)));
    assert!(o.c.report_deadline_passed(close));
    assert!(!o.c.report_deadline_passed(close));
}

#[test]
fn a_test_that_has_not_started_in_time_ends_with_the_reason() {
    let mut o = Fixture::with_setup(1, Vec::new());
    // No majority acknowledges that the setup starts.
    for second in 0..60 {
        o.at(second * 1_000).tick();
        o.beat(0, 3 + second as u64, 0);
    }
    o.at(59_999).tick();
    assert_eq!(o.ended, None);
    assert!(o.c.next_wake() <= Time(60_000 * MS));
    o.at(60_000).tick();
    let why = o.failure();
    assert!(why.contains("did not start within 60 s"), "{why}");
}
