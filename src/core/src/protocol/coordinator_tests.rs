//! A coordinator and what its workers say to it, one rule a test. Shares in these tests are
//! equal unless a worker states another capacity.

use super::super::fakes::{node, spec};
use super::super::id::Peer;
use super::*;
use crate::protocol::spec::OnLost;

const TEST: TestId = TestId([4; 16]);
const MS: u64 = 1_000_000;

struct Office {
    c: Coordinator,
    now: Time,
    able: BTreeSet<NodeId>,
    sent: Vec<(Peer, Request)>,
    ended: Option<Ended>,
}

impl Office {
    fn new(term: u64, change: impl FnOnce(&mut TestSpec)) -> Office {
        let mut spec = spec(Duration::from_secs(10));
        spec.balance = Balance::Capacity;
        change(&mut spec);
        let charge = CoordinatorInit {
            test: TEST,
            me: node(99),
            term,
            won_at: Time(0),
            spec,
            digest: Digest([1; 32]),
            earlier_lease: Duration::ZERO,
            start: None,
            stop: None,
            decisions: Vec::new(),
            events: Vec::new(),
        };
        Office {
            c: Coordinator::new(charge, Timings::lan(), &mut Effects::default()),
            now: Time(0),
            able: BTreeSet::new(),
            sent: Vec::new(),
            ended: None,
        }
    }

    fn at(&mut self, ms: u64) -> &mut Office {
        self.now = Time(ms * MS);
        self
    }

    fn tick(&mut self) -> &mut Office {
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
            term: self.c.charge.term,
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

    /// Heartbeat `number`, which says that the answer before it arrived.
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
        let registration = self.c.members.get(&node(i)).map_or(1, |m| m.registration);
        let mut hb = Heartbeat {
            test: TEST,
            term: self.c.charge.term,
            node: node(i),
            registration,
            number,
            answered,
            applied,
            load: 0,
            status: Status::Running,
            finished: false,
            decisions: 0,
            sent: RemoteTime(0),
        };
        change(&mut hb);
        self.c.heartbeat(self.now, &hb, &mut Effects::default())
    }

    /// Workers 0 to `count` registered, confirmed, and with their shares applied.
    fn running(count: u32) -> Office {
        let mut o = Office::new(1, |_| {});
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
        self.c.members.get(&node(i)).and_then(|m| m.ledger.order())
    }

    fn slots(&self, i: u32) -> u32 {
        self.ordered(i).map_or(0, |o| o.slots)
    }
}

#[test]
fn shares_are_in_proportion_to_capacity_and_lie_side_by_side() {
    let mut o = Office::new(1, |_| {});
    for (i, capacity) in [(0, 100), (1, 300)] {
        o.register(i, 1, |r| r.capacity = capacity);
        o.beat(i, 1, 0);
        o.beat(i, 2, 0);
    }
    o.tick();
    let (a, b) = (o.ordered(0).expect("a"), o.ordered(1).expect("b"));
    assert_eq!((a.slots, a.offset), (250_000, 0));
    assert_eq!((b.slots, b.offset), (750_000, 250_000));
    assert!(b.number > a.number && a.start == b.start && a.start.is_some());
    assert_eq!(o.sent.len(), 2, "each share is pushed");
}

#[test]
fn a_share_waits_for_a_confirmed_answer() {
    let mut o = Office::new(1, |_| {});
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
    let mut o = Office::new(1, |_| {});
    o.able.extend([node(0), node(1)]);
    o.register(0, 1, |_| {});
    o.beat(0, 1, 0);
    o.beat(0, 2, 0);
    o.tick();
    assert_eq!(o.c.phase(), TestState::Registering);
    for (number, ms) in [(3, 1_000), (4, 2_000), (5, 2_999)] {
        o.at(ms).beat(0, number, 0);
        o.tick();
    }
    assert_eq!(o.c.phase(), TestState::Registering);
    o.at(3_000).tick();
    assert_eq!(o.slots(0), SLOTS);
}

#[test]
fn too_few_workers_end_the_test_with_every_refusal() {
    let mut o = Office::new(1, |s| s.min_workers = 2);
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
    let mut o = Office::new(2, |_| {});
    let report = ShareReport {
        slots: 400_000,
        offset: 7,
    };
    let first = o.register(0, 1, |r| r.report = Some(report));
    let again = o.register(0, 1, |r| r.report = Some(report));
    assert_eq!(first, again);
    assert_eq!(again.honoured, Some(report));
    assert!(
        !o.register(0, 0, |_| {}).accepted,
        "an older one is refused"
    );
}

#[test]
fn a_report_is_honoured_once_a_term() {
    let mut o = Office::new(2, |_| {});
    let report = Some(ShareReport {
        slots: 400_000,
        offset: 0,
    });
    assert_eq!(o.register(0, 1, |r| r.report = report).honoured, report);
    assert_eq!(o.register(0, 2, |r| r.report = report).honoured, None);
    assert_eq!(o.c.reserved(o.now), 400_000, "the first one may still run");
}

#[test]
fn reports_that_exceed_the_whole_are_not_honoured() {
    let mut o = Office::new(2, |_| {});
    let report = Some(ShareReport {
        slots: 600_000,
        offset: 0,
    });
    assert!(o.register(0, 1, |r| r.report = report).honoured.is_some());
    assert!(o.register(1, 1, |r| r.report = report).honoured.is_none());
}

#[test]
fn a_successor_gives_away_unreported_slots_only_one_share_lease_after_its_election() {
    let mut o = Office::new(2, |_| {});
    let report = ShareReport {
        slots: 400_000,
        offset: 0,
    };
    o.register(0, 1, |r| {
        r.report = Some(report);
        r.since_start = Some(1_000 * MS as i64);
    });
    for (number, ms) in [(1, 0), (2, 500), (3, 1_500), (4, 2_500)] {
        o.at(ms).beat(0, number, 0);
        o.tick();
    }
    assert_eq!(o.slots(0), 400_000);
    o.at(2_549).tick();
    assert_eq!(o.slots(0), 400_000);
    let late = o.at(2_550).register(1, 1, |r| r.report = Some(report));
    assert_eq!(late.honoured, None, "too late to report");
    o.tick();
    assert!(o.slots(0) > 400_000);
}

#[test]
fn a_profile_that_a_worker_knows_to_have_started_is_not_started_again() {
    let mut o = Office::new(3, |_| {});
    o.at(100)
        .register(0, 1, |r| r.since_start = Some(4_000 * MS as i64));
    assert_eq!(o.c.phase(), TestState::Running);
    o.at(200)
        .register(1, 1, |r| r.since_start = Some(4_105 * MS as i64));
    let start = o.c.start().expect("known");
    assert_eq!(
        start,
        Time(0),
        "{start:?}: before this clock began, cut off at its origin"
    );
}

#[test]
fn a_late_joiner_grows_only_as_others_acknowledge_that_they_shrank() {
    let mut o = Office::running(2);
    o.at(1_000);
    o.register(2, 1, |_| {});
    o.beat(2, 1, 0);
    o.beat(2, 2, 0);
    o.tick();
    assert_eq!(o.slots(2), 0, "nothing is free yet");
    assert_eq!(o.c.reserved(o.now), SLOTS);
    let shrunk = o.ordered(0).expect("a share").number;
    o.beat(0, 4, shrunk);
    o.tick();
    assert_eq!(o.slots(2), 500_000 - o.slots(0));
    assert_eq!(o.c.reserved(o.now), SLOTS);
}

#[test]
fn a_lost_workers_slots_move_when_its_lease_has_certainly_lapsed() {
    let mut o = Office::running(2);
    for (number, ms) in [(4, 1_000), (5, 2_000), (6, 2_549)] {
        o.at(ms).beat(0, number, 1);
        o.tick();
    }
    assert_eq!(o.slots(0), 500_000);
    o.at(2_550).beat(0, 7, 1);
    o.tick();
    assert_eq!(o.slots(0), SLOTS);
    let late = o.at(2_560).beat(1, 4, 2).expect("an answer");
    assert!(late.register_again && late.lease.is_none());
}

#[test]
fn no_renewal_while_answers_do_not_arrive() {
    let mut o = Office::running(1);
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
fn a_heartbeat_that_was_handled_already_gets_no_answer() {
    let mut o = Office::running(1);
    assert!(o.beat(0, 3, 1).is_none());
    assert!(
        o.heartbeat(0, 9, 3, 1, |hb| hb.term = 7).is_none(),
        "nor one of another term"
    );
}

#[test]
fn a_newer_incarnation_starts_at_zero_and_the_old_share_stays_reserved() {
    let mut o = Office::running(2);
    let reply = o.at(1_000).register(0, 1, |r| r.node.incarnation.0 = 2);
    assert!(reply.accepted && reply.honoured.is_none());
    o.tick();
    assert_eq!(o.c.reserved(o.now), SLOTS);
    let old = o.beat(0, 4, 1).expect("an answer");
    assert!(old.register_again);
    assert!(
        !o.register(0, 2, |_| {}).accepted,
        "the older incarnation is refused"
    );
}

#[test]
fn a_worker_that_leaves_gives_its_share_back_at_once() {
    let mut o = Office::running(2);
    o.at(500)
        .heartbeat(1, 4, 3, 2, |hb| hb.status = Status::Leaving);
    assert_eq!(o.c.reserved(o.now), 500_000);
    o.tick();
    assert_eq!(o.slots(0), SLOTS);
}

#[test]
fn a_draining_worker_is_given_no_share() {
    let mut o = Office::running(2);
    o.at(500)
        .heartbeat(1, 4, 3, 2, |hb| hb.status = Status::Draining);
    o.tick();
    assert_eq!(o.slots(1), 0);
    let order = o.ordered(1).expect("an order").number;
    o.heartbeat(1, 5, 4, order, |hb| hb.status = Status::Draining);
    o.tick();
    assert_eq!(o.slots(0), SLOTS);
}

#[test]
fn under_hold_a_lost_workers_share_is_given_to_nobody() {
    let mut o = Office::new(1, |s| s.on_lost = OnLost::Hold);
    for i in 0..2 {
        o.register(i, 1, |_| {});
        o.beat(i, 1, 0);
        o.beat(i, 2, 0);
    }
    o.tick();
    for ms in (500..8_000).step_by(500) {
        o.at(ms).beat(0, 3 + ms, 1);
        o.tick();
    }
    assert_eq!(o.slots(0), 500_000);
    let back = o.register(1, 2, |r| {
        r.report = Some(ShareReport {
            slots: 500_000,
            offset: 500_000,
        })
    });
    assert_eq!(
        back.honoured.map(|h| h.slots),
        Some(500_000),
        "it carries on"
    );
    assert_eq!(o.c.reserved(o.now), SLOTS);
}

#[test]
fn under_fail_a_lost_worker_ends_the_test() {
    let mut o = Office::new(1, |s| s.on_lost = OnLost::Fail);
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
    let mut o = Office::running(2);
    for second in 1..=10 {
        for i in 0..2 {
            o.at(second * 1_000).beat(i, 3 + second, u64::from(i) + 1);
        }
        o.tick();
    }
    for i in 0..2 {
        assert!(o.ended.is_none());
        o.at(10_500)
            .heartbeat(i, 14, 13, u64::from(i) + 1, |hb| hb.finished = true);
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
fn an_overloaded_worker_gets_a_smaller_share_if_another_can_take_it() {
    let mut o = Office::running(2);
    assert_eq!((o.slots(0), o.slots(1)), (500_000, 500_000));
    o.heartbeat(0, 4, 3, 1, |hb| hb.status = Status::Overloaded);
    o.tick();
    assert_eq!(o.slots(0), 444_444);
    o.heartbeat(0, 5, 4, 1, |hb| hb.status = Status::Overloaded);
    o.tick();
    assert_eq!(o.slots(0), 444_444, "the effect is waited for");
}

#[test]
fn when_all_are_overloaded_nothing_moves() {
    let mut o = Office::running(1);
    o.heartbeat(0, 4, 3, 1, |hb| hb.status = Status::Overloaded);
    o.tick();
    assert_eq!(o.slots(0), 1_000_000);
    let mut o = Office::running(2);
    o.heartbeat(0, 4, 3, 1, |hb| hb.status = Status::Overloaded);
    o.heartbeat(1, 4, 3, 2, |hb| hb.status = Status::Overloaded);
    o.at(3_100);
    o.heartbeat(1, 5, 4, 2, |hb| hb.status = Status::Overloaded);
    assert_eq!(o.c.members[&node(1)].relief, 1_000);
}

#[test]
fn under_hold_a_worker_that_comes_back_between_two_orders_keeps_what_it_has() {
    let mut o = Office::new(1, |s| s.on_lost = OnLost::Hold);
    o.register(0, 1, |_| {});
    o.beat(0, 1, 0);
    o.beat(0, 2, 0);
    o.tick();
    let has = o.slots(0);
    let reply = o.at(9_000).register(0, 2, |r| {
        r.report = Some(ShareReport {
            slots: has - 1,
            offset: 0,
        });
    });
    assert_eq!(reply.honoured.map(|h| h.slots), Some(has - 1));
    assert_eq!(o.c.reserved(o.now), has - 1);
}

#[test]
fn under_hold_a_successor_that_finds_no_share_ends_the_test_and_says_so() {
    let mut o = Office::new(2, |s| s.on_lost = OnLost::Hold);
    o.c.start = Some(Time(0));
    o.c.phase = TestState::Running;
    let window = o.c.accounts_close + o.c.timings.registration_window;
    o.register(0, 1, |_| {});
    o.beat(0, 1, 0);
    o.beat(0, 2, 0);
    o.now = Time(window.0 - 1);
    assert!(o.tick().ended.is_none(), "somebody may still come back");
    o.now = window;
    let reason = o.tick().ended.take().map(|e| e.reason);
    assert!(
        matches!(&reason, Some(EndReason::Failed(why)) if why.contains("start it again")),
        "{reason:?}"
    );
}

// ---- decisions ----

impl Office {
    /// The electors know all that was decided so far.
    fn settled(&mut self) -> &mut Office {
        let decisions = self.c.decisions().len();
        self.c.acknowledged(Acknowledged {
            decisions,
            ..self.c.acknowledged
        });
        self
    }

    fn steer(&mut self, id: u64, steer: LoadCommand) -> bool {
        self.c.steer(self.now, id, steer, &mut Effects::default())
    }

    /// One step; whether setup or teardown is to be run now.
    fn runs(&mut self) -> Option<Hook> {
        let mut fx = Effects::default();
        let ended = self.c.tick(self.now, &self.able, &mut fx);
        self.ended = self.ended.take().or(ended);
        let mut outputs = fx.outputs.into_iter();
        outputs.find_map(|o| match o {
            Output::RunOnce(_, once) => Some(once),
            _ => None,
        })
    }

    fn ran(&mut self, once: Hook, how: Result<&str, &str>) {
        let how = how.map(|v| v.as_bytes().into()).map_err(str::to_owned);
        self.c.ran(self.now, once, how, &mut Effects::default());
    }

    /// A worker that is ready, of a plan with a setup and a teardown.
    fn with_setup(term: u64, decisions: Vec<LogEntry>) -> Office {
        let mut o = Office::new(term, |s| {
            s.setup = Some(Duration::from_secs(2));
            s.teardown = Some(Duration::from_secs(2));
        });
        o.c.decisions = Record::of(&decisions);
        o.settled();
        o.c.accounts_close = Time(0);
        o.register(0, 1, |_| {});
        o.beat(0, 1, 0);
        o.beat(0, 2, 0);
        o
    }

    fn why(&self) -> String {
        match self.ended.as_ref().map(|e| &e.reason) {
            Some(EndReason::Failed(why)) => why.clone(),
            other => format!("{other:?}"),
        }
    }
}

fn begun(once: Hook) -> LogEntry {
    LogEntry {
        id: 0,
        at: Duration::ZERO,
        lag: Duration::ZERO,
        what: Decision::Begun(once),
    }
}

const HALF: LoadCommand = LoadCommand::Load { level_milli: 500 };

#[test]
fn a_change_of_the_load_is_told_to_workers_once_a_majority_knows_it() {
    let mut o = Office::running(1);
    o.at(1_000);
    assert!(o.steer(7, HALF));
    assert!(!o.steer(7, HALF), "the same request, heard again");
    let reply = o.beat(0, 4, 1).expect("an answer");
    assert!(reply.decisions.is_empty(), "nobody knows it but us");
    o.settled();
    let reply = o.beat(0, 5, 1).expect("an answer");
    assert_eq!(reply.decisions.len(), 1);
    let start = o.c.start().expect("a start");
    let since = o.now.since(start);
    assert_eq!(reply.decisions[0].at, since + Duration::from_millis(400));
    let reply = o.heartbeat(0, 6, 5, 1, |hb| hb.decisions = 1);
    assert!(reply.expect("an answer").decisions.is_empty(), "it has it");
}

#[test]
fn a_load_that_has_not_begun_or_is_over_is_not_changed() {
    let mut o = Office::new(1, |_| {});
    assert!(!o.steer(1, HALF));
    let mut o = Office::running(1);
    let order = StopOrder {
        graceful: true,
        timeout: Duration::ZERO,
    };
    o.at(1_000);
    o.c.stop(o.now, order, &mut Effects::default());
    assert!(!o.steer(2, HALF));
}

#[test]
fn a_pause_moves_the_end() {
    let mut o = Office::running(1);
    o.at(1_000);
    assert!(o.steer(1, LoadCommand::Pause));
    let start = o.c.start().expect("a start");
    let longest = o.c.timings.max_pause;
    let length = Duration::from_secs(10);
    assert_eq!(o.c.profile_end(), Some(start + length + longest));
    o.at(4_000);
    assert!(o.steer(2, LoadCommand::Resume));
    let pause = Duration::from_secs(3);
    assert_eq!(o.c.profile_end(), Some(start + length + pause));
}

#[test]
fn nothing_is_run_before_a_majority_knows_that_it_is() {
    let mut o = Office::with_setup(1, Vec::new());
    assert_eq!(o.runs(), None);
    assert_eq!(o.c.decisions()[0].what, Decision::Begun(Hook::Setup));
    assert_eq!(o.settled().runs(), Some(Hook::Setup));
    assert_eq!(o.runs(), None, "once");
    assert!(o.c.start().is_none(), "no load before its setup");
}

#[test]
fn the_load_begins_once_a_majority_has_the_setups_values() {
    let mut o = Office::with_setup(1, Vec::new());
    o.runs();
    o.settled().runs();
    o.ran(Hook::Setup, Ok("{}"));
    o.runs();
    assert!(o.c.start().is_none());
    o.settled().runs();
    assert!(o.c.start().is_some());
}

#[test]
fn a_setup_that_fails_or_takes_too_long_ends_the_test() {
    let mut o = Office::with_setup(1, Vec::new());
    o.runs();
    o.settled().runs();
    o.ran(Hook::Setup, Err("status 503"));
    assert_eq!(o.runs(), None, "there is nothing to tear down");
    assert_eq!(o.why(), "the setup failed: status 503");
    let mut o = Office::with_setup(1, Vec::new());
    o.runs();
    o.settled().runs();
    o.at(2_000).runs();
    assert_eq!(o.why(), "the setup failed: it took too long");
}

#[test]
fn what_an_earlier_coordinator_began_is_not_run_again() {
    let mut o = Office::with_setup(2, vec![begun(Hook::Setup)]);
    assert_eq!(o.runs(), None);
    assert!(
        o.why().contains("was lost while the setup ran"),
        "{}",
        o.why()
    );
}

#[test]
fn the_teardown_runs_between_the_load_and_the_end() {
    let values = LogEntry {
        what: Decision::SetUp(b"{}"[..].into()),
        ..begun(Hook::Setup)
    };
    let mut o = Office::with_setup(2, vec![begun(Hook::Setup), values]);
    let order = StopOrder {
        graceful: true,
        timeout: Duration::ZERO,
    };
    o.c.stop(o.now, order, &mut Effects::default());
    assert_eq!(o.runs(), None);
    assert_eq!(o.settled().runs(), Some(Hook::Teardown));
    assert!(o.ended.is_none());
    o.ran(Hook::Teardown, Err("status 500"));
    o.runs();
    let ended = o.ended.as_ref().expect("an end");
    assert_eq!(ended.reason, EndReason::Stopped);
    let told = ended.events.iter().find(|e| e.kind == "teardown_failed");
    assert!(told.is_some_and(|e| e.text.contains("status 500")));
    assert_eq!(ended.decisions.len(), 3);
}

#[test]
fn the_load_is_over_before_the_teardown_also_if_the_test_has_failed() {
    let mut o = Office::new(1, |s| {
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
    let told = |(to, r): &(Peer, Request)| *to == node(0).peer && matches!(r, Request::Stop { .. });
    assert!(o.sent.iter().any(told), "{:?}", o.sent);
    assert!(o.c.stops().is_some(), "a successor has to know");
    assert_eq!(o.runs(), None);
    assert!(!o.c.decisions.begun(Hook::Teardown), "there is load yet");
    o.heartbeat(0, 6, 5, 1, |hb| hb.finished = true);
    o.c.snapshot_received(&node(0), 9, true);
    assert_eq!(o.runs(), None);
    assert_eq!(o.settled().runs(), Some(Hook::Teardown));
    o.ran(Hook::Teardown, Ok("{}"));
    o.runs();
    assert!(o.why().contains("n1"), "{}", o.why());
}

#[test]
fn a_load_whose_teardown_was_begun_does_not_go_on() {
    let o = Office::running(1);
    let mut charge = o.c.charge.clone();
    (charge.term, charge.start) = (2, o.c.start);
    charge.won_at = Time(5_000 * MS);
    let next =
        |charge: CoordinatorInit| Coordinator::new(charge, Timings::lan(), &mut Effects::default());
    assert!(!next(charge.clone()).over(Time(5_000 * MS)));
    charge.decisions = vec![begun(Hook::Teardown)];
    assert!(next(charge).over(Time(5_000 * MS)));
}

#[test]
fn what_would_count_only_after_the_end_is_not_decided() {
    let mut o = Office::running(1);
    let end = o.c.profile_end().expect("a start");
    let before = |ms: u64| end.0 / MS - ms;
    o.at(before(400));
    assert!(!o.steer(1, LoadCommand::Pause));
    o.at(before(500));
    assert!(o.steer(2, LoadCommand::Pause));
}

/// The workers of a first term, and what its coordinator saw.
fn first_term() -> (Office, Vec<TestEvent>) {
    let mut o = Office::new(1, |_| {});
    for i in 0..2 {
        o.register(i, 1, |_| {});
        o.beat(i, 1, 0);
        o.beat(i, 2, 0);
    }
    o.tick();
    let told = o.c.told(o.now);
    (o, told)
}

fn kinds(told: &[TestEvent]) -> Vec<&str> {
    told.iter().map(|e| e.kind.as_str()).collect()
}

#[test]
fn what_happened_is_told_with_some_beats_and_handed_on_to_a_successor() {
    let (o, told) = first_term();
    let happened = ["elected", "registered", "registered", "assigned"];
    assert_eq!(kinds(&told), happened);
    assert!(told.iter().all(|e| e.at_ms < 0), "{told:?}");
    assert_eq!(o.c.told(Time(2_000 * MS)), []);

    let charge = CoordinatorInit {
        term: 2,
        start: o.c.start(),
        events: told.clone(),
        ..o.c.charge.clone()
    };
    let mut fx = Effects::default();
    let mut successor = Coordinator::new(charge, Timings::lan(), &mut fx);
    assert_eq!(kinds(&successor.told(Time(0))), ["elected"]);
    let ended = successor.end(Time(MS), EndReason::Completed, &mut fx);
    assert_eq!(ended.events[..4], told);
    assert_eq!(kinds(&ended.events[4..]), ["elected", "ended"]);
}

#[test]
fn the_accounts_of_an_earlier_term_close_once() {
    let mut first = Office::new(1, |_| {});
    assert!(
        !first.c.closes_accounts(Time(u64::MAX / 2)),
        "nobody came before"
    );
    let mut o = Office::new(2, |_| {});
    let close = o.c.accounts_close;
    assert!(!o.c.closes_accounts(Time(close.0 - 1)));
    assert!(o.c.closes_accounts(close));
    assert!(!o.c.closes_accounts(close));
}
