//! The conditions for a `degraded` or `invalid` result, and their reasons.

use vajra_fixtures::measured::*;
use vajra_results::Event;

fn judged(input: ResultInput) -> (Verdict, String) {
    let r = input.build();
    (r.verdict.unwrap(), r.reasons.join("\n"))
}

fn assert_contains(reasons: &str, words: &[&str]) {
    for word in words {
        assert!(reasons.contains(word), "no {word:?} in: {reasons}");
    }
}

#[test]
fn a_completed_plan_is_valid_without_reasons() {
    assert_eq!(judged(input(good())), (Verdict::Valid, String::new()));
}

#[test]
fn before_its_end_a_test_has_no_verdict() {
    let mut input = input(good());
    (input.state, input.reason) = (TestState::Stopping, None);
    assert_eq!(input.build().verdict, None);
}

#[test]
fn lag_beyond_its_limit_is_invalid() {
    let mut workers = good();
    workers[0].times[2] = vec![150_000; 500];
    let (verdict, reasons) = judged(input(workers));
    assert_eq!(verdict, Verdict::Invalid);
    assert_contains(
        &reasons,
        &["lag p99 is 150", "the limit 100.0 ms", "lower rate"],
    );
    assert_eq!(reasons.lines().count(), 1, "{reasons}");
}

#[test]
fn the_limit_of_lag_is_in_the_plan() {
    let mut workers = good();
    workers[0].times[2] = vec![150_000; 500];
    let mut input = input(workers);
    Arc::make_mut(&mut input.plan).limits.lag_p99 = Duration::from_secs(1);
    assert_eq!(judged(input).0, Verdict::Valid);
}

#[test]
fn one_saturated_node_is_found_among_many_good_ones() {
    let mut workers: Vec<Measured> = ["a", "b", "c", "d"].map(|name| worker(name, 0)).into();
    for w in &mut workers {
        w.times[2] = vec![10; 100_000];
    }
    (workers[0].counters.sent, workers[0].counters.ok) = (1_000, 1_000);
    workers[3].times[2] = vec![300_000; 250];
    let (verdict, reasons) = judged(input(workers));
    assert_eq!(verdict, Verdict::Invalid);
    assert_contains(
        &reasons,
        &[
            "saturated: d ",
            "300",
            "the limit is 100.0 ms",
            "--capacity",
        ],
    );
}

#[test]
fn one_delay_among_few_values_is_not_saturation() {
    let mut workers: Vec<Measured> = good();
    workers[0].times[2] = vec![10; 10_000];
    workers[1].times[2] = vec![10; 20];
    workers[1].times[2].push(400_000);
    assert_eq!(judged(input(workers)).0, Verdict::Valid);
}

#[test]
fn drops_beyond_the_limit_are_invalid_with_their_causes() {
    let dropping = |n: u64| {
        let mut workers = good();
        let c = &mut workers[0].counters;
        (c.sent, c.ok, c.dropped_full) = (500 - n, 500 - n, n - 2);
        (c.dropped_late, c.dropped_lease) = (1, 1);
        judged(input(workers))
    };
    assert_eq!(dropping(10), (Verdict::Valid, String::new()));
    let (verdict, reasons) = dropping(11);
    assert_eq!(verdict, Verdict::Invalid);
    assert_contains(
        &reasons,
        &[
            "11 of 1000 arrivals (1.10 %)",
            "9 because max_in_flight",
            "1 because the generator",
        ],
    );
    assert_contains(
        &reasons,
        &["1 because a worker lost its coordinator", "--max-in-flight"],
    );
}

#[test]
fn missing_final_metrics_are_invalid_and_named() {
    let mut workers = good();
    workers[1].is_final = false;
    let mut input = input(workers);
    input.complete = false;
    let (verdict, reasons) = judged(input);
    assert_eq!(verdict, Verdict::Invalid);
    assert_contains(
        &reasons,
        &["final metrics of beta are missing", "another node"],
    );
}

#[test]
fn a_failed_test_has_its_cause_as_the_only_reason() {
    let mut input = input(Vec::new());
    input.complete = false;
    input.reason = Some(EndReason::Failed("no able worker: 3 lack HTTP".into()));
    let (verdict, reasons) = judged(input);
    assert_eq!(
        (verdict, reasons.as_str()),
        (Verdict::Invalid, "no able worker: 3 lack HTTP")
    );
}

#[test]
fn a_test_that_sent_nothing_is_invalid() {
    let mut input = input(Vec::new());
    input.reason = Some(EndReason::Stopped);
    let (verdict, reasons) = judged(input);
    assert_eq!(verdict, Verdict::Invalid);
    assert_contains(&reasons, &["no request was sent"]);
}

#[test]
fn a_lost_worker_degrades_and_the_reason_has_the_time_span_and_the_number() {
    let mut workers = vec![worker("alpha", 500), worker("beta", 200)];
    workers[1].lost_at = Some(Duration::from_millis(5_500));
    workers[1].elapsed = Duration::from_secs(4);
    workers[1].is_final = false;
    let mut input = input(workers);
    let rebalanced = |at_ms| Event {
        at_ms,
        kind: "rebalanced".into(),
        peer: None,
        text: String::new(),
    };
    input.events = vec![rebalanced(1_000), rebalanced(6_250)];
    let (verdict, reasons) = judged(input.clone());
    assert_eq!(verdict, Verdict::Degraded);
    assert_contains(
        &reasons,
        &[
            "beta was lost at 5.5 s",
            "last report at 4.0 s",
            "until 6.2 s",
            "300 requests were unsent",
        ],
    );
    input.events.clear();
    assert_contains(&judged(input).1, &["missing from then on"]);
}

#[test]
fn unsent_load_without_a_lost_worker_degrades() {
    let unsent = |n: u64| judged(input(vec![worker("alpha", 500), worker("beta", 500 - n)]));
    assert_eq!(unsent(5).0, Verdict::Valid);
    let (verdict, reasons) = unsent(6);
    assert_eq!(verdict, Verdict::Degraded);
    assert_contains(
        &reasons,
        &["6 of 1000 requests (0.60 %) were unsent", "events"],
    );
}

#[test]
fn a_large_start_skew_degrades() {
    let mut workers = good();
    workers[0].start_error = start_error(-60_000, 0);
    workers[1].start_error = start_error(55_000, 0);
    let (verdict, reasons) = judged(input(workers));
    assert_eq!(verdict, Verdict::Degraded);
    assert_contains(
        &reasons,
        &["the workers started 115.0 ms apart", "the allowed 100.0 ms"],
    );
}

#[test]
fn the_worst_verdict_counts_and_all_reasons_are_listed() {
    let mut workers = good();
    workers[0].times[2] = vec![150_000; 500];
    workers[1].lost_at = Some(Duration::from_secs(9));
    let (verdict, reasons) = judged(input(workers));
    assert_eq!((verdict, reasons.lines().count()), (Verdict::Invalid, 2));
}

#[test]
fn a_reason_names_only_a_few_nodes() {
    let names = ["n0", "n1", "n2", "n3", "n4", "n5", "n6"];
    let workers = names.map(|name| Measured {
        is_final: false,
        ..worker(name, 100)
    });
    let mut input = input(workers.into());
    input.complete = false;
    assert_contains(&judged(input).1, &["n0, n1, n2, n3, n4 and 2 more"]);
}

#[test]
fn an_invalid_result_names_overloaded_nodes_and_the_planned_load() {
    let mut workers = good();
    workers[0].times[2] = vec![150_000; 500];
    let mut input = input(workers);
    input.events.push(Event {
        at_ms: 4_000,
        kind: "overloaded".into(),
        peer: Some(input.workers[1].peer.clone()),
        text: "beta is overloaded".into(),
    });
    let events = input.events.clone();
    let (verdict, reasons) = judged(input);
    assert_eq!(verdict, Verdict::Invalid);
    assert_contains(
        &reasons,
        &[
            "overloaded: beta from 4.0 s on",
            "at a planned load of 100/s",
        ],
    );
    let mut good = vajra_fixtures::measured::input(good());
    good.events = events;
    assert_eq!(judged(good), (Verdict::Valid, String::new()));
}
