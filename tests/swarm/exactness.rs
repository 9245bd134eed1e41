//! Accuracy of results: compared with raw values, with the target's count, and with known delays.

use std::path::Path;
use std::time::Duration;

use crate::common::{
    Target, complete_result, pause_for, run_test, start_detached, start_test, swarm,
};
use serde_json::Value;

/// All raw values that the nodes recorded for a test: response time, service time and lag in µs.
fn raw_values(dir: &Path, id: &str) -> [Vec<u64>; 3] {
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for node in std::fs::read_dir(dir).unwrap().flatten() {
        let Ok(files) = std::fs::read_dir(node.path().join(id)) else {
            continue;
        };
        for file in files.flatten() {
            let text = std::fs::read_to_string(file.path()).unwrap();
            for line in text.lines().skip(1) {
                for (values, cell) in all.iter_mut().zip(line.split(',')) {
                    values.extend(cell.parse::<u64>());
                }
            }
        }
    }
    all.iter_mut().for_each(|values| values.sort_unstable());
    all
}

#[test]
fn merged_percentiles_match_all_raw_values() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &["--latency", "4ms", "--jitter", "3ms"]);
    let nodes = swarm(dir.path(), 3, &[]);
    let result = run_test(
        &nodes[1],
        &[
            &target.url,
            "--rate",
            "400",
            "--duration",
            "3s",
            "--warm-up",
            "1s",
        ],
    );
    assert_eq!(result["totals"]["sent"], 1600);
    assert_eq!(result["totals"]["warm_up"], 400);
    let id = result["test_id"].as_str().unwrap();
    let raw = raw_values(dir.path(), id);
    for (kind, values) in ["response_time_ms", "service_time_ms", "lag_ms"]
        .into_iter()
        .zip(raw)
    {
        let stats = &result[kind];
        assert_eq!(
            stats["count"].as_u64().unwrap(),
            values.len() as u64,
            "{kind}"
        );
        assert_eq!(values.len(), 1200, "{kind}");
        let quantiles = [
            ("p50", 0.5),
            ("p75", 0.75),
            ("p90", 0.9),
            ("p95", 0.95),
            ("p99", 0.99),
            ("p999", 0.999),
            ("max", 1.0),
        ];
        for (name, q) in quantiles {
            let rank = ((q * values.len() as f64).ceil() as usize).max(1);
            let exact = values[rank - 1] as f64 / 1000.0;
            let shown = stats[name].as_f64().unwrap();
            // Three significant digits, and one microsecond of resolution.
            let allowed = exact * 0.001 + 0.001;
            assert!(
                (shown - exact).abs() <= allowed,
                "{kind} {name}: {shown}, not {exact}"
            );
        }
    }
}

#[test]
fn a_target_stall_shows_in_response_times_without_lowering_the_rate() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let nodes = swarm(dir.path(), 1, &[]);
    let id = start_detached(
        &nodes[0],
        &[&target.url, "--rate", "300", "--duration", "5s"],
    );
    target.wait_until_served(150);
    target.process.signal("STOP");
    pause_for(Duration::from_secs(1));
    target.process.signal("CONT");
    let result: Value = complete_result(&nodes[0], &id);
    assert_eq!(result["totals"]["sent"], 1500, "{}", result["totals"]);
    assert_eq!(target.served(), 1500);
    let response = &result["response_time_ms"];
    // A fifth of the arrivals fell into the stall; the longest response times are about 1 s.
    let p99 = response["p99"].as_f64().unwrap();
    assert!((800.0..3000.0).contains(&p99), "p99 {p99}");
    assert!(response["p50"].as_f64().unwrap() < 100.0, "{response}");
    assert_eq!(result["verdict"], "valid", "{}", result["reasons"]);
}

#[test]
fn a_closed_model_limits_concurrency_and_ends_after_its_requests() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &["--latency", "5ms"]);
    let nodes = swarm(dir.path(), 2, &[]);
    let result = run_test(
        &nodes[0],
        &[
            &target.url,
            "--users",
            "10",
            "--requests",
            "1000",
            "--duration",
            "60s",
        ],
    );
    assert_eq!(result["totals"]["sent"], 1000, "{}", result["totals"]);
    assert_eq!(target.served(), 1000);
    // Ten users that wait 5 ms for each response send at most 2,000 per second.
    assert!(result["duration_s"].as_f64().unwrap() >= 0.4);
    assert_eq!(result["nodes"].as_array().unwrap().len(), 2);
}

#[test]
fn failed_requests_are_counted_by_kind_and_the_totals_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &["--error-rate", "0.5"]);
    let nodes = swarm(dir.path(), 1, &[]);
    let result = start_test(
        &nodes[0],
        &[&target.url, "--rate", "200", "--duration", "2s"],
    )
    .json();
    let count = |v: &Value| v.as_u64().unwrap();
    let (ok, failed) = (
        count(&result["totals"]["ok"]),
        count(&result["totals"]["failed"]),
    );
    assert_eq!(ok + failed, 400);
    assert_eq!(count(&result["status_codes"]["500"]), failed);
    assert_eq!(count(&result["status_codes"]["200"]), ok);
    assert!((100..300).contains(&failed), "{failed}");
    assert_eq!(result["errors"][0]["kind"], "status");
    assert_eq!(count(&result["errors"][0]["count"]), failed);

    target.process.signal("KILL");
    let result = start_test(
        &nodes[0],
        &[
            &target.url,
            "--rate",
            "100",
            "--duration",
            "1s",
            "--no-preflight",
        ],
    )
    .json();
    assert_eq!(result["totals"]["failed"], 100);
    assert_eq!(
        result["errors"][0]["kind"], "connect",
        "{}",
        result["errors"]
    );
}

/// Suspends the node process, including its engine threads, for 500 ms. The target runs in another
/// process and is not affected.
#[test]
fn generator_delay_shows_in_lag_and_not_in_service_time() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let nodes = swarm(dir.path(), 1, &[]);
    let plan = dir.path().join("plan.toml");
    let text = format!(
        "[task]\ntype = \"HTTP\"\nurl = \"{}\"\n[load]\nrate = 300\nduration = \"5s\"\n\
         max_lateness = \"10s\"\n",
        target.url
    );
    std::fs::write(&plan, text).unwrap();
    let plan = plan.to_str().unwrap();
    let id = start_detached(&nodes[0], &[plan]);
    target.wait_until_served(150);
    nodes[0].process.signal("STOP");
    pause_for(Duration::from_millis(500));
    nodes[0].process.signal("CONT");
    let result: Value = complete_result(&nodes[0], &id);
    assert_eq!(result["totals"]["sent"], 1500, "{}", result["totals"]);
    assert_eq!(target.served(), 1500);
    // A tenth of the arrivals fell into the suspension; the longest lags are about 500 ms.
    let at = |time: &str, point: &str| result[time][point].as_f64().unwrap();
    let (lag, response) = (at("lag_ms", "p99"), at("response_time_ms", "p99"));
    assert!((400.0..1500.0).contains(&lag), "lag p99 {lag}");
    assert!(response >= lag * 0.99, "{response} {lag}");
    assert!(at("lag_ms", "p50") < 50.0, "{}", result["lag_ms"]);
    assert!(
        at("service_time_ms", "p90") < 100.0,
        "{}",
        result["service_time_ms"]
    );
    assert_eq!(result["verdict"], "invalid");
    let reasons = result["reasons"].to_string();
    assert!(reasons.contains("the generator was late"), "{reasons}");
}

/// The planned rate is far above the capacity of the machine: nodes stay in the swarm, send what
/// they can, and the result is invalid.
#[test]
fn saturated_nodes_stay_in_the_swarm_and_make_the_result_invalid() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let nodes = swarm(dir.path(), 3, &["--engine-threads", "1"]);
    let result = run_test(
        &nodes[0],
        &[&target.url, "--rate", "1m", "--duration", "4s"],
    );
    assert_eq!(result["verdict"], "invalid", "{}", result["reasons"]);
    let reasons = result["reasons"].to_string();
    assert!(reasons.contains("overloaded: "), "{reasons}");
    assert_eq!(result["coordinators"].as_array().unwrap().len(), 1);
    let workers = result["nodes"].as_array().unwrap();
    assert_eq!(workers.len(), 3);
    for node in workers {
        assert!(node["lost_at_ms"].is_null(), "{node}");
        assert!(node["sent"].as_u64().unwrap() > 1_000, "{node}");
    }
    let events_of = |kind: &str| {
        let events = result["events"].as_array().unwrap().iter();
        events.filter(|e| e["kind"] == kind).count()
    };
    assert!(events_of("overloaded") >= 1, "{}", result["events"]);
    assert_eq!(events_of("lost"), 0, "{}", result["events"]);
    let total = |key: &str| result["totals"][key].as_u64().unwrap();
    assert_eq!(total("planned"), 4_000_000);
    assert_eq!(
        total("planned"),
        total("sent") + total("dropped") + total("unsent")
    );
    assert!(
        target.served() <= total("sent"),
        "{} served",
        target.served()
    );
}
