//! The text and width of the summary.

use unicode_width::UnicodeWidthStr as _;
use vajra_core::metrics::{ErrorCount, ErrorKey};
use vajra_fixtures::measured::*;
use vajra_report::text::{WIDTH, summary};
use vajra_results::{Absence, NoCoordinator, Tenure};

/// A test that fills every part of the summary.
fn eventful() -> ResultInput {
    let mut alpha = worker("alpha", 490);
    let c = &mut alpha.counters;
    (c.planned, c.ok, c.failed, c.dropped_full, c.warm_up) = (500, 480, 10, 5, 50);
    (c.bytes_sent, c.bytes_received) = (50_000, 5_000_000);
    c.status_codes = [(200, 480), (503, 7)].into();
    for (kind, message, count) in [
        ("status", "503 Service Unavailable", 7),
        ("connect", "refused", 3),
    ] {
        let key = ErrorKey {
            kind: kind.into(),
            message: message.into(),
        };
        let count = ErrorCount {
            count,
            ..ErrorCount::default()
        };
        c.errors.insert(key, count);
    }
    alpha.times[0] = (1..=440).map(|i| i * 100).collect();
    alpha.start_error = start_error(1_250, 300);
    let mut beta = worker("beta", 200);
    beta.lost_at = Some(Duration::from_millis(6_500));
    beta.elapsed = Duration::from_secs(4);
    let mut input = input(vec![alpha, beta]);
    Arc::make_mut(&mut input.plan)
        .tags
        .insert("env".into(), "ci".into());
    input.coordinators = vec![Tenure {
        term: 1,
        peer: "peer-beta".into(),
        name: "beta".into(),
        from_ms: -500,
        to_ms: None,
    }];
    input
}

#[test]
fn the_summary_has_the_expected_text() {
    let expected = include_str!("summary.txt");
    let shown = summary(&eventful().build());
    assert_eq!(shown, expected, "\n{shown}");
}

#[test]
fn a_coordinator_that_disappeared_is_not_shown_as_the_current_one() {
    let mut input = eventful();
    (input.state, input.reason, input.complete) = (TestState::Running, None, false);
    input.coordinators[0].to_ms = Some(61_200);
    input.absence = Some(Absence {
        shown: NoCoordinator {
            since_ms: 61_200,
            load_stopped_ms: Some(63_700),
            silent_electors: 2,
            electors: 3,
        },
        accounted: None,
    });
    let shown = summary(&input.build());
    assert!(
        shown.contains("beta (term 1), none since 61.2 s\n"),
        "{shown}"
    );
    let first = "    - no coordinator since 61.2 s: 2 of 3 nodes that may vote";
    assert!(shown.contains(first), "{shown}");
}

#[test]
fn response_time_comes_first() {
    let shown = summary(&result(good()));
    let p99: Vec<&str> = shown
        .lines()
        .filter(|l| l.trim_start().starts_with("p99 "))
        .collect();
    assert_eq!(
        p99,
        [
            "    p99        1.00 ms",
            "    p99         900 µs",
            "    p99          10 µs"
        ]
    );
}

#[test]
fn text_of_a_result_is_cut_and_escaped() {
    let mut input = eventful();
    let long = "\u{1b}]0;x\u{7}".repeat(80);
    input.name = long.clone();
    Arc::make_mut(&mut input.plan)
        .tags
        .insert(long.clone(), long.clone());
    for w in &mut input.workers {
        w.name = long.clone();
    }
    input.reason = Some(EndReason::Failed(long.clone()));
    let mut r = input.build();
    r.target = format!("http://{long}/");
    r.errors[0].message = long.clone();
    r.totals.sent = 10_u64.pow(12);
    r.status_codes = (100..200).map(|code| (code.to_string(), 1_000)).collect();
    let shown = summary(&r);
    let widest = shown.lines().max_by_key(|l| l.width()).unwrap();
    assert!(widest.width() <= WIDTH, "{widest}");
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()));
}

#[test]
fn a_running_test_has_no_verdict_yet() {
    let mut input = input(good());
    (input.state, input.reason) = (TestState::Running, None);
    let shown = summary(&input.build());
    assert!(
        shown.contains("verdict     none yet: the test is running"),
        "{shown}"
    );
}

#[test]
fn a_stopped_test_is_marked_after_its_verdict() {
    let mut input = input(good());
    input.reason = Some(EndReason::Stopped);
    let shown = summary(&input.build());
    assert!(
        shown.ends_with("verdict     valid (stopped before its end)\n"),
        "{shown}"
    );
}

#[test]
fn lost_nodes_are_shown_first_among_many() {
    let mut r = result(good());
    let template = r.nodes[0].clone();
    r.nodes = vec![template; 200];
    r.nodes[150].name = "unlucky".into();
    r.nodes[150].lost_at_ms = Some(1_000);
    let shown = summary(&r);
    assert!(
        shown.contains("unlucky") && shown.contains("and 150 more"),
        "{shown}"
    );
    assert_eq!(shown.matches("alpha ").count(), 49);
}

#[test]
fn labels_are_in_the_summary() {
    let text = summary(&vajra_fixtures::labelled::labelled());
    for line in [
        "  label        sent    failed",
        "  api           200         4",
        "  scenario",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
}

#[test]
fn cjk_and_emoji_names_are_aligned() {
    let mut r = result(good());
    r.nodes[0].name = "東京".into();
    r.nodes[1].name = "node 🚀".into();
    let shown = summary(&r);
    let nodes: Vec<&str> = shown.lines().filter(|l| l.contains("50.0 %")).collect();
    // Both shares end in the same column.
    let ends = nodes.iter().map(|l| l.split('%').next().unwrap().width());
    assert_eq!(ends.collect::<Vec<_>>(), [16, 16], "{nodes:#?}");
    let mut labelled = vajra_fixtures::labelled::labelled();
    labelled.labels[0].name = "決済🚀".into();
    let shown = summary(&labelled);
    let line = shown.lines().find(|l| l.contains("決済🚀")).unwrap();
    assert!(
        line.starts_with("  決済🚀         200         4"),
        "{shown}"
    );
}
