#![allow(clippy::unwrap_used)]
//! Suites and their errors.

use std::time::Duration;

use super::*;
use crate::{FileError, Scalar, Task, Values};

const SUITE: &str = r#"
[suite]
name = "nightly"
pause = "10s"
stop_on = "failure"

[local]
nodes = 2
target = { latency = "5ms" }

[[plan]]
name = "log in"
file = "plans/login.toml"
pass = { token = "setup.token", peak = "rate", p99_ms = "response_time.p99[a/one]" }

[[plan]]
name = "search"
thresholds = ["error_rate < 1%"]

[[plan.scenario]]
name = "a"

[[plan.scenario.step]]
name = "one"
url = "/search?t={{ vars.token }}&r={{ vars.peak }}"

[plan.load]
rate = 10
duration = "1s"

[[plan]]
name = "wait"
task = { type = "SLEEP", ms = 1 }
load = { rate = 5, duration = "1s" }
"#;

const LOGIN: &str = r#"
name = "sign on"
[data.users]
file = "users.csv"
[[setup]]
name = "key"
url = "/key"
extract = { token = "$.t" }
[[scenario]]
name = "a"
[[scenario.step]]
name = "one"
url = "/login?{{ setup.token }}&{{ users.name }}&{{ vars.host }}"
[vars]
host = "h"
[load]
rate = 10
duration = "1s"
"#;

fn read_of(login: &'static str) -> impl Fn(&str) -> Result<String, FileError> {
    move |name: &str| match name {
        "plans/login.toml" => Ok(login.to_owned()),
        "plans/users.csv" => Ok("name\nann\n".to_owned()),
        _ => Err(FileError("no such file".to_owned())),
    }
}

fn parsed(text: &str) -> Result<Suite, SuiteError> {
    parse_suite(text, &read_of(LOGIN), &Values::new())
}

#[test]
fn plans_in_files_and_in_the_suite_itself_are_read() {
    assert!(is_suite(SUITE) && !is_suite(LOGIN) && is_suite("[suite]\nmode ="));
    let suite = parsed(SUITE).unwrap();
    assert_eq!(suite.name.as_deref(), Some("nightly"));
    assert_eq!(suite.mode, Mode::Sequential);
    assert_eq!(suite.pause, Duration::from_secs(10));
    assert_eq!(suite.stop_on, StopOn::Failure);
    assert_eq!(suite.local.as_ref().unwrap().nodes, 2);
    let names: Vec<&str> = suite.plans.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["log in", "search", "wait"]);
    let passed = &suite.plans[0].pass;
    assert_eq!(passed["token"], Passed::Setup("token".into()));
    assert!(
        matches!(&passed["p99_ms"], Passed::Measured(m) if m.scope.as_ref().map(ToString::to_string).as_deref() == Some("a/one"))
    );
    let needs: Vec<bool> = suite.plans.iter().map(|p| p.file.needs_target()).collect();
    assert_eq!(needs, [true, true, false]);
    let plans: Vec<_> = suite.plans.into_iter().map(|p| p.file).collect();
    let first = plans[0].clone().with_url("http://h/").unwrap();
    assert_eq!(first.name.as_deref(), Some("sign on"));
    let second = plans[1].clone().with_url("http://h/").unwrap();
    assert_eq!(second.name.as_deref(), Some("search"));
    assert_eq!(second.thresholds.len(), 1);
    let third = plans[2].clone().into_plan().unwrap();
    assert_eq!(third.task, Task::Sleep { ms: 1 });
}

#[test]
fn given_vars_reach_all_plans_and_are_not_replaced() {
    let given = Values::from([("peak".to_owned(), Scalar::Integer(7))]);
    let suite = parse_suite(SUITE, &read_of(LOGIN), &given).unwrap();
    let vars = |i: usize| &suite.plans[i].file.scenarios().unwrap().vars;
    assert_eq!(vars(0)["peak"], Scalar::Integer(7));
    assert_eq!(vars(1)["peak"], Scalar::Integer(7));
    assert_eq!(vars(1)["token"], Scalar::Text(String::new()));
    let mut second = suite.plans[1].file.clone();
    second.set_vars(&Values::from([("p99_ms".to_owned(), Scalar::Float(1.5))]));
    let missing: Vec<String> = second.drop_missing_vars().into_iter().collect();
    assert_eq!(missing, ["token"]);
    let error = second.with_url("http://h").unwrap_err().to_string();
    assert!(error.contains("{{ vars.token }} is not known"), "{error}");
}

#[test]
fn errors_name_the_plan_and_the_place() {
    let parallel = "pause = \"10s\"\nstop_on = \"failure\"";
    for (from, to, expected, place) in [
        (
            "pause = \"10s\"",
            "pause = \"10\"",
            "line 4, column 9: \"10\" has no unit",
            "s.toml:4:9",
        ),
        (
            "pause = \"10s\"",
            "pause = \"2h\"",
            "suite.pause: 2h is not allowed",
            "s.toml:4:9",
        ),
        (
            "pause = \"10s\"",
            "mode = \"both\"",
            "unknown variant `both`",
            "s.toml:4:8",
        ),
        (
            "pause = \"10s\"",
            "mode = \"parallel\"",
            "suite.stop_on: is for plans one after",
            "s.toml:5:1",
        ),
        (
            parallel,
            "mode = \"parallel\"",
            "plan \"log in\": line 13, column 8: pass is for plans one after",
            "s.toml:13:8",
        ),
        (
            "nodes = 2",
            "nodes = 99",
            "local.nodes: 99 is not allowed",
            "s.toml:8:9",
        ),
        (
            "[suite]",
            "load = 1\n[suite]",
            "unknown field `load`, expected one of `suite`, `plan`",
            "s.toml:2:1",
        ),
        (
            "name = \"search\"",
            "name = \"log in\"",
            "\"log in\" is the name of another plan",
            "s.toml:17:8",
        ),
        (
            "name = \"search\"\n",
            "",
            "a [[plan]] has no name",
            "s.toml:16:1",
        ),
        (
            "plans/login.toml",
            "none.toml",
            "plan \"log in\": line 13, column 8: cannot read none.toml: no such file",
            "s.toml:13:8",
        ),
        (
            "setup.token\"",
            "setup.tok\"",
            "pass.token: the plan's setup does not extract tok; available: setup.token",
            "s.toml:14:8",
        ),
        (
            "\"rate\"",
            "\"speed\"",
            "\"speed\" can't be passed on: it is not a setup.NAME, and \"speed\" is not a metric",
            "s.toml:14:40",
        ),
        (
            "file = \"plans/login.toml\"",
            "file = \"plans/login.toml\"\ntags = {}",
            "plan \"log in\": line 14, column 1: has both a file and tags",
            "s.toml:14:1",
        ),
        (
            "{{ vars.token }}",
            "{{ vars.host }}",
            "plan \"search\": scenario \"a\", step \"one\": {{ vars.host }} is not known here; available: iteration, scenario, user, vars.p99_ms, vars.peak, vars.token, env.NAME",
            "s.toml:25:18",
        ),
        (
            "rate = 10",
            "rate = 0",
            "plan \"search\": load.rate: 0 is not allowed",
            "s.toml:28:8",
        ),
        (
            "rate = 10",
            "rat = 10",
            "plan \"search\": line 28, column 1: unknown field `rat`",
            "s.toml:28:1",
        ),
        (
            "ms = 1 }",
            "ms = -1 }",
            "plan \"wait\": line 33, column ",
            "s.toml:33:",
        ),
        (
            "thresholds = [\"error_rate < 1%\"]",
            "thresholds = [\"speed < 1%\"]",
            "\"speed\" is not a metric",
            "s.toml:18:",
        ),
        (
            "rate = 10",
            "rate = 10\n[plan.local]\nnodes = 1",
            "plan \"search\": line 29, column 7: [local] of a suite",
            "s.toml:29:7",
        ),
        (
            "[local]\nnodes = 2\ntarget = { latency = \"5ms\" }",
            "",
            "plan \"log in\": plans/login.toml: scenario \"a\", step \"one\": has a path as its URL",
            "",
        ),
    ] {
        let broken = SUITE.replacen(from, to, 1);
        assert_ne!(broken, SUITE, "{from}");
        let error = parsed(&broken).unwrap_err();
        let line = error.to_string();
        assert!(line.contains(expected), "{to}: {line}");
        assert!(!line.contains('\n'), "{line}");
        let shown = error.show("s.toml", &broken);
        assert!(shown.contains(&format!("--> {place}")), "{shown}");
    }
}

#[test]
fn an_error_in_a_file_of_a_plan_is_shown_there() {
    let broken = "[[scenario]]\n[[scenario.step]]\nurl = \"/{{ vars.x }}\"\n[load]\nrate = 0\nduration = \"1s\"\n";
    let error = parse_suite(SUITE, &read_of(broken), &Values::new()).unwrap_err();
    let shown = error.show("dir/s.toml", SUITE);
    assert!(
        shown.starts_with("plan \"log in\": load.rate: 0"),
        "{shown}"
    );
    assert!(shown.contains("--> dir/plans/login.toml:5:8\n"), "{shown}");
    assert!(shown.contains("\n5 | rate = 0\n"), "{shown}");
    assert_eq!(
        error.to_string(),
        "plan \"log in\": plans/login.toml: load.rate: 0 is not allowed; it must be between 0.001 \
         and 1000000 per second"
    );
}

#[test]
fn suites_are_not_nested_and_have_the_only_local_table() {
    let suite = "[suite]\n[[plan]]\nname = \"a\"\nfile = \"plans/login.toml\"\n";
    for (login, expected) in [
        (
            "[suite]\n",
            "plans/login.toml: suite: can't be a plan of another suite",
        ),
        (
            "[task]\ntype = \"SLEEP\"\nms = 1\n[load]\nrate = 1\nduration = \"1s\"\n[local]\nnodes = 1\n",
            "plans/login.toml: local: is for a plan that runs alone; in a suite, [local]",
        ),
    ] {
        let error = parse_suite(suite, &read_of(login), &Values::new()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = parsed("[suite]\n").unwrap_err();
    assert!(
        error.to_string().contains("at least one [[plan]]"),
        "{error}"
    );
}
