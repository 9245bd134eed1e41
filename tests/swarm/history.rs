//! Real nodes on loopback: a test is shown where it never ran, and survives those who ran it; and
//! every node tells what it knows of the others.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{
    Node, Process, Target, VAJRA, api, complete, eventually, start_detached, swarm, vajra,
};
use serde_json::Value;

/// Runs a short test from a node, to its end; returns its id.
fn run(node: &Node, target: &Target) -> String {
    let out = vajra(&[
        "start-test",
        &target.url,
        "--rate",
        "200",
        "--duration",
        "1s",
        "--api",
        &node.api,
        "--json",
        "-",
    ]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    out.json()["test_id"].as_str().unwrap().to_owned()
}

fn ids(node: &Node) -> Vec<String> {
    let list = node.json(&["tests"]);
    let tests = list["tests"].as_array().unwrap();
    tests
        .iter()
        .map(|t| t["test_id"].as_str().unwrap().to_owned())
        .collect()
}

fn waits_to_list(node: &Node, id: &str) {
    eventually(|| match ids(node).iter().any(|listed| listed == id) {
        true => Ok(()),
        false => Err("is not in its list".into()),
    });
}

/// The requests of all intervals of a test's timeline.
fn sent_over_time(node: &Node, id: &str) -> u64 {
    let timeline = api(node, &format!("tests/{id}/timeline"));
    let points = timeline["points"].as_array().unwrap().iter();
    points.map(|p| p["sent"].as_u64().unwrap()).sum()
}

fn file(dir: &Path, node: &str, name: &str) -> PathBuf {
    dir.join(node).join("results").join(name)
}

/// A node that keeps nothing on disk.
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
fn a_test_is_shown_by_nodes_that_came_later_and_survives_those_that_ran_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let target = Target::start(dir, &[]);
    let mut old = swarm(dir, 2, &[]);
    let id = run(&old[0], &target);
    let result = complete(&old[0], &id);
    assert_eq!(complete(&old[1], &id)["totals"], result["totals"]);

    // It comes after the end, finds the test in its list, and fetches it when asked for it.
    let mut late = Node::start(dir, "n2", &["--bootstrap", &old[0].listening]);
    eventually(|| match ids(&late) {
        ids if ids == [id.clone()] => Ok(()),
        ids => Err(format!("lists {ids:?}")),
    });
    assert!(!file(dir, "n2", &format!("{id}.json")).exists());
    let fetched = complete(&late, "latest");
    assert!(
        fetched == complete(&old[0], &id) || fetched == complete(&old[1], &id),
        "not what those have that ran it"
    );
    assert_eq!(sent_over_time(&late, &id), result["totals"]["sent"]);

    // Those that ran it are gone; a node without a disk gets it from the one that fetched it.
    old.iter_mut().for_each(|n| n.process.kill());
    assert_eq!(complete(&late, &id), fetched);
    assert_eq!(sent_over_time(&late, &id), result["totals"]["sent"]);
    let without_disk = ephemeral(dir, &late.listening);
    waits_to_list(&without_disk, &id);
    assert_eq!(complete(&without_disk, &id), fetched);
    late.process.kill();
    assert_eq!(complete(&without_disk, &id), fetched);
    assert_eq!(sent_over_time(&without_disk, &id), result["totals"]["sent"]);
    assert_eq!(ids(&without_disk), [id]);
}

#[test]
fn a_result_that_is_not_complete_gives_way_to_one_that_is() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let target = Target::start(dir, &[]);
    let first = Node::start(dir, "n0", &[]);
    let id = run(&first, &target);
    let result = complete(&first, &id);
    let mut poorer = result.clone();
    poorer["complete"] = false.into();
    poorer["verdict"] = match result["verdict"] == "valid" {
        true => "invalid".into(),
        false => "valid".into(),
    };
    let name = format!("{id}.json");
    std::fs::create_dir_all(dir.join("n1").join("results")).unwrap();
    std::fs::write(file(dir, "n1", &name), poorer.to_string()).unwrap();

    let mut second = Node::start(dir, "n1", &["--bootstrap", &first.listening]);
    assert_eq!(complete(&second, &id), result);
    let kept = std::fs::read(file(dir, "n1", &name)).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), result);
    let listed = second.json(&["tests"]);
    assert_eq!(listed["tests"][0]["verdict"], result["verdict"]);
    // It is not handed back and forth: what is complete stays.
    second.process.kill();
    assert_eq!(complete(&first, &id), result);
}

/// The first that is asked says nothing, as a machine does that hangs; the next one has it, too.
#[test]
fn a_holder_that_does_not_answer_does_not_keep_a_result_from_who_asks() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let target = Target::start(dir, &[]);
    let mut holders = swarm(dir, 2, &[]);
    let id = run(&holders[0], &target);
    let results: Vec<Value> = holders.iter().map(|n| complete(n, &id)).collect();
    let late = Node::start(dir, "n2", &["--bootstrap", &holders[0].listening]);
    late.waits_to_see(&["n0", "n1", "n2"]);
    // Both have told it of the test, and each is asked first once.
    let told = format!("{id}.json");
    for holder in &holders {
        waits_to_list(&late, &id);
        holder.process.signal("STOP");
        let fetched = complete(&late, &id);
        assert!(results.contains(&fetched), "{fetched}");
        holder.process.signal("CONT");
        late.waits_to_see(&["n0", "n1", "n2"]);
        std::fs::remove_file(file(dir, "n2", &told)).unwrap();
    }
    holders.iter_mut().for_each(|n| n.process.kill());
}

/// What is damaged on a holder's disk is not passed on, and is looked for again once it is mended.
#[test]
fn a_result_that_is_damaged_where_it_lies_is_shown_elsewhere_only_when_it_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let target = Target::start(dir, &[]);
    let first = Node::start(dir, "n0", &[]);
    let id = run(&first, &target);
    let result = complete(&first, &id);
    let second = Node::start(dir, "n1", &["--bootstrap", &first.listening]);
    waits_to_list(&second, &id);
    let name = format!("{id}.json");
    let sound = std::fs::read(file(dir, "n0", &name)).unwrap();
    std::fs::write(file(dir, "n0", &name), &sound[..sound.len() / 2]).unwrap();
    for _ in 0..2 {
        let out = vajra(&["status", &id, "--api", &second.api]);
        assert_eq!(out.code, 1, "{out:?}");
        assert!(!file(dir, "n1", &name).exists(), "half a result was kept");
    }
    std::fs::write(file(dir, "n0", &name), &sound).unwrap();
    assert_eq!(complete(&second, &id), result);
    assert_eq!(sent_over_time(&second, &id), result["totals"]["sent"]);
}

#[test]
fn a_test_that_nobody_has_any_more_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let target = Target::start(dir, &[]);
    let mut first = Node::start(dir, "n0", &[]);
    let id = run(&first, &target);
    complete(&first, &id);
    let second = Node::start(dir, "n1", &["--bootstrap", &first.listening]);
    waits_to_list(&second, &id);
    first.process.kill();
    eventually(|| match ids(&second).is_empty() {
        true => Ok(()),
        false => Err("is still in its list".into()),
    });
    let out = vajra(&["status", &id, "--api", &second.api]);
    assert_ne!(out.code, 0);
    let asked = api(&second, &format!("tests/{id}"));
    assert_eq!(asked["status"], 404, "{asked}");
}

#[test]
fn nodes_tell_how_far_the_others_are_what_they_are_and_what_they_carry() {
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
    let result = complete(&nodes[0], &id);
    for n in result["nodes"].as_array().unwrap() {
        let environment = n["environment"].as_str().unwrap();
        assert!(environment.contains("vajra-node"), "{environment}");
    }
}

#[test]
fn comings_and_goings_are_told_and_who_is_connected_to_whom() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = swarm(dir.path(), 3, &[]);
    let peers: Vec<String> = nodes.iter().map(|n| n.peer.clone()).collect();
    eventually(|| {
        let told = api(&nodes[0], "swarm/links");
        let links = told["links"].as_array().unwrap();
        let each = peers.iter().flat_map(|a| peers.iter().map(move |b| (a, b)));
        let mut missing = each.filter(|(a, b)| a != b).filter(|(a, b)| {
            let found = |l: &Value| l["from"] == **a && l["to"] == **b && l["mesh"] == true;
            !links.iter().any(found)
        });
        match (told["complete"] == true, missing.next()) {
            (true, None) => Ok(()),
            _ => Err(told.to_string()),
        }
    });

    let happened = |node: &Node, kind: &str, name: &str| {
        eventually(|| {
            let told = api(node, "swarm/events");
            let newest = told["events"][0].clone();
            match newest["kind"] == kind && newest["name"] == name {
                true => Ok(newest),
                false => Err(told.to_string()),
            }
        })
    };
    let first = nodes[0].listening.clone();
    nodes[2].process.kill();
    let gone = happened(&nodes[0], "gone", "n2");
    assert_eq!(gone["peer"], peers[2]);
    assert!(gone["at"].as_str().unwrap().ends_with('Z'), "{gone}");
    nodes[2] = Node::start(dir.path(), "n2", &["--bootstrap", &first]);
    happened(&nodes[0], "rejoined", "n2");
    nodes[2].process.signal("TERM");
    nodes[2].process.wait();
    happened(&nodes[0], "left", "n2");
    let joined = api(&nodes[0], "swarm/events?limit=200");
    let joined = joined["events"].as_array().unwrap().iter();
    assert_eq!(joined.filter(|e| e["kind"] == "joined").count(), 2);
}
