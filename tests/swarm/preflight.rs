//! Pre-flight over a swarm of real nodes, by its own command and before a test.

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

/// Where nobody listens: an address that was just given back.
fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

/// The check over all nodes.
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
fn a_healthy_swarm_passes_and_its_test_starts_without_a_word() {
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
        // The others depend on what else this machine does.
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
fn a_target_that_is_down_fails_and_nothing_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = swarm(dir.path(), 3, &[]);
    let plan = plan(dir.path(), &closed());
    let table = vajra(&["validate", &plan, "--swarm", "--api", &nodes[0].api]);
    assert_eq!(table.code, 1, "{table:?}");
    assert!(table.stdout.contains("FAIL  target"), "{}", table.stdout);
    assert!(
        table.stdout.contains("no node reaches 127.0.0.1:"),
        "{}",
        table.stdout
    );
    let begun = Instant::now();
    let out = vajra(&start(&plan, &nodes[0]));
    assert!(begun.elapsed() < Duration::from_secs(6));
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
    let mut anyway = start(&plan, &nodes[0]);
    anyway.push("--no-preflight");
    let out = vajra(&anyway);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(tests(&nodes[0]), 1);
}

#[test]
fn standing_alone_a_target_that_is_down_fails_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(dir.path(), &closed());
    let out = vajra(&["start-test", &plan, "--standalone"]);
    assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{out:?}");
    assert!(out.stderr.contains("no node reaches"), "{}", out.stderr);
}

#[test]
fn a_node_that_forbids_the_target_is_named_and_the_others_run_the_test() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let mut nodes = swarm(dir.path(), 2, &[]);
    let first = nodes[0].listening.clone();
    let args = ["--bootstrap", &first, "--allow-target", "10.99.0.0/16"];
    nodes.push(Node::start(dir.path(), "shy", &args));
    nodes
        .iter()
        .for_each(|n| n.waits_to_see(&["n0", "n1", "shy"]));
    let plan = plan(dir.path(), &target.url);
    let table = vajra(&["validate", &plan, "--swarm", "--api", &nodes[0].api]);
    assert_eq!(table.code, 0, "{table:?}");
    let lines: Vec<&str> = table.stdout.lines().collect();
    let warned = lines
        .iter()
        .position(|l| l.starts_with("  WARN  able"))
        .unwrap();
    assert!(lines[warned].contains("2 of 3 nodes"), "{}", table.stdout);
    let of_it = lines[warned + 1..].iter();
    let mut of_it = of_it.take_while(|l| l.starts_with("      "));
    let shy = of_it.any(|l| l.trim_start().starts_with("shy: "));
    assert!(shy, "{}", table.stdout);
    // There is no terminal, so nobody is asked.
    let mut with_json = start(&plan, &nodes[0]);
    with_json.extend(["--json", "-"]);
    let out = vajra(&with_json);
    assert_eq!(out.code, 0, "{out:?}");
    assert!(out.stderr.contains("shy: "), "{}", out.stderr);
    assert_eq!(out.json()["nodes"].as_array().unwrap().len(), 2);
    assert_eq!(target.served(), 50);
}

#[test]
fn a_swarm_can_only_be_looked_at_through_a_node_and_for_a_target_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let with_url = plan(dir.path(), &closed());
    let nobody = vajra(&["validate", &with_url, "--swarm", "--api", "127.0.0.1:1"]);
    assert_eq!(nobody.code, 1, "{nobody:?}");
    assert!(
        nobody.stderr.contains("no node answers at 127.0.0.1:1"),
        "{nobody:?}"
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
