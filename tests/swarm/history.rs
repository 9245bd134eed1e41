//! Stored results on nodes that did not run the test, and what nodes report about each other.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{
    Node, Process, Target, VAJRA, api, complete_result, eventually, run_test, start_detached,
    swarm, vajra,
};
use serde_json::Value;

/// Runs a short test through a node until it ends; returns its id.
fn run(node: &Node, target: &Target) -> String {
    let result = run_test(node, &[&target.url, "--rate", "200", "--duration", "1s"]);
    result["test_id"].as_str().unwrap().to_owned()
}

fn ids(node: &Node) -> Vec<String> {
    let list = node.json(&["tests"]);
    let tests = list["tests"].as_array().unwrap();
    tests
        .iter()
        .map(|t| t["test_id"].as_str().unwrap().to_owned())
        .collect()
}

fn wait_until_listed(node: &Node, id: &str) {
    eventually(|| match ids(node).iter().any(|listed| listed == id) {
        true => Ok(()),
        false => Err("the test is not listed".into()),
    });
}

/// Sum of the requests sent in all intervals of a test's timeline.
fn sent_over_time(node: &Node, id: &str) -> u64 {
    let timeline = api(node, &format!("tests/{id}/timeline"));
    let points = timeline["points"].as_array().unwrap().iter();
    points.map(|p| p["sent"].as_u64().unwrap()).sum()
}

fn result_file(dir: &Path, node: &str, name: &str) -> PathBuf {
    dir.join(node).join("results").join(name)
}

/// A node that stores nothing on disk.
fn ephemeral(dir: &Path, bootstrap: &str) -> Node {
    let mut command = Command::new(VAJRA);
    command.args([
        "--no-mdns",
        "--listen",
        "/ip4/127.0.0.1/tcp/0",
        "--api",
        "127.0.0.1:0",
        "--ephemeral",
        "--bootstrap",
        bootstrap,
    ]);
    Node::from_process(Process::spawn(command, dir.join("ephemeral.log")))
}

#[test]
fn late_nodes_show_a_test_and_keep_it_after_its_workers_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let target = Target::start(dir, &[]);
    let mut old = swarm(dir, 2, &[]);
    let id = run(&old[0], &target);
    let result = complete_result(&old[0], &id);
    assert_eq!(complete_result(&old[1], &id)["totals"], result["totals"]);

    // A node that joins after the end lists the test, and fetches the result on request.
    let mut late = Node::start(dir, "n2", &["--bootstrap", &old[0].listening]);
    eventually(|| match ids(&late) {
        ids if ids == [id.clone()] => Ok(()),
        ids => Err(format!("lists {ids:?}")),
    });
    assert!(!result_file(dir, "n2", &format!("{id}.json")).exists());
    let fetched = complete_result(&late, "latest");
    assert!(
        fetched == complete_result(&old[0], &id) || fetched == complete_result(&old[1], &id),
        "differs from the results of the workers"
    );
    assert_eq!(sent_over_time(&late, &id), result["totals"]["sent"]);

    // After the workers are gone, an ephemeral node fetches it from the node that has a copy.
    old.iter_mut().for_each(|n| n.process.kill());
    assert_eq!(complete_result(&late, &id), fetched);
    assert_eq!(sent_over_time(&late, &id), result["totals"]["sent"]);
    let without_disk = ephemeral(dir, &late.listening);
    wait_until_listed(&without_disk, &id);
    assert_eq!(complete_result(&without_disk, &id), fetched);
    late.process.kill();
    assert_eq!(complete_result(&without_disk, &id), fetched);
    assert_eq!(sent_over_time(&without_disk, &id), result["totals"]["sent"]);
    assert_eq!(ids(&without_disk), [id]);
}

#[test]
fn an_incomplete_result_is_replaced_by_a_complete_one() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let target = Target::start(dir, &[]);
    let first = Node::start(dir, "n0", &[]);
    let id = run(&first, &target);
    let result = complete_result(&first, &id);
    let mut incomplete = result.clone();
    incomplete["complete"] = false.into();
    incomplete["verdict"] = match result["verdict"] == "valid" {
        true => "invalid".into(),
        false => "valid".into(),
    };
    let name = format!("{id}.json");
    std::fs::create_dir_all(dir.join("n1").join("results")).unwrap();
    std::fs::write(result_file(dir, "n1", &name), incomplete.to_string()).unwrap();

    let mut second = Node::start(dir, "n1", &["--bootstrap", &first.listening]);
    assert_eq!(complete_result(&second, &id), result);
    let kept = std::fs::read(result_file(dir, "n1", &name)).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), result);
    let listed = second.json(&["tests"]);
    assert_eq!(listed["tests"][0]["verdict"], result["verdict"]);
    // The complete result is not overwritten by the incomplete one.
    second.process.kill();
    assert_eq!(complete_result(&first, &id), result);
}

/// One of the two nodes with the result is suspended, like a machine that hangs.
#[test]
fn a_result_is_fetched_from_another_node_when_one_does_not_respond() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let target = Target::start(dir, &[]);
    let mut holders = swarm(dir, 2, &[]);
    let id = run(&holders[0], &target);
    let results: Vec<Value> = holders.iter().map(|n| complete_result(n, &id)).collect();
    let late = Node::start(dir, "n2", &["--bootstrap", &holders[0].listening]);
    late.wait_for_nodes(&["n0", "n1", "n2"]);
    // Suspend each of the two in turn, so that one of them is the first that is queried.
    let file_name = format!("{id}.json");
    for holder in &holders {
        wait_until_listed(&late, &id);
        holder.process.signal("STOP");
        let fetched = complete_result(&late, &id);
        assert!(results.contains(&fetched), "{fetched}");
        holder.process.signal("CONT");
        late.wait_for_nodes(&["n0", "n1", "n2"]);
        std::fs::remove_file(result_file(dir, "n2", &file_name)).unwrap();
    }
    holders.iter_mut().for_each(|n| n.process.kill());
}

/// A truncated file is not sent to other nodes. Once it is repaired, it can be fetched again.
#[test]
fn a_corrupt_stored_result_is_not_served_until_it_is_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let target = Target::start(dir, &[]);
    let first = Node::start(dir, "n0", &[]);
    let id = run(&first, &target);
    let result = complete_result(&first, &id);
    let second = Node::start(dir, "n1", &["--bootstrap", &first.listening]);
    wait_until_listed(&second, &id);
    let name = format!("{id}.json");
    let sound = std::fs::read(result_file(dir, "n0", &name)).unwrap();
    std::fs::write(result_file(dir, "n0", &name), &sound[..sound.len() / 2]).unwrap();
    for _ in 0..2 {
        let out = vajra(&["status", &id, "--api", &second.api]);
        assert_eq!(out.code, 1, "{out:?}");
        assert!(
            !result_file(dir, "n1", &name).exists(),
            "a truncated result was stored"
        );
    }
    std::fs::write(result_file(dir, "n0", &name), &sound).unwrap();
    assert_eq!(complete_result(&second, &id), result);
    assert_eq!(sent_over_time(&second, &id), result["totals"]["sent"]);
}

#[test]
fn a_test_without_any_remaining_copy_is_removed_from_lists() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let target = Target::start(dir, &[]);
    let mut first = Node::start(dir, "n0", &[]);
    let id = run(&first, &target);
    complete_result(&first, &id);
    let second = Node::start(dir, "n1", &["--bootstrap", &first.listening]);
    wait_until_listed(&second, &id);
    first.process.kill();
    eventually(|| match ids(&second).is_empty() {
        true => Ok(()),
        false => Err("the test is still listed".into()),
    });
    let out = vajra(&["status", &id, "--api", &second.api]);
    assert_ne!(out.code, 0);
    let response = api(&second, &format!("tests/{id}"));
    assert_eq!(response["status"], 404, "{response}");
}

#[test]
fn nodes_report_round_trip_environment_and_shares_of_other_nodes() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let nodes = swarm(dir.path(), 3, &[]);
    eventually(|| {
        let seen = api(&nodes[0], "nodes");
        let others: Vec<&Value> = seen["nodes"].as_array().unwrap()[1..].iter().collect();
        let measured = others.iter().all(|n| {
            n["round_trip_ms"].is_f64()
                && n["clock_offset_ms"].is_f64()
                && n["last_seen_ms"].is_u64()
        });
        if !measured {
            return Err(format!("{others:?}"));
        }
        for n in others {
            assert!(
                n["clock_offset_ms"].as_f64().unwrap().abs() < 1_000.0,
                "{n}"
            );
            assert!(n["environment"].as_str().unwrap().contains(" core"), "{n}");
        }
        Ok(())
    });
    let load = [&target.url, "--rate", "50", "--duration", "10m"];
    let id = start_detached(&nodes[0], &load);
    for node in &nodes {
        eventually(|| {
            let seen = api(node, "nodes");
            let shares = seen["nodes"].as_array().unwrap().iter();
            let shares: Vec<f64> = shares.filter_map(|n| n["shares"][&id].as_f64()).collect();
            let whole = (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9;
            match shares.len() == 3 && whole {
                true => Ok(()),
                false => Err(format!("{shares:?}")),
            }
        });
    }
    let stopped = vajra(&["stop-test", &id, "--api", &nodes[0].api]);
    assert_eq!(stopped.code, 0, "{}", stopped.stderr);
    let result = complete_result(&nodes[0], &id);
    for n in result["nodes"].as_array().unwrap() {
        let environment = n["environment"].as_str().unwrap();
        assert!(environment.contains("vajra-node"), "{environment}");
    }
}

#[test]
fn swarm_events_and_links_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = swarm(dir.path(), 3, &[]);
    let peers: Vec<String> = nodes.iter().map(|n| n.peer.clone()).collect();
    eventually(|| {
        let response = api(&nodes[0], "swarm/links");
        let links = response["links"].as_array().unwrap();
        let each = peers.iter().flat_map(|a| peers.iter().map(move |b| (a, b)));
        let mut missing = each.filter(|(a, b)| a != b).filter(|(a, b)| {
            let found = |l: &Value| l["from"] == **a && l["to"] == **b && l["mesh"] == true;
            !links.iter().any(found)
        });
        match (response["complete"] == true, missing.next()) {
            (true, None) => Ok(()),
            _ => Err(response.to_string()),
        }
    });

    let wait_for_event = |node: &Node, kind: &str, name: &str| {
        eventually(|| {
            let response = api(node, "swarm/events");
            let newest = response["events"][0].clone();
            match newest["kind"] == kind && newest["name"] == name {
                true => Ok(newest),
                false => Err(response.to_string()),
            }
        })
    };
    let first = nodes[0].listening.clone();
    nodes[2].process.kill();
    let gone = wait_for_event(&nodes[0], "gone", "n2");
    assert_eq!(gone["peer"], peers[2]);
    assert!(gone["at"].as_str().unwrap().ends_with('Z'), "{gone}");
    nodes[2] = Node::start(dir.path(), "n2", &["--bootstrap", &first]);
    wait_for_event(&nodes[0], "rejoined", "n2");
    nodes[2].process.signal("TERM");
    nodes[2].process.wait();
    wait_for_event(&nodes[0], "left", "n2");
    let joined = api(&nodes[0], "swarm/events?limit=200");
    let joined = joined["events"].as_array().unwrap().iter();
    assert_eq!(joined.filter(|e| e["kind"] == "joined").count(), 2);
}
