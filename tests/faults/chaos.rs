//! Nodes that are killed, suspended, partitioned and added during a test. The target's log shows
//! that the planned rate is never exceeded, that the load recovers in time, and that the result is
//! complete.
//!
//! `cargo test --test faults chaos -- --nocapture` prints the measured times;
//! `VAJRA_CHAOS_RATE=2000` sets another rate.

use std::time::{Duration, Instant};

use crate::common::arrivals::{Arrivals, busiest_second, lowest_rate, recovery_time};
use crate::common::lan::{Lan, NEEDS};
use crate::common::{
    Node, RunCommand, complete_result, eventually, pause_for, require, start_detached, swarm, vajra,
};
use crate::permit::Permit;
use serde_json::Value;

fn rate() -> f64 {
    let given = std::env::var("VAJRA_CHAOS_RATE").ok();
    given.map_or(400.0, |r| r.parse().expect("VAJRA_CHAOS_RATE is a number"))
}

fn number(value: &Value) -> usize {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("not a count: {value}")) as usize
}

fn start(at: &Node, url: &str, seconds: &str) -> String {
    let rate = rate().to_string();
    start_detached(at, &[url, "--rate", &rate, "--duration", seconds])
}

/// Waits until two seconds of load have arrived; returns the peer id of the coordinator.
fn wait_for_load(at: &impl RunCommand, id: &str, target: &Arrivals) -> String {
    eventually(|| {
        let result = at.run(&["status", id]);
        match result["coordinators"][0]["peer"].as_str() {
            Some(peer) if target.count() as f64 > 2.0 * rate() => Ok(peer.to_owned()),
            _ => Err(format!("{} after {}", result["state"], target.count())),
        }
    })
}

/// Asserts that all nodes have the same complete result, which accounts for all arrivals.
fn consistent_result<N: RunCommand>(nodes: &[N], id: &str) -> Value {
    let results: Vec<Value> = nodes.iter().map(|n| complete_result(n, id)).collect();
    for result in &results {
        assert_eq!(result["totals"], results[0]["totals"]);
    }
    let t = &results[0]["totals"];
    let accounted = number(&t["sent"]) + number(&t["dropped"]) + number(&t["unsent"]);
    assert_eq!(number(&t["planned"]), accounted, "{t}");
    results.into_iter().next().unwrap()
}

/// Asserts that no second has more than the planned rate plus what `max_lateness` allows.
fn assert_rate_not_exceeded(target: &Arrivals) -> usize {
    let busiest = busiest_second(&target.log());
    let allowed = rate() * 1.1 + 2.0;
    assert!(busiest as f64 <= allowed, "{busiest} in one second");
    busiest
}

/// Asserts that the result has all requests that the target received, except those in the last
/// interval of killed workers.
fn assert_counts_match(result: &Value, target: &Arrivals, killed: f64) {
    let (sent, seen) = (number(&result["totals"]["sent"]), target.count());
    let lost = (rate() * killed * 1.5).ceil() as usize;
    assert!(
        sent <= seen && seen - sent <= lost,
        "{sent} of {seen} are in the result; at most {lost} may be missing"
    );
}

fn remove(nodes: &mut Vec<Node>, which: impl Fn(&Node) -> bool) -> Node {
    let at = nodes.iter().position(which).expect("such a node");
    nodes.remove(at)
}

fn assert_degraded_by(result: &Value, name: &str) {
    assert_eq!(result["verdict"], "degraded", "{}", result["reasons"]);
    let reasons = result["reasons"].to_string();
    assert!(reasons.contains(name), "{name} is not named: {reasons}");
    let nodes = result["nodes"].as_array().unwrap();
    let lost = nodes.iter().find(|n| n["name"] == name).unwrap();
    assert!(lost["lost_at_ms"].is_u64(), "{lost}");
    assert!(number(&result["totals"]["unsent"]) > 0);
}

fn seconds(d: Duration) -> String {
    format!("{:.2} s", d.as_secs_f64())
}

#[test]
fn a_killed_coordinator_is_replaced_while_other_nodes_keep_their_rate() {
    let _permit = Permit::acquire();
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let mut nodes = swarm(dir.path(), 5, &[]);
    let id = start(&nodes[0], &target.url, "13s");
    let leader = wait_for_load(&nodes[0], &id, &target);
    let mut leader = remove(&mut nodes, |n| n.peer == leader);
    let killed = Instant::now();
    leader.process.kill();
    let elected = eventually(|| {
        let coordinators = nodes[0].run(&["status", &id])["coordinators"].clone();
        match coordinators.as_array().unwrap().len() {
            1 => Err("there is no other coordinator".to_owned()),
            _ => Ok(killed.elapsed()),
        }
    });
    // Every node reports the lost worker while the test runs.
    for node in &nodes {
        eventually(|| {
            let current = node.run(&["status", &id]);
            let reasons = current["reasons"].to_string();
            let reported = reasons.contains(&format!("{} was lost", leader.name));
            let counted = number(&current["totals"]["unsent"]) > 0;
            match reported && counted && current["state"] == "running" {
                true => Ok(()),
                false => Err(format!(
                    "{}: {reasons}, {}",
                    current["state"], current["totals"]
                )),
            }
        });
    }
    let result = consistent_result(&nodes, &id);
    // Events that the first coordinator recorded are not lost with it.
    for (kind, count) in [("elected", 2), ("assigned", 1), ("lost", 1), ("ended", 1)] {
        let events = result["events"].as_array().unwrap().iter();
        let recorded = events.filter(|e| e["kind"] == kind).count();
        assert_eq!(recorded, count, "{kind}: {}", result["events"]);
    }
    let log = target.log();
    let end = log.last().unwrap().0;
    let back = recovery_time(&log, rate(), killed, end);
    // Until then, the four other nodes send four fifths of the rate.
    let others = lowest_rate(&log, rate() * 0.8, killed, killed + back);
    let busiest = assert_rate_not_exceeded(&target);
    eprintln!(
        "coordinator killed: new coordinator after {}, full load after {}, other nodes at \
         least at {:.1} %, at most {busiest} in one second at {}/s",
        seconds(elected),
        seconds(back),
        others * 100.0,
        rate()
    );
    assert!(elected < Duration::from_secs(4), "{elected:?}");
    assert!(back < Duration::from_secs(10), "{back:?}");
    assert!(others > 0.95, "the survivors dipped to {others}");
    assert_degraded_by(&result, &leader.name);
    assert!(result["coordinators"].as_array().unwrap().len() >= 2);
    assert_counts_match(&result, &target, 0.2);
}

#[test]
fn a_killed_workers_share_is_reassigned() {
    let _permit = Permit::acquire();
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let mut nodes = swarm(dir.path(), 5, &[]);
    let id = start(&nodes[0], &target.url, "11s");
    let leader = wait_for_load(&nodes[0], &id, &target);
    let mut worker = remove(&mut nodes, |n| n.peer != leader && n.name != "n0");
    let killed = Instant::now();
    worker.process.kill();
    let result = consistent_result(&nodes, &id);
    let log = target.log();
    let back = recovery_time(&log, rate(), killed, log.last().unwrap().0);
    let busiest = assert_rate_not_exceeded(&target);
    eprintln!(
        "worker killed: full load after {}, at most {busiest} in one second",
        seconds(back)
    );
    assert!(back < Duration::from_secs(7), "{back:?}");
    assert_degraded_by(&result, &worker.name);
    assert_eq!(result["coordinators"].as_array().unwrap().len(), 1);
    assert_counts_match(&result, &target, 0.2);
}

#[test]
fn a_killed_submitter_is_handled_like_any_worker() {
    let _permit = Permit::acquire();
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let mut nodes = swarm(dir.path(), 4, &[]);
    let mut submitted = Vec::new();
    // The coordinator depends on the test id: repeat until it is not the submitter.
    let (id, submitter) = eventually(|| {
        let id = start(&nodes[0], &target.url, "11s");
        let before = target.count();
        let leader = eventually(|| {
            let result = nodes[0].run(&["status", &id]);
            let peer = result["coordinators"][0]["peer"]
                .as_str()
                .map(str::to_owned);
            peer.filter(|_| target.count() > before)
                .ok_or_else(|| "no load".to_owned())
        });
        submitted.push(id.clone());
        if leader != nodes[0].peer {
            return Ok((id, nodes[0].peer.clone()));
        }
        let out = vajra(&["stop-test", &id, "--api", &nodes[0].api, "--now"]);
        assert_eq!(out.code, 0, "{}", out.stderr);
        complete_result(&nodes[0], &id);
        Err("the submitter coordinates".to_owned())
    });
    let before = submitted.len();
    pause_for(Duration::from_secs(2));
    let mut submitter = remove(&mut nodes, |n| n.peer == submitter);
    submitter.process.kill();
    let result = consistent_result(&nodes, &id);
    assert_rate_not_exceeded(&target);
    assert_degraded_by(&result, &submitter.name);
    assert_eq!(result["end"], "completed", "{result}");
    if before == 1 {
        assert_counts_match(&result, &target, 0.25);
    }
}

/// Suspends a node for ten seconds. It rejoins and sends no burst, and all that it sent is counted.
fn suspend_for_ten_seconds(coordinator: bool) {
    let _permit = Permit::acquire();
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let nodes = swarm(dir.path(), 4, &[]);
    let id = start(&nodes[0], &target.url, "21s");
    let leader = wait_for_load(&nodes[0], &id, &target);
    let chosen = nodes
        .iter()
        .find(|n| (n.peer == leader) == coordinator && (coordinator || n.name != "n0"));
    let suspended = chosen.unwrap();
    let observer = nodes.iter().find(|n| n.peer != suspended.peer).unwrap();
    let at = Instant::now();
    suspended.process.signal("STOP");
    pause_for(Duration::from_secs(10));
    let log = target.log();
    let back = recovery_time(&log, rate(), at, Instant::now());
    suspended.process.signal("CONT");
    eventually(|| {
        let now = observer.run(&["status", &id]);
        let workers = now["nodes"].as_array().unwrap();
        let again = workers
            .iter()
            .find(|n| n["name"] == suspended.name.as_str());
        match again.and_then(|n| n["share"].as_f64()) {
            Some(share) if share > 0.1 => Ok(()),
            other => Err(format!("its share is {other:?}")),
        }
    });
    let result = consistent_result(&nodes, &id);
    let busiest = assert_rate_not_exceeded(&target);
    eprintln!(
        "{} suspended for 10 s: full load after {}, at most {busiest} in one second",
        if coordinator { "coordinator" } else { "worker" },
        seconds(back)
    );
    assert!(back < Duration::from_secs(9), "{back:?}");
    assert_counts_match(&result, &target, 0.0);
}

#[test]
fn a_suspended_worker_sends_no_burst_when_it_continues() {
    suspend_for_ten_seconds(false);
}

#[test]
fn a_suspended_coordinator_is_replaced_and_rejoins_as_a_worker() {
    suspend_for_ten_seconds(true);
}

#[test]
fn joining_nodes_take_a_share_without_a_rate_drop() {
    let _permit = Permit::acquire();
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let mut nodes = swarm(dir.path(), 3, &[]);
    let id = start(&nodes[0], &target.url, "14s");
    wait_for_load(&nodes[0], &id, &target);
    let joined = Instant::now();
    let hub = nodes[0].listening.clone();
    for name in ["n3", "n4"] {
        nodes.push(Node::start(dir.path(), name, &["--bootstrap", &hub]));
    }
    let balanced = eventually(|| {
        let now = nodes[0].run(&["status", &id]);
        let workers = now["nodes"].as_array().unwrap();
        let share = |n: &Value| n["share"].as_f64().unwrap_or(0.0);
        match workers.iter().filter(|n| share(n) > 0.15).count() {
            5 => Ok(joined.elapsed()),
            n => Err(format!("{n} of 5 nodes have their share")),
        }
    });
    let result = consistent_result(&nodes, &id);
    let log = target.log();
    let end = log.last().unwrap().0;
    let least = lowest_rate(&log, rate(), joined, end);
    let busiest = assert_rate_not_exceeded(&target);
    eprintln!(
        "two joined: balanced after {}, never below {:.1} %, at most {busiest} in one second",
        seconds(balanced),
        least * 100.0
    );
    assert!(least > 0.85, "the rate dropped to {least}");
    assert_counts_match(&result, &target, 0.0);
}

#[test]
fn a_coordinator_that_shuts_down_gracefully_hands_over_at_once() {
    let _permit = Permit::acquire();
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let mut nodes = swarm(dir.path(), 4, &[]);
    let id = start(&nodes[0], &target.url, "12s");
    let leader = wait_for_load(&nodes[0], &id, &target);
    let mut leader = remove(&mut nodes, |n| n.peer == leader);
    let signalled = Instant::now();
    leader.process.signal("TERM");
    let elected = eventually(|| {
        let coordinators = nodes[0].run(&["status", &id])["coordinators"].clone();
        match coordinators.as_array().unwrap().len() {
            1 => Err("there is no other coordinator".to_owned()),
            _ => Ok(signalled.elapsed()),
        }
    });
    assert!(leader.process.wait().success());
    let result = consistent_result(&nodes, &id);
    let log = target.log();
    let back = recovery_time(&log, rate(), signalled, log.last().unwrap().0);
    assert_rate_not_exceeded(&target);
    eprintln!(
        "coordinator left: new coordinator after {}, full load after {}",
        seconds(elected),
        seconds(back)
    );
    assert!(elected < Duration::from_secs(2), "{elected:?}");
    assert!(back < Duration::from_secs(7), "{back:?}");
    // It sent its final counts before it left.
    assert_counts_match(&result, &target, 0.0);
}

/// Runs a test on five nodes of a LAN and partitions some of them from the others, but not from the
/// target.
fn run_with_partition(tag: &str, coordinator: bool) {
    let lan = Lan::new(tag, 6);
    if !require(NEEDS, lan.is_some()) {
        return;
    }
    let lan = lan.unwrap();
    lan.add_second();
    let _permit = Permit::acquire();
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::start(lan.listen(5, 8080));
    let hosts = lan.swarm(dir.path(), 5);
    let rate_text = rate().to_string();
    let out = crate::common::finish(&mut lan.command(
        0,
        &[
            "start-test",
            &target.url,
            "--rate",
            &rate_text,
            "--duration",
            "30s",
            "--detach",
        ],
    ));
    assert_eq!(out.code, 0, "{}", out.stderr);
    let id = out.stdout.trim().to_owned();
    let leader = wait_for_load(&hosts[0], &id, &target);
    let chosen = hosts
        .iter()
        .filter(|h| (h.node.peer == leader) == coordinator);
    let partitioned: Vec<usize> = chosen.map(|h| h.at).take(2).collect();
    let from_partitioned = |ip: std::net::IpAddr| {
        let addresses = partitioned.iter().map(|at| format!("10.78.0.{}", at + 1));
        addresses
            .into_iter()
            .any(|address| address == ip.to_string())
    };
    let cut = Instant::now();
    partitioned.iter().for_each(|at| lan.set_link(*at, false));
    pause_for(Duration::from_secs(9));
    let log = target.log();
    let healed = Instant::now();
    partitioned.iter().for_each(|at| lan.set_link(*at, true));
    let last = log.iter().rfind(|(_, ip)| from_partitioned(*ip));
    let stopped_after = last.unwrap().0 - cut;
    let back = recovery_time(&log, rate(), cut, healed);
    let rejoined = eventually(|| {
        let log = target.log();
        let again = log
            .iter()
            .find(|(at, ip)| *at > healed && from_partitioned(*ip));
        let again = again.map(|(at, _)| *at - healed);
        again.ok_or_else(|| "they do not send again".to_owned())
    });
    let result = consistent_result(&hosts, &id);
    let busiest = assert_rate_not_exceeded(&target);
    eprintln!(
        "{} partitioned: last request after {}, full load after {}, sending again {} after \
         the partition was healed, at most {busiest} in one second",
        if coordinator { "coordinator" } else { "two" },
        seconds(stopped_after),
        seconds(back),
        seconds(rejoined)
    );
    // A worker stops after one share lease; a coordinator renews its own until its authority ends.
    assert!(stopped_after < Duration::from_secs(5), "{stopped_after:?}");
    assert!(back < Duration::from_secs(8), "{back:?}");
    // A fifth of the load for less than a second may be too little to degrade a result, but it is
    // always counted.
    assert!(number(&result["totals"]["unsent"]) > 0, "{result}");
    // These nodes were not killed, so all requests that they sent are in the result.
    assert_counts_match(&result, &target, 0.0);
}

#[test]
fn a_partitioned_minority_stops_sending_and_rejoins() {
    run_with_partition("c", false);
}

#[test]
fn a_partitioned_coordinator_stops_sending_and_rejoins() {
    run_with_partition("d", true);
}
