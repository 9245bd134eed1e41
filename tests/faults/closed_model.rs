//! The promise in the closed model and with limited requests: nodes join, are killed and are cut
//! off, and the target's own log shows that no user and no request exists twice.

use std::time::Duration;

use serde_json::Value;

use crate::common::concurrency::Concurrency;
use crate::common::{Node, complete_result, eventually, pause_for, start_detached, swarm, vajra};
use crate::permit::Permit;

fn number(value: &Value) -> usize {
    usize::try_from(
        value
            .as_u64()
            .unwrap_or_else(|| panic!("not a count: {value}")),
    )
    .unwrap()
}

fn join(dir: &std::path::Path, name: &str, at: &Node) -> Node {
    Node::start(dir, name, &["--bootstrap", &at.listening])
}

fn wait_for(target: &Concurrency, count: usize) {
    eventually(|| match target.count() {
        seen if seen >= count => Ok(()),
        seen => Err(format!("{seen} of {count}")),
    });
}

#[test]
fn limited_requests_are_sent_exactly_once_while_nodes_join() {
    let _permit = Permit::acquire();
    let dir = tempfile::tempdir().unwrap();
    let target = Concurrency::on_loopback(Duration::from_millis(4));
    let mut nodes = swarm(dir.path(), 2, &[]);
    let load = ["--users", "8", "--requests", "4000", "--duration", "60s"];
    let id = start_detached(&nodes[0], &[&[target.url.as_str()], &load[..]].concat());
    wait_for(&target, 500);
    nodes.push(join(dir.path(), "n8", &nodes[0]));
    wait_for(&target, 1_500);
    nodes.push(join(dir.path(), "n9", &nodes[0]));
    let result = complete_result(&nodes[0], &id);
    assert_eq!(target.count(), 4_000);
    assert_eq!(number(&result["totals"]["sent"]), 4_000);
    assert_eq!(number(&result["totals"]["unaccounted"]), 0);
    assert!(target.most_in_flight() <= 8, "{}", target.most_in_flight());
    assert_eq!(result["verdict"], "valid", "{}", result["reasons"]);
}

#[test]
fn of_limited_requests_only_those_of_a_killed_worker_can_be_missing() {
    let _permit = Permit::acquire();
    let dir = tempfile::tempdir().unwrap();
    let target = Concurrency::on_loopback(Duration::from_millis(4));
    let mut nodes = swarm(dir.path(), 3, &[]);
    let load = ["--users", "8", "--requests", "5000", "--duration", "60s"];
    let id = start_detached(&nodes[0], &[&[target.url.as_str()], &load[..]].concat());
    wait_for(&target, 500);
    nodes.push(join(dir.path(), "n8", &nodes[0]));
    wait_for(&target, 1_500);
    let coordinator = nodes[0].json(&["status", &id])["coordinators"][0]["peer"].clone();
    let worker = |n: &Node| n.peer != coordinator && n.name != "n0" && n.name != "n8";
    let at = nodes.iter().position(worker).unwrap();
    nodes.remove(at).process.kill();
    nodes.push(join(dir.path(), "n9", &nodes[0]));
    let result = complete_result(&nodes[0], &id);
    let (seen, sent) = (target.count(), number(&result["totals"]["sent"]));
    let unaccounted = number(&result["totals"]["unaccounted"]);
    // Every number was counted, or is named as one that the killed worker may have sent.
    assert_eq!(sent + unaccounted, 5_000, "{}", result["totals"]);
    assert!(
        (sent..=5_000).contains(&seen),
        "{seen} seen, {sent} counted"
    );
    // Eight users with 4 ms each send 1,000 in two heartbeats; a worker has a third of them. Its
    // last metrics interval of 1 s is not counted, either.
    assert!(unaccounted <= 2_000, "{unaccounted}");
    assert!(target.most_in_flight() <= 8, "{}", target.most_in_flight());
}

/// When the profile falls, the numbers of a node without active users go to the others.
#[test]
fn limited_requests_move_to_the_users_that_are_left() {
    let _permit = Permit::acquire();
    let dir = tempfile::tempdir().unwrap();
    let target = Concurrency::on_loopback(Duration::from_millis(20));
    let nodes = swarm(dir.path(), 2, &[]);
    let file = dir.path().join("falling.toml");
    let stage = |users, length| {
        format!("[[load.stages]]\ntype = \"sustain\"\ntarget = {users}\nlength = \"{length}\"\n")
    };
    let plan = format!(
        "[task]\ntype = \"HTTP\"\nurl = \"{}\"\n[load]\nmodel = \"closed\"\nrequests = 1000\n{}{}",
        target.url,
        stage(8, "2s"),
        stage(1, "30s")
    );
    std::fs::write(&file, plan).unwrap();
    let id = start_detached(&nodes[0], &[file.to_str().unwrap()]);
    let result = complete_result(&nodes[0], &id);
    assert_eq!(number(&result["totals"]["sent"]), 1_000, "{result}");
    assert_eq!(target.count(), 1_000);
}

#[test]
fn a_joining_node_takes_no_user_that_is_still_at_work() {
    let _permit = Permit::acquire();
    let dir = tempfile::tempdir().unwrap();
    let target = Concurrency::on_loopback(Duration::from_secs(3));
    let mut nodes = swarm(dir.path(), 2, &[]);
    let load = ["--users", "20", "--duration", "13s"];
    let id = start_detached(&nodes[0], &[&[target.url.as_str()], &load[..]].concat());
    wait_for(&target, 20);
    nodes.push(join(dir.path(), "n9", &nodes[0]));
    let result = complete_result(&nodes[0], &id);
    assert_eq!(target.most_in_flight(), 20);
    assert_eq!(number(&result["totals"]["sent"]), target.count());
    let joined = result["nodes"].as_array().unwrap();
    let joined = joined
        .iter()
        .find(|n| n["name"] == "n9")
        .expect("n9 took part");
    assert!(number(&joined["sent"]) > 0, "{joined}");
}

/// Each request names its user or its iteration.
fn plan_file(dir: &std::path::Path, url: &str, path: &str, load: &str) -> String {
    let file = dir.join("plan.toml");
    let text = format!(
        "[http]\nbase_url = \"{url}\"\n[[scenario]]\n[[scenario.step]]\nurl = \"{path}\"\n\
         [load]\n{load}\n"
    );
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn users_are_at_one_node_at_a_time_while_nodes_join_and_die() {
    let _permit = Permit::acquire();
    let dir = tempfile::tempdir().unwrap();
    let target = Concurrency::on_loopback(Duration::from_secs(1));
    let load = "users = 40\nduration = \"14s\"";
    let plan = plan_file(dir.path(), &target.url, "/{{ user }}", load);
    let mut nodes = swarm(dir.path(), 4, &[]);
    let id = start_detached(&nodes[0], &[&plan]);
    wait_for(&target, 60);
    nodes.push(join(dir.path(), "n8", &nodes[0]));
    wait_for(&target, 120);
    let at = nodes.iter().position(|n| n.name == "n2").unwrap();
    nodes.remove(at).process.kill();
    pause_for(Duration::from_secs(1));
    nodes.push(join(dir.path(), "n9", &nodes[0]));
    let result = complete_result(&nodes[0], &id);
    assert_eq!(target.most_of_one_path(), 1, "a user was at two nodes");
    assert!(target.most_in_flight() <= 40, "{}", target.most_in_flight());
    assert!(number(&result["totals"]["sent"]) <= target.count());
}

#[test]
fn no_arrival_is_sent_twice_while_nodes_join() {
    let _permit = Permit::acquire();
    let dir = tempfile::tempdir().unwrap();
    let target = Concurrency::on_loopback(Duration::from_millis(1));
    let load = "rate = 400\nduration = \"9s\"";
    let plan = plan_file(dir.path(), &target.url, "/{{ iteration }}", load);
    let mut nodes = swarm(dir.path(), 3, &[]);
    let id = start_detached(&nodes[0], &[&plan]);
    wait_for(&target, 600);
    nodes.push(join(dir.path(), "n8", &nodes[0]));
    wait_for(&target, 1_400);
    nodes.push(join(dir.path(), "n9", &nodes[0]));
    let result = complete_result(&nodes[0], &id);
    assert_eq!(target.repeated_paths(), 0);
    assert_eq!(number(&result["totals"]["sent"]), target.count());
}

#[test]
fn users_are_divided_equally() {
    let dir = tempfile::tempdir().unwrap();
    let target = Concurrency::on_loopback(Duration::from_millis(200));
    let nodes = swarm(dir.path(), 4, &[]);
    for (users, share) in [("12", 0.25), ("4", 0.25)] {
        let load = ["--users", users, "--duration", "3s"];
        let id = start_detached(&nodes[0], &[&[target.url.as_str()], &load[..]].concat());
        let result = complete_result(&nodes[0], &id);
        for node in result["nodes"].as_array().unwrap() {
            let has = node["share"].as_f64().unwrap();
            assert!((has - share).abs() < 0.001, "{users} users: {node}");
        }
    }
}

#[test]
fn under_hold_the_load_cannot_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let target = Concurrency::on_loopback(Duration::from_millis(10));
    let load = "rate = 20\nduration = \"6s\"\n[swarm]\non_lost_worker = \"hold\"";
    let plan = plan_file(dir.path(), &target.url, "/", load);
    let nodes = swarm(dir.path(), 2, &[]);
    let id = start_detached(&nodes[0], &[&plan]);
    wait_for(&target, 10);
    for command in [&["pause", &id][..], &["scale", &id, "--rate", "40"]] {
        let out = vajra(&[command, &["--api", &nodes[0].api]].concat());
        assert_ne!(out.code, 0, "{command:?}");
        assert!(out.stderr.contains("hold"), "{}", out.stderr);
    }
}
