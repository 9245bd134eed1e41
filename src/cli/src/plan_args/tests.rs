#![allow(clippy::unwrap_used)]

use clap::Parser;

use std::time::Duration;

use super::load::UNTIL_DONE;
use super::*;
use crate::args::{Cli, Command};
use crate::exit::Exit;
use vajra_plan::{HttpVersion, Model};

fn plan(line: &[&str]) -> Result<Plan, Failure> {
    let cli = Cli::try_parse_from([&["vajra-node", "start-test"], line].concat()).unwrap();
    let Some(Command::StartTest(args)) = cli.command else {
        panic!("not start-test");
    };
    PlanSource::read(&args)?.plan(&args.load, None)
}

fn in_file(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plan.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

const URL: &str = "http://127.0.0.1:8080/";

#[test]
fn every_option_sets_its_key() {
    let line = [
        URL,
        "--method",
        "PUT",
        "-H",
        "X-A: 1",
        "-H",
        "x-b: 2",
        "--body",
        "hello",
        "--rate",
        "10k",
        "--duration",
        "30s",
        "--warm-up",
        "2s",
        "--ramp-up",
        "1m",
        "--requests",
        "5k",
        "--connections",
        "7",
        "--max-in-flight",
        "8",
        "--timeout",
        "250ms",
        "--insecure",
        "--disable-keepalive",
        "--name",
        "n",
        "--tag",
        "k=v",
        "--where",
        "region=eu",
        "--min-workers",
        "3",
    ];
    let plan = plan(&line).unwrap();
    let Task::Http(http) = &plan.task else {
        panic!("not HTTP")
    };
    assert_eq!(
        (http.url.as_str(), http.method.as_str(), http.body.as_str()),
        (URL, "PUT", "hello")
    );
    assert_eq!(
        http.headers,
        [("X-A".into(), "1".into()), ("x-b".into(), "2".into())]
    );
    assert_eq!(http.timeout, Duration::from_millis(250));
    assert!(http.insecure && http.disable_keepalive);
    let load = &plan.load;
    assert_eq!(
        (load.model, load.rate, load.users),
        (Model::Open, Some(10_000.0), None)
    );
    assert_eq!(load.duration, Duration::from_secs(30));
    assert_eq!(load.warm_up, Duration::from_secs(2));
    assert_eq!(load.ramp_up, Duration::from_secs(60));
    assert_eq!(load.requests, Some(5000));
    assert_eq!((load.connections, load.max_in_flight), (Some(7), Some(8)));
    assert_eq!(plan.name.as_deref(), Some("n"));
    assert_eq!(plan.tags["k"], "v");
    assert_eq!(plan.swarm.labels["region"], "eu");
    assert_eq!(plan.swarm.min_workers, 3);
}

#[test]
fn every_connection_option_sets_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let pem = dir.path().join("a.pem");
    std::fs::write(&pem, "a certificate").unwrap();
    let pem = pem.to_str().unwrap();
    let line = [
        "https://h/",
        "--http2",
        "--streams",
        "8",
        "--body-size",
        "10KiB",
        "--address",
        "10.0.0.1:443",
        "--address",
        "[fd00::1]:443",
        "--ca",
        pem,
        "--client-cert",
        pem,
        "--client-key",
        "file:/run/key.pem",
        "--tls-resume",
        "--users",
        "5",
        "--think-time",
        "exponential 2s",
    ];
    let built = plan(&line).unwrap();
    let Task::Http(http) = &built.task else {
        panic!("not HTTP")
    };
    assert_eq!((http.version, http.streams), (HttpVersion::Two, 8));
    assert_eq!(
        (http.body_size, http.method.as_str()),
        (Some(10_240), "POST")
    );
    assert_eq!(http.addresses.len(), 2);
    assert_eq!(http.tls.ca.as_deref(), Some("a certificate"));
    assert_eq!(http.tls.client_cert.as_deref(), Some("a certificate"));
    assert_eq!(http.tls.client_key.as_deref(), Some("file:/run/key.pem"));
    assert!(http.tls.resume);
    assert_eq!(built.load.think_time.to_string(), "exponential 2s");
    let refreshed = plan(&["http://h/", "--dns-refresh", "5s"]).unwrap();
    let Task::Http(http) = &refreshed.task else {
        panic!("not HTTP")
    };
    assert_eq!(http.dns_refresh, Some(Duration::from_secs(5)));
}

#[test]
fn a_url_alone_is_a_closed_model_with_defaults() {
    let load = plan(&[URL]).unwrap().load;
    assert_eq!(
        (load.model, load.users),
        (Model::Closed, Some(DEFAULT_USERS))
    );
    assert_eq!(load.duration, DEFAULT_DURATION);
}

#[test]
fn without_a_duration_the_number_of_requests_sets_it() {
    let open = plan(&[URL, "--rate", "50", "--requests", "200"])
        .unwrap()
        .load;
    assert_eq!(open.duration, Duration::from_secs(4));
    let closed = plan(&[URL, "--users", "5", "--requests", "200"])
        .unwrap()
        .load;
    assert_eq!(closed.duration, UNTIL_DONE);
}

#[test]
fn a_body_makes_it_a_post_unless_a_method_is_given() {
    let method = |line: &[&str]| match plan(line).unwrap().task {
        Task::Http(http) => http.method,
        other => panic!("{other:?}"),
    };
    assert_eq!(method(&[URL, "--body", "x"]), "POST");
    assert_eq!(method(&[URL, "--body", "x", "--method", "GET"]), "GET");
}

#[test]
fn a_body_is_read_from_a_file_after_an_at_sign() {
    let (_directory, path) = in_file("from a file");
    let plan = plan(&[URL, "--body", &format!("@{path}")]).unwrap();
    assert!(matches!(plan.task, Task::Http(http) if http.body == "from a file"));
}

const PLAN: &str = "[task]\ntype = \"HTTP\"\nurl = \"http://127.0.0.1:1/\"\nheaders = { A = \"1\", \
                    B = \"1\" }\n[load]\nmodel = \"open\"\nrate = 5\nduration = \"3s\"\n";

#[test]
fn options_override_the_plan_file() {
    let (_directory, path) = in_file(PLAN);
    let plan = plan(&[&path, "--url", URL, "-H", "a: 2", "--users", "4"]).unwrap();
    let Task::Http(http) = &plan.task else {
        panic!("not HTTP")
    };
    assert_eq!(http.url, URL);
    assert_eq!(
        http.headers,
        [("B".into(), "1".into()), ("a".into(), "2".into())]
    );
    assert_eq!(
        (plan.load.model, plan.load.rate, plan.load.users),
        (Model::Closed, None, Some(4))
    );
    assert_eq!(plan.load.duration, Duration::from_secs(3));
}

#[test]
fn a_plan_without_a_url_needs_the_local_target() {
    let text =
        PLAN.replace("url = \"http://127.0.0.1:1/\"\n", "") + "[local]\nnodes = 2\ntarget = {}\n";
    let (_directory, path) = in_file(&text);
    let args = StartArgs {
        source: Some(path),
        ..StartArgs::default()
    };
    let source = PlanSource::read(&args).unwrap();
    assert!(source.needs_target());
    assert_eq!(source.local().unwrap().nodes, 2);
    assert!(source.plan(&args.load, None).is_err());
    let plan = source.plan(&args.load, Some(URL)).unwrap();
    assert!(matches!(plan.task, Task::Http(http) if http.url == URL));
}

#[test]
fn an_invalid_plan_is_bad_input_and_names_the_option_or_key() {
    let (_directory, unknown) = in_file(&PLAN.replace("duration", "durations"));
    let (_directory, sleep) = in_file(
        "[task]\ntype = \"SLEEP\"\nms = 1\n[load]\nmodel = \"open\"\nrate = 5\nduration = \"3s\"\n",
    );
    let cases: &[(&[&str], &str)] = &[
        (&[URL, "--rate", "0"], "load.rate"),
        (&[URL, "--rate", "many"], "--rate: "),
        (
            &[URL, "--users", "1.5"],
            "--users: 1.5 is not a whole number",
        ),
        (&[URL, "--users", "0"], "load.users"),
        (&[URL, "--duration", "soon"], "--duration: "),
        (&["http://"], "task.url"),
        (&["http:///path"], "task.url"),
        (&["ftp://host/"], "task.url"),
        (&[URL, "--method", "not one"], "task.method"),
        (
            &[URL, "--body", "@/no/such/file"],
            "cannot read /no/such/file: No such file or directory; give --body @FILE",
        ),
        (
            &["/no/such/plan.toml"],
            "cannot read /no/such/plan.toml: No such file or directory; give the path",
        ),
        (&[&unknown], "durations"),
        (&[&sleep, "--body", "x"], "sends no HTTP requests"),
        (&[&sleep, "--http2"], "sends no HTTP requests"),
        (&[URL, "--streams", "2"], "task.streams"),
        (&[URL, "--body-size", "big"], "--body-size: "),
        (&[URL, "--dns-refresh", "1"], "--dns-refresh: "),
        (
            &[URL, "--ca", "/no/such.pem"],
            "cannot read /no/such.pem: No such file or directory; give --ca",
        ),
        (&[URL, "--tls-resume"], "task.tls"),
        (&[URL, "--think-time", "2h"], "load.think_time"),
    ];
    for (line, expected) in cases {
        let failure = plan(line).unwrap_err();
        assert_eq!(failure.exit, Exit::BadInput, "{line:?}: {failure}");
        assert!(failure.message.contains(expected), "{line:?}: {failure}");
        assert!(!failure.message.contains('\n'), "{line:?}: {failure}");
    }
}

#[test]
fn no_url_or_two_urls_are_usage_errors() {
    assert_eq!(plan(&[]).unwrap_err().exit, Exit::Usage);
    assert_eq!(plan(&[URL, "--url", URL]).unwrap_err().exit, Exit::Usage);
}

#[test]
fn the_quickstart_is_a_plan_for_a_local_swarm_that_ends_within_a_minute() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../swarm-config/plans/quickstart.toml"
    );
    let args = StartArgs {
        source: Some(path.into()),
        ..StartArgs::default()
    };
    let source = PlanSource::read(&args).unwrap();
    assert!(source.needs_target() && source.local().unwrap().nodes >= 3);
    let plan = source.plan(&args.load, Some(URL)).unwrap();
    assert!(vajra_plan::Profile::of(&plan.load).end() < Duration::from_secs(40));
}

#[test]
fn an_unsupported_scheme_is_rejected_with_the_supported_ones() {
    for line in [&["ws://127.0.0.1/"][..], &["--url", "grpc://127.0.0.1/"]] {
        let failure = plan(line).unwrap_err();
        assert_eq!(failure.exit, Exit::BadInput);
        let expected = "is not supported; supported schemes are http:// and https://";
        assert!(failure.message.contains(expected), "{}", failure.message);
    }
}
