//! Changing the load of a running test, and what is run once around it, over real nodes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::arrivals::{Arrivals, busiest_second};
use crate::common::{
    Node, complete, eventually, hold, serve, start_detached, swarm, vajra, within,
};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{delete, get, post};
use serde_json::Value;

fn steer(at: &Node, args: &[&str]) -> crate::common::Finished {
    let mut all = args.to_vec();
    all.extend(["--api", &at.api]);
    vajra(&all)
}

/// Requests in the last half second.
fn recently(target: &Arrivals) -> usize {
    let since = Instant::now() - Duration::from_millis(500);
    let log = target.log();
    log.iter().rev().take_while(|(at, _)| *at >= since).count()
}

fn sees(target: &Arrivals, low: usize, high: usize) {
    within(Duration::from_secs(20), || match recently(target) {
        n if (low..=high).contains(&n) => Ok(()),
        n => Err(format!("{n} in half a second, not {low} to {high}")),
    });
}

#[test]
fn a_load_is_changed_over_the_whole_swarm_and_stays_so_when_the_coordinator_dies() {
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let mut nodes = swarm(dir.path(), 4, &[]);
    let id = start_detached(
        &nodes[0],
        &[&target.url, "--rate", "200", "--duration", "25s"],
    );
    sees(&target, 80, 120);
    let changed = steer(&nodes[3], &["scale", &id, "--rate", "600"]);
    assert_eq!(changed.code, 0, "{}", changed.stderr);
    assert!(
        changed.stdout.contains("full load is 600/s"),
        "{}",
        changed.stdout
    );
    sees(&target, 270, 330);
    let status = nodes[1].json(&["status", &id]);
    assert_eq!(status["changes"][0]["level"], 600.0);
    let boss = status["coordinators"][0]["peer"].as_str().unwrap();
    let place = nodes.iter().position(|n| n.peer == boss).unwrap();
    nodes.remove(place).process.kill();
    sees(&target, 1, 250);
    sees(&target, 270, 330);
    // The successor knows what was decided, and decides on.
    let changed = steer(&nodes[0], &["scale", &id, "--rate", "300"]);
    assert_eq!(changed.code, 0, "{}", changed.stderr);
    sees(&target, 120, 180);
    let results: Vec<Value> = nodes.iter().map(|n| complete(n, &id)).collect();
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
        // The plan asked for all of it, at the levels that it was changed to.
        let at = |i: usize| result["changes"][i]["at_s"].as_f64().unwrap();
        let asked = 200.0 * at(0) + 600.0 * (at(1) - at(0)) + 300.0 * (25.0 - at(1));
        assert!(
            (number("planned") as f64 - asked).abs() < 3.0,
            "{t}, asked {asked}"
        );
    }
}

#[test]
fn a_paused_test_goes_on_where_it_was() {
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
        sees(&target, 20, 10_000);
        let paused = steer(&nodes[1], &["pause", &id]);
        assert_eq!(paused.code, 0, "{}", paused.stderr);
        sees(&target, 0, 0);
        let again = steer(&nodes[0], &["pause", &id]);
        assert!(
            again.code == 1 && again.stderr.contains("paused already"),
            "{}",
            again.stderr
        );
        let before = target.count();
        // Longer than the plan itself: its time stands still.
        hold(Duration::from_secs(6));
        assert_eq!(target.count(), before);
        let resumed = steer(&nodes[1], &["resume", &id]);
        assert_eq!(resumed.code, 0, "{}", resumed.stderr);
        sees(&target, 20, 10_000);
        let result = complete(&nodes[0], &id);
        assert_eq!(result["end"], "completed");
        assert_eq!(result["verdict"], "valid", "{}", result["reasons"]);
        let words: Vec<&str> = result["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["kind"].as_str().unwrap())
            .collect();
        assert_eq!(words, ["paused", "resumed"]);
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
fn a_change_that_makes_no_sense_is_refused_with_what_would() {
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let nodes = swarm(dir.path(), 1, &[]);
    let id = start_detached(
        &nodes[0],
        &[&target.url, "--rate", "50", "--duration", "4s"],
    );
    sees(&target, 10, 100);
    for (args, told) in [
        (vec!["resume", id.as_str()], "it is not paused"),
        (
            vec!["scale", &id, "--users", "5"],
            "the test has a rate, not a number of users; give a rate",
        ),
        (
            vec!["scale", &id, "--rate", "2m"],
            "between 0.001 and 1000000",
        ),
        (vec!["scale", "ffff", "--rate", "1"], "there is no test"),
    ] {
        let refused = steer(&nodes[0], &args);
        assert!(
            refused.code == 1 && refused.stderr.contains(told),
            "{args:?}: {}",
            refused.stderr
        );
    }
    assert_eq!(steer(&nodes[0], &["scale", &id]).code, 2);
    complete(&nodes[0], &id);
    let late = steer(&nodes[0], &["pause", &id]);
    assert!(
        late.code == 1 && late.stderr.contains("the test has ended"),
        "{}",
        late.stderr
    );
}

/// What a shop has seen.
#[derive(Default)]
struct Shop {
    opened: u32,
    closed: Vec<String>,
    visits: u32,
    strangers: u32,
}

type Shared = Arc<Mutex<Shop>>;

fn shop() -> (String, Shared) {
    let shared = Shared::default();
    let visit = |State(shop): State<Shared>, headers: HeaderMap| async move {
        let mut shop = shop.lock().unwrap();
        let known = headers.get("x-shop").is_some_and(|v| v == "shop-1");
        match known && shop.closed.is_empty() {
            true => shop.visits += 1,
            false => shop.strangers += 1,
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
fn setup_and_teardown_run_once_in_the_swarm_also_when_the_coordinator_dies_between() {
    let dir = tempfile::tempdir().unwrap();
    let (url, seen) = shop();
    let mut nodes = swarm(dir.path(), 3, &[]);
    let file = dir.path().join("plan.toml");
    std::fs::write(&file, plan(&url)).unwrap();
    let id = start_detached(&nodes[0], &[file.to_str().unwrap()]);
    let boss = eventually(|| {
        let status = nodes[0].json(&["status", &id]);
        let boss = status["coordinators"][0]["peer"]
            .as_str()
            .map(str::to_owned);
        match seen.lock().unwrap().visits {
            n if n > 200 => Ok(boss.unwrap()),
            n => Err(format!("{n} visits; {}", status["state"])),
        }
    });
    let place = nodes.iter().position(|n| n.peer == boss).unwrap();
    nodes.remove(place).process.kill();
    for node in &nodes {
        let result = complete(node, &id);
        assert_eq!(result["end"], "completed", "{}", result["reasons"]);
        assert_eq!(result["values"]["shop"], "shop-1");
    }
    let seen = seen.lock().unwrap();
    assert_eq!(
        (seen.opened, seen.closed.as_slice()),
        (1, &["shop-1".to_owned()][..])
    );
    assert_eq!(
        seen.strangers, 0,
        "visits without the setup's value, or after the teardown"
    );
}

#[test]
fn a_setup_that_fails_keeps_the_load_from_beginning() {
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
        (seen.opened, seen.visits + seen.strangers, seen.closed.len()),
        (0, 0, 0)
    );
}
