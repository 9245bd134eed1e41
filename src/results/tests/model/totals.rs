//! Planned, sent and unsent arrivals, and the time for which they were planned.

use vajra_core::metrics::{ErrorCount, ErrorKey};
use vajra_fixtures::measured::*;
use vajra_plan::{Change, LoadChange};
use vajra_results::{Absence, NoCoordinator};

fn stopped_at(workers: Vec<Measured>) -> TestResult {
    let mut input = input(workers);
    input.reason = Some(EndReason::Stopped);
    input.build()
}

#[test]
fn a_completed_plan_has_no_unsent_arrivals() {
    let r = result(good());
    assert_eq!(
        (r.totals.planned, r.totals.sent, r.totals.unsent),
        (1_000, 1_000, 0)
    );
    assert_eq!(
        (r.duration_s, r.rate.planned, r.rate.achieved),
        (10.0, 100.0, 100.0)
    );
}

#[test]
fn planned_is_the_sum_of_sent_dropped_and_unsent() {
    let mut late = worker("alpha", 480);
    late.counters.planned = 500;
    (late.counters.dropped_late, late.counters.dropped_full) = (12, 8);
    let r = result(vec![late, worker("beta", 450)]);
    let t = &r.totals;
    assert_eq!(
        (t.planned, t.sent, t.dropped, t.unsent),
        (1_000, 930, 20, 50)
    );
}

#[test]
fn a_stopped_test_is_planned_until_the_stop_without_the_wait_after_it() {
    let (mut a, mut b) = (worker("alpha", 250), worker("beta", 250));
    (a.elapsed, b.elapsed) = (Duration::from_secs(8), Duration::from_secs(7));
    let r = stopped_at(vec![a, b]);
    assert_eq!((r.totals.planned, r.totals.unsent), (500, 0));
    assert!((r.duration_s - 5.0).abs() < 1e-6, "{}", r.duration_s);
    assert!((r.rate.planned - 100.0).abs() < 1e-3, "{}", r.rate.planned);
    assert_eq!(r.end, Some(EndKind::Stopped));
}

#[test]
fn arrivals_of_a_lost_worker_after_its_last_report_are_unsent() {
    let (survivor, mut lost) = (worker("alpha", 500), worker("beta", 200));
    lost.elapsed = Duration::from_secs(4);
    lost.is_final = false;
    lost.lost_at = Some(Duration::from_millis(6_500));
    let r = result(vec![survivor, lost]);
    assert_eq!((r.totals.planned, r.totals.unsent), (1_000, 300));
    assert_eq!(r.nodes[1].lost_at_ms, Some(6_500));
    assert_eq!(r.duration_s, 10.0);
}

#[test]
fn a_failed_test_with_a_lost_worker_has_at_most_the_plans_arrivals() {
    let mut lost = worker("beta", 2);
    lost.lost_at = Some(Duration::from_secs(1));
    let mut input = input(vec![worker("alpha", 5), lost]);
    input.reason = Some(EndReason::Failed("worker beta was lost".into()));
    input.plan = plan(Load {
        requests: Some(10),
        ..Load::open(100.0, Duration::from_secs(60))
    });
    let t = input.build().totals;
    assert_eq!((t.planned, t.sent, t.unsent), (10, 7, 3));
}

#[test]
fn a_plan_with_a_number_of_requests_has_its_planned_rate() {
    let mut input = input(vec![worker("alpha", 10)]);
    input.plan = plan(Load {
        requests: Some(10),
        ..Load::open(100.0, Duration::from_secs(60))
    });
    let r = input.build();
    assert_eq!(r.totals.planned, 10);
    assert!((r.duration_s - 0.1).abs() < 1e-6, "{}", r.duration_s);
    assert!((r.rate.planned - 100.0).abs() < 1e-3, "{}", r.rate.planned);
}

#[test]
fn in_the_closed_model_planned_is_achieved() {
    let mut input = input(good());
    input.plan = plan(Load::closed(10, Duration::from_secs(10)));
    let r = input.build();
    assert_eq!((r.totals.planned, r.totals.unsent), (1_000, 0));
    assert_eq!((r.rate.planned, r.rate.achieved), (100.0, 100.0));
}

/// Reports arrive up to a second late: their counts belong to the time of the report.
#[test]
fn a_running_test_is_measured_until_its_newest_report() {
    let (mut a, mut b) = (worker("alpha", 150), worker("beta", 149));
    for w in [&mut a, &mut b] {
        w.elapsed = Duration::from_secs(3);
        w.is_final = false;
    }
    let mut input = input(vec![a, b]);
    (input.state, input.reason, input.complete) = (TestState::Running, None, false);
    let r = input.build();
    assert_eq!((r.duration_s, r.rate.planned), (3.0, 100.0));
    assert!((r.rate.achieved - 299.0 / 3.0).abs() < 1e-9);
    assert_eq!(
        (r.state, r.verdict, r.end),
        (TestState::Running, None, None)
    );
    assert_eq!(r.totals.unsent, 0);
}

/// Arrivals before the newest reports of the others are unsent; later ones can still be reported.
#[test]
fn a_running_test_that_lost_a_worker_has_unsent_arrivals() {
    let (mut a, mut b, mut lost) = (worker("a", 150), worker("b", 100), worker("c", 50));
    for (w, elapsed) in [(&mut a, 3), (&mut b, 2), (&mut lost, 1)] {
        w.elapsed = Duration::from_secs(elapsed);
        w.is_final = false;
    }
    let mut input = input(vec![a, b, lost]);
    (input.state, input.reason, input.complete) = (TestState::Running, None, false);
    assert_eq!(input.build().totals.unsent, 0, "its report may be late");
    input.workers[2].lost_at = Some(Duration::from_millis(1_500));
    input.plan = plan(Load::open(200.0, Duration::from_secs(10)));
    let r = input.build();
    assert_eq!((r.totals.planned, r.totals.unsent), (400, 100));
    assert_eq!(r.rate.planned, 200.0);
    assert!(
        r.reasons[0].contains("c was lost at 1.5 s"),
        "{:?}",
        r.reasons
    );
    assert_eq!(r.verdict, None);
}

/// The arrivals of a running test without a coordinator whose load has stopped are unsent.
#[test]
fn without_a_coordinator_the_unsent_arrivals_grow() {
    let (mut a, mut dead) = (worker("a", 250), worker("b", 200));
    for (w, elapsed) in [(&mut a, 5), (&mut dead, 4)] {
        w.elapsed = Duration::from_secs(elapsed);
        w.is_final = false;
    }
    let mut input = input(vec![a, dead]);
    (input.state, input.reason, input.complete) = (TestState::Running, None, false);
    let mut at = |accounted: Option<u64>, stopped: Option<i64>| {
        let shown = NoCoordinator {
            since_ms: 2_500,
            load_stopped_ms: stopped,
            silent_electors: 2,
            electors: 3,
        };
        let accounted = accounted.map(Duration::from_secs);
        input.absence = Some(Absence { shown, accounted });
        input.build()
    };
    let r = at(None, None);
    assert_eq!(r.totals.unsent, 0, "reports may be late");
    assert_eq!(
        r.reasons,
        ["no coordinator since 2.5 s: 2 of 3 nodes that may vote cannot be reached"]
    );
    let r = at(Some(8), Some(5_000));
    assert_eq!((r.totals.planned, r.totals.unsent), (800, 350));
    assert_eq!((r.duration_s, r.rate.planned), (8.0, 100.0));
    assert_eq!(r.rate.achieved, 450.0 / 8.0);
    assert_eq!(
        r.reasons,
        [
            "no coordinator since 2.5 s: 2 of 3 nodes that may vote cannot be reached; \
          the load stopped at 5.0 s"
        ]
    );
    assert_eq!(r.no_coordinator.unwrap().load_stopped_ms, Some(5_000));
    let r = at(Some(60), Some(5_000));
    assert_eq!(r.totals.unsent, 550, "at most the plan");
}

#[test]
fn the_rates_of_a_running_test_exclude_pauses() {
    let mut a = worker("a", 300);
    (a.elapsed, a.is_final) = (Duration::from_secs(8), false);
    let mut input = input(vec![a]);
    (input.state, input.reason, input.complete) = (TestState::Running, None, false);
    let change = |at, what| LoadChange {
        at: Duration::from_secs(at),
        lag: Duration::ZERO,
        what,
    };
    let longest = Duration::from_secs(3600);
    input.changes = vec![change(2, Change::Pause(longest)), change(7, Change::Resume)];
    let r = input.build();
    assert_eq!(r.duration_s, 3.0);
    assert_eq!((r.rate.planned, r.rate.achieved), (100.0, 100.0));
}

#[test]
fn a_test_that_never_started_has_rates_of_zero() {
    let mut input = input(Vec::new());
    input.reason = Some(EndReason::Failed("no able worker".into()));
    input.started_unix_ms = None;
    let r = input.build();
    assert_eq!((r.rate.planned, r.rate.achieved), (0.0, 0.0));
    assert_eq!((r.started_at, r.start_skew_ms), (None, None));
}

#[test]
fn start_skew_lies_between_the_earliest_and_the_latest() {
    let (mut a, mut b, mut c) = (worker("a", 1), worker("b", 1), worker("c", 1));
    (a.start_error, b.start_error) = (start_error(-1_500, 50), None);
    c.start_error = start_error(2_250, 200);
    let r = result(vec![a, b, c]);
    assert_eq!(
        (r.start_skew_ms, r.start_skew_within_ms),
        (Some(3.75), Some(0.25))
    );
}

#[test]
fn errors_of_all_workers_are_summed_and_sorted_by_frequency() {
    let failing = |name, entries: &[(&str, &str, u64)]| {
        let mut w = worker(name, 0);
        for (kind, message, count) in entries {
            let key = ErrorKey {
                kind: (*kind).into(),
                message: (*message).into(),
            };
            let count = ErrorCount {
                count: *count,
                ..ErrorCount::default()
            };
            w.counters.errors.insert(key, count);
        }
        w
    };
    let a = failing(
        "a",
        &[("timeout", "after 10 s", 3), ("connect", "refused", 4)],
    );
    let b = failing("b", &[("timeout", "after 10 s", 2)]);
    let errors = result(vec![a, b]).errors;
    let shown: Vec<_> = errors.iter().map(|e| (e.kind.as_str(), e.count)).collect();
    assert_eq!(shown, [("timeout", 5), ("connect", 4)]);
}

#[test]
fn errors_beyond_a_hundred_are_summed_by_kind() {
    let mut w = worker("a", 0);
    for i in 0..150_u64 {
        let key = ErrorKey {
            kind: if i % 2 == 0 { "connect" } else { "reset" }.into(),
            message: format!("number {i:03}"),
        };
        let count = ErrorCount {
            count: 1_000 - i,
            ..ErrorCount::default()
        };
        w.counters.errors.insert(key, count);
    }
    let expected: u64 = (0..150).map(|i| 1_000 - i).sum();
    let errors = result(vec![w]).errors;
    assert_eq!(errors.len(), 102);
    assert_eq!(errors.iter().map(|e| e.count).sum::<u64>(), expected);
    let summed: Vec<_> = errors.iter().filter(|e| e.message.is_empty()).collect();
    assert_eq!(summed.len(), 2);
}

#[test]
fn iterations_that_a_lost_worker_may_have_carried_out_are_unaccounted() {
    let (mut survivor, mut lost) = (worker("alpha", 600), worker("beta", 300));
    survivor.counters.iterations = 600;
    lost.counters.iterations = 300;
    lost.is_final = false;
    lost.lost_at = Some(Duration::from_secs(4));
    let mut input = input(vec![survivor, lost]);
    let mut load = Load::closed(4, Duration::from_secs(10));
    load.requests = Some(1_000);
    input.plan = plan(load);
    assert_eq!(input.build().totals.unaccounted, 0, "before the end");
    input.unused_numbers = Some(30);
    let result = input.build();
    assert_eq!(result.totals.unaccounted, 70);
    let named = |r: &String| r.starts_with("up to 70 iterations that are not counted");
    assert!(result.reasons.iter().any(named), "{:?}", result.reasons);
}
