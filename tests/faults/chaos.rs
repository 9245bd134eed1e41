//! Nodes that are killed, stopped, cut off and added in the middle of a test, and a target
//! whose own log says what came of it: never more than the plan, the load whole again in
//! time, and a result that adds up.
//!
//! `cargo test --test faults chaos -- --nocapture` prints what was measured; `VAJRA_CHAOS_RATE=2000`
//! makes it at another rate.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::common::arrivals::{Arrivals, busiest_second, lowest, whole_after};
use crate::common::lan::{Lan, NEEDS};
use crate::common::{Ask, Node, Process, complete, eventually, hold, require, swarm, vajra};
use serde_json::Value;

/// Two at a time: on two cores, more would measure each other.
struct Turn;

static RUNNING: Mutex<usize> = Mutex::new(0);
static FREE: Condvar = Condvar::new();

impl Turn {
    fn take() -> Turn {
        let running = RUNNING.lock().unwrap();
        let mut running = FREE.wait_while(running, |n| *n >= 2).unwrap();
        *running += 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap() -= 1;
        FREE.notify_one();
    }
}

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
    let out = vajra(&[
        "start-test",
        url,
        "--rate",
        &rate,
        "--duration",
        seconds,
        "--api",
        &at.api,
        "--detach",
    ]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    out.stdout.trim().to_owned()
}

/// Waits for two seconds' load, and says who coordinates.
fn under_way(at: &impl Ask, id: &str, target: &Arrivals) -> String {
    eventually(|| {
        let result = at.ask(&["status", id]);
        match result["coordinators"][0]["peer"].as_str() {
            Some(peer) if target.count() as f64 > 2.0 * rate() => Ok(peer.to_owned()),
            _ => Err(format!("{} after {}", result["state"], target.count())),
        }
    })
}

/// The same complete result on every node, in which all arrivals are accounted for.
fn same_result<N: Ask>(nodes: &[N], id: &str) -> Value {
    let results: Vec<Value> = nodes.iter().map(|n| complete(n, id)).collect();
    for result in &results {
        assert_eq!(result["totals"], results[0]["totals"]);
    }
    let t = &results[0]["totals"];
    let accounted = number(&t["sent"]) + number(&t["dropped"]) + number(&t["unsent"]);
    assert_eq!(number(&t["planned"]), accounted, "{t}");
    results.into_iter().next().unwrap()
}

/// Never more than the plan: its rate, and what may be late by `max_lateness`.
fn never_over(target: &Arrivals) -> usize {
    let busiest = busiest_second(&target.log());
    let allowed = rate() * 1.1 + 2.0;
    assert!(busiest as f64 <= allowed, "{busiest} in one second");
    busiest
}

/// What the target saw is what the result says, but for the last interval of killed workers.
fn adds_up(result: &Value, target: &Arrivals, killed: f64) {
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

fn degraded_by(result: &Value, name: &str) {
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
fn a_killed_coordinator_is_replaced_and_nobody_else_dips() {
    let _turn = Turn::take();
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let mut nodes = swarm(dir.path(), 5, &[]);
    let id = start(&nodes[0], &target.url, "13s");
    let leader = under_way(&nodes[0], &id, &target);
    let mut leader = remove(&mut nodes, |n| n.peer == leader);
    let killed = Instant::now();
    leader.process.kill();
    let elected = eventually(|| {
        let reigns = nodes[0].ask(&["status", &id])["coordinators"].clone();
        match reigns.as_array().unwrap().len() {
            1 => Err("nobody else coordinates".to_owned()),
            _ => Ok(killed.elapsed()),
        }
    });
    // Every node tells whom the test has lost, while it goes on.
    for node in &nodes {
        eventually(|| {
            let so_far = node.ask(&["status", &id]);
            let reasons = so_far["reasons"].to_string();
            let told = reasons.contains(&format!("{} was lost", leader.name));
            let counted = number(&so_far["totals"]["unsent"]) > 0;
            match told && counted && so_far["state"] == "running" {
                true => Ok(()),
                false => Err(format!(
                    "{}: {reasons}, {}",
                    so_far["state"], so_far["totals"]
                )),
            }
        });
    }
    let result = same_result(&nodes, &id);
    // What the first coordinator saw happen is not lost with it.
    for (kind, count) in [("elected", 2), ("assigned", 1), ("lost", 1), ("ended", 1)] {
        let events = result["events"].as_array().unwrap().iter();
        let told = events.filter(|e| e["kind"] == kind).count();
        assert_eq!(told, count, "{kind}: {}", result["events"]);
    }
    let log = target.log();
    let end = log.last().unwrap().0;
    let back = whole_after(&log, rate(), killed, end);
    // Until then the four others carry four fifths.
    let others = lowest(&log, rate() * 0.8, killed, killed + back);
    let busiest = never_over(&target);
    eprintln!(
        "coordinator killed: a new one after {}, the whole load after {}, the others at {:.1} % \
         at least, at most {busiest} in a second at {}/s",
        seconds(elected),
        seconds(back),
        others * 100.0,
        rate()
    );
    assert!(elected < Duration::from_secs(4), "{elected:?}");
    assert!(back < Duration::from_secs(10), "{back:?}");
    assert!(others > 0.95, "the survivors dipped to {others}");
    degraded_by(&result, &leader.name);
    assert!(result["coordinators"].as_array().unwrap().len() >= 2);
    adds_up(&result, &target, 0.2);
}

#[test]
fn a_killed_workers_share_comes_back() {
    let _turn = Turn::take();
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let mut nodes = swarm(dir.path(), 5, &[]);
    let id = start(&nodes[0], &target.url, "11s");
    let leader = under_way(&nodes[0], &id, &target);
    let mut worker = remove(&mut nodes, |n| n.peer != leader && n.name != "n0");
    let killed = Instant::now();
    worker.process.kill();
    let result = same_result(&nodes, &id);
    let log = target.log();
    let back = whole_after(&log, rate(), killed, log.last().unwrap().0);
    let busiest = never_over(&target);
    eprintln!(
        "worker killed: the whole load after {}, at most {busiest} in a second",
        seconds(back)
    );
    assert!(back < Duration::from_secs(7), "{back:?}");
    degraded_by(&result, &worker.name);
    assert_eq!(result["coordinators"].as_array().unwrap().len(), 1);
    adds_up(&result, &target, 0.2);
}

#[test]
fn a_killed_submitter_is_a_worker_like_any_other() {
    let _turn = Turn::take();
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let mut nodes = swarm(dir.path(), 4, &[]);
    let mut submitted = Vec::new();
    // Who coordinates depends on the test's id: one that is not the submitter will come.
    let (id, submitter) = eventually(|| {
        let id = start(&nodes[0], &target.url, "11s");
        let before = target.count();
        let leader = eventually(|| {
            let result = nodes[0].ask(&["status", &id]);
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
        complete(&nodes[0], &id);
        Err("the submitter coordinates".to_owned())
    });
    let before = submitted.len();
    hold(Duration::from_secs(2));
    let mut submitter = remove(&mut nodes, |n| n.peer == submitter);
    submitter.process.kill();
    let result = same_result(&nodes, &id);
    never_over(&target);
    degraded_by(&result, &submitter.name);
    assert_eq!(result["end"], "completed", "{result}");
    if before == 1 {
        adds_up(&result, &target, 0.25);
    }
}

/// Stops a node for ten seconds; it comes back, sends no burst, and everything it sent counts.
fn stopped_for_ten_seconds(coordinator: bool) {
    let _turn = Turn::take();
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let nodes = swarm(dir.path(), 4, &[]);
    let id = start(&nodes[0], &target.url, "21s");
    let leader = under_way(&nodes[0], &id, &target);
    let chosen = nodes
        .iter()
        .find(|n| (n.peer == leader) == coordinator && (coordinator || n.name != "n0"));
    let stopped = chosen.unwrap();
    let witness = nodes.iter().find(|n| n.peer != stopped.peer).unwrap();
    let at = Instant::now();
    stopped.process.signal("STOP");
    hold(Duration::from_secs(10));
    let log = target.log();
    let back = whole_after(&log, rate(), at, Instant::now());
    stopped.process.signal("CONT");
    eventually(|| {
        let now = witness.ask(&["status", &id]);
        let workers = now["nodes"].as_array().unwrap();
        let again = workers.iter().find(|n| n["name"] == stopped.name.as_str());
        match again.and_then(|n| n["share"].as_f64()) {
            Some(share) if share > 0.1 => Ok(()),
            other => Err(format!("its share is {other:?}")),
        }
    });
    let result = same_result(&nodes, &id);
    let busiest = never_over(&target);
    eprintln!(
        "{} stopped for 10 s: the whole load after {}, at most {busiest} in a second",
        if coordinator { "coordinator" } else { "worker" },
        seconds(back)
    );
    assert!(back < Duration::from_secs(9), "{back:?}");
    adds_up(&result, &target, 0.0);
}

#[test]
fn a_stopped_worker_sends_no_burst_when_it_goes_on() {
    stopped_for_ten_seconds(false);
}

#[test]
fn a_stopped_coordinator_is_replaced_and_comes_back_as_a_worker() {
    stopped_for_ten_seconds(true);
}

#[test]
fn nodes_that_join_take_a_part_without_a_gap() {
    let _turn = Turn::take();
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let mut nodes = swarm(dir.path(), 3, &[]);
    let id = start(&nodes[0], &target.url, "14s");
    under_way(&nodes[0], &id, &target);
    let joined = Instant::now();
    let hub = nodes[0].listening.clone();
    for name in ["n3", "n4"] {
        nodes.push(Node::start(dir.path(), name, &["--bootstrap", &hub]));
    }
    let balanced = eventually(|| {
        let now = nodes[0].ask(&["status", &id]);
        let workers = now["nodes"].as_array().unwrap();
        let share = |n: &Value| n["share"].as_f64().unwrap_or(0.0);
        match workers.iter().filter(|n| share(n) > 0.15).count() {
            5 => Ok(joined.elapsed()),
            n => Err(format!("{n} of 5 have their part")),
        }
    });
    let result = same_result(&nodes, &id);
    let log = target.log();
    let end = log.last().unwrap().0;
    let least = lowest(&log, rate(), joined, end);
    let busiest = never_over(&target);
    eprintln!(
        "two joined: balanced after {}, never below {:.1} %, at most {busiest} in a second",
        seconds(balanced),
        least * 100.0
    );
    assert!(least > 0.85, "a gap: {least}");
    adds_up(&result, &target, 0.0);
}

#[test]
fn a_coordinator_that_leaves_politely_hands_over_at_once() {
    let _turn = Turn::take();
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let mut nodes = swarm(dir.path(), 4, &[]);
    let id = start(&nodes[0], &target.url, "12s");
    let leader = under_way(&nodes[0], &id, &target);
    let mut leader = remove(&mut nodes, |n| n.peer == leader);
    let told = Instant::now();
    leader.process.signal("TERM");
    let elected = eventually(|| {
        let reigns = nodes[0].ask(&["status", &id])["coordinators"].clone();
        match reigns.as_array().unwrap().len() {
            1 => Err("nobody else coordinates".to_owned()),
            _ => Ok(told.elapsed()),
        }
    });
    assert!(leader.process.wait().success());
    let result = same_result(&nodes, &id);
    let log = target.log();
    let back = whole_after(&log, rate(), told, log.last().unwrap().0);
    never_over(&target);
    eprintln!(
        "coordinator left: a new one after {}, the whole load after {}",
        seconds(elected),
        seconds(back)
    );
    assert!(elected < Duration::from_secs(2), "{elected:?}");
    assert!(back < Duration::from_secs(7), "{back:?}");
    // It delivered what it had counted before it went.
    adds_up(&result, &target, 0.0);
}

/// A node on a host of a LAN.
struct Host<'a> {
    lan: &'a Lan,
    at: usize,
    node: Node,
}

impl Ask for Host<'_> {
    fn try_ask(&self, args: &[&str]) -> Result<Value, String> {
        self.lan.try_json(self.at, &[args, &["--json"]].concat())
    }
}

/// Five nodes on a LAN, of which some are cut off from the others, but not from the target.
fn cut_off(tag: &str, coordinator: bool) {
    let lan = Lan::new(tag, 6);
    if !require(NEEDS, lan.is_some()) {
        return;
    }
    let lan = lan.unwrap();
    lan.add_second();
    let _turn = Turn::take();
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::start(lan.listen(5, 8080));
    let mut hosts: Vec<Host> = Vec::new();
    for at in 0..5 {
        let data = dir.path().join(format!("n{at}"));
        let listen = format!("/ip4/10.77.0.{}/tcp/7400", at + 1);
        let (name, data) = (format!("n{at}"), data.to_str().unwrap().to_owned());
        let mut args = vec!["--no-mdns", "--listen", &listen, "--name", &name];
        args.extend(["--data-dir", &data]);
        let hub = hosts.first().map(|h| h.node.listening.clone());
        if let Some(hub) = &hub {
            args.extend(["--bootstrap", hub]);
        }
        let log = dir.path().join(format!("n{at}.log"));
        let process = Process::spawn(lan.command(at, &args), log);
        let node = Node::from_process(process);
        hosts.push(Host {
            lan: &lan,
            at,
            node,
        });
    }
    for host in &hosts {
        eventually(|| match host.ask(&["nodes"])["pool"]["healthy"].as_u64() {
            Some(5) => Ok(()),
            n => Err(format!("sees {n:?}")),
        });
    }
    let wanted = rate().to_string();
    let out = crate::common::finish(&mut lan.command(
        0,
        &[
            "start-test",
            &target.url,
            "--rate",
            &wanted,
            "--duration",
            "30s",
            "--detach",
        ],
    ));
    assert_eq!(out.code, 0, "{}", out.stderr);
    let id = out.stdout.trim().to_owned();
    let leader = under_way(&hosts[0], &id, &target);
    let chosen = hosts
        .iter()
        .filter(|h| (h.node.peer == leader) == coordinator);
    let away: Vec<usize> = chosen.map(|h| h.at).take(2).collect();
    let from_away = |ip: std::net::IpAddr| {
        let ours = away.iter().map(|at| format!("10.78.0.{}", at + 1));
        ours.into_iter().any(|address| address == ip.to_string())
    };
    let cut = Instant::now();
    away.iter().for_each(|at| lan.plug(*at, false));
    hold(Duration::from_secs(9));
    let log = target.log();
    let healed = Instant::now();
    away.iter().for_each(|at| lan.plug(*at, true));
    let last = log.iter().rfind(|(_, ip)| from_away(*ip));
    let fell_silent = last.unwrap().0 - cut;
    let back = whole_after(&log, rate(), cut, healed);
    let rejoined = eventually(|| {
        let log = target.log();
        let again = log.iter().find(|(at, ip)| *at > healed && from_away(*ip));
        let again = again.map(|(at, _)| *at - healed);
        again.ok_or_else(|| "they send nothing again".to_owned())
    });
    let result = same_result(&hosts, &id);
    let busiest = never_over(&target);
    eprintln!(
        "{} cut off: silent after {}, the whole load after {}, back {} after the cut was \
         healed, at most {busiest} in a second",
        if coordinator { "coordinator" } else { "two" },
        seconds(fell_silent),
        seconds(back),
        seconds(rejoined)
    );
    // A worker counts one share lease; a coordinator renews its own until its authority ends.
    assert!(fell_silent < Duration::from_secs(5), "{fell_silent:?}");
    assert!(back < Duration::from_secs(8), "{back:?}");
    // A fifth of the load for less than a second may be too little to degrade a result, but it
    // is never left out.
    assert!(number(&result["totals"]["unsent"]) > 0, "{result}");
    // They lived, so all that they sent is in the result.
    adds_up(&result, &target, 0.0);
}

#[test]
fn a_minority_cut_off_falls_silent_and_comes_back() {
    cut_off("c", false);
}

#[test]
fn a_coordinator_cut_off_falls_silent_and_comes_back() {
    cut_off("d", true);
}
