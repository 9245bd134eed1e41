//! Reports of real tests, in every form, by the command line and by the API; and what other
//! programs make of them.

use std::path::Path;
use std::process::Command;

use crate::common::{Finished, Target, finish, get, require, swarm, vajra};
use serde_json::Value;

fn read(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).unwrap()
}

fn json(dir: &Path, name: &str) -> Value {
    serde_json::from_str(&read(dir, name)).unwrap()
}

/// Runs `start-test --standalone` against a target, with files in `dir`.
fn run(dir: &Path, url: &str, seconds: &str, more: &[&str]) -> Finished {
    let mut command = Command::new(crate::common::VAJRA);
    command.current_dir(dir).args([
        "start-test",
        url,
        "--standalone",
        "--no-mdns",
        "--no-preflight",
        "--rate",
        "200",
        "--duration",
        seconds,
    ]);
    finish(command.args(more))
}

/// Runs `report` in `dir`.
fn report(dir: &Path, args: &[&str]) -> Finished {
    finish(
        Command::new(crate::common::VAJRA)
            .current_dir(dir)
            .arg("report")
            .args(args),
    )
}

#[test]
fn a_node_hands_out_every_form_and_they_agree() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let target = Target::start(
        dir,
        &[
            "--latency",
            "2ms",
            "--jitter",
            "1ms",
            "--error-rate",
            "0.05",
        ],
    );
    let nodes = swarm(dir, 2, &[]);
    let api = nodes[0].api.as_str();
    let ran = vajra(&[
        "start-test",
        &target.url,
        "--rate",
        "300",
        "--duration",
        "4s",
        "--name",
        "Check <out>",
        "--api",
        api,
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let made = report(
        dir,
        &[
            "latest",
            "--html",
            "r.html",
            "--csv",
            "r.csv",
            "--hlog",
            "r.hlog",
            "--hgrm",
            "r.hgrm",
            "--junit",
            "r.xml",
            "--json",
            "r.json",
            "--timeline",
            "--api",
            api,
        ],
    );
    assert_eq!(
        (made.code, made.stdout.as_str()),
        (0, ""),
        "{}",
        made.stderr
    );
    let result = json(dir, "r.json");
    let sent = result["totals"]["sent"].as_u64().unwrap();

    let mut rows = csv::Reader::from_path(dir.join("r.csv")).unwrap();
    let head = rows.headers().unwrap().clone();
    let at = head.iter().position(|h| h == "sent").unwrap();
    let in_rows: u64 = rows
        .records()
        .map(|r| r.unwrap()[at].parse::<u64>().unwrap())
        .sum();
    assert_eq!(in_rows, sent);
    assert!(head.iter().any(|h| h == "rate_per_s:n1"), "{head:?}");

    let page = read(dir, "r.html");
    assert!(page.contains("Check &lt;out&gt;") && page.len() < 1_500_000);
    assert!(read(dir, "r.xml").contains("Check &lt;out&gt;"));
    assert!(read(dir, "r.hgrm").contains(&format!("Total count    = {sent:>12}]")));

    // The API hands out the same.
    let over = |format: &str| get(api, &format!("/api/v1/tests/latest/report?format={format}"));
    assert_eq!(over("csv"), read(dir, "r.csv"));
    assert_eq!(over("hgrm"), read(dir, "r.hgrm"));
    assert_eq!(over("html"), page);
    assert!(over("pdf").contains("expected one of html, json, csv"));
    let compared: Value =
        serde_json::from_str(&get(api, "/api/v1/tests/latest/compare?with=latest")).unwrap();
    assert_eq!(compared["plan_differs"], serde_json::json!([]));

    // And of the file alone they are made without a node.
    let again = report(
        dir,
        &[
            "r.json", "--csv", "2.csv", "--hlog", "2.hlog", "--html", "2.html",
        ],
    );
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(read(dir, "2.csv"), read(dir, "r.csv"));
    assert_eq!(read(dir, "2.hlog"), read(dir, "r.hlog"));
    assert_eq!(read(dir, "2.html"), page);

    other_tools_read_them(dir, &result);
}

/// HdrHistogram's Python port finds in the files what our JSON says.
fn other_tools_read_them(dir: &Path, result: &Value) {
    let python = Command::new("python3").args(["-c", "import hdrh"]).output();
    let there = python.is_ok_and(|out| out.status.success());
    if !require("python3 with the package hdrhistogram", there) {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_hdr.py");
    let mut command = Command::new("python3");
    let read = finish(
        command
            .arg(script)
            .args([dir.join("r.hlog"), dir.join("r.hgrm")]),
    );
    assert_eq!(read.code, 0, "{}", read.stderr);
    let read = read.json();
    let times = &result["response_time_ms"];
    assert_eq!(read["count"], times["count"]);
    for name in ["p50", "p90", "p99", "p999", "max"] {
        assert_eq!(read["percentiles_ms"][name], times[name], "{name}");
    }
    let points = result["timeline"]["points"].as_array().unwrap();
    assert_eq!(read["intervals"], points.len());
    assert_eq!(read["wrong_lines"], serde_json::json!([]));
    assert!(read["spectrum_lines"].as_u64().unwrap() > 10, "{read}");
    let started = result["started_at"].as_str().unwrap();
    let started = humantime::parse_rfc3339(started).unwrap();
    let started = started.duration_since(std::time::UNIX_EPOCH).unwrap();
    let told = read["start_time_s"].as_f64().unwrap();
    assert!((told - started.as_secs_f64()).abs() < 0.002, "{told}");
}

#[test]
fn a_run_worse_than_its_baseline_exits_with_99_and_says_what_got_worse() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // Wide apart, so that a busy machine is not taken for a slow target.
    let quick = Target::start(dir, &["--latency", "40ms", "--jitter", "4ms"]);
    let slow = Target::start(dir, &["--latency", "300ms", "--jitter", "4ms"]);
    let first = run(
        dir,
        &quick.url,
        "12s",
        &["--json", "base.json", "--timeline"],
    );
    assert_eq!(first.code, 0, "{}", first.stderr);
    let limits = ["--baseline", "base.json", "--fail-on-regression", "300%"];

    let same = run(dir, &quick.url, "12s", &limits);
    assert_eq!(same.code, 0, "{}", same.stdout);
    assert!(
        same.stdout
            .contains("nothing is worse than the baseline by more than 300 %")
    );

    // The new result may go where the old one was.
    let json = ["--json", "base.json", "--timeline", "--html", "r.html"];
    let worse = run(dir, &slow.url, "12s", &[&limits[..], &json].concat());
    assert_eq!(worse.code, 99, "{}", worse.stdout);
    assert!(
        worse.stdout.contains("REGRESSION  response_time.p50 is "),
        "{}",
        worse.stdout
    );
    // Another port is another target, which is told.
    assert!(
        worse.stdout.contains("the plans differ (task)"),
        "{}",
        worse.stdout
    );
    assert!(read(dir, "r.html").contains("Comparison with the baseline"));
    let kept = self::json(dir, "base.json");
    assert_eq!(kept["comparison"]["noise"]["judged"], true);
    assert!(kept["timeline"]["points"][0]["histogram"].is_string());
}

#[test]
fn what_cannot_be_written_or_read_is_told_before_the_test_starts() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let target = Target::start(dir, &[]);
    for (more, told) in [
        (
            vec!["--html", "no/such/dir.html"],
            "cannot write --html no/such/dir.html",
        ),
        (
            vec!["--junit", "no/such/dir.xml"],
            "cannot write --junit no/such/dir.xml",
        ),
        (
            vec!["--baseline", "missing.json"],
            "--baseline missing.json",
        ),
        (
            vec!["--csv", "-", "--json", "-"],
            "--csv -: another format is written there",
        ),
    ] {
        let ran = run(dir, &target.url, "1s", &more);
        assert_ne!(ran.code, 0, "{more:?}");
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
    }
    assert_eq!(target.served(), 0);
}

#[test]
fn a_run_that_does_not_come_about_leaves_the_files_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let baseline = vajra_fixtures::EMPTY_RESULT;
    std::fs::write(dir.join("base.json"), baseline).unwrap();
    std::fs::write(dir.join("r.csv"), "of last time").unwrap();
    let mut command = Command::new(crate::common::VAJRA);
    // Port 1 is nobody's.
    command.current_dir(dir).args([
        "start-test",
        "http://127.0.0.1:1/",
        "--api",
        "127.0.0.1:1",
        "--rate",
        "10",
        "--duration",
        "1s",
        "--baseline",
        "base.json",
        "--json",
        "base.json",
        "--csv",
        "r.csv",
        "--html",
        "r.html",
    ]);
    let ran = finish(&mut command);
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("no node answers"), "{}", ran.stderr);
    assert_eq!(read(dir, "base.json"), baseline);
    assert_eq!(read(dir, "r.csv"), "of last time");
    assert!(!dir.join("r.html").exists());
}
