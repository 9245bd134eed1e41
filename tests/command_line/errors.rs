//! Invalid input: one line on stderr with the problem and a hint, the documented exit code, and no
//! process left running.

use std::time::{Duration, Instant};

use crate::common::{Finished, Node, Target, VAJRA, eventually, finish, vajra};

/// Asserts the exit code, an empty stdout, and an error line that contains these words.
fn assert_error(out: &Finished, code: i32, words: &[&str]) {
    assert_eq!(out.code, code, "{out:?}");
    assert_eq!(out.stdout, "", "{out:?}");
    let error = out.stderr.lines().find(|l| l.starts_with("error: "));
    let error = error.unwrap_or_else(|| panic!("no line with error: in {out:?}"));
    for word in words {
        assert!(error.contains(word), "{word:?} is not in {error:?}");
    }
}

fn plan(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plan.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

const LOCAL: [&str; 3] = ["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"];

#[test]
fn an_unknown_plan_key_is_reported_with_its_line() {
    let (_dir, path) = plan(
        "[task]\ntype = \"HTTP\"\nurl = \"http://127.0.0.1:1/\"\n\n[load]\nrate = 5\nduraton = \"1s\"\n",
    );
    assert_error(
        &vajra(&["start-test", &path, "--standalone"]),
        104,
        &["plan.toml", "duraton", "7"],
    );
}

#[test]
fn a_rate_of_zero_is_refused() {
    let out = vajra(&[
        "start-test",
        "http://127.0.0.1:1/",
        "--rate",
        "0",
        "--duration",
        "1s",
        "--standalone",
    ]);
    assert_error(&out, 104, &["rate", "0"]);
}

#[test]
fn a_url_without_a_host_is_refused() {
    let out = vajra(&[
        "start-test",
        "http:///index.html",
        "--rate",
        "1",
        "--duration",
        "1s",
        "--standalone",
    ]);
    assert_error(&out, 104, &["http:///index.html", "host"]);
}

#[test]
fn a_malformed_bootstrap_address_is_refused() {
    let out = vajra(&["--bootstrap", "10.0.0.1:7400", LOCAL[0], LOCAL[1], LOCAL[2]]);
    assert_error(&out, 104, &["10.0.0.1:7400", "/ip4/"]);
}

#[test]
fn a_node_with_an_unreachable_bootstrap_address_stays_up_and_logs_it() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(
        dir.path(),
        "alone",
        &["--bootstrap", "/ip4/127.0.0.1/tcp/1"],
    );
    eventually(|| {
        let log = node.process.log();
        if log.contains("/ip4/127.0.0.1/tcp/1") {
            Ok(())
        } else {
            Err(log)
        }
    });
    let nodes = node.json(&["nodes"]);
    assert_eq!(nodes["nodes"][0]["status"], "isolated", "{nodes}");
}

#[test]
fn start_test_with_an_unreachable_bootstrap_address_fails() {
    let started = Instant::now();
    let out = finish(
        std::process::Command::new(VAJRA)
            .args([
                "start-test",
                "http://127.0.0.1:1/",
                "--rate",
                "1",
                "--duration",
                "1s",
            ])
            .args(LOCAL)
            .args(["--bootstrap", "/ip4/127.0.0.1/tcp/1"]),
    );
    assert_error(&out, 1, &["/ip4/127.0.0.1/tcp/1"]);
    assert!(started.elapsed() < Duration::from_secs(40));
}

#[test]
fn a_port_that_is_in_use_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let api = format!("127.0.0.1:{port}");
    let out = vajra(&[
        "--api",
        &api,
        "--data-dir",
        data,
        LOCAL[0],
        LOCAL[1],
        LOCAL[2],
    ]);
    assert_error(&out, 1, &[&api, "--api"]);
    let listen = format!("/ip4/127.0.0.1/tcp/{port}");
    let out = vajra(&[
        "--listen",
        &listen,
        "--no-mdns",
        "--api",
        "127.0.0.1:0",
        "--data-dir",
        data,
    ]);
    assert_error(&out, 1, &[&listen, "--listen"]);
}

#[test]
fn an_unreadable_key_is_an_error() {
    let out = vajra(&[
        "--swarm-key",
        "/nowhere/swarm.key",
        LOCAL[0],
        LOCAL[1],
        LOCAL[2],
    ]);
    assert_error(&out, 104, &["/nowhere/swarm.key"]);
}

#[test]
fn a_test_without_any_able_worker_fails() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), "n", &[]);
    let target = Target::start(dir.path(), &[]);
    let out = vajra(&[
        "start-test",
        &target.url,
        "--rate",
        "1",
        "--duration",
        "1s",
        "--where",
        "region=mars",
        "--api",
        &node.api,
    ]);
    assert_error(&out, 1, &["no able worker"]);
    assert_eq!(target.served(), 0);
}

#[test]
fn an_unreachable_explicit_api_address_is_an_error() {
    let out = vajra(&[
        "start-test",
        "http://127.0.0.1:1/",
        "--rate",
        "1",
        "--duration",
        "1s",
        "--api",
        "127.0.0.1:1",
    ]);
    assert_error(&out, 1, &["127.0.0.1:1"]);
    assert_error(
        &vajra(&["nodes", "--api", "127.0.0.1:1"]),
        1,
        &["127.0.0.1:1"],
    );
}

#[test]
fn a_second_node_on_a_data_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Node::start(dir.path(), "n", &[]);
    let data = dir.path().join("n");
    let out = vajra(&[
        "--data-dir",
        data.to_str().unwrap(),
        "--api",
        "127.0.0.1:0",
        LOCAL[0],
        LOCAL[1],
        LOCAL[2],
    ]);
    assert_error(&out, 1, &["--data-dir"]);
}

#[test]
fn an_unknown_option_is_a_usage_error() {
    assert_eq!(vajra(&["start-test", "--no-such-option"]).code, 2);
}
