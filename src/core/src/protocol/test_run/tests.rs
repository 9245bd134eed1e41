//! Deadlines and conclusions of one test on one node.

use super::super::election;
use super::super::fakes::{FakeKeys, announcement, beat, measurement, node, spec};
use super::super::spec::OnLost;
use super::*;
use std::collections::BTreeMap;

const PLAN: &[u8] = b"a plan";

fn at(seconds: f64) -> Time {
    Time::ZERO + Duration::from_secs_f64(seconds)
}

/// Node 2 of three electors; others coordinate.
struct Follower {
    run: TestRun,
    beat: u64,
    sent: Vec<Output>,
}

impl Follower {
    fn new() -> Follower {
        let local = LocalNode {
            node: node(2),
            name: "n2".into(),
            version: "0".into(),
            capacity: 1,
            task_types: vec!["SLEEP".into()],
            labels: BTreeMap::new(),
            environment: String::new(),
        };
        let announcement = announcement(node(0), 3, Some(PLAN));
        let fx = &mut Effects::default();
        let context = TestContext {
            keys: Arc::new(FakeKeys::of(&local.node)),
            local: local.into(),
            timings: Timings::lan(),
        };
        let run = TestRun::new(announcement, Origin::Announced, context, at(0.0), fx);
        Follower {
            run,
            beat: 0,
            sent: Vec::new(),
        }
    }

    /// A follower that has read a plan of this many seconds.
    fn with_plan(seconds: u64, change: impl FnOnce(&mut TestSpec)) -> Follower {
        let mut f = Follower::new();
        let mut spec = spec(Duration::from_secs(seconds));
        change(&mut spec);
        f.run
            .inspected(at(0.0), spec, None, &mut Effects::default());
        f
    }

    fn tick(&mut self, seconds: f64) {
        let mut fx = Effects::default();
        self.run.tick(at(seconds), &BTreeSet::new(), &mut fx);
        self.sent = fx.outputs;
    }

    fn receive(&mut self, seconds: f64, message: TestMessage) {
        let mut fx = Effects::default();
        self.run.message(at(seconds), &message, &mut fx);
        self.sent = fx.outputs;
    }

    fn beat(&mut self, seconds: f64, term: u64, change: impl FnOnce(&mut election::BeatBody)) {
        let mut body = election::BeatBody {
            state: TestState::Registering,
            ..election::BeatBody::default()
        };
        change(&mut body);
        self.beat += 1;
        let beat = signed_beat(self.run.id(), term, self.beat, |b| {
            b.since_start = body.since_start;
            b.ends_within = body.ends_within;
            b.state = body.state;
            b.log = body.log;
        });
        let beat = TestMessage::Beat(beat.into());
        self.receive(seconds, beat);
    }

    fn acknowledged(&self) -> bool {
        let ack = |o: &Output| {
            matches!(
                o,
                Output::Send(_, Request::Election(TestMessage::BeatAck { .. }))
            )
        };
        self.sent.iter().any(ack)
    }

    /// Lets time pass in steps of 50 ms; returns the time of the end.
    fn end_between(&mut self, from: f64, until: f64) -> Option<f64> {
        let steps = ((until - from) / 0.05) as u32;
        (0..=steps).map(|i| from + f64::from(i) * 0.05).find(|t| {
            self.tick(*t);
            self.run.ended().is_some()
        })
    }

    fn reason(&self) -> &EndReason {
        &self.run.ended().expect("an end").reason
    }

    fn failure(&self) -> &str {
        match self.reason() {
            EndReason::Failed(why) => why,
            other => panic!("{other:?}"),
        }
    }
}

fn nanos(seconds: f64) -> i64 {
    (seconds * 1e9) as i64
}

fn signed_beat(test: TestId, term: u64, number: u64, change: impl FnOnce(&mut Beat)) -> Beat {
    let electorate: Vec<NodeId> = (0..3).map(node).collect();
    beat(test, (term, 0, number), &electorate, change)
}

/// An end of a coordinator with these votes.
fn ended(f: &Follower, term: u64, coordinator: u32) -> TestMessage {
    let electorate: Vec<NodeId> = (0..3).map(node).collect();
    let voted = beat(f.run.id(), (term, coordinator, 1), &electorate, |_| {});
    TestMessage::Ended(Ended {
        test: f.run.id(),
        term,
        coordinator: node(coordinator),
        reason: EndReason::Completed,
        roster: Vec::new(),
        events: Vec::new(),
        log: Vec::new(),
        unused_numbers: None,
        certificate: voted.certificate,
        signature: Signature([0; 64]),
    })
}

#[test]
fn an_elector_that_has_not_read_the_plan_acknowledges_for_as_long_as_beats_arrive() {
    let mut f = Follower::new();
    for i in 0..1_200 {
        let now = f64::from(i) * 0.25;
        f.tick(now);
        f.beat(now, 1, |b| {
            b.since_start = Some(nanos(now - 2.0));
            b.ends_within = Some(Duration::from_secs_f64(310.0 - now));
            b.state = TestState::Running;
        });
        assert!(f.acknowledged(), "after {now} s");
    }
    let end = f.end_between(300.0, 330.0).expect("an end");
    assert!((312.5..312.7).contains(&end), "{end}");
    assert!(
        f.failure().contains("could not read the plan"),
        "{:?}",
        f.reason()
    );
}

#[test]
fn an_elector_that_fetches_data_waits_for_it_and_one_that_cannot_read_the_plan_does_not() {
    let mut f = Follower::new();
    assert_eq!(f.end_between(0.0, 600.0), None);
    let mut f = Follower::new();
    f.run.inspection_failed(at(10.0));
    let end = f.end_between(0.0, 600.0).expect("an end");
    assert!((33.0..33.1).contains(&end), "{end}");
    assert!(f.failure().contains("no coordinator was elected"));
}

#[test]
fn a_test_that_has_not_started_in_time_ends_though_coordinators_are_elected() {
    let mut f = Follower::with_plan(10, |_| {});
    for i in 0..260u32 {
        let now = f64::from(i) * 0.25;
        f.tick(now);
        if f.run.ended().is_some() {
            break;
        }
        f.beat(now, 1 + u64::from(i) / 8, |_| {});
    }
    let end = f
        .run
        .ended_at()
        .expect("an end")
        .since(at(0.0))
        .as_secs_f64();
    assert!((62.5..62.8).contains(&end), "60 s and a lease: {end}");
    let why = f.failure();
    assert!(
        why.contains("did not start within 60 s (32 elections"),
        "{why}"
    );
}

#[test]
fn a_test_that_lost_its_majority_ends_a_lease_after_its_plan() {
    let hook = Some(Duration::from_secs(11));
    let mut f = Follower::with_plan(10, |s| (s.setup, s.teardown) = (hook, hook));
    f.beat(1.0, 1, |b| b.since_start = Some(nanos(0.0)));
    f.beat(4.0, 1, |b| {
        b.since_start = Some(nanos(3.0));
        b.state = TestState::Running;
    });
    assert_eq!(f.run.no_coordinator_since(at(5.0)), None, "within a lease");
    assert_eq!(f.run.no_coordinator_since(at(5.1)), Some(at(4.0)));
    f.receive(
        9.0,
        TestMessage::Poll {
            test: f.run.id(),
            term: 2,
            candidate: node(1),
            sending: 1,
        },
    );
    assert_eq!(f.run.silent_electors(at(9.0)), Some((1, 3)));
    // Start 1 s, plan 10 s, lease 2.55 s: neither hooks nor requests in flight are left.
    let end = f.end_between(4.0, 60.0).expect("an end");
    assert!((13.5..13.65).contains(&end), "{end}");
    let why = f.failure();
    assert!(
        why.contains("no coordinator could be elected since 3.0 s"),
        "{why}"
    );
    assert_eq!(f.run.tenures().last().and_then(|t| t.to), Some(at(4.0)));
    let events = f.run.events();
    let kinds: Vec<&str> = events.iter().map(|e| e.kind.as_str()).collect();
    assert_eq!(kinds, ["no_coordinator"]);
    assert_eq!(events[0].at_ms, 3_000);
}

#[test]
fn a_test_that_lost_its_majority_late_waits_for_requests_in_flight() {
    let mut f = Follower::with_plan(10, |s| s.grace = Duration::from_secs(5));
    f.beat(0.5, 1, |b| b.since_start = Some(nanos(-0.5)));
    f.beat(8.0, 1, |b| b.since_start = Some(nanos(7.0)));
    // Shares lapse at 10.55 s, requests last until 15.55 s.
    let end = f.end_between(8.0, 60.0).expect("an end");
    assert!((18.1..18.2).contains(&end), "{end}");
}

#[test]
fn under_hold_workers_run_on_without_a_coordinator_and_the_plan_is_completed() {
    let mut f = Follower::with_plan(10, |s| s.on_lost = OnLost::Hold);
    f.beat(1.0, 1, |b| b.since_start = Some(nanos(0.0)));
    f.beat(4.0, 1, |b| b.since_start = Some(nanos(3.0)));
    let fx = &mut Effects::default();
    f.run.measured(at(11.0), measurement(5, true), 3, fx);
    let end = f.end_between(11.0, 60.0).expect("an end");
    assert!((14.5..14.65).contains(&end), "{end}");
    assert_eq!(f.reason(), &EndReason::Completed);
}

#[test]
fn a_test_of_which_only_the_end_was_lost_is_completed() {
    let mut f = Follower::with_plan(10, |_| {});
    f.beat(0.5, 1, |b| b.since_start = Some(nanos(-0.5)));
    f.beat(10.0, 1, |b| {
        b.since_start = Some(nanos(9.0));
        b.state = TestState::Running;
    });
    f.end_between(10.0, 60.0).expect("an end");
    assert_eq!(f.reason(), &EndReason::Completed);
    assert_eq!(f.run.events().len(), 0);
}

#[test]
fn an_end_of_a_lower_term_or_without_the_votes_of_a_majority_does_not_end_a_running_test() {
    let mut f = Follower::with_plan(10, |_| {});
    f.beat(1.0, 3, |_| {});
    let mut unvoted = ended(&f, 4, 1);
    if let TestMessage::Ended(end) = &mut unvoted {
        end.certificate = Arc::default();
    }
    for end in [ended(&f, 2, 1), ended(&f, 3, 1), unvoted] {
        f.receive(2.0, end);
        assert_eq!(f.run.ended(), None);
    }
    let end = ended(&f, 3, 0);
    f.receive(3.0, end);
    assert!(f.run.ended().is_some());
}

#[test]
fn a_beat_of_a_node_without_the_votes_of_a_majority_is_not_followed() {
    let mut f = Follower::with_plan(10, |_| {});
    f.beat(1.0, 3, |_| {});
    let mut forged = signed_beat(f.run.id(), 9, 1, |b| b.state = TestState::Stopping);
    forged.certificate = Arc::default();
    f.receive(1.1, TestMessage::Beat(forged.into()));
    assert_eq!(f.run.election().term(), 3);
    assert_eq!(f.run.state(), TestState::Registering);
    assert!(!f.acknowledged());
}

#[test]
fn an_end_of_any_term_replaces_one_that_was_concluded_here() {
    let mut f = Follower::with_plan(10, |_| {});
    f.beat(1.0, 3, |b| b.since_start = Some(nanos(0.0)));
    f.end_between(2.0, 60.0).expect("an end");
    assert_ne!(f.reason(), &EndReason::Completed);
    let end = ended(&f, 2, 1);
    f.receive(61.0, end);
    assert_eq!(f.reason(), &EndReason::Completed);
}
