//! The JSON format: exactly the documented keys, and null for absent values.

use serde_json::Value;

use vajra_core::metrics::{ErrorCount, ErrorKey};
use vajra_fixtures::measured::*;
use vajra_results::{
    Absence, Event, NoCoordinator, NodeEntry, NodeHealth, NodeList, NodeStatus, Pool, Tenure,
    TestList,
};

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

fn assert_keys(value: &Value, expected: &str) {
    let mut expected: Vec<&str> = expected.split_whitespace().collect();
    expected.sort_unstable();
    assert_eq!(keys(value), expected);
}

fn full() -> TestResult {
    let mut workers = good();
    workers[0].counters.status_codes.insert(200, 500);
    let key = ErrorKey {
        kind: "timeout".into(),
        message: "after 10 s".into(),
    };
    workers[0]
        .counters
        .errors
        .insert(key, ErrorCount::default());
    let mut input = input(workers);
    input.coordinators = vec![Tenure {
        term: 1,
        peer: "peer-alpha".into(),
        name: "alpha".into(),
        from_ms: -500,
        to_ms: None,
    }];
    input.absence = Some(Absence {
        shown: NoCoordinator {
            since_ms: 4_000,
            load_stopped_ms: Some(6_500),
            silent_electors: 2,
            electors: 3,
        },
        accounted: None,
    });
    input.events = vec![Event {
        at_ms: -500,
        kind: "elected".into(),
        peer: None,
        text: "alpha".into(),
    }];
    input.build()
}

const STATS: &str = "count min mean stdev p50 p75 p90 p95 p99 p999 max";

#[test]
fn a_result_has_exactly_the_documented_keys() {
    let json = serde_json::to_value(full()).unwrap();
    assert_keys(
        &json,
        "schema test_id name tags target load state end complete verdict reasons started_at duration_s
         start_skew_ms start_skew_within_ms coordinators no_coordinator nodes totals thresholds steps scenarios rate status_codes response_time_ms
         service_time_ms lag_ms histograms errors events changes values data labels plan",
    );
    assert_keys(&json["coordinators"][0], "term peer name from_ms to_ms");
    assert_keys(
        &json["no_coordinator"],
        "since_ms load_stopped_ms silent_electors electors",
    );
    assert_keys(
        &json["nodes"][0],
        "peer incarnation name share sent ok failed dropped lag_p99_ms lost_at_ms environment",
    );
    assert_keys(
        &json["totals"],
        "planned sent ok failed abandoned dropped dropped_late dropped_full dropped_lease unsent warm_up bytes_sent bytes_received
         checks_passed checks_failed unaccounted",
    );
    assert_keys(&json["rate"], "planned achieved");
    for times in ["response_time_ms", "service_time_ms", "lag_ms"] {
        assert_keys(&json[times], STATS);
    }
    assert_keys(&json["histograms"], "response service lag");
    assert_keys(&json["errors"][0], "kind message count");
    assert_keys(&json["events"][0], "at_ms kind peer text");
}

#[test]
fn values_have_the_documented_types() {
    let json = serde_json::to_value(full()).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["test_id"], "01010101-0101-0101-0101-010101010101");
    assert_eq!(json["started_at"], "2026-01-02T03:04:05.678Z");
    assert_eq!(json["status_codes"], serde_json::json!({"200": 500}));
    assert_eq!(json["nodes"][0]["share"], 0.5);
    assert_eq!(json["coordinators"][0]["to_ms"], Value::Null);
    assert!(json["rate"]["planned"].is_f64() && json["totals"]["sent"].is_u64());
}

#[test]
fn absent_values_are_null_and_not_omitted() {
    let mut input = input(Vec::new());
    (input.state, input.reason, input.complete) = (TestState::Electing, None, false);
    (input.name, input.started_unix_ms) = (String::new(), None);
    let json = serde_json::to_value(input.build()).unwrap();
    for key in [
        "name",
        "end",
        "verdict",
        "started_at",
        "start_skew_ms",
        "start_skew_within_ms",
        "no_coordinator",
        "response_time_ms",
        "service_time_ms",
        "lag_ms",
    ] {
        assert_eq!(json.get(key), Some(&Value::Null), "{key}");
    }
}

#[test]
fn a_result_reads_back_as_itself() {
    let r = full();
    let text = serde_json::to_string(&r).unwrap();
    assert_eq!(serde_json::from_str::<TestResult>(&text).unwrap(), r);
}

#[test]
fn lists_have_exactly_the_documented_keys() {
    let nodes = vec![NodeEntry {
        peer: "p".into(),
        incarnation: 1,
        name: "n".into(),
        is_self: true,
        addresses: Vec::new(),
        version: "0".into(),
        status: NodeStatus::Idle,
        health: NodeHealth::Healthy,
        capacity: 10,
        load: 4,
        task_types: Vec::new(),
        ..NodeEntry::default()
    }];
    let pool = Pool::of(&nodes);
    let json = serde_json::to_value(NodeList { nodes, pool }).unwrap();
    assert_keys(&json, "nodes pool");
    assert_keys(
        &json["nodes"][0],
        "peer incarnation name configured_name self addresses version status health capacity load \
         task_types labels last_seen_ms round_trip_ms clock_offset_ms environment lag_p99_ms shares",
    );
    assert_keys(&json["pool"], "total healthy capacity available load");
    let tests = vec![full().entry()];
    let json = serde_json::to_value(TestList { tests }).unwrap();
    assert_keys(&json, "tests");
    assert_keys(&json["tests"][0], "test_id name state verdict started_at");
}

#[test]
fn the_pool_contains_healthy_nodes() {
    let entry = |health, capacity, load| NodeEntry {
        peer: "p".into(),
        incarnation: 1,
        name: "n".into(),
        is_self: false,
        addresses: Vec::new(),
        version: "0".into(),
        status: NodeStatus::Idle,
        health,
        capacity,
        load,
        task_types: Vec::new(),
        ..NodeEntry::default()
    };
    let pool = Pool::of(&[
        entry(NodeHealth::Healthy, 10, 4),
        entry(NodeHealth::Healthy, 5, 9),
        entry(NodeHealth::Gone, 100, 50),
    ]);
    let expected = Pool {
        total: 3,
        healthy: 2,
        capacity: 15,
        available: 6,
        load: 13,
    };
    assert_eq!(pool, expected);
}

#[test]
fn a_draining_node_has_no_free_capacity() {
    let entry = |status| NodeEntry {
        status,
        health: NodeHealth::Healthy,
        capacity: 10,
        load: 4,
        ..NodeEntry::default()
    };
    let pool = Pool::of(&[NodeStatus::Idle, NodeStatus::Draining, NodeStatus::Leaving].map(entry));
    let expected = Pool {
        total: 3,
        healthy: 3,
        capacity: 30,
        available: 6,
        load: 12,
    };
    assert_eq!(pool, expected);
}

#[test]
fn every_key_is_in_the_documentation() {
    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, v)| {
                into.push(key.clone());
                collect(v, into);
            }),
            Value::Array(all) => all.iter().for_each(|v| collect(v, into)),
            _ => {}
        }
    }
    let documented = include_str!("../../../../docs/result.md");
    let mut json = serde_json::to_value(full()).unwrap();
    // Their keys depend on the test.
    (json["tags"], json["status_codes"]) = (Value::Null, Value::Null);
    // Its keys are those of plan files.
    json["plan"] = Value::Null;
    let mut all = Vec::new();
    collect(&json, &mut all);
    for key in all {
        assert!(documented.contains(&key), "{key} is not in docs/result.md");
    }
}

#[test]
fn null_values_are_read_and_written_as_null() {
    let stored = vajra_fixtures::EMPTY_RESULT;
    let read: TestResult = serde_json::from_str(stored).unwrap();
    let stored: Value = serde_json::from_str(stored).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), stored);
}
