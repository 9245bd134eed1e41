//! Bad input: one line on stderr that says what to do, the documented exit code, and nothing
//! left running.

use std::time::{Duration, Instant};

use crate::common::{Finished, Node, Target, VAJRA, eventually, finish, vajra};

/// Every complaint is short, and names these words.
fn complains(out: &Finished, code: i32, words: &[&str]) {
    assert_eq!(out.code, code, "{out:?}");
    assert_eq!(out.stdout, "", "{out:?}");
    let complaint = out.stderr.lines().find(|l| l.starts_with("error: "));
    let complaint = complaint.unwrap_or_else(|| panic!("no line with error: in {out:?}"));
    for word in words {
        assert!(complaint.contains(word), "{word:?} is not in {complaint:?}");
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
fn an_unknown_plan_field_is_named_with_its_place() {
    let (_dir, path) = plan(
        "[task]\ntype = \"HTTP\"\nurl = \"http://127.0.0.1:1/\"\n\n[load]\nrate = 5\nduraton = \"1s\"\n",
    );
    complains(
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
    complains(&out, 104, &["rate", "0"]);
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
    complains(&out, 104, &["http:///index.html", "host"]);
}

#[test]
fn a_malformed_bootstrap_address_is_refused() {
    let out = vajra(&["--bootstrap", "10.0.0.1:7400", LOCAL[0], LOCAL[1], LOCAL[2]]);
    complains(&out, 104, &["10.0.0.1:7400", "/ip4/"]);
}

#[test]
fn a_node_whose_bootstrap_address_cannot_be_reached_stays_up_and_says_so() {
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
fn a_start_test_whose_bootstrap_address_cannot_be_reached_gives_up() {
    let begun = Instant::now();
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
    complains(&out, 1, &["/ip4/127.0.0.1/tcp/1"]);
    assert!(begun.elapsed() < Duration::from_secs(40));
}

#[test]
fn a_busy_port_that_was_asked_for_is_an_error() {
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
    complains(&out, 1, &[&api, "--api"]);
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
    complains(&out, 1, &[&listen, "--listen"]);
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
    complains(&out, 104, &["/nowhere/swarm.key"]);
}

#[test]
fn no_able_worker_ends_the_test_with_each_nodes_reason() {
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
    complains(&out, 1, &["no able worker"]);
    assert_eq!(target.served(), 0);
}

#[test]
fn an_api_that_does_not_answer_is_an_error_if_it_was_named() {
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
    complains(&out, 1, &["127.0.0.1:1"]);
    complains(
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
    complains(&out, 1, &["--data-dir"]);
}

#[test]
fn an_unknown_option_is_a_usage_error() {
    assert_eq!(vajra(&["start-test", "--no-such-option"]).code, 2);
}
