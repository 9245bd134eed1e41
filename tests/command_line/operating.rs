//! Operation of nodes: versions, completions, manual pages, logs, `doctor`.

use std::net::TcpListener;
use std::process::Command;

use crate::common::{Node, Target, VAJRA, eventually, finish, require, run_test, vajra};
use serde_json::Value;

/// Every command that `--help` lists.
fn commands() -> Vec<String> {
    let help = vajra(&["--help"]).stdout;
    let listed = help.lines().skip_while(|l| *l != "Commands:").skip(1);
    let listed = listed.take_while(|l| !l.is_empty());
    let names = listed.filter_map(|l| l.strip_prefix("  ")?.split(' ').next());
    names
        .filter(|n| !n.is_empty() && *n != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn command_line_and_api_report_the_commit() {
    let shown = vajra(&["--version"]).stdout;
    let shown = shown.trim().strip_prefix("vajra-node ").unwrap();
    assert!(shown.starts_with(env!("CARGO_PKG_VERSION")), "{shown}");
    let commit = shown.split_once(" (").map(|(_, c)| c.trim_end_matches(')'));
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), "n0", &[]);
    let api: Value =
        serde_json::from_str(&crate::common::get(&node.api, "/api/v1/version")).unwrap();
    assert_eq!(api["commit"].as_str(), commit);
    let head = Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    if let (Some(commit), Ok(head)) = (commit, head) {
        assert_eq!(commit.len(), 12);
        assert!(
            String::from_utf8_lossy(&head.stdout).starts_with(commit),
            "{commit}"
        );
    }
}

#[test]
fn completions_include_every_command_and_parse_in_bash() {
    let names = commands();
    assert!(names.contains(&"start-test".to_owned()), "{names:?}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let out = vajra(&["completions", shell]);
        assert_eq!(out.code, 0, "{shell}: {}", out.stderr);
        for name in &names {
            assert!(out.stdout.contains(name.as_str()), "{shell} lacks {name}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("vajra-node.bash");
    std::fs::write(&script, vajra(&["completions", "bash"]).stdout).unwrap();
    let read = finish(Command::new("bash").arg("-n").arg(&script));
    assert_eq!((read.code, read.stderr.as_str()), (0, ""));
}

#[test]
fn every_command_has_a_manual_page() {
    let page = vajra(&["man"]).stdout;
    assert!(page.contains(".TH vajra-node 1"), "{page}");
    let dir = tempfile::tempdir().unwrap();
    let out = vajra(&["man", "--dir", dir.path().to_str().unwrap()]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    for name in commands() {
        let page = dir.path().join(format!("vajra-node-{name}.1"));
        let page = std::fs::read_to_string(&page).unwrap_or_default();
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
    assert!(dir.path().join("vajra-node.1").exists());
}

/// Parsed lines of a JSON log.
fn lines(log: &str) -> Vec<Value> {
    let lines = log.lines();
    let parsed = lines.map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}")));
    parsed.collect()
}

#[test]
fn json_log_lines_name_node_test_and_term() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), "n0", &["--log-format", "json"]);
    let target = Target::start(dir.path(), &[]);
    let startup = lines(&node.process.log());
    assert_eq!(startup.len(), 5, "{startup:#?}");
    assert!(
        startup
            .iter()
            .all(|l| l["level"] == "INFO" && l["timestamp"].is_string())
    );
    assert_eq!(startup[0]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(startup[1]["peer"], node.peer.as_str());
    assert_eq!(startup[2]["api"], node.api.as_str());
    assert_eq!(startup[3]["swarm"], "vajra");
    assert_eq!(startup[3]["keyed"], false);
    assert!(
        startup[4]["targets"]
            .as_str()
            .unwrap()
            .contains("private addresses and loopback")
    );
    let id = run_test(&node, &[&target.url, "--rate", "20", "--duration", "1s"])["test_id"].clone();
    let of_test: Vec<Value> = eventually(|| {
        let all = lines(&node.process.log());
        let of_test: Vec<Value> = all.into_iter().filter(|l| l["test"] == id).collect();
        match of_test.iter().any(|l| l["message"] == "ended") {
            true => Ok(of_test),
            false => Err(format!("{of_test:#?}")),
        }
    });
    let elected = of_test.iter().find(|l| l["event"] == "elected").unwrap();
    assert_eq!(elected["term"], 1, "{elected}");
    assert!(of_test.iter().all(|l| l["term"].is_u64()), "{of_test:#?}");
}

#[test]
fn an_unknown_log_format_is_refused() {
    let out = vajra(&["--log-format", "xml"]);
    assert_eq!(out.code, 104);
    assert!(
        out.stderr
            .contains("--log-format: \"xml\" is not one of text, json"),
        "{}",
        out.stderr
    );
}

/// Exit code and JSON output of `doctor` for a node on these ports.
fn doctor(args: &[&str], swarm: u16, api: u16) -> (i32, Value) {
    let dir = tempfile::tempdir().unwrap();
    let listen = format!("/ip4/127.0.0.1/tcp/{swarm}");
    let api = format!("127.0.0.1:{api}");
    let data = dir.path().join("data");
    let mut all = vec![
        "doctor",
        "--json",
        "--no-mdns",
        "--listen",
        &listen,
        "--api",
        &api,
    ];
    all.extend(["--data-dir", data.to_str().unwrap()]);
    all.extend(args);
    let out = vajra(&all);
    (out.code, out.json())
}

fn finding<'a>(found: &'a Value, name: &str) -> &'a Value {
    let checks = found["checks"].as_array().unwrap();
    checks
        .iter()
        .find(|c| c["name"] == name)
        .unwrap_or_else(|| panic!("no {name}: {found}"))
}

#[test]
fn doctor_fails_when_a_port_is_in_use_and_gives_a_hint() {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (swarm, api) = (
        free().local_addr().unwrap().port(),
        free().local_addr().unwrap().port(),
    );
    let (_, found) = doctor(&[], swarm, api);
    assert_eq!(finding(&found, "swarm_port")["finding"], "pass", "{found}");
    assert_eq!(finding(&found, "api_port")["finding"], "pass");
    assert_eq!(finding(&found, "mdns")["finding"], "skip");
    assert_ne!(finding(&found, "data_dir")["finding"], "fail");
    assert_eq!(
        finding(&found, "build")["finding"],
        if cfg!(debug_assertions) {
            "warn"
        } else {
            "pass"
        }
    );

    let taken = free();
    let (code, found) = doctor(&[], taken.local_addr().unwrap().port(), api);
    assert_eq!(code, 1, "{found}");
    assert_eq!(found["verdict"], "fail");
    let port = finding(&found, "swarm_port");
    assert_eq!(port["finding"], "fail");
    assert!(
        port["hint"].as_str().unwrap().contains("--listen"),
        "{port}"
    );
}

#[test]
fn doctor_accepts_ports_used_by_a_running_node() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), "n0", &[]);
    let port =
        |address: &str| -> u16 { address.rsplit([':', '/']).next().unwrap().parse().unwrap() };
    let swarm = node.listening.split("/p2p/").next().unwrap();
    let (_, found) = doctor(&[], port(swarm), port(&node.api));
    assert_eq!(finding(&found, "swarm_port")["finding"], "pass", "{found}");
    assert_eq!(finding(&found, "api_port")["finding"], "pass");
}

/// Runs in its own network namespace, as it sends a multicast datagram.
#[test]
fn doctor_warns_when_no_interface_supports_multicast() {
    let script = |links: &str| {
        let script = format!(
            "set -e; mount -t sysfs sysfs /sys; ip link set lo up; {links}; exec {VAJRA} doctor --json \
             --listen /ip4/127.0.0.1/tcp/7960 --api 127.0.0.1:7961 --ephemeral || true"
        );
        Command::new("unshare")
            .args(["-rnm", "sh", "-c", &script])
            .output()
    };
    let with = "ip link add e0 type veth peer name e1; ip link set e1 up; ip addr add 10.77.9.1/24 dev e0; \
                ip link set e0 multicast on up";
    let alone = Command::new("unshare")
        .args([
            "-rnm",
            "sh",
            "-c",
            &format!("set -e; mount -t sysfs sysfs /sys; {with}"),
        ])
        .output();
    if !require(
        "network namespaces and iproute2",
        alone.is_ok_and(|o| o.status.success()),
    ) {
        return;
    }
    let mdns = |links: &str| {
        let out = script(links).unwrap();
        let found: Value = serde_json::from_slice(&out.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
        finding(&found, "mdns").clone()
    };
    let without = mdns("true");
    assert_eq!(without["finding"], "warn", "{without}");
    assert!(
        without["hint"].as_str().unwrap().contains("--bootstrap"),
        "{without}"
    );
    let works = mdns(with);
    assert_eq!(works["finding"], "pass", "{works}");
}

/// All source text, with string literals as printed: without escapes and line continuations.
fn source() -> String {
    fn collect(dir: &std::path::Path, into: &mut String) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => collect(&path, into),
                false if path.extension().is_some_and(|e| e == "rs") => {
                    *into += &std::fs::read_to_string(&path).unwrap();
                }
                false => {}
            }
        }
    }
    let mut all = String::new();
    collect(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut all,
    );
    let all = all.replace("\\n", " ").replace("\\\"", "\"");
    let lines = all.split("\\\n").map(str::trim_start);
    lines.collect::<Vec<_>>().concat()
}

#[test]
fn troubleshooting_page_quotes_messages_of_the_program() {
    let source = source();
    let page = include_str!("../../docs/troubleshooting.md");
    let quotes: Vec<&str> = page.lines().filter_map(|l| l.strip_prefix("> ")).collect();
    assert!(quotes.len() > 20, "{quotes:#?}");
    for quote in quotes {
        // Messages that are assembled when printed are searched in parts.
        let parts = quote.split(['…', ';', ',']).map(str::trim);
        let parts = parts.map(|p| p.trim_start_matches("because ").trim_start_matches("is "));
        for part in parts.filter(|p| p.len() > 4) {
            assert!(
                source.contains(part),
                "{part:?} of {quote:?} is not in the source"
            );
        }
    }
}
