//! Reports of real tests in every format, from the command line and the API, and read by other
//! programs.

use std::path::Path;
use std::process::Command;

use crate::common::{Finished, Target, finish, get, require, run_test, swarm};
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
fn all_report_formats_agree() {
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
    run_test(
        &nodes[0],
        &[
            &target.url,
            "--rate",
            "300",
            "--duration",
            "4s",
            "--name",
            "Check <out>",
        ],
    );
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

    // The API returns the same reports.
    let from_api = |format: &str| get(api, &format!("/api/v1/tests/latest/report?format={format}"));
    assert_eq!(from_api("csv"), read(dir, "r.csv"));
    assert_eq!(from_api("hgrm"), read(dir, "r.hgrm"));
    assert_eq!(from_api("html"), page);
    assert!(from_api("pdf").contains("expected one of html, json, csv"));
    let compared: Value =
        serde_json::from_str(&get(api, "/api/v1/tests/latest/compare?with=latest")).unwrap();
    assert_eq!(compared["plan_differs"], serde_json::json!([]));

    // The file alone is enough to create them, without a node.
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

    assert_readable_by_python_port(dir, &result);
}

/// HdrHistogram's Python port reads the same numbers from the files as the JSON result has.
fn assert_readable_by_python_port(dir: &Path, result: &Value) {
    let python = Command::new("python3").args(["-c", "import hdrh"]).output();
    let available = python.is_ok_and(|out| out.status.success());
    if !require("python3 with the package hdrhistogram", available) {
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
    let start_s = read["start_time_s"].as_f64().unwrap();
    assert!((start_s - started.as_secs_f64()).abs() < 0.002, "{start_s}");
}

#[test]
fn a_regression_against_the_baseline_exits_with_99_and_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // A large difference, so that a busy machine does not look like a slow target.
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

    // The new result may overwrite the baseline.
    let json = ["--json", "base.json", "--timeline", "--html", "r.html"];
    let worse = run(dir, &slow.url, "12s", &[&limits[..], &json].concat());
    assert_eq!(worse.code, 99, "{}", worse.stdout);
    assert!(
        worse.stdout.contains("REGRESSION  response_time.p50 is "),
        "{}",
        worse.stdout
    );
    // The other port is a difference between the plans, and is reported.
    assert!(
        worse.stdout.contains("the plans differ (task)"),
        "{}",
        worse.stdout
    );
    assert!(read(dir, "r.html").contains("Comparison with the baseline"));
    let written = self::json(dir, "base.json");
    assert_eq!(written["comparison"]["noise"]["judged"], true);
    assert!(written["timeline"]["points"][0]["histogram"].is_string());
}

#[test]
fn unusable_files_are_reported_before_the_test_starts() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let target = Target::start(dir, &[]);
    for (more, expected) in [
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
            "cannot read missing.json: No such file or directory; give --baseline a file",
        ),
        (
            vec!["--csv", "-", "--json", "-"],
            "--csv -: another format is written there",
        ),
    ] {
        let ran = run(dir, &target.url, "1s", &more);
        assert_ne!(ran.code, 0, "{more:?}");
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
    assert_eq!(target.served(), 0);
}

#[test]
fn a_run_that_cannot_start_leaves_existing_files_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let baseline = vajra_fixtures::EMPTY_RESULT;
    std::fs::write(dir.join("base.json"), baseline).unwrap();
    std::fs::write(dir.join("r.csv"), "of last time").unwrap();
    let mut command = Command::new(crate::common::VAJRA);
    // Nothing listens on port 1.
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
