#![allow(clippy::unwrap_used)]
//! Setup and teardown hooks and constants.

use std::time::Duration;

use super::*;
use crate::{Plan, PlanInputs, Task, parse_plan, parse_plan_with};
use vajra_core::Hook;

const PLAN: &str = r#"
[http]
base_url = "http://10.0.0.1:8080"
timeout = "3s"
headers = { authorization = "Bearer {{ setup.token }}", x-host = "{{ vars.host }}" }

[vars]
host = "a"
size = 5
ratio = 0.5
fast = true

[data.users]
file = "users.csv"

[[setup]]
name = "log in"
url = "/login"
json = { key = "{{ env.KEY }}", host = "{{ vars.host }}" }
extract = { token = "$.token", id = "$.id" }
think = "1s"

[[setup]]
name = "make"
method = "PUT"
url = "/users/{{ id }}/{{ setup.token }}"
timeout = "2s"
think = "1h"

[[scenario]]
[[scenario.step]]
name = "look"
url = "/users/{{ setup.id }}?n={{ vars.size }}&u={{ users.name }}"

[[teardown]]
name = "tidy up"
method = "DELETE"
url = "/users/{{ setup.id }}"
extract = { what = "status" }

[[teardown]]
name = "say so"
url = "/gone/{{ what }}"

[load]
rate = 10
duration = "1s"
"#;

fn read(text: &str, vars: &Values) -> Result<Plan, String> {
    let rows = |_: &str| Ok("name\nann\n".to_owned());
    let given = PlanInputs {
        vars: vars.clone(),
        ..PlanInputs::default()
    };
    let file = parse_plan_with(text, false, &rows, &given).map_err(|e| e.to_string())?;
    file.into_plan().map_err(|e| e.to_string())
}

fn scenarios(plan: &Plan) -> &Scenarios {
    match &plan.task {
        Task::Scenarios(scenarios) => scenarios,
        other => panic!("{other:?}"),
    }
}

#[test]
fn hooks_and_constants_survive_the_canonical_form() {
    let plan = read(PLAN, &Values::new()).unwrap();
    assert_eq!(Plan::from_bytes(&plan.to_bytes()), Ok(plan.clone()));
    let all = scenarios(&plan);
    assert_eq!((all.setup.len(), all.teardown.len()), (2, 2));
    assert_eq!(all.setup[0].method, "POST");
    assert_eq!(
        all.teardown[0].url,
        "http://10.0.0.1:8080/users/{{ setup.id }}"
    );
    assert_eq!(all.vars["size"], Scalar::Integer(5));
    assert_eq!(all.vars["fast"], Scalar::Bool(true));
    let measured: Vec<String> = all.step_names().collect();
    assert_eq!(measured, ["scenario 1/look"]);
}

#[test]
fn a_plan_without_hooks_has_none_in_its_canonical_form() {
    let text = "[http]\nbase_url = \"http://h\"\n[[scenario]]\nname = \"a\"\n[[scenario.step]]\n\
                url = \"/\"\n[load]\nrate = 1\nduration = \"1s\"\n";
    let plan = read(text, &Values::new()).unwrap();
    let bytes = String::from_utf8(plan.to_bytes()).unwrap();
    for word in ["setup", "teardown", "vars"] {
        assert!(!bytes.contains(word), "{bytes}");
    }
}

#[test]
fn given_vars_override_and_extend_those_of_the_plan() {
    let given = Values::from([
        ("host".to_owned(), Scalar::Text("b".into())),
        ("extra".to_owned(), Scalar::Integer(1)),
    ]);
    let plan = read(PLAN, &given).unwrap();
    let vars = &scenarios(&plan).vars;
    assert_eq!((vars.len(), &vars["host"]), (5, &given["host"]));
    let uses = PLAN.replace("{{ vars.size }}", "{{ vars.extra }}");
    assert!(read(&uses, &given).is_ok());
    let error = read(&uses, &Values::new()).unwrap_err();
    assert!(error.contains("{{ vars.extra }} is not known"), "{error}");
}

#[test]
fn hooks_are_limited_by_their_steps_and_five_minutes() {
    let plan = read(PLAN, &Values::new()).unwrap();
    let all = scenarios(&plan);
    // The pause after the last step does not count.
    assert_eq!(all.setup_limit(), Duration::from_secs(3 + 1 + 2 + 1));
    assert_eq!(all.teardown_limit(), Duration::from_secs(3 + 3 + 1));
    let long = read(
        &PLAN.replace("think = \"1s\"", "think = \"10m\""),
        &Values::new(),
    );
    assert_eq!(
        scenarios(&long.unwrap()).setup_limit(),
        Duration::from_secs(300)
    );
    assert_eq!(all.only(Hook::Setup).setup_limit(), Duration::ZERO);
}

#[test]
fn common_headers_with_unknown_variables_are_left_out_of_hooks() {
    let plan = read(PLAN, &Values::new()).unwrap();
    let names = |hook| {
        let only = scenarios(&plan).only(hook);
        let headers = only.http.headers.into_iter().map(|(name, _)| name);
        headers.collect::<Vec<_>>()
    };
    assert_eq!(names(Hook::Setup), ["x-host"]);
    assert_eq!(names(Hook::Teardown), ["authorization", "x-host"]);
}

#[test]
fn another_base_url_moves_hooks() {
    let rows = |_: &str| Ok("name\nann\n".to_owned());
    let file = parse_plan(PLAN, false, &rows).unwrap();
    let moved = file.with_url("http://127.0.0.1:9").unwrap();
    let all = scenarios(&moved);
    assert_eq!(all.setup[0].url, "http://127.0.0.1:9/login");
    assert!(all.teardown[1].url.starts_with("http://127.0.0.1:9/gone"));
}

#[test]
fn errors_name_their_place() {
    let seventeen = "[[setup]]\nurl = \"/\"\n".repeat(15) + "[load]";
    for (from, to, expected) in [
        (
            "{{ setup.id }}?n",
            "{{ setup.ids }}?n",
            "scenario \"scenario 1\", step \"look\": {{ setup.ids }} is not known here; available: \
             iteration, scenario, setup.id, setup.token, user, users, vars.fast, vars.host, \
             vars.ratio, vars.size, env.NAME",
        ),
        (
            "{{ vars.size }}",
            "{{ vars.length }}",
            "{{ vars.length }} is not known here; available: ",
        ),
        (
            "\"/login\"",
            "\"/login/{{ setup.token }}\"",
            "setup step \"log in\": {{ setup.token }} is not known here; available: vars.fast, ",
        ),
        (
            "\"/login\"",
            "\"/login/{{ users.name }}\"",
            "setup step \"log in\": {{ users }} is data; the setup runs once and has no row of it",
        ),
        (
            "{{ what }}",
            "{{ id }}",
            "teardown step \"say so\": {{ id }} is not known here; available: setup.id, ",
        ),
        (
            "name = \"make\"",
            "name = \"log in\"",
            "setup step \"log in\": has the same name as another one",
        ),
        (
            "what = \"status\"",
            "setup = \"status\"",
            "extract.setup is not an available name",
        ),
        (
            "id = \"$.id\"",
            "vars = \"$.id\"",
            "extract.vars is not an available name",
        ),
        (
            "file = \"users.csv\"",
            "file = \"users.csv\"\n[data.vars]\nfile = \"users.csv\"",
            "data.vars: is not an allowed name for data",
        ),
        ("[load]", &seventeen, "setup: has 17 steps; at most 16"),
        (
            "size = 5",
            "size = [5]",
            "a text, a number, or true or false",
        ),
        ("size = 5", "\"a size\" = 5", "vars.a size: is not a name"),
        (
            "url = \"/gone/{{ what }}\"",
            "url = \"gone\"",
            "teardown step \"say so\": \"gone\" is not a URL",
        ),
        (
            "method = \"PUT\"",
            "metod = \"PUT\"",
            "(setup.metod): unknown key `metod`; did you mean `method`?",
        ),
    ] {
        let broken = PLAN.replacen(from, to, 1);
        assert_ne!(broken, PLAN, "{from}");
        let error = read(&broken, &Values::new()).unwrap_err();
        assert!(error.contains(expected), "{to}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn hooks_and_vars_are_for_scenarios_only() {
    let task = "[task]\ntype = \"SLEEP\"\nms = 1\n[load]\nrate = 1\nduration = \"1s\"\n";
    for (more, expected) in [
        (
            "[[setup]]\nurl = \"http://h/\"\n",
            "setup: is for scenarios",
        ),
        (
            "[[teardown]]\nurl = \"http://h/\"\n",
            "teardown: is for scenarios",
        ),
        ("[vars]\na = 1\n", "vars: are for the steps of scenarios"),
    ] {
        let error = read(&format!("{task}{more}"), &Values::new()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let given = Values::from([("a".to_owned(), Scalar::Integer(1))]);
    let error = read(task, &given).unwrap_err();
    assert!(
        error.contains("vars: are for the steps of scenarios"),
        "{error}"
    );
}
