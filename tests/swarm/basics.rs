//! Several real nodes on loopback, one real target: what the swarm promises.

use std::io::Write;

use crate::common::{
    Node, Target, VAJRA, complete, eventually, finish, start_detached, swarm, vajra,
};
use serde_json::Value;

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("not a count: {value}"))
}

/// A plan of which nothing is dropped, however late the machine is: its verdict is that of the
/// swarm alone.
fn patient(dir: &std::path::Path, url: &str, rate: u32, seconds: u32) -> String {
    let path = dir.join("patient.toml");
    let text = format!(
        "[task]\ntype = \"HTTP\"\nurl = \"{url}\"\n[load]\nrate = {rate}\nduration = \"{seconds}s\"\n\
         max_lateness = \"10s\"\n[limits]\nlag_p99 = \"10s\"\n"
    );
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_node_shows_the_same_result_and_the_target_counted_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &["--latency", "2ms"]);
    let nodes = swarm(dir.path(), 3, &[]);
    let plan = patient(dir.path(), &target.url, 300, 3);
    let out = vajra(&[
        "start-test",
        &plan,
        "--api",
        &nodes[2].api,
        "--wait-for",
        "3",
        "--json",
        "-",
    ]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    let result = out.json();
    let id = result["test_id"].as_str().unwrap();
    assert_eq!(result["verdict"], "valid", "{}", result["reasons"]);
    let totals = &result["totals"];
    assert_eq!(number(&totals["sent"]), target.served());
    assert_eq!(number(&totals["planned"]), 900);
    let accounted = ["ok", "failed", "abandoned"]
        .map(|k| number(&totals[k]))
        .iter()
        .sum::<u64>();
    assert_eq!(number(&totals["sent"]), accounted);
    let sent = number(&totals["sent"]) + number(&totals["dropped"]) + number(&totals["unsent"]);
    assert_eq!(number(&totals["planned"]), sent);
    assert_eq!(result["nodes"].as_array().unwrap().len(), 3);
    for node in &nodes {
        let mine = complete(node, id);
        for part in [
            "totals",
            "response_time_ms",
            "service_time_ms",
            "lag_ms",
            "histograms",
        ] {
            assert_eq!(mine[part], result[part], "{part} on {}", node.peer);
        }
    }
}

#[test]
fn the_submitter_need_not_be_the_coordinator() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let nodes = swarm(dir.path(), 3, &[]);
    // Who coordinates depends on the test's id, so some start from a node that does not.
    let coordinated_elsewhere = (0..12).any(|_| {
        let out = vajra(&[
            "start-test",
            &target.url,
            "--rate",
            "50",
            "--duration",
            "200ms",
            "--api",
            &nodes[0].api,
            "--json",
            "-",
        ]);
        assert_eq!(out.code, 0, "{}", out.stderr);
        out.json()["coordinators"][0]["peer"] != nodes[0].peer
    });
    assert!(coordinated_elsewhere);
}

#[test]
fn a_test_is_stopped_from_another_node() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let nodes = swarm(dir.path(), 3, &[]);
    let id = start_detached(
        &nodes[0],
        &[&target.url, "--rate", "100", "--duration", "10m"],
    );
    eventually(|| {
        match nodes[1].json(&["tests"])["tests"]
            .as_array()
            .unwrap()
            .first()
        {
            Some(t) if t["state"] == "running" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    eventually(|| {
        if target.served() > 0 {
            Ok(())
        } else {
            Err("no load".into())
        }
    });
    let stopped = vajra(&["stop-test", "latest", "--api", &nodes[2].api]);
    assert_eq!(stopped.code, 0, "{}", stopped.stderr);
    let results: Vec<Value> = nodes.iter().map(|n| complete(n, &id)).collect();
    for result in &results {
        assert_eq!(result["state"], "ended");
        assert_eq!(result["totals"], results[0]["totals"]);
    }
    assert_eq!(number(&results[0]["totals"]["sent"]), target.served());
}

#[test]
fn the_others_still_see_each_other_when_their_bootstrap_node_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let mut hub = Node::start(dir.path(), "hub", &[]);
    let a = Node::start(dir.path(), "a", &["--bootstrap", &hub.listening]);
    let b = Node::start(dir.path(), "b", &["--bootstrap", &hub.listening]);
    a.waits_to_see(&["a", "b", "hub"]);
    b.waits_to_see(&["a", "b", "hub"]);
    hub.process.kill();
    a.waits_to_see(&["a", "b"]);
    b.waits_to_see(&["a", "b"]);
    let out = vajra(&[
        "start-test",
        &target.url,
        "--rate",
        "100",
        "--duration",
        "1s",
        "--api",
        &a.api,
        "--min-workers",
        "2",
        "--json",
        "-",
    ]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    assert_eq!(out.json()["nodes"].as_array().unwrap().len(), 2);
}

#[test]
fn a_restarted_node_finds_its_swarm_from_its_data_directory_alone() {
    let dir = tempfile::tempdir().unwrap();
    let a = Node::start(dir.path(), "a", &[]);
    let mut b = Node::start(dir.path(), "b", &["--bootstrap", &a.listening]);
    a.waits_to_see(&["a", "b"]);
    b.waits_to_see(&["a", "b"]);
    let peer = b.peer.clone();
    b.process.signal("TERM");
    assert!(b.process.wait().success());
    let b = Node::start(dir.path(), "b", &[]);
    assert_eq!(b.peer, peer);
    b.waits_to_see(&["a", "b"]);
    a.waits_to_see(&["a", "b"]);
}

#[test]
fn a_keyed_node_and_a_keyless_one_never_connect() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("swarm.key");
    let made = vajra(&["keygen", key.to_str().unwrap()]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let key = key.to_str().unwrap();
    let keyed = Node::start(dir.path(), "keyed", &["--swarm-key", key]);
    let stranger = Node::start(dir.path(), "stranger", &["--bootstrap", &keyed.listening]);
    let friend = Node::start(
        dir.path(),
        "friend",
        &["--swarm-key", key, "--bootstrap", &keyed.listening],
    );
    // The friend's arrival shows that the keyed node has had the time to let somebody in.
    keyed.waits_to_see(&["friend", "keyed"]);
    friend.waits_to_see(&["friend", "keyed"]);
    eventually(|| {
        let log = stranger.process.log();
        if log.contains("cannot reach") || log.contains("bootstrap") {
            Ok(())
        } else {
            Err(log)
        }
    });
    assert_eq!(stranger.sees(), ["stranger"]);
    assert_eq!(keyed.sees(), ["friend", "keyed"]);
}

#[test]
fn nodes_of_two_swarm_names_never_mix() {
    let dir = tempfile::tempdir().unwrap();
    let red = Node::start(dir.path(), "red", &["--swarm", "red"]);
    let blue = Node::start(
        dir.path(),
        "blue",
        &["--swarm", "blue", "--bootstrap", &red.listening],
    );
    let red2 = Node::start(
        dir.path(),
        "red2",
        &["--swarm", "red", "--bootstrap", &red.listening],
    );
    red.waits_to_see(&["red", "red2"]);
    red2.waits_to_see(&["red", "red2"]);
    assert_eq!(blue.sees(), ["blue"]);
}

#[test]
fn garbage_on_the_listening_port_disturbs_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let a = Node::start(dir.path(), "a", &[]);
    let port = a.listening.split('/').nth(4).unwrap();
    for seed in 0..20u8 {
        let mut stream = std::net::TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        let garbage: Vec<u8> = (0..4096u32)
            .map(|i| (i * 31 + u32::from(seed) * 7) as u8)
            .collect();
        // The node may hang up before all is written.
        let _ = stream.write_all(&garbage);
    }
    let b = Node::start(dir.path(), "b", &["--bootstrap", &a.listening]);
    a.waits_to_see(&["a", "b"]);
    b.waits_to_see(&["a", "b"]);
}

#[test]
fn a_swarm_smaller_than_asked_for_ends_the_test_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let nodes = swarm(dir.path(), 2, &[]);
    let out = vajra(&[
        "start-test",
        &target.url,
        "--rate",
        "10",
        "--duration",
        "1s",
        "--min-workers",
        "5",
        "--api",
        &nodes[0].api,
    ]);
    assert_eq!(out.code, 1, "{out:?}");
    assert!(out.stderr.contains("--min-workers"), "{}", out.stderr);
    assert_eq!(target.served(), 0);
}

#[test]
fn a_plain_start_test_becomes_a_node_of_the_swarm_for_its_length() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let nodes = swarm(dir.path(), 2, &[]);
    let out = finish(
        std::process::Command::new(VAJRA)
            .args([
                "start-test",
                &target.url,
                "--rate",
                "90",
                "--duration",
                "1s",
                "--json",
                "-",
            ])
            .args(["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"])
            .args(["--bootstrap", &nodes[0].listening, "--wait-for", "3"]),
    );
    assert_eq!(out.code, 0, "{}", out.stderr);
    let result = out.json();
    assert_eq!(result["nodes"].as_array().unwrap().len(), 3);
    assert_eq!(number(&result["totals"]["sent"]), target.served());
}

#[test]
fn only_nodes_with_the_label_take_part_and_the_others_are_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let a = Node::start(dir.path(), "a", &["--label", "zone=red"]);
    let b = Node::start(dir.path(), "b", &["--bootstrap", &a.listening]);
    a.waits_to_see(&["a", "b"]);
    b.waits_to_see(&["a", "b"]);
    let plan = patient(dir.path(), &target.url, 100, 1);
    let out = vajra(&[
        "start-test",
        &plan,
        "--where",
        "zone=red",
        "--api",
        &b.api,
        "--json",
        "-",
    ]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    let result = out.json();
    assert_eq!(result["verdict"], "valid", "{}", result["reasons"]);
    let nodes = result["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 1, "{nodes:?}");
    assert_eq!(nodes[0]["name"], "a");
    assert_eq!(target.served(), 100);
}

#[test]
fn a_killed_coordinator_is_replaced_and_its_share_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let mut nodes = swarm(dir.path(), 3, &[]);
    let plan = patient(dir.path(), &target.url, 200, 12);
    let id = start_detached(&nodes[0], &[&plan]);
    let leader = eventually(|| {
        let result = nodes[0].json(&["status", &id]);
        let sent = result["totals"]["sent"].as_u64().unwrap_or(0);
        match result["coordinators"][0]["peer"].as_str() {
            Some(peer) if sent > 200 => Ok(peer.to_owned()),
            _ => Err(format!("{}", result["state"])),
        }
    });
    let at = nodes.iter().position(|n| n.peer == leader).unwrap();
    nodes.remove(at).process.kill();
    let results: Vec<Value> = nodes.iter().map(|n| complete(n, &id)).collect();
    let result = &results[0];
    assert_eq!(result["totals"], results[1]["totals"]);
    assert_eq!(result["verdict"], "degraded", "{}", result["reasons"]);
    assert_eq!(result["coordinators"].as_array().unwrap().len(), 2);
    let short = number(&result["totals"]["unsent"]);
    // A third of the load for about four seconds is some 270; if the share did not come back,
    // it would be some 700.
    assert!((100..650).contains(&short), "short by {short}");
    // What the dead worker sent after its last snapshot is in no result.
    let (sent, served) = (number(&result["totals"]["sent"]), target.served());
    assert!(sent <= served && served - sent <= 200, "{sent} of {served}");
}
