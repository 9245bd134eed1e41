#![allow(clippy::unwrap_used)]
//! Plans and their errors.

use std::time::Duration;

use super::*;

const GOOD: &str = r#"
name = "checkout"
tags = { build = "17" }
[task]
type = "HTTP"
url = "http://10.0.0.1/cart"
headers = { accept = "*/*", authorization = "env:TOKEN" }
timeout = "2s"
[load]
rate = "1.5k"
duration = "30s"
ramp_up = "10s"
[swarm]
where = { region = "eu" }
on_lost_worker = "hold"
"#;

fn plan(text: &str) -> Plan {
    parse_toml(text).unwrap().into_plan().unwrap()
}

fn error(text: &str) -> String {
    let message = parse_toml(text).unwrap_err().to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

/// A plan with one line of `[load]` replaced.
fn load_error(load: &str) -> String {
    error(&format!(
        "[task]\ntype = \"SLEEP\"\nms = 1\n[load]\n{load}\n"
    ))
}

fn http_error(task: &str) -> String {
    error(&format!(
        "[task]\ntype = \"HTTP\"\n{task}\n[load]\nrate = 1\nduration = \"1s\"\n"
    ))
}

#[test]
fn a_plan_survives_its_canonical_form() {
    for text in [
        GOOD,
        "[task]\ntype='CPU'\nms=5\n[load]\nusers=3\nthink_time='10ms'\nduration='1s'\nrequests='1k'",
        "[task]\ntype='HTTP'\nurl='https://h/'\nversion='2'\nstreams=9\nbody_size='1KiB'\n\
         addresses=['10.0.0.1:443','[fd00::1]:443']\n\
         tls={ca='file:ca.pem',client_cert='env:C',client_key='env:K',resume=true}\n\
         [load]\nusers=3\nthink_time='1s..3s'\nduration='1s'",
        "[task]\ntype='HTTP'\nurl='http://h/'\ndns_refresh='30s'\n[load]\nrate=1\nduration='1s'",
    ] {
        let plan = plan(text);
        assert_eq!(Plan::from_bytes(&plan.to_bytes()), Ok(plan));
    }
}

#[test]
fn toml_is_read_with_defaults_filled_in() {
    let plan = plan(GOOD);
    assert_eq!(
        (plan.load.model, plan.load.rate),
        (Model::Open, Some(1500.0))
    );
    assert_eq!(plan.load.max_lateness, Duration::from_millis(100));
    assert_eq!(plan.graceful_timeout(), Duration::from_secs(3));
    let Task::Http(http) = &plan.task else {
        panic!("{plan:?}")
    };
    assert_eq!(http.method, "GET");
    assert_eq!(
        http.headers[1],
        ("authorization".into(), "env:TOKEN".into())
    );
}

#[test]
fn headers_may_be_a_list_with_repeated_names() {
    let text = GOOD.replace(
        r#"{ accept = "*/*", authorization = "env:TOKEN" }"#,
        r#"[["cookie", "a=1"], ["cookie", "b=2"]]"#,
    );
    let Task::Http(http) = plan(&text).task else {
        panic!()
    };
    assert_eq!(http.headers.len(), 2);
}

#[test]
fn an_unknown_field_is_reported_with_its_place_and_the_allowed_ones() {
    let message = error(&GOOD.replace("ramp_up", "ramp_upp"));
    for part in ["line 12", "ramp_upp", "`ramp_up`"] {
        assert!(message.contains(part), "{message}");
    }
    let message = error(&GOOD.replace("timeout =", "time_out ="));
    assert!(
        message.contains("line 8") && message.contains("`timeout`"),
        "{message}"
    );
}

#[test]
fn a_value_of_the_wrong_type_is_reported_with_its_field() {
    let message = error(&GOOD.replace("\"30s\"", "30"));
    assert!(
        message.contains("load.duration") && message.contains("\"30s\""),
        "{message}"
    );
    let message = load_error("rate = \"fast\"\nduration = \"1s\"");
    assert!(
        message.contains("load.rate") && message.contains("fast"),
        "{message}"
    );
}

#[test]
fn invalid_loads_are_rejected_by_field() {
    for (load, expected) in [
        (
            "rate = 0\nduration = '1s'",
            "load.rate: 0 is not allowed; it must be between 0.001 and 1000000",
        ),
        ("rate = 2e6\nduration = '1s'", "load.rate: 2000000"),
        (
            "rate = 1\nusers = 1\nduration = '1s'",
            "both rate and users",
        ),
        ("duration = '1s'", "neither rate nor users"),
        (
            "model = 'closed'\nduration = '1s'",
            "load.users: is missing",
        ),
        (
            "model = 'closed'\nrate = 1\nusers = 1\nduration = '1s'",
            "load.rate: is for the open model",
        ),
        (
            "model = 'open'\nrate = 1\nusers = 1\nduration = '1s'",
            "load.users: is for the closed model",
        ),
        ("users = 0\nduration = '1s'", "load.users: 0 is not allowed"),
        (
            "users = 1.5\nduration = '1s'",
            "load.users: 1.5 is not a whole number",
        ),
        ("rate = 1", "load.duration: is missing"),
        (
            "rate = 1\nduration = '1ms'",
            "load.duration: 1ms is not allowed; it must be between 100ms and 1day",
        ),
        ("rate = 1\nduration = '25h'", "load.duration: 1day1h"),
        ("rate = 0.01\nduration = '1s'", "no request at all"),
        (
            "rate = 1\nduration = '1s'\nrequests = 0",
            "load.requests: 0",
        ),
        (
            "rate = 1\nduration = '1s'\nthink_time = '1s'",
            "load.think_time",
        ),
    ] {
        let message = load_error(load);
        assert!(message.contains(expected), "{load}: {message}");
    }
}

#[test]
fn invalid_tasks_are_rejected_by_field() {
    for (task, expected) in [
        ("", "task.url: is missing"),
        ("url = 'http://'", "has no host"),
        (
            "url = 'ftp://h/'",
            "task.url: ftp:// is not supported; supported schemes are http:// and https://",
        ),
        ("url = 'http://h/'\nms = 3", "task.ms"),
        ("url = 'http://h/'\nmethod = 'GE T'", "task.method"),
        (
            "url = 'http://h/'\nheaders = { 'a b' = 'c' }",
            "task.headers",
        ),
        (
            "url = 'http://h/'\nheaders = { a = \"b\\nc\" }",
            "control character",
        ),
        (
            "url = 'http://h/'\nheaders = { Content-Length = '3' }",
            "set by the engine",
        ),
        ("url = 'http://h/'\ntimeout = '0s'", "task.timeout"),
        (
            "url = 'http://h/'\nversion = '3'",
            "allowed here: `1.1`, `2`",
        ),
        (
            "url = 'http://h/'\nstreams = 5",
            "set task.version to \"2\"",
        ),
        (
            "url = 'http://h/'\nversion = '2'\nstreams = 0",
            "task.streams: 0 is not allowed",
        ),
        (
            "url = 'http://h/'\nversion = '2'\nstreams = 5\ndisable_keepalive = true",
            "can't be combined with task.disable_keepalive",
        ),
        ("url = 'http://h/'\nbody_size = '10 GB'", "number of bytes"),
        (
            "url = 'http://h/'\nbody_size = '65MiB'",
            "must be between 0 and 67108864",
        ),
        (
            "url = 'http://h/'\nbody = 'x'\nbody_size = 3",
            "task.body_size",
        ),
        ("url = 'http://h/'\naddresses = ['h:80']", "socket address"),
        (
            "url = 'http://h/'\ndns_refresh = '10ms'",
            "task.dns_refresh: 10ms is not allowed",
        ),
        (
            "url = 'http://h/'\ndns_refresh = '1m'\naddresses = ['10.0.0.1:80']",
            "task.dns_refresh",
        ),
        (
            "url = 'http://h/'\ntls = { resume = true }",
            "task.tls: is for https://",
        ),
        (
            "url = 'https://h/'\ntls = { client_cert = 'x' }",
            "task.tls.client_key: is missing",
        ),
        (
            "url = 'https://h/'\ntls = { client_cert = 'x', client_key = '-----BEGIN' }",
            "private keys are not sent with a plan",
        ),
        (
            "url = 'https://h/'\ntls = { cas = 'x' }",
            "did you mean `ca`?",
        ),
    ] {
        let message = http_error(task);
        assert!(message.contains(expected), "{task}: {message}");
    }
    assert!(
        error("[task]\ntype='FTP'\nms=1\n[load]\nrate=1\nduration='1s'")
            .contains("`HTTP`, `SLEEP`, `CPU`")
    );
    assert!(
        error("[task]\ntype='CPU'\nurl='http://h'\n[load]\nrate=1\nduration='1s'")
            .contains("task.url")
    );
}

#[test]
fn a_local_table_is_not_part_of_the_plan_and_can_replace_the_url() {
    let text = r#"
[task]
type = "HTTP"
[load]
rate = 1
duration = "1s"
[local]
nodes = 3
target = { latency = "5ms", error_rate = 0.1 }
"#;
    let file = parse_toml(text).unwrap();
    assert!(file.needs_target());
    let local = file.local().unwrap();
    assert_eq!(local.nodes, 3);
    assert_eq!(
        local.target.as_ref().unwrap().latency,
        Duration::from_millis(5)
    );
    assert!(file.clone().into_plan().is_err());
    assert!(file.clone().with_url("http://").is_err());
    let plan = file.with_url("http://127.0.0.1:9/x").unwrap();
    assert!(
        !String::from_utf8(plan.to_bytes())
            .unwrap()
            .contains("local")
    );
    assert!(error(&text.replace("0.1", "2")).contains("local.target.error_rate"));
    assert!(error(&text.replace("[local]\nnodes = 3\ntarget", "[limits]\n#")).contains("task.url"));
}

#[test]
fn json_errors_name_the_field_and_the_place() {
    let good = String::from_utf8(plan(GOOD).to_bytes()).unwrap();
    for (from, to, expected) in [
        ("\"rate\":1500.0", "\"rate\":\"x\"", "rate"),
        (
            "\"rate\"",
            "\"rat\"",
            "unknown key `rat`; did you mean `rate`?",
        ),
        ("\"30s\"", "30", "duration"),
        ("\"task\"", "\"local\":{},\"task\"", "unknown key `local`"),
        (
            "\"rate\":1500.0",
            "\"rate\":0",
            "load.rate: 0 is not allowed",
        ),
        ("}", "", "line 1"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        let message = parse_json(bad.as_bytes()).unwrap_err().to_string();
        assert!(
            message.contains(expected) && !message.contains('\n'),
            "{message}"
        );
    }
}

#[test]
fn the_size_of_a_plan_is_limited() {
    let text = format!("{GOOD}# {}", "x".repeat(MAX_PLAN_BYTES));
    assert!(matches!(parse_toml(&text), Err(PlanError::TooLarge(_))));
    let mut big = plan(GOOD);
    let Task::Http(http) = &mut big.task else {
        panic!()
    };
    http.body = "\"".repeat(MAX_PLAN_BYTES / 2);
    assert!(matches!(big.validate(), Err(PlanError::TooLarge(_))));
}

const STAGES: &str = r#"
[task]
type = "SLEEP"
ms = 1
[load]
model = "open"
arrivals = "poisson"
stages = [
  { type = "warm-up", target = 100, length = "1s" },
  { type = "ramp", target = "1k", length = "10s" },
  { type = "spike", target = 3000, length = "2s" },
  { type = "sustain", length = "5s" },
  { type = "step", target = 2000, steps = 2, length = "4s" },
  { type = "ramp-down", length = "2s" },
]
"#;

#[test]
fn stages_run_in_order_and_a_spike_returns_to_the_previous_level() {
    let plan = plan(STAGES);
    assert_eq!(Plan::from_bytes(&plan.to_bytes()), Ok(plan.clone()));
    assert_eq!(plan.load.rate, Some(3000.0));
    assert_eq!(plan.load.duration, Duration::from_secs(24));
    let lines = plan.load.lines();
    let shape: Vec<_> = lines
        .iter()
        .map(|l| (l.name, l.from, l.to, l.length.as_secs()))
        .collect();
    let expected = [
        ("warm-up", 100.0, 100.0, 1),
        ("ramp", 100.0, 1000.0, 10),
        ("spike", 3000.0, 3000.0, 2),
        ("sustain", 1000.0, 1000.0, 5),
        ("step", 1500.0, 1500.0, 2),
        ("step", 2000.0, 2000.0, 2),
        ("ramp-down", 2000.0, 0.0, 2),
    ];
    assert_eq!(shape, expected);
    let profile = Profile::of(&plan.load);
    assert_eq!(profile.warm_up_end(), Duration::from_secs(1));
    let total = 100 + 5_500 + 6_000 + 5_000 + 3_000 + 4_000 + 2_000;
    assert_eq!(profile.total_arrivals(), Some(total));
    // Poisson arrivals keep the proportions of the stages.
    let until_ramp_down = profile.first_arrival_from_ns(22_000_000_000);
    let deviation = until_ramp_down as f64 - (total - 2_000) as f64;
    assert!(deviation.abs() < 5.0 * 2_000f64.sqrt(), "{deviation}");
}

#[test]
fn a_rate_is_the_target_of_stages_without_one() {
    let text = STAGES
        .replace("model = \"open\"", "rate = 200")
        .replace("type = \"ramp\", target = \"1k\"", "type = \"ramp\"");
    let plan = plan(&text);
    assert_eq!(Plan::from_bytes(&plan.to_bytes()), Ok(plan.clone()));
    assert_eq!(plan.load.rate, Some(3000.0));
    let levels: Vec<f64> = plan.load.lines().iter().map(|l| l.to).collect();
    assert_eq!(levels, [100.0, 200.0, 3000.0, 200.0, 1100.0, 2000.0, 0.0]);
    assert!(error(&text.replace("rate = 200", "rate = 0")).contains("load.rate: 0 is not allowed"));
}

#[test]
fn invalid_stages_are_reported_by_number() {
    for (from, to, expected) in [
        (
            "type = \"ramp\"",
            "type = \"warm-up\"",
            "number 2 (warm-up): a warm-up can only be the first",
        ),
        ("steps = 2, ", "", "number 5 (step) needs a number of steps"),
        ("steps = 2, ", "steps = 0, ", "number 5 (step) has 0 steps"),
        (
            "length = \"10s\"",
            "length = \"0s\"",
            "number 2 (ramp) has no length",
        ),
        (
            "target = 3000",
            "target = 3000, steps = 3",
            "number 3 (spike) has steps",
        ),
        (
            "target = 3000",
            "target = -1",
            "-1 is not between 0 and 1000000",
        ),
        ("model = \"open\"", "", "load.model: is missing"),
        (
            "model = \"open\"",
            "model = \"closed\"",
            "load.arrivals: is for the open model",
        ),
        (
            "arrivals = \"poisson\"",
            "duration = \"5s\"",
            "last 24s together, and duration is 5s",
        ),
        (
            "arrivals = \"poisson\"",
            "ramp_up = \"5s\"",
            "replace warm_up and ramp_up",
        ),
        (
            "arrivals = \"poisson\"",
            "arrivals = \"normal\"",
            "\"normal\" is not known here; allowed here: `constant`, `poisson`",
        ),
        (
            "type = \"spike\"",
            "type = \"peak\"",
            "\"peak\" is not known here",
        ),
    ] {
        assert!(STAGES.contains(from), "{from}");
        let message = error(&STAGES.replacen(from, to, 1));
        assert!(message.contains(expected), "{message}");
    }
}
