#![allow(clippy::unwrap_used)]
//! Scenarios and their errors.

use super::*;
use crate::{FileError, MAX_DATA_FILE, Plan, PlanFile, Task, parse_plan, parse_toml};

const SHOP: &str = r#"
[http]
base_url = "http://10.0.0.1:8080/api"
headers = { accept = "application/json" }

[data.users]
file = "users.csv"
pick = "unique"

[[scenario]]
name = "buy"
weight = 3

[[scenario.step]]
name = "log in"
url = "/login"
json = { name = "{{ users.name }}", "pass" = "{{ users.pass }}" }
extract = { token = "$.token" }
check = ["status == 200", "time < 1s"]
think = "1s..2s"

[[scenario.step]]
name = "list"
url = "/items?page={{ random_int(1, 5) }}"
headers = { authorization = "Bearer {{ token }}" }

[[scenario]]
name = "look"

[[scenario.step]]
url = "http://10.0.0.2/"

[load]
rate = 10
duration = "1s"
"#;

const USERS: &str = "name,pass\na,1\nb,2\nc,3\nd,4\ne,5\nf,6\ng,7\nh,8\n";

fn read(text: &str) -> Result<PlanFile, String> {
    let files = |name: &str| match name {
        "users.csv" => Ok(USERS.to_owned()),
        _ => Err(FileError("no such file".to_owned())),
    };
    parse_plan(text, false, &files).map_err(|e| e.to_string())
}

fn scenarios(text: &str) -> Scenarios {
    match read(text).unwrap().into_plan().unwrap().task {
        Task::Scenarios(scenarios) => *scenarios,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plan_of_scenarios_is_read_with_its_data() {
    let shop = scenarios(SHOP);
    let names: Vec<String> = shop.step_names().collect();
    assert_eq!(names, ["buy/log in", "buy/list", "look/step 1"]);
    let login = &shop.scenarios[0].steps[0];
    assert_eq!(login.url, "http://10.0.0.1:8080/api/login");
    assert_eq!(login.method, "POST");
    assert_eq!(login.check.len(), 2);
    assert_eq!(shop.data["users"].rows, 8);
    assert!(shop.uses(0, "users") && !shop.uses(1, "users"));
}

/// A plan only names its data files.
#[test]
fn a_plan_is_small_and_its_files_are_separate() {
    let rows: String = (0..100_000)
        .map(|i| format!("user{i},secret{i}\n"))
        .collect();
    let text = format!("name,pass\n{rows}");
    let file = parse_plan(SHOP, false, &|_| Ok(text.clone())).unwrap();
    let [blob] = file.blobs() else { panic!() };
    assert_eq!(&*blob.bytes, text.as_bytes());
    let plan = file.clone().into_plan().unwrap();
    let data: Vec<_> = plan.task.data().collect();
    assert_eq!(data[0].0, "users");
    assert_eq!((data[0].1.rows, data[0].1.digest), (100_000, blob.digest));
    assert!(plan.to_bytes().len() < 8 * 1024);
}

#[test]
fn the_total_size_of_data_files_is_limited() {
    let mut plan = read(SHOP).unwrap().into_plan().unwrap();
    let Task::Scenarios(shop) = &mut plan.task else {
        panic!()
    };
    let users = Data {
        bytes: MAX_DATA_FILE,
        ..shop.data["users"].clone()
    };
    for i in 0..4 {
        shop.data.insert(format!("d{i}"), users.clone());
    }
    let error = plan.validate().unwrap_err().to_string();
    assert!(error.contains("at most 268435456 are allowed"), "{error}");
}

#[test]
fn scenarios_survive_their_canonical_form() {
    let plan = read(SHOP).unwrap().into_plan().unwrap();
    assert_eq!(Plan::from_bytes(&plan.to_bytes()), Ok(plan));
}

#[test]
fn another_base_url_moves_all_steps_below_the_old_one() {
    let moved = read(SHOP).unwrap().with_url("http://127.0.0.1:9/").unwrap();
    let Task::Scenarios(moved) = moved.task else {
        panic!()
    };
    assert_eq!(moved.scenarios[0].steps[0].url, "http://127.0.0.1:9/login");
    assert_eq!(moved.scenarios[1].steps[0].url, "http://10.0.0.2/");
}

#[test]
fn errors_name_their_place() {
    for (from, to, expected) in [
        (
            "{{ token }}",
            "{{ tokn }}",
            "scenario \"buy\", step \"list\": {{ tokn }} is not known here; available: iteration, scenario, token, user, users, env.NAME",
        ),
        ("{{ token }}", "{{ token", "is not a template"),
        (
            "{{ token }}",
            "{{ users.nmae }}",
            "users has: name, pass (did you mean {{ users.name }}?)",
        ),
        ("{{ token }}", "{{ user.name }}", "user has no fields"),
        ("{{ token }}", "{{ token | shout }}", "can't be rendered"),
        (
            "users.csv",
            "none.csv",
            "data.users: cannot read none.csv: no such file",
        ),
        (
            "rate = 10",
            "rate = 20",
            "data.users: has 8 rows, and the plan's arrivals need 15",
        ),
        (
            "rate = 10",
            "users = 3",
            "data.users: picks unique rows, which needs the open model",
        ),
        (
            "pick = \"unique\"",
            "pick = \"user\"",
            "data.users: picks a row for each user",
        ),
        (
            "pick = \"unique\"",
            "pick = \"any\"",
            "\"any\" is not known here",
        ),
        ("\"$.token\"", "\"token\"", "write a JSONPath"),
        (
            "\"time < 1s\"",
            "\"speed < 1s\"",
            "\"speed\" can't be checked",
        ),
        (
            "name = \"list\"",
            "name = \"log in\"",
            "has the same name as another one",
        ),
        (
            "name = \"look\"",
            "name = \"buy\"",
            "scenario \"buy\": has the same name as another one",
        ),
        ("weight = 3", "weight = 5000", "weight 5000 is above 1000"),
        ("weight = 3", "wait = 3", "unknown key `wait`"),
        (
            "token = ",
            "users = ",
            "extract.users is not an available name",
        ),
        (
            "http://10.0.0.2/",
            "http://{{ users.name }}/",
            "has a placeholder in its host",
        ),
        ("http://10.0.0.2/", "10.0.0.2/", "is not a URL"),
        (
            "base_url = \"http://10.0.0.1:8080/api\"",
            "",
            "there is no http.base_url",
        ),
        (
            "json = {",
            "body = \"x\"\njson = {",
            "more than one of body, json and form",
        ),
        (
            "[load]",
            "[task]\ntype = \"SLEEP\"\nms = 1\n[load]",
            "exclude each other",
        ),
    ] {
        let broken = SHOP.replacen(from, to, 1);
        assert_ne!(broken, SHOP, "{from}");
        let error = read(&broken).map(|_| ()).unwrap_err();
        assert!(error.contains(expected), "{to}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_plan_needs_a_task_or_scenarios() {
    let error = parse_toml("[load]\nrate = 1\nduration = \"1s\"").unwrap_err();
    assert!(error.to_string().contains("[[scenario]]"), "{error}");
}

#[test]
fn more_users_than_rows_are_rejected() {
    let text = SHOP
        .replace("rate = 10", "users = 8")
        .replace("pick = \"unique\"", "pick = \"user\"");
    let plan = read(&text).unwrap().into_plan().unwrap();
    assert_eq!(plan.enough_users(8.0), Ok(()));
    let why = plan.enough_users(9.0).unwrap_err().to_string();
    assert!(why.contains("has 8 rows for 9 users"), "{why}");
}
