//! Pre-flight checks over a swarm of real nodes: with `validate --swarm`, and before a test.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::{Node, Target, swarm, vajra};
use serde_json::Value;

fn plan(dir: &Path, url: &str) -> String {
    let path = dir.join("plan.toml");
    let text =
        format!("[task]\ntype = \"HTTP\"\nurl = \"{url}\"\n[load]\nrate = 50\nduration = \"1s\"\n");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// URL of a port on which nothing listens: it was free a moment ago.
fn unreachable_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

/// The check `name` over all nodes.
fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|c| c["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {report}"))
}

fn tests(node: &Node) -> usize {
    node.json(&["tests"])["tests"].as_array().unwrap().len()
}

fn start<'a>(plan: &'a str, node: &'a Node) -> Vec<&'a str> {
    vec!["start-test", plan, "--api", &node.api]
}

#[test]
fn a_healthy_swarm_passes_and_start_test_prints_no_warning() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let nodes = swarm(dir.path(), 3, &[]);
    let plan = plan(dir.path(), &target.url);
    let report = nodes[1].json(&["validate", &plan, "--swarm"]);
    assert_ne!(report["verdict"], "fail", "{report}");
    for name in [
        "configuration",
        "versions",
        "plan",
        "able",
        "target",
        "network",
        "clock",
    ] {
        // The result of the other checks depends on the load of this machine.
        assert_eq!(check(&report, name)["finding"], "pass", "{report}");
    }
    assert_eq!(report["nodes"].as_array().unwrap().len(), 3);
    for node in report["nodes"].as_array().unwrap() {
        assert_eq!(node["able"], true);
        let checks = node["checks"].as_array().unwrap();
        let target = checks.iter().find(|c| c["name"] == "target").unwrap();
        assert!(target["value"].as_u64().unwrap() < 1_000_000, "{target}");
    }
    assert!(
        check(&report, "target")["text"]
            .as_str()
            .unwrap()
            .contains("3 nodes reach")
    );
    assert_eq!(target.served(), 0, "no request is sent");
    let table = vajra(&["validate", &plan, "--swarm", "--api", &nodes[0].api]);
    assert_eq!(table.code, 0, "{table:?}");
    assert!(table.stdout.contains("  PASS  target"), "{}", table.stdout);
    assert!(!table.stdout.contains('\u{1b}'), "no colours in a pipe");

    let out = vajra(&start(&plan, &nodes[2]));
    assert_eq!(out.code, 0, "{out:?}");
    assert!(!out.stderr.contains("target"), "{}", out.stderr);
    assert_eq!(target.served(), 50);
}

#[test]
fn an_unreachable_target_fails_and_no_test_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = swarm(dir.path(), 3, &[]);
    let plan = plan(dir.path(), &unreachable_url());
    let table = vajra(&["validate", &plan, "--swarm", "--api", &nodes[0].api]);
    assert_eq!(table.code, 1, "{table:?}");
    assert!(table.stdout.contains("FAIL  target"), "{}", table.stdout);
    assert!(
        table.stdout.contains("no node reaches 127.0.0.1:"),
        "{}",
        table.stdout
    );
    let started = Instant::now();
    let out = vajra(&start(&plan, &nodes[0]));
    assert!(started.elapsed() < Duration::from_secs(6));
    assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{out:?}");
    let error = out
        .stderr
        .lines()
        .find(|l| l.starts_with("error: "))
        .unwrap();
    assert!(
        error.contains("no node reaches") && error.contains("--no-preflight"),
        "{error}"
    );
    assert_eq!(tests(&nodes[0]), 0);
    let mut without_preflight = start(&plan, &nodes[0]);
    without_preflight.push("--no-preflight");
    let out = vajra(&without_preflight);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(tests(&nodes[0]), 1);
}

#[test]
fn an_unreachable_target_fails_in_standalone_mode_too() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(dir.path(), &unreachable_url());
    let out = vajra(&["start-test", &plan, "--standalone"]);
    assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{out:?}");
    assert!(out.stderr.contains("no node reaches"), "{}", out.stderr);
}

#[test]
fn a_node_that_forbids_the_target_is_reported_and_excluded() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let mut nodes = swarm(dir.path(), 2, &[]);
    let first = nodes[0].listening.clone();
    let args = ["--bootstrap", &first, "--allow-target", "10.99.0.0/16"];
    nodes.push(Node::start(dir.path(), "shy", &args));
    nodes
        .iter()
        .for_each(|n| n.wait_for_nodes(&["n0", "n1", "shy"]));
    let plan = plan(dir.path(), &target.url);
    let table = vajra(&["validate", &plan, "--swarm", "--api", &nodes[0].api]);
    assert_eq!(table.code, 0, "{table:?}");
    let lines: Vec<&str> = table.stdout.lines().collect();
    let warned = lines
        .iter()
        .position(|l| l.starts_with("  WARN  able"))
        .unwrap();
    assert!(lines[warned].contains("2 of 3 nodes"), "{}", table.stdout);
    let details = lines[warned + 1..].iter();
    let mut details = details.take_while(|l| l.starts_with("      "));
    let shy = details.any(|l| l.trim_start().starts_with("shy: "));
    assert!(shy, "{}", table.stdout);
    // Without a terminal there is no prompt.
    let mut with_json = start(&plan, &nodes[0]);
    with_json.extend(["--json", "-"]);
    let out = vajra(&with_json);
    assert_eq!(out.code, 0, "{out:?}");
    assert!(out.stderr.contains("shy: "), "{}", out.stderr);
    assert_eq!(out.json()["nodes"].as_array().unwrap().len(), 2);
    assert_eq!(target.served(), 50);
}

#[test]
fn validate_swarm_requires_a_node_and_a_target_in_the_plan() {
    let dir = tempfile::tempdir().unwrap();
    let with_url = plan(dir.path(), &unreachable_url());
    let unreachable = vajra(&["validate", &with_url, "--swarm", "--api", "127.0.0.1:1"]);
    assert_eq!(unreachable.code, 1, "{unreachable:?}");
    assert!(
        unreachable
            .stderr
            .contains("no node answers at 127.0.0.1:1"),
        "{unreachable:?}"
    );
    let path = dir.path().join("local.toml");
    let text = "[task]\ntype = \"HTTP\"\n[load]\nrate = 5\nduration = \"5s\"\n[local]\nnodes = 1\ntarget = {}\n";
    std::fs::write(&path, text).unwrap();
    let local = vajra(&["validate", path.to_str().unwrap(), "--swarm"]);
    assert_eq!(local.code, 104, "{local:?}");
    assert!(
        local.stderr.contains("start-test makes the check itself"),
        "{local:?}"
    );
    let stray = vajra(&["validate", &with_url, "--api", "127.0.0.1:1"]);
    assert_eq!(stray.code, 2, "{stray:?}");
}
