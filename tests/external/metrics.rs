//! Metrics in Prometheus: it scrapes a swarm during a test, with the configuration, alerts and
//! dashboard of this repository. Needs `prometheus` and `promtool`; without them, these tests are
//! reported as ignored.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{
    Node, Process, Target, eventually, get, require, start_detached, swarm, vajra,
};
use serde_json::Value;

const CONFIG: &str = include_str!("../../swarm-config/prometheus.yml");
const ALERTS: &str = include_str!("../../swarm-config/prometheus-alerts.yml");
const DASHBOARD: &str = include_str!("../../swarm-config/grafana-dashboard.json");

fn has_prometheus() -> bool {
    let runs = |name| {
        let command = Command::new(name).arg("--version").output();
        command.is_ok_and(|out| out.status.success())
    };
    require(
        "prometheus and promtool",
        runs("prometheus") && runs("promtool"),
    )
}

fn promtool(args: &[&str], input: &str) {
    let mut child = Command::new("promtool")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let out = child.wait_with_output().unwrap();
    let output = [out.stdout, out.stderr].concat();
    assert!(
        out.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output)
    );
}

/// A Prometheus that scrapes these nodes every second with the configuration in `swarm-config`.
struct Prometheus {
    _process: Process,
    address: String,
}

impl Prometheus {
    fn start(dir: &Path, nodes: &[Node]) -> Prometheus {
        let targets: String = nodes
            .iter()
            .map(|n| format!("          - {}\n", n.api))
            .collect();
        let config = CONFIG
            .replace("scrape_interval: 5s", "scrape_interval: 1s")
            .replace("evaluation_interval: 5s", "evaluation_interval: 1s")
            .replace("          - 127.0.0.1:7401\n", &targets);
        assert!(nodes.iter().all(|n| config.contains(&n.api)), "{config}");
        let file = dir.join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        std::fs::write(dir.join("prometheus-alerts.yml"), ALERTS).unwrap();
        promtool(&["check", "config", file.to_str().unwrap()], "");
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let address = free.to_string();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!(
            "--storage.tsdb.path={}",
            dir.join("tsdb").display()
        ));
        command.arg(format!("--web.listen-address={address}"));
        command.args(["--log.level=warn", "--storage.tsdb.retention.time=1h"]);
        let process = Process::spawn(command, dir.join("prometheus.log"));
        let prometheus = Prometheus {
            _process: process,
            address,
        };
        eventually(|| match TcpStream::connect(&prometheus.address) {
            Ok(_) => Ok(()),
            Err(e) => Err(e.to_string()),
        });
        prometheus
    }

    /// Response of its API. HTTP/1.0, so that it is not chunked.
    fn api(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n",
            self.address
        )
        .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (_, body) = response.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{path}: {e}: {response}"))
    }

    /// Values of an expression, one per series.
    fn query(&self, expr: &str) -> Vec<f64> {
        let escaped: String = expr.bytes().map(|b| format!("%{b:02x}")).collect();
        let answer = self.api(&format!("/api/v1/query?query={escaped}"));
        assert_eq!(answer["status"], "success", "{expr}: {answer}");
        let series = answer["data"]["result"].as_array().unwrap();
        let value = |s: &Value| s["value"][1].as_str().unwrap().parse().unwrap();
        series.iter().map(value).collect()
    }

    /// Value of an expression with a single series.
    fn one(&self, expr: &str) -> Option<f64> {
        match self.query(expr)[..] {
            [value] => Some(value),
            _ => None,
        }
    }
}

/// The dashboard's expressions by panel, with variables replaced as Grafana does it.
fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let exprs = panels.flat_map(|panel| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(move |t| {
            let expr = t["expr"].as_str().unwrap();
            let expr = expr.replace("$__rate_interval", "5s");
            let expr = expr.replace("$test", ".*").replace("$job", "vajra");
            assert!(!expr.contains('$'), "{title}: {expr}");
            (title.clone(), expr)
        })
    });
    exprs.collect()
}

#[test]
fn prometheus_scrapes_nodes_and_alerts_and_dashboard_find_their_series() {
    if !has_prometheus() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = swarm(dir.path(), 3, &[]);
    let target = Target::start(dir.path(), &["--latency", "3ms", "--error-rate", "0.1"]);
    let prometheus = Prometheus::start(dir.path(), &nodes);
    let id = start_detached(
        &nodes[0],
        &[
            &target.url,
            "--rate",
            "300",
            "--duration",
            "2m",
            "--name",
            "watched",
        ],
    );

    // Every panel has data while a test runs.
    for (title, expr) in panels() {
        eventually(|| match prometheus.query(&expr).is_empty() {
            true => Err(format!("panel {title:?} is empty: {expr}")),
            false => Ok(()),
        });
    }
    // The rates of the workers add up to the rate of the test.
    eventually(|| {
        let rate = prometheus.one("sum(rate(vajra_worker_sent_requests_total[10s]))");
        match rate {
            Some(rate) if (rate - 300.0).abs() < 30.0 => Ok(()),
            other => Err(format!("the nodes together send {other:?} per second")),
        }
    });
    // Every alert rule is healthy.
    let rules = eventually(|| {
        let rules = prometheus.api("/api/v1/rules")["data"]["groups"].clone();
        let groups = rules.as_array().unwrap().iter();
        let rules: Vec<Value> = groups
            .flat_map(|g| g["rules"].as_array().unwrap().clone())
            .collect();
        match rules.iter().find(|r| r["health"] != "ok") {
            None => Ok(rules),
            Some(rule) => Err(format!("{rule}")),
        }
    });
    assert_eq!(rules.len(), ALERTS.matches("- alert:").count());
    for rule in &rules {
        let sound = [
            "VajraNodeDown",
            "VajraSwarmSplit",
            "VajraTestInvalid",
            "VajraDescriptorsNearLimit",
        ];
        let name = rule["name"].as_str().unwrap();
        assert!(
            !sound.contains(&name) || rule["state"] == "inactive",
            "{rule}"
        );
    }

    // After the end, every node exports the same values as the result.
    let stopped = vajra(&["stop-test", &id, "--api", &nodes[1].api]);
    assert_eq!(stopped.code, 0, "{}", stopped.stderr);
    let result = eventually(|| {
        let result = nodes[2].json(&["status", &id]);
        match result["complete"] == true && result["state"] == "ended" {
            true => Ok(result),
            false => Err(format!("state {}", result["state"])),
        }
    });
    let sent = result["totals"]["sent"].as_f64().unwrap();
    let count = result["response_time_ms"]["count"].as_f64().unwrap();
    eventually(|| {
        let sent_by_node =
            prometheus.query(&format!("vajra_test_sent_requests_total{{test_id={id:?}}}"));
        let parts = prometheus.one("sum(vajra_worker_sent_requests_total)");
        let timed = prometheus.query("vajra_test_response_time_seconds_count");
        match sent_by_node == [sent; 3] && parts == Some(sent) && timed == [count; 3] {
            true => Ok(()),
            false => Err(format!(
                "{sent_by_node:?}, {parts:?}, {timed:?}, not {sent} and {count}"
            )),
        }
    });
    // Each node exports a verdict when its copy of the result is complete.
    eventually(|| match prometheus.query("vajra_test_verdict").len() {
        3 => Ok(()),
        n => Err(format!("{n} nodes export a verdict")),
    });

    // A killed node raises an alert.
    nodes[2].process.kill();
    eventually(|| {
        let alerts = prometheus.api("/api/v1/alerts")["data"]["alerts"].to_string();
        match alerts.contains("VajraNodeDown") {
            true => Ok(()),
            false => Err(alerts),
        }
    });
}

#[test]
fn a_killed_worker_leaves_the_worker_count_and_raises_an_alert() {
    if !has_prometheus() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = swarm(dir.path(), 3, &[]);
    let target = Target::start(dir.path(), &[]);
    let prometheus = Prometheus::start(dir.path(), &nodes);
    start_detached(
        &nodes[0],
        &[&target.url, "--rate", "300", "--duration", "5m"],
    );
    let wait_for_workers = |expected: f64, nodes: usize| {
        eventually(|| match prometheus.query("vajra_test_workers") {
            values if values == vec![expected; nodes] => Ok(()),
            values => Err(format!("{values:?} workers")),
        });
    };
    wait_for_workers(3.0, 3);
    nodes[2].process.kill();
    wait_for_workers(2.0, 2);
    eventually(|| {
        let alerts = prometheus.api("/api/v1/alerts")["data"]["alerts"].to_string();
        match alerts.contains("VajraWorkerLost") {
            true => Ok(()),
            false => Err(alerts),
        }
    });
}

#[test]
fn promtool_accepts_metrics_and_alerts() {
    if !has_prometheus() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let nodes = swarm(dir.path(), 2, &[]);
    let node = &nodes[0];
    let target = Target::start(dir.path(), &["--error-rate", "0.1"]);
    start_detached(node, &[&target.url, "--rate", "100", "--duration", "1m"]);
    let page = eventually(|| {
        let page = get(&node.api, "/metrics");
        match page.contains("vajra_worker_lag_p99_seconds{") {
            true => Ok(page),
            false => Err(page),
        }
    });
    // promtool checks the older text format, where a counter is declared with its suffix.
    let mut page = page;
    let lines: Vec<String> = page.lines().map(str::to_owned).collect();
    let types = lines.iter().filter_map(|l| l.strip_prefix("# TYPE "));
    for counter in types.filter_map(|t| t.strip_suffix(" counter")) {
        for declaration in ["HELP", "TYPE"] {
            let line = format!("# {declaration} {counter} ");
            page = page.replace(&line, &format!("# {declaration} {counter}_total "));
        }
    }
    // The names of libp2p's own metrics are not checked.
    let mut ours = String::new();
    for line in page.lines() {
        let name = line
            .trim_start_matches("# HELP ")
            .trim_start_matches("# TYPE ");
        if name.starts_with("vajra_") || name.starts_with("process_") {
            ours += &format!("{line}\n");
        }
    }
    assert!(page.contains("\nlibp2p_bandwidth_bytes_total{"), "{page}");
    assert!(page.contains("\ngossipsub_"), "{page}");
    promtool(&["check", "metrics"], &ours);
    let alerts = dir.path().join("alerts.yml");
    std::fs::write(&alerts, ALERTS).unwrap();
    promtool(&["check", "rules", alerts.to_str().unwrap()], "");
}
