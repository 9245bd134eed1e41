//! Suites with the real binary: sequential, parallel, failed, stopped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::common::{Target, VAJRA, start_test, swarm, vajra};
use serde_json::Value;

/// Request paths that a server has received.
type Seen = Arc<Mutex<Vec<String>>>;

/// Serves `ok` for every request until the process ends.
fn server() -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let shared = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, seen) = (stream.unwrap(), shared.clone());
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(Ok(line)) = lines.next() {
                    if let Some(path) = line.strip_prefix("GET ") {
                        let path = path.split(' ').next().unwrap();
                        seen.lock().unwrap().push(path.to_owned());
                    }
                    if line.is_empty() {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        if stream.write_all(answer).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    (url, seen)
}

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn outcomes(suite: &Value) -> Vec<(&str, &str)> {
    let plans = suite["plans"].as_array().unwrap().iter();
    plans
        .map(|p| (p["name"].as_str().unwrap(), p["outcome"].as_str().unwrap()))
        .collect()
}

fn milliseconds(plan: &Value) -> i64 {
    let at = plan["result"]["started_at"].as_str().unwrap();
    let (_, time) = at.trim_end_matches('Z').split_once('T').unwrap();
    let parts: Vec<f64> = time.split(':').map(|p| p.parse().unwrap()).collect();
    ((parts[0] * 3600.0 + parts[1] * 60.0 + parts[2]) * 1e3) as i64
}

#[test]
fn sequential_plans_pass_values_to_later_plans() {
    let dir = tempfile::tempdir().unwrap();
    let (url, seen) = server();
    let nodes = swarm(dir.path(), 2, &[]);
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    write(dir.path(), "sub/who.csv", "name\nann\n");
    let first = format!(
        "[http]\nbase_url = \"{url}\"\n[data.who]\nfile = \"who.csv\"\n[[scenario]]\n\
         [[scenario.step]]\nurl = \"/first/{{{{ who.name }}}}\"\n[load]\nrate = 50\nduration = \"1s\"\n"
    );
    write(dir.path(), "sub/first.toml", &first);
    let suite = write(
        dir.path(),
        "suite.toml",
        &format!(
            r#"
            [suite]
            name = "two"
            pause = "1500ms"
            [[plan]]
            name = "first"
            file = "sub/first.toml"
            pass = {{ peak = "rate", failed = "error_rate" }}
            [[plan]]
            name = "second"
            thresholds = ["error_rate < 1%"]
            http = {{ base_url = "{url}" }}
            load = {{ rate = 20, duration = "1s" }}
            [plan.vars]
            who = "nobody"
            peak = 1
            [[plan.scenario]]
            name = "s"
            [[plan.scenario.step]]
            url = "/second/{{{{ vars.who }}}}/{{{{ vars.peak | round | int }}}}/{{{{ vars.failed }}}}"
            "#
        ),
    );
    let junit = dir.path().join("junit.xml");
    let out = start_test(
        &nodes[1],
        &[
            &suite,
            "--var",
            "who=ann",
            "--threshold",
            "rate > 1/s",
            "--junit",
            junit.to_str().unwrap(),
        ],
    );
    assert_eq!(out.code, 0, "{}", out.stderr);
    let result = out.json();
    assert_eq!(result["suite"], "two");
    assert_eq!(
        (&result["schema"], &result["outcome"]),
        (&1.into(), &"passed".into())
    );
    assert_eq!(
        outcomes(&result),
        [("first", "passed"), ("second", "passed")]
    );
    let plans = &result["plans"];
    assert_eq!(plans[0]["result"]["name"], "first");
    assert_eq!(plans[1]["result"]["totals"]["ok"], 20);
    assert_eq!(
        plans[1]["result"]["thresholds"].as_array().unwrap().len(),
        2
    );
    let apart = milliseconds(&plans[1]) - milliseconds(&plans[0]);
    assert!((2_500..60_000).contains(&apart), "{apart}");
    let seen = seen.lock().unwrap();
    let count = |path: &str| seen.iter().filter(|p| *p == path).count();
    assert_eq!(
        (count("/first/ann"), count("/second/ann/50/0.0")),
        (50, 20),
        "{seen:?}"
    );
    let xml = std::fs::read_to_string(junit).unwrap();
    assert!(
        xml.contains("<testsuites tests=\"5\" skipped=\"0\" failures=\"0\" errors=\"0\">"),
        "{xml}"
    );
    assert!(
        xml.contains("<testsuite name=\"second\" tests=\"3\""),
        "{xml}"
    );
    for line in ["first:  ", "second:  "] {
        let stderr = out.stderr.replace(": ", ":  ");
        assert!(stderr.contains(line), "{}", out.stderr);
    }
}

#[test]
fn parallel_plans_run_at_the_same_time() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let nodes = swarm(dir.path(), 2, &[]);
    let plan = |name: &str, rate: u32| {
        format!(
            "[[plan]]\nname = \"{name}\"\ntask = {{ type = \"HTTP\", url = \"{}\" }}\n\
             load = {{ rate = {rate}, duration = \"4s\" }}\n",
            target.url
        )
    };
    let text = format!(
        "[suite]\nmode = \"parallel\"\n{}{}",
        plan("slow", 20),
        plan("fast", 50)
    );
    let suite = write(dir.path(), "suite.toml", &text);
    let json = dir.path().join("suite.json");
    let out = vajra(&[
        "start-test",
        &suite,
        "--api",
        &nodes[0].api,
        "--json",
        json.to_str().unwrap(),
    ]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    let result: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(result["mode"], "parallel");
    assert_eq!(outcomes(&result), [("slow", "passed"), ("fast", "passed")]);
    let plans = &result["plans"];
    let apart = milliseconds(&plans[1]) - milliseconds(&plans[0]);
    assert!(apart.abs() < 3_000, "{apart}");
    assert_eq!(plans[0]["result"]["totals"]["sent"], 80);
    assert_eq!(plans[1]["result"]["totals"]["sent"], 200);
    assert_eq!(target.served(), 280);
    for part in [
        "── plan slow ──",
        "── plan fast ──",
        "2 of 2 plans passed",
        "thresholds",
    ] {
        assert!(out.stdout.contains(part), "{part}: {}", out.stdout);
    }
}

#[test]
fn a_failed_threshold_ends_the_suite_with_stop_on_failure() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[suite]\nstop_on = \"failure\"\n[local]\nnodes = 1\n\
                target = { error_rate = 0.5 }\n\
                [[plan]]\nname = \"errors\"\nthresholds = [\"error_rate < 1%\"]\n\
                task = { type = \"HTTP\" }\nload = { rate = 50, duration = \"1s\" }\n\
                [[plan]]\nname = \"more\"\ntask = { type = \"HTTP\" }\n\
                load = { rate = 50, duration = \"1s\" }\n";
    let run = |text: &str| {
        let suite = write(dir.path(), "suite.toml", text);
        vajra(&["start-test", &suite, "--json", "-"])
    };
    let out = run(text);
    assert_eq!(out.code, 99, "{}", out.stderr);
    let result = out.json();
    assert_eq!(
        outcomes(&result),
        [("errors", "thresholds_failed"), ("more", "not_started")]
    );
    assert_eq!(result["outcome"], "thresholds_failed");
    assert_eq!(result["plans"][1]["result"], Value::Null);
    let why = result["plans"][1]["why"].as_str().unwrap();
    assert!(why.contains("errors failed, and stop_on is"), "{why}");
    let out = run(&text.replace("\"failure\"", "\"never\""));
    assert_eq!(out.code, 99, "{}", out.stderr);
    assert_eq!(
        outcomes(&out.json()),
        [("errors", "thresholds_failed"), ("more", "passed")]
    );
}

#[test]
fn ctrl_c_stops_the_running_plan_and_starts_no_further_plan() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[suite]\n[local]\nnodes = 1\ntarget = {}\n\
                [[plan]]\nname = \"long\"\ntask = { type = \"HTTP\" }\n\
                load = { rate = 20, duration = \"10m\" }\n\
                [[plan]]\nname = \"next\"\ntask = { type = \"HTTP\" }\n\
                load = { rate = 20, duration = \"10m\" }\n";
    let suite = write(dir.path(), "suite.toml", text);
    let mut child = Command::new(VAJRA)
        .args(["start-test", &suite])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut log = String::new();
    while !log.contains("/600 s") {
        assert!(stderr.read_line(&mut log).unwrap() > 0, "{log}");
    }
    let sent = Command::new("kill")
        .args(["-s", "INT", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    stderr.read_to_string(&mut log).unwrap();
    let mut shown = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut shown)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(105), "{log}");
    assert!(log.contains("the local target received"), "{log}");
    assert!(!log.contains("plan \"next\": test"), "{log}");
    assert!(shown.contains("- next: long was stopped"), "{shown}");
}

#[test]
fn a_suite_is_validated_and_outlined_without_running() {
    let dir = tempfile::tempdir().unwrap();
    let (url, seen) = server();
    write(
        dir.path(),
        "good.toml",
        &format!("[task]\ntype = \"HTTP\"\nurl = \"{url}\"\n[load]\nrate = 5\nduration = \"2s\"\n"),
    );
    let text = "[suite]\n[[plan]]\nname = \"a\"\nfile = \"good.toml\"\npass = { n = \"rate\" }\n\
                [[plan]]\nname = \"b\"\nhttp = { base_url = \"http://127.0.0.1:1\" }\n\
                load = { rate = 7, duration = \"1s\" }\n[[plan.setup]]\nname = \"in\"\nurl = \"/in\"\n\
                [[plan.scenario]]\nname = \"s\"\n[[plan.scenario.step]]\nname = \"x\"\n\
                url = \"/{{ vars.n }}/{{ vars.who }}\"\n";
    let suite = write(dir.path(), "suite.toml", text);
    let out = vajra(&["validate", &suite]);
    assert_eq!(out.code, 104, "{out:?}");
    for part in [
        "plan \"b\": scenario \"s\", step \"x\": {{ vars.who }} is not known here",
        "suite.toml:17:22",
        "17 | url = ",
    ] {
        assert!(out.stderr.contains(part), "{part}: {}", out.stderr);
    }
    let out = vajra(&["validate", &suite, "--var", "who=ann"]);
    assert_eq!(out.code, 0, "{out:?}");
    for part in [
        "is a valid suite of 2 plans, sequential",
        "plan \"a\" would run: GET http://127.0.0.1",
        "total     10 requests",
        "plan \"b\" would run: scenarios s",
        "setup     in, once, at most 11s",
    ] {
        assert!(out.stdout.contains(part), "{part}: {}", out.stdout);
    }
    let args = [
        "start-test",
        &suite,
        "--var",
        "who=ann",
        "--dry-run",
        "--json",
        "-",
    ];
    let out = vajra(&args);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.json()["plans"][0]["outline"]["requests"], 10);
    for (option, value) in [("--rate", "5"), ("--url", "http://h"), ("--where", "a=b")] {
        let out = vajra(&["start-test", &suite, "--var", "who=ann", option, value]);
        assert_eq!(out.code, 2, "{out:?}");
        let expected = format!("error: {option} is for one plan, and this is a suite");
        assert!(out.stderr.contains(&expected), "{}", out.stderr);
    }
    let out = vajra(&["start-test", &suite, "--var", "who=ann", "--detach"]);
    assert!(out.stderr.contains("--detach is for one plan"), "{out:?}");
    let bad = write(
        dir.path(),
        "bad.toml",
        &text.replace("good.toml", "none.toml"),
    );
    let out = vajra(&["start-test", &bad, "--var", "who=ann"]);
    assert_eq!(out.code, 104, "{out:?}");
    assert!(
        out.stderr
            .contains("plan \"a\": line 4, column 8: cannot read none.toml"),
        "{}",
        out.stderr
    );
    assert_eq!(seen.lock().unwrap().len(), 0);
}

#[test]
fn command_line_variables_override_plan_variables() {
    let dir = tempfile::tempdir().unwrap();
    let (url, seen) = server();
    let text = format!(
        "[http]\nbase_url = \"{url}\"\n[vars]\nwho = \"nobody\"\nfast = true\n[[scenario]]\n\
         [[scenario.step]]\nurl = \"/{{{{ vars.who }}}}/{{{{ vars.fast }}}}/{{{{ vars.n + 1 }}}}\"\n\
         [load]\nrate = 10\nduration = \"1s\"\n"
    );
    let plan = write(dir.path(), "plan.toml", &text);
    let out = vajra(&["start-test", &plan, "--standalone"]);
    assert_eq!(out.code, 104, "{out:?}");
    assert!(
        out.stderr.contains("{{ vars.n }} is not known here"),
        "{out:?}"
    );
    let options = [
        "--var",
        "who=ann",
        "--var",
        "n=4",
        "--standalone",
        "--no-mdns",
        "--listen",
    ];
    let mut args = vec!["start-test", &plan];
    args.extend(options);
    args.push("/ip4/127.0.0.1/tcp/0");
    let out = vajra(&args);
    assert_eq!(out.code, 0, "{}", out.stderr);
    let mut seen = seen.lock().unwrap().clone();
    seen.dedup();
    assert_eq!(seen, ["/ann/true/5"]);
    let out = vajra(&["start-test", "http://127.0.0.1:1", "--var", "n=4"]);
    assert_eq!(out.code, 2, "{out:?}");
    assert!(
        out.stderr
            .contains("--var is for the steps of a plan's scenarios"),
        "{out:?}"
    );
}
