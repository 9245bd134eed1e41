//! Load commands for a running test, and its setup and teardown hooks, over real nodes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::arrivals::{Arrivals, busiest_second};
use crate::common::{
    Node, complete_result, eventually, pause_for, request, serve, start_detached, swarm, vajra,
    within,
};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{delete, get, post};
use serde_json::Value;

fn load_command(at: &Node, args: &[&str]) -> crate::common::Finished {
    let mut all = args.to_vec();
    all.extend(["--api", &at.api]);
    vajra(&all)
}

/// Number of requests in the last 500 ms.
fn recently(target: &Arrivals) -> usize {
    let since = Instant::now() - Duration::from_millis(500);
    let log = target.log();
    log.iter().rev().take_while(|(at, _)| *at >= since).count()
}

fn wait_for_requests(target: &Arrivals, low: usize, high: usize) {
    within(Duration::from_secs(20), || match recently(target) {
        n if (low..=high).contains(&n) => Ok(()),
        n => Err(format!("{n} requests in 500 ms, not {low} to {high}")),
    });
}

#[test]
fn a_load_change_applies_to_the_whole_swarm_and_survives_failover() {
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let mut nodes = swarm(dir.path(), 4, &[]);
    let id = start_detached(
        &nodes[0],
        &[&target.url, "--rate", "200", "--duration", "25s"],
    );
    wait_for_requests(&target, 80, 120);
    let changed = load_command(&nodes[3], &["scale", &id, "--rate", "600"]);
    assert_eq!(changed.code, 0, "{}", changed.stderr);
    assert!(
        changed.stdout.contains("full load is 600/s"),
        "{}",
        changed.stdout
    );
    wait_for_requests(&target, 270, 330);
    let status = nodes[1].json(&["status", &id]);
    assert_eq!(status["changes"][0]["level"], 600.0);
    let coordinator = status["coordinators"][0]["peer"].as_str().unwrap();
    let index = nodes.iter().position(|n| n.peer == coordinator).unwrap();
    nodes.remove(index).process.kill();
    wait_for_requests(&target, 1, 250);
    wait_for_requests(&target, 270, 330);
    // The new coordinator has the log entries of its predecessor, and accepts further commands.
    let changed = load_command(&nodes[0], &["scale", &id, "--rate", "300"]);
    assert_eq!(changed.code, 0, "{}", changed.stderr);
    wait_for_requests(&target, 120, 180);
    let results: Vec<Value> = nodes.iter().map(|n| complete_result(n, &id)).collect();
    let busiest = busiest_second(&target.log());
    assert!(busiest <= 600 * 11 / 10 + 2, "{busiest} in one second");
    for result in &results {
        assert_eq!(result["changes"], results[0]["changes"]);
        assert_eq!(result["changes"][1]["level"], 300.0);
        assert_eq!(result["verdict"], "degraded", "{}", result["reasons"]);
        let t = &result["totals"];
        let number = |key: &str| t[key].as_u64().unwrap();
        assert_eq!(
            number("planned"),
            number("sent") + number("dropped") + number("unsent")
        );
        // The planned arrivals follow the changed rates.
        let at = |i: usize| result["changes"][i]["at_s"].as_f64().unwrap();
        let expected = 200.0 * at(0) + 600.0 * (at(1) - at(0)) + 300.0 * (25.0 - at(1));
        assert!(
            (number("planned") as f64 - expected).abs() < 3.0,
            "{t}, expected {expected}"
        );
    }
}

#[test]
fn a_paused_test_resumes_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    for load in [["--rate", "100"], ["--users", "3"]] {
        let target = Arrivals::on_loopback();
        let nodes = swarm(dir.path(), 2, &[]);
        let mut args = vec![target.url.as_str(), "--duration", "5s"];
        args.extend(load);
        if load[0] == "--users" {
            args.extend(["--think-time", "20ms"]);
        }
        let id = start_detached(&nodes[0], &args);
        wait_for_requests(&target, 20, 10_000);
        let paused = load_command(&nodes[1], &["pause", &id]);
        assert_eq!(paused.code, 0, "{}", paused.stderr);
        wait_for_requests(&target, 0, 0);
        let again = load_command(&nodes[0], &["pause", &id]);
        assert!(
            again.code == 1 && again.stderr.contains("paused already"),
            "{}",
            again.stderr
        );
        let before = target.count();
        // Longer than the plan's duration: the time of a paused test does not advance.
        pause_for(Duration::from_secs(6));
        assert_eq!(target.count(), before);
        let resumed = load_command(&nodes[1], &["resume", &id]);
        assert_eq!(resumed.code, 0, "{}", resumed.stderr);
        wait_for_requests(&target, 20, 10_000);
        let result = complete_result(&nodes[0], &id);
        assert_eq!(result["end"], "completed");
        assert_eq!(result["verdict"], "valid", "{}", result["reasons"]);
        let kinds: Vec<&str> = result["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["kind"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["paused", "resumed"]);
        assert_eq!(
            result["totals"]["sent"].as_u64().unwrap() as usize,
            target.count()
        );
        if load[0] == "--rate" {
            assert_eq!(result["totals"]["planned"], 500);
        }
    }
}

#[test]
fn an_invalid_load_command_is_refused_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let nodes = swarm(dir.path(), 1, &[]);
    let id = start_detached(
        &nodes[0],
        &[&target.url, "--rate", "50", "--duration", "4s"],
    );
    wait_for_requests(&target, 10, 100);
    for (args, expected) in [
        (vec!["resume", id.as_str()], "it is not paused"),
        (
            vec!["scale", &id, "--users", "5"],
            "the test has a rate, not a number of users; give a rate",
        ),
        (vec!["scale", "ffff", "--rate", "1"], "there is no test"),
    ] {
        let refused = load_command(&nodes[0], &args);
        assert!(
            refused.code == 1 && refused.stderr.contains(expected),
            "{args:?}: {}",
            refused.stderr
        );
    }
    let too_high = request(
        &nodes[0].api,
        &format!("POST /api/v1/tests/{id}/scale"),
        "application/json",
        "{\"rate\": 2000000}",
    );
    assert!(too_high.contains("between 0.001 and 1000000"), "{too_high}");
    complete_result(&nodes[0], &id);
    let late = load_command(&nodes[0], &["pause", &id]);
    assert!(
        late.code == 1 && late.stderr.contains("the test has ended"),
        "{}",
        late.stderr
    );
}

/// Requests that the shop has received.
#[derive(Default)]
struct Shop {
    opened: u32,
    closed: Vec<String>,
    visits: u32,
    invalid_visits: u32,
}

type Shared = Arc<Mutex<Shop>>;

fn shop() -> (String, Shared) {
    let shared = Shared::default();
    let visit = |State(shop): State<Shared>, headers: HeaderMap| async move {
        let mut shop = shop.lock().unwrap();
        let known = headers.get("x-shop").is_some_and(|v| v == "shop-1");
        match known && shop.closed.is_empty() {
            true => shop.visits += 1,
            false => shop.invalid_visits += 1,
        }
        "welcome"
    };
    let open = |State(shop): State<Shared>| async move {
        let mut shop = shop.lock().unwrap();
        shop.opened += 1;
        format!("{{\"id\": \"shop-{}\"}}", shop.opened)
    };
    let close = |State(shop): State<Shared>,
                 axum::extract::Path(id): axum::extract::Path<String>| async move {
        shop.lock().unwrap().closed.push(id);
        StatusCode::NO_CONTENT
    };
    let app = Router::new()
        .route("/shops", post(open))
        .route("/shops/{id}", delete(close))
        .route("/visit", get(visit))
        .with_state(shared.clone());
    let url = serve(app);
    (url, shared)
}

fn plan(url: &str) -> String {
    format!(
        r#"
[http]
base_url = "{url}"
[[setup]]
name = "open"
method = "POST"
url = "/shops"
extract = {{ shop = "$.id" }}
[[teardown]]
name = "close"
method = "DELETE"
url = "/shops/{{{{ setup.shop }}}}"
[[scenario]]
[[scenario.step]]
url = "/visit"
headers = {{ x-shop = "{{{{ setup.shop }}}}" }}
[load]
rate = 100
duration = "8s"
"#
    )
}

#[test]
fn setup_and_teardown_run_once_per_swarm_even_across_failover() {
    let dir = tempfile::tempdir().unwrap();
    let (url, seen) = shop();
    let mut nodes = swarm(dir.path(), 3, &[]);
    let file = dir.path().join("plan.toml");
    std::fs::write(&file, plan(&url)).unwrap();
    let id = start_detached(&nodes[0], &[file.to_str().unwrap()]);
    let coordinator = eventually(|| {
        let status = nodes[0].json(&["status", &id]);
        let coordinator = status["coordinators"][0]["peer"]
            .as_str()
            .map(str::to_owned);
        match seen.lock().unwrap().visits {
            n if n > 200 => Ok(coordinator.unwrap()),
            n => Err(format!("{n} visits; {}", status["state"])),
        }
    });
    let index = nodes.iter().position(|n| n.peer == coordinator).unwrap();
    nodes.remove(index).process.kill();
    for node in &nodes {
        let result = complete_result(node, &id);
        assert_eq!(result["end"], "completed", "{}", result["reasons"]);
        assert_eq!(result["values"]["shop"], "shop-1");
    }
    let seen = seen.lock().unwrap();
    assert_eq!(
        (seen.opened, seen.closed.as_slice()),
        (1, &["shop-1".to_owned()][..])
    );
    assert_eq!(
        seen.invalid_visits, 0,
        "visits without the setup's value, or after the teardown"
    );
}

#[test]
fn a_failed_setup_prevents_the_load_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let (url, seen) = shop();
    let nodes = swarm(dir.path(), 2, &[]);
    let file = dir.path().join("plan.toml");
    std::fs::write(
        &file,
        plan(&url).replace("url = \"/shops\"", "url = \"/nothing\""),
    )
    .unwrap();
    let out = vajra(&["start-test", file.to_str().unwrap(), "--api", &nodes[0].api]);
    assert_eq!(out.code, 1, "{out:?}");
    assert!(
        out.stderr
            .contains("the setup failed: setup step \"open\": "),
        "{}",
        out.stderr
    );
    assert!(out.stderr.contains("404"), "{}", out.stderr);
    let seen = seen.lock().unwrap();
    assert_eq!(
        (
            seen.opened,
            seen.visits + seen.invalid_visits,
            seen.closed.len()
        ),
        (0, 0, 0)
    );
}
