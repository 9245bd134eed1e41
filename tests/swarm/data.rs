//! Distribution of data files over several real nodes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::common::{
    Node, Target, eventually, request, serve, start_detached, start_test, swarm, vajra,
};
use axum::Router;
use axum::extract::{Path as Segments, State};
use axum::routing::get;
use vajra_plan::Sha256;

type Seen = Arc<Mutex<BTreeMap<String, u32>>>;

async fn user(State(seen): State<Seen>, Segments((name, mail)): Segments<(String, String)>) {
    let mut seen = seen.lock().unwrap();
    *seen.entry(format!("{name},{mail}")).or_default() += 1;
}

/// A server that counts requests by row, until the process ends.
fn server() -> (String, Seen) {
    let seen = Seen::default();
    let app = Router::new().route("/{name}/{mail}", get(user));
    let app = app.with_state(seen.clone());
    let url = serve(app);
    (url, seen)
}

/// The row `i` of a file, about 50 bytes long.
fn row(i: usize) -> String {
    format!("user{i:07},user{i:07}@some.mail.example.com")
}

/// Writes a file with `rows` rows and a plan that uses it; returns the path of the plan and the
/// SHA-256 of the file.
fn write_plan(dir: &Path, url: &str, rows: usize, pick: &str, load: &str) -> (String, Sha256) {
    let mut file = String::from("name,mail\n");
    (0..rows).for_each(|i| file += &format!("{}\n", row(i)));
    std::fs::write(dir.join("users.csv"), &file).unwrap();
    let text = format!(
        "[http]\nbase_url = \"{url}\"\n[data.users]\nfile = \"users.csv\"\npick = \"{pick}\"\n\
         [[scenario]]\n[[scenario.step]]\nurl = \"/{{{{ users.name }}}}/{{{{ users.mail }}}}\"\n\
         [load]\n{load}\n"
    );
    let path = dir.join("plan.toml");
    std::fs::write(&path, text).unwrap();
    (
        path.to_str().unwrap().to_owned(),
        Sha256::of(file.as_bytes()),
    )
}

/// A node's copy of a file.
fn stored(dir: &Path, node: &str, digest: Sha256) -> Result<Vec<u8>, String> {
    let path = dir.join(node).join("blobs").join(digest.to_string());
    std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))
}

#[test]
fn a_10_mb_file_is_on_every_node_before_the_test_starts() {
    let dir = tempfile::tempdir().unwrap();
    let (url, seen) = server();
    let nodes = swarm(dir.path(), 3, &[]);
    let load = "rate = 200\nduration = \"4s\"";
    let (plan, digest) = write_plan(dir.path(), &url, 200_000, "unique", load);
    let out = start_test(&nodes[1], &[&plan]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    assert!(out.stderr.contains("MiB of data"), "{}", out.stderr);
    let result = out.json();
    assert_eq!(result["verdict"], "valid", "{}", result["reasons"]);
    assert_eq!(result["nodes"].as_array().unwrap().len(), 3);
    assert_eq!(result["totals"]["failed"], 0, "{}", result["errors"]);
    let seen = seen.lock().unwrap();
    let once: BTreeMap<String, u32> = (0..800).map(|i| (row(i), 1)).collect();
    assert!(*seen == once, "{} rows", seen.len());
    for node in &nodes {
        let copy = stored(dir.path(), &node.name, digest).unwrap();
        assert!(Sha256::of(&copy) == digest, "{}", node.name);
        let log = node.process.log();
        assert!(!log.contains("without the test's data"), "{log}");
        // All nodes took part from the start; none joined later.
        let joined = result["events"].as_array().unwrap();
        assert!(joined.iter().all(|e| e["kind"] != "joined"), "{joined:?}");
    }
    let data = &result["data"][0];
    let expected = serde_json::json!({
        "name": "users", "pick": "unique", "rows": 200_000, "used": 800, "unused": 0,
        "remaining": 199_200, "exact": true,
    });
    assert_eq!(*data, expected);
}

#[test]
fn late_nodes_fetch_data_files_even_after_the_submitter_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let mut nodes = swarm(dir.path(), 3, &[]);
    let load = "rate = 100\nduration = \"10m\"";
    let (plan, digest) = write_plan(dir.path(), &target.url, 100_000, "random", load);
    let test = start_detached(&nodes[0], &[&plan]);
    let wait_for_workers = |node: &Node, count: usize| {
        eventually(|| {
            let out = vajra(&["status", &test, "--api", &node.api, "--json"]);
            // The node may not have received the test yet.
            let status = match out.code {
                0 => out.json(),
                _ => return Err(out.stderr),
            };
            let workers = status["nodes"].as_array().unwrap().iter();
            let n = workers.filter(|n| n["sent"].as_u64() > Some(0)).count();
            match n >= count {
                true => Ok(()),
                false => Err(format!("{n} nodes send: {}", status["events"])),
            }
        });
    };
    wait_for_workers(&nodes[1], 3);
    let bootstrap = nodes[1].listening.clone();
    nodes.push(Node::start(
        dir.path(),
        "late",
        &["--bootstrap", &bootstrap],
    ));
    wait_for_workers(&nodes[1], 4);
    assert!(Sha256::of(&stored(dir.path(), "late", digest).unwrap()) == digest);
    nodes.remove(0).process.kill();
    nodes.push(Node::start(
        dir.path(),
        "later",
        &["--bootstrap", &bootstrap],
    ));
    wait_for_workers(&nodes[0], 5);
    assert!(Sha256::of(&stored(dir.path(), "later", digest).unwrap()) == digest);
    let out = vajra(&["stop-test", &test, "--api", &nodes[0].api]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    let result = ended(&nodes[0], &test);
    assert_eq!(result["totals"]["failed"], 0, "{}", result["errors"]);
}

/// Waits until a test has ended; returns its result.
fn ended(node: &Node, test: &str) -> serde_json::Value {
    eventually(|| {
        let status = node.json(&["status", test]);
        match status["verdict"].is_null() {
            true => Err("the test has not ended".into()),
            false => Ok(status),
        }
    })
}

/// Rows of a killed node are not reassigned, as it may have used them already.
#[test]
fn unique_rows_of_a_killed_node_are_reported_as_unused() {
    let dir = tempfile::tempdir().unwrap();
    let (url, seen) = server();
    let mut nodes = swarm(dir.path(), 3, &[]);
    let load = "rate = 200\nduration = \"8s\"";
    let (plan, _) = write_plan(dir.path(), &url, 2_000, "unique", load);
    let test = start_detached(&nodes[0], &[&plan]);
    eventually(|| match seen.lock().unwrap().len() {
        n if n >= 300 => Ok(()),
        n => Err(format!("{n} rows used")),
    });
    nodes.remove(2).process.kill();
    let result = ended(&nodes[0], &test);
    assert_eq!(result["verdict"], "degraded", "{}", result["reasons"]);
    let seen = seen.lock().unwrap();
    assert!(seen.values().all(|n| *n == 1), "none twice");
    let data = &result["data"][0];
    let number = |key: &str| data[key].as_u64().unwrap();
    assert_eq!((&data["exact"], number("remaining")), (&false.into(), 400));
    assert_eq!(number("used") + number("unused"), 1_600);
    // Requests that it sent after its last snapshot are not counted.
    assert!(number("used") <= seen.len() as u64, "{data}");
    assert!(number("unused") >= 1_600 - seen.len() as u64, "{data}");
    assert!(number("unused") > 0 && seen.len() < 1_600, "{data}");
    let shown = vajra(&["status", &test, "--api", &nodes[1].api]);
    assert!(shown.stdout.contains("at most"), "{}", shown.stdout);
}

#[test]
fn a_plan_with_missing_data_is_refused_with_an_upload_hint() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), "n", &[]);
    let digest = Sha256::of(b"name,mail\nann,ann@example.com\n").to_string();
    let plan = serde_json::json!({
        "task": {
            "type": "SCENARIO",
            "http": {"url": "http://127.0.0.1:1/", "method": "GET", "timeout": "1s"},
            "scenarios": [{"name": "a", "weight": 1, "steps": [
                {"name": "s", "method": "GET", "url": "http://127.0.0.1:1/{{ users.name }}"},
            ]}],
            "data": {"users": {
                "pick": "random", "format": "csv", "columns": ["name", "mail"], "rows": 1,
                "bytes": 30, "digest": digest,
            }},
        },
        "load": {"rate": 1, "duration": "1s"},
    });
    let start = || {
        let body = serde_json::json!({ "plan": plan }).to_string();
        request(&node.api, "POST /api/v1/tests", "application/json", &body)
    };
    let put = |text: &str| {
        let line = format!("PUT /api/v1/blobs/{digest}");
        request(&node.api, &line, "application/octet-stream", text)
    };
    let refused = start();
    assert!(refused.starts_with("HTTP/1.1 422 "), "{refused}");
    let expected =
        format!("the data users is not on this node: PUT the file to /api/v1/blobs/{digest} first");
    assert!(refused.contains(&expected), "{refused}");
    assert!(refused.contains("\"field\":\"data.users\""), "{refused}");
    let wrong = put("name,mail\nbob,bob@example.com\n");
    assert!(wrong.starts_with("HTTP/1.1 422 "), "{wrong}");
    let created = put("name,mail\nann,ann@example.com\n");
    assert!(created.starts_with("HTTP/1.1 201 "), "{created}");
    let started = start();
    assert!(started.starts_with("HTTP/1.1 201 "), "{started}");
}

/// Prints the time to distribute data files and the memory that they take. Needs an idle machine.
/// `cargo test --test swarm data -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn measure_data_distribution_of_10_and_50_mb() {
    for rows in [0, 220_000, 1_000_000] {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::start(dir.path(), &[]);
        let nodes = swarm(dir.path(), 3, &[]);
        let resident = |node: &Node| {
            let path = format!("/proc/{}/status", node.process.pid());
            let status = std::fs::read_to_string(path).unwrap();
            let line = |name: &str| {
                let found = status.lines().find_map(|l| l.strip_prefix(name)).unwrap();
                let kib: u64 = found.split_whitespace().next().unwrap().parse().unwrap();
                kib >> 10
            };
            (line("VmRSS:"), line("VmHWM:"))
        };
        let before = resident(&nodes[1]);
        let load = "rate = 100\nduration = \"5s\"";
        let (plan, digest) = write_plan(dir.path(), &target.url, rows.max(1), "random", load);
        let started = Instant::now();
        start_detached(&nodes[0], &[&plan]);
        let announced = started.elapsed();
        target.wait_until_served(1);
        let loaded = started.elapsed();
        let during = resident(&nodes[1]);
        let size = stored(dir.path(), "n1", digest).unwrap().len() >> 20;
        println!(
            "{rows} rows, {size} MiB: announced after {announced:.2?}, load after {loaded:.2?}; \
             a node's memory {} MiB before, {} during (at most {})",
            before.0, during.0, during.1
        );
        let again = Instant::now();
        start_detached(&nodes[0], &[&plan]);
        println!("  announced again after {:.2?}", again.elapsed());
    }
}
