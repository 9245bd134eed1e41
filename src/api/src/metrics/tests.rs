//! The metrics page of an observation.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

use axum::http::{HeaderMap, header};

use super::{accepts_open_metrics, page};
use crate::build_info::BuildInfo;
use vajra_core::metrics::{
    Counters, ErrorCount, ErrorKey, Piece, Snapshot, StepCounters, TimeKind, new_histogram,
};
use vajra_core::protocol::merge::Merge;
use vajra_core::protocol::messages::TestState;
use vajra_core::protocol::spec::SLOTS;
use vajra_core::protocol::{Incarnation, NodeId, Peer, Signature, TestId};
use vajra_network::NetworkStats;
use vajra_plan::Limits;
use vajra_results::{NodeEntry, NodeHealth, NodeList, NodeStatus, Pool, Verdict};
use vajra_runtime::observe::{Observation, ObservedTest, ObservedWorker};

const TEST: TestId = TestId([7; 16]);

/// A worker whose requests took these times, in milliseconds.
fn worker(is_self: bool, ms: &[u64]) -> ObservedWorker {
    let node = NodeId {
        peer: Peer::new(&[1]),
        incarnation: Incarnation(1),
    };
    let mut times = new_histogram();
    ms.iter().for_each(|ms| times.record(ms * 1_000).unwrap());
    let mut data = Vec::new();
    V2DeflateSerializer::new()
        .serialize(&times, &mut data)
        .unwrap();
    let key = |message: &str| ErrorKey {
        kind: "timeout".into(),
        message: message.into(),
    };
    let one = ErrorCount {
        count: 1,
        ..ErrorCount::default()
    };
    let counters = Counters {
        sent: ms.len() as u64,
        ok: ms.len() as u64 - 2,
        failed: 2,
        dropped_late: 3,
        in_flight: 4,
        errors: BTreeMap::from([(key("a"), one), (key("b"), one)]),
        status_codes: BTreeMap::from([(200, ms.len() as u64 - 2)]),
        ..Counters::default()
    };
    let mut pieces = vec![Piece::Counters(vec![StepCounters {
        name: "step".into(),
        counters,
    }])];
    pieces.extend(TimeKind::ALL.map(|kind| Piece::Histogram {
        step: 0,
        kind,
        data: data.clone().into(),
    }));
    let mut merge = Merge::default();
    merge.take(&Snapshot {
        test: TEST,
        worker: node.clone(),
        number: 1,
        is_final: false,
        pieces_total: pieces.len() as u32,
        elapsed: Duration::from_secs(1),
        slots: SLOTS / 2,
        start_error: None,
        engine_cpu: Duration::from_millis(250),
        engine_threads: 1,
        pieces,
        signature: Signature([0; 64]),
    });
    ObservedWorker {
        is_self,
        metrics: merge.workers()[&node].clone(),
        lost: false,
    }
}

fn test(name: &str, workers: Vec<ObservedWorker>) -> ObservedTest {
    ObservedTest {
        id: TEST,
        name: name.into(),
        state: TestState::Running,
        verdict: None,
        elapsed: Duration::from_secs(1),
        duration: Duration::from_secs(60),
        planned: 50.0,
        users: 0,
        term: 2,
        coordinator_changes: 1,
        limits: Limits::default(),
        workers,
    }
}

fn observation(tests: Vec<ObservedTest>) -> Observation {
    let node = |is_self, health| NodeEntry {
        is_self,
        health,
        name: "n\"0\\".into(),
        peer: "12D3".into(),
        status: NodeStatus::Running,
        capacity: 10,
        ..NodeEntry::default()
    };
    let nodes = vec![
        node(true, NodeHealth::Healthy),
        node(false, NodeHealth::Healthy),
        node(false, NodeHealth::Gone),
    ];
    let pool = Pool::of(&nodes);
    Observation {
        nodes: NodeList { nodes, pool },
        by_state: BTreeMap::from([(TestState::Running, 1)]),
        tests,
        network: Some(NetworkStats {
            gossip_rejected: 9,
            ..NetworkStats::default()
        }),
        libp2p: None,
        engine_threads: 3,
    }
}

/// The value of the first series with this name and these labels, in any order.
fn value(page: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let line = page.lines().find(|line| {
        let series = line.strip_prefix(name);
        let series = series.filter(|rest| rest.starts_with('{') || rest.starts_with(' '));
        series.is_some_and(|rest| labels.iter().all(|l| rest.contains(l)))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn a_test_is_exported_for_the_whole_swarm_and_for_this_node() {
    let workers = vec![
        worker(true, &[1, 2, 3, 4]),
        worker(false, &[1, 1, 900, 900]),
    ];
    let page = page(observation(vec![test("t", workers)]), BuildInfo::default()).unwrap();
    let of = |name: &str, labels: &[&str]| value(&page, name, labels);
    assert_eq!(
        of("vajra_test_sent_requests_total", &["test=\"t\""]),
        Some(8.0)
    );
    assert_eq!(of("vajra_worker_sent_requests_total", &[]), Some(4.0));
    assert_eq!(of("vajra_test_workers", &[]), Some(2.0));
    assert_eq!(of("vajra_worker_share_ratio", &[]), Some(0.5));
    assert_eq!(
        of("vajra_test_planned_requests_per_second", &[]),
        Some(50.0)
    );
    assert_eq!(of("vajra_test_coordinator_changes_total", &[]), Some(1.0));
    let up_to = |name: &str, le: &str| of(name, &[&format!("le=\"{le}\"")]);
    assert_eq!(
        up_to("vajra_test_response_time_seconds_bucket", "0.001"),
        Some(3.0)
    );
    assert_eq!(
        up_to("vajra_test_response_time_seconds_bucket", "0.005"),
        Some(6.0)
    );
    assert_eq!(
        up_to("vajra_test_response_time_seconds_bucket", "+Inf"),
        Some(8.0)
    );
    assert_eq!(
        up_to("vajra_worker_response_time_seconds_bucket", "+Inf"),
        Some(4.0)
    );
    let lag = of("vajra_test_lag_p99_seconds", &[]).unwrap();
    assert!(
        (lag - 0.9).abs() < 0.001,
        "not of the merged histogram: {lag}"
    );
}

#[test]
fn errors_are_counted_by_kind_and_drops_by_reason() {
    let page = page(
        observation(vec![test("t", vec![worker(false, &[1, 2, 3])])]),
        BuildInfo::default(),
    )
    .unwrap();
    let of = |name: &str, label: &str| value(&page, name, &[label]);
    assert_eq!(of("vajra_test_errors_total", "kind=\"timeout\""), Some(2.0));
    assert_eq!(
        of("vajra_test_dropped_arrivals_total", "reason=\"late\""),
        Some(3.0)
    );
    assert_eq!(
        of("vajra_test_dropped_arrivals_total", "reason=\"full\""),
        Some(0.0)
    );
    assert_eq!(of("vajra_test_responses_total", "code=\"200\""), Some(1.0));
    assert!(!page.contains("vajra_worker_"), "this node is not a worker");
}

#[test]
fn the_verdict_is_a_label_and_absent_until_it_is_known() {
    let running = page(observation(vec![test("t", vec![])]), BuildInfo::default()).unwrap();
    assert_eq!(
        value(&running, "vajra_test_state", &["state=\"running\""]),
        Some(1.0)
    );
    assert_eq!(value(&running, "vajra_test_verdict", &[]), None);
    let ended = ObservedTest {
        state: TestState::Ended,
        verdict: Some(Verdict::Invalid),
        ..test("t", vec![])
    };
    let ended = page(observation(vec![ended]), BuildInfo::default()).unwrap();
    assert_eq!(
        value(&ended, "vajra_test_verdict", &["verdict=\"invalid\""]),
        Some(1.0)
    );
    assert_eq!(
        value(&ended, "vajra_test_state", &["state=\"running\""]),
        None
    );
}

#[test]
fn nodes_are_counted_by_health_and_network_counters_are_exported() {
    let page = page(observation(Vec::new()), BuildInfo::default()).unwrap();
    let nodes = |health: &str| value(&page, "vajra_swarm_nodes", &[health]);
    assert_eq!(nodes("healthy"), Some(2.0));
    assert_eq!(nodes("gone"), Some(1.0));
    assert_eq!(nodes("late"), Some(0.0));
    assert_eq!(value(&page, "vajra_tests", &["running"]), Some(1.0));
    assert_eq!(value(&page, "vajra_tests", &["ended"]), Some(0.0));
    let refused = "vajra_network_gossip_refused_messages_total";
    assert_eq!(value(&page, refused, &["rejected"]), Some(9.0));
    assert_eq!(value(&page, "vajra_engine_threads", &[]), Some(3.0));
    assert!(value(&page, "process_cpu_seconds_total", &[]).unwrap() > 0.0);
}

#[test]
fn quotes_and_line_breaks_in_labels_are_escaped() {
    let odd = page(
        observation(vec![test("a\"b\\c\nd", vec![])]),
        BuildInfo::default(),
    )
    .unwrap();
    assert!(odd.contains(r#"test="a\"b\\c\nd""#), "{odd}");
    assert!(odd.contains(r#"node="n\"0\\""#));
    for line in odd.lines().filter(|l| !l.starts_with('#')) {
        let last = line.rsplit(' ').next().unwrap();
        assert!(last.parse::<f64>().is_ok(), "{line}");
    }
}

/// As OpenMetrics 1.0 requires: each family is declared once, its samples follow without samples of
/// other families between them, counters end in `_total`, and the page ends with `# EOF`.
#[test]
fn the_page_is_valid_open_metrics() {
    let workers = vec![worker(true, &[1, 2, 3])];
    let page = page(observation(vec![test("t", workers)]), BuildInfo::default()).unwrap();
    let (page, rest) = page.split_once("# EOF\n").unwrap();
    assert_eq!(rest, "", "nothing follows the end");
    let mut declared: BTreeMap<&str, &str> = BTreeMap::new();
    let mut family = "";
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(declared.insert(name, kind), None, "{name} is there twice");
            assert!(
                page.contains(&format!("# HELP {name} ")),
                "{name} has no help"
            );
            family = name;
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let suffixes: &[&str] = match declared[family] {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            let suffix = name.strip_prefix(family);
            assert!(
                suffix.is_some_and(|s| suffixes.contains(&s)),
                "{name} is not a sample of {family}"
            );
        }
    }
    assert_eq!(declared["vajra_test_sent_requests"], "counter");
    assert_eq!(declared["vajra_test_response_time_seconds"], "histogram");
    assert_eq!(declared["vajra_swarm_nodes"], "gauge");
}

#[test]
fn only_clients_that_accept_open_metrics_get_its_media_type() {
    let accepts = |accept: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        accepts_open_metrics(&headers)
    };
    // As sent by Prometheus 3, by a browser, and by curl.
    assert!(accepts(
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
         application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
    ));
    assert!(!accepts("text/html,application/xhtml+xml,*/*;q=0.8"));
    assert!(!accepts("*/*"));
    assert!(!accepts_open_metrics(&HeaderMap::new()));
}
