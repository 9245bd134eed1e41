//! Results from made-up measurements.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use serde_json::Value;

use super::*;
use crate::plan::{Load, Plan, Task};
use crate::protocol::merge::Merge;
use crate::protocol::messages::{EndReason, Phase};
use crate::protocol::metrics::*;
use crate::protocol::{Incarnation, NodeId, Peer, TestId};

const TEST: TestId = TestId([0xab; 16]);

/// A worker whose requests took these microseconds, and whose arrivals were all on time.
fn worker(i: u8, took: &[u64], change: impl FnOnce(&mut Counters)) -> WorkerInput {
    let mut response = new_histogram();
    took.iter().for_each(|us| response.record(*us).unwrap());
    let mut lag = new_histogram();
    lag.record_n(50, took.len() as u64).unwrap();
    let encoded = |h| {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(h, &mut bytes).unwrap();
        bytes.into()
    };
    let n = took.len() as u64;
    let mut counters = Counters {
        planned: n,
        sent: n,
        ok: n,
        bytes_received: 100 * n,
        ..Counters::default()
    };
    counters.status_codes.insert(200, n);
    change(&mut counters);
    let histogram = |kind, h| Piece::Histogram {
        step: 0,
        kind,
        data: encoded(h),
    };
    let node = NodeId {
        peer: Peer::new(&[i]),
        incarnation: Incarnation(1),
    };
    let snapshot = Snapshot {
        test: TEST,
        worker: node.clone(),
        number: 3,
        is_final: true,
        pieces_total: 4,
        elapsed: Duration::from_secs(2),
        slots: 500_000,
        start_error_us: Some(100 * i64::from(i)),
        engine_cpu: Duration::ZERO,
        engine_threads: 1,
        pieces: vec![
            Piece::Counters(vec![StepCounters {
                name: "HTTP".into(),
                counters,
            }]),
            histogram(TimeKind::Response, &response),
            histogram(TimeKind::Service, &response),
            histogram(TimeKind::Lag, &lag),
        ],
    };
    let mut merge = Merge::default();
    merge.take(&snapshot);
    WorkerInput {
        peer: format!("peer{i}"),
        incarnation: 1,
        name: format!("n{i}"),
        metrics: merge.workers()[&node].clone(),
        lost_at: None,
    }
}

/// A finished test at 100/s over 2 s.
fn input(workers: Vec<WorkerInput>) -> ResultInput {
    ResultInput {
        test: TEST,
        name: "checkout".into(),
        phase: Phase::Ended,
        complete: true,
        reason: Some(EndReason::Completed),
        plan: Arc::new(Plan::new(
            Task::Sleep { ms: 1 },
            Load::open(100.0, Duration::from_secs(2)),
        )),
        started_unix_ms: Some(1_700_000_000_000),
        elapsed: Duration::from_secs(2),
        coordinators: vec![Reign {
            term: 1,
            peer: "peer1".into(),
            from_ms: -300,
            to_ms: None,
        }],
        workers,
        events: Vec::new(),
    }
}

fn fast(n: u64) -> Vec<u64> {
    (1..=n).map(|i| i * 10).collect()
}

#[test]
fn the_shape_is_the_documented_one_and_nothing_is_left_out() {
    let documented = include_str!("../../docs/result.md");
    let json = serde_json::to_value(input(vec![worker(1, &fast(200), |_| {})]).build()).unwrap();
    fn keys(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(k, v)| {
                into.push(k.clone());
                keys(v, into);
            }),
            Value::Array(all) => all.iter().for_each(|v| keys(v, into)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    keys(&json, &mut all);
    for key in all.iter().filter(|k| k.parse::<u16>().is_err()) {
        assert!(
            documented.contains(key.as_str()),
            "{key} is not in docs/result.md"
        );
    }
    let empty: TestResult = serde_json::from_str(include_str!("tests/empty_result.json")).unwrap();
    let again: Value = serde_json::from_str(include_str!("tests/empty_result.json")).unwrap();
    assert_eq!(
        serde_json::to_value(empty).unwrap(),
        again,
        "absent is null"
    );
}

#[test]
fn percentiles_are_read_from_the_merged_histogram_and_never_averaged() {
    // 99 % of all requests are quick, and all slow ones are one worker's. The mean of the
    // two workers' p99 would be about half a second.
    let quick = vec![1_000; 198];
    let result = input(vec![
        worker(1, &quick, |_| {}),
        worker(2, &[1_000_000, 1_000_000], |_| {}),
    ])
    .build();
    let stats = result.response_time_ms.unwrap();
    assert_eq!(stats.count, 200);
    assert!((stats.p99 - 1.0).abs() < 0.01, "{stats:?}");
    assert!((stats.p999 - 1_000.0).abs() < 1.0, "{stats:?}");
    let merged = compose::decode(&result.histograms.response.unwrap()).unwrap();
    assert_eq!(merged.len(), 200);
    assert_eq!(merged.count_between(900, 1_100), 198);
}

#[test]
fn totals_add_up_and_missing_arrivals_are_short() {
    let result = input(vec![worker(1, &fast(150), |c| {
        c.dropped_late = 10;
        c.dropped_full = 20;
    })])
    .build();
    let t = &result.totals;
    assert_eq!((t.planned, t.sent, t.dropped, t.short), (200, 150, 30, 20));
    assert_eq!(
        result.rate,
        Rate {
            asked: 100.0,
            achieved: 75.0
        }
    );
    assert_eq!(result.start_skew_ms, Some(0.0));
}

#[test]
fn skew_is_the_difference_between_the_latest_and_the_earliest_start() {
    let result = input(vec![
        worker(1, &fast(100), |_| {}),
        worker(4, &fast(100), |_| {}),
    ])
    .build();
    assert_eq!(result.start_skew_ms, Some(0.3));
}

#[test]
fn a_good_run_is_valid() {
    let result = input(vec![worker(1, &fast(200), |_| {})]).build();
    assert_eq!(result.verdict.as_deref(), Some("valid"));
    assert!(result.reasons.is_empty());
    assert_eq!(
        result.started_at.as_deref(),
        Some("2023-11-14T22:13:20.000Z")
    );
}

#[test]
fn a_generator_that_was_late_or_dropped_makes_it_invalid_and_says_why() {
    let mut late = input(vec![worker(1, &fast(200), |_| {})]);
    let mut plan = Plan::clone(&late.plan);
    plan.limits.lag_p99 = Duration::from_micros(10);
    late.plan = Arc::new(plan);
    let result = late.build();
    assert_eq!(result.verdict.as_deref(), Some("invalid"));
    assert!(
        result.reasons[0].contains("lag p99"),
        "{:?}",
        result.reasons
    );

    let dropped = input(vec![worker(1, &fast(190), |c| c.dropped_full = 10)]).build();
    assert_eq!(dropped.verdict.as_deref(), Some("invalid"));
    assert!(
        dropped.reasons[0].contains("--max-in-flight"),
        "{:?}",
        dropped.reasons
    );
}

#[test]
fn a_lost_worker_makes_it_degraded_and_names_it() {
    let mut lost = worker(2, &fast(40), |_| {});
    lost.lost_at = Some(Duration::from_millis(800));
    let result = input(vec![worker(1, &fast(100), |_| {}), lost]).build();
    assert_eq!(result.verdict.as_deref(), Some("degraded"));
    assert!(
        result.reasons[0].contains("n2 at 0.8 s") && result.reasons[0].contains("short by 60"),
        "{:?}",
        result.reasons
    );
    assert_eq!(result.nodes[1].lost_at_ms, Some(800));
}

#[test]
fn missing_final_metrics_make_it_invalid() {
    let mut input = input(vec![worker(1, &fast(200), |_| {})]);
    input.complete = false;
    assert_eq!(input.build().verdict.as_deref(), Some("invalid"));
}

#[test]
fn a_test_that_failed_says_why_and_nothing_else() {
    let mut input = input(Vec::new());
    input.reason = Some(EndReason::Failed("no able worker".into()));
    let result = input.build();
    assert_eq!(result.reasons, ["no able worker"]);
    assert_eq!(result.end.as_deref(), Some("failed"));
}

#[test]
fn there_is_no_verdict_before_the_end() {
    let mut input = input(vec![worker(1, &fast(20), |_| {})]);
    (input.phase, input.reason, input.complete) = (Phase::Running, None, false);
    let result = input.build();
    assert_eq!(
        (result.verdict, result.end, result.state.as_str()),
        (None, None, "running")
    );
}

#[test]
fn the_summary_reads_like_this() {
    let mut took = vec![2_000; 199];
    took.push(30_000);
    let workers = vec![worker(1, &took, |c| {
        c.ok = 199;
        c.failed = 1;
        c.errors.insert(
            ErrorKey {
                kind: "timeout".into(),
                message: "no \u{1b}[31mresponse".into(),
            },
            ErrorCount {
                count: 1,
                first_ms: 0,
                last_ms: 0,
            },
        );
    })];
    let text = text::summary(&input(workers).build());
    let expected = "
  test        abababab-abab-abab-abab-abababababab
  name        checkout
  target      SLEEP
  nodes       1
  duration    2.00 s

  requests    200 sent, of 200 planned
    ok                 199  (99.50 %)
    failed               1  (0.50 %)
  rate        100.00/s achieved, asked 100.00/s (+0.00 %)
  traffic     9.77 KiB/s received, 0 B/s sent
  status      200: 200

  response time, from the instant a request was due
    p50        2.00 ms
    p75        2.00 ms
    p90        2.00 ms
    p95        2.00 ms
    p99        2.00 ms
    p99.9     30.02 ms
    max       30.02 ms
    mean       2.14 ms
";
    assert!(text.starts_with(expected), "{text}");
    let end = "
  errors
               1  timeout   no \u{fffd}[31mresponse

  node    share   sent   failed   dropped   lag p99
  n1     50.0 %    200        1         0     50 µs   coordinator

  verdict     valid
";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn units_suit_the_number() {
    assert_eq!(text::show_ms(0.05), "50 µs");
    assert_eq!(text::show_ms(12.345), "12.35 ms");
    assert_eq!(text::show_ms(2_500.0), "2.50 s");
    assert_eq!(text::show_count(1_234_567), "1,234,567");
    assert_eq!(text::show_count(999), "999");
}
