//! Scenarios over several real nodes, against a web application of this test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::common::{run_test, serve, start_test, swarm, vajra};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

/// Requests that the shop has received, by user.
#[derive(Default)]
struct Shop {
    logins: BTreeMap<String, u32>,
    carts: BTreeMap<String, Vec<String>>,
    checkouts: BTreeMap<String, u32>,
    /// Invalid requests; there must be none.
    wrong: Vec<String>,
}

type Shared = Arc<Mutex<Shop>>;

/// User of a request's token, if its cookie names the same user.
fn user_of(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let user = text("authorization")?.strip_prefix("Bearer token-of-")?;
    let cookie = text("cookie")?;
    (cookie == format!("session={user}")).then(|| user.to_owned())
}

async fn login(
    State(shop): State<Shared>,
    Json(body): Json<Value>,
) -> Result<(HeaderMap, Json<Value>), StatusCode> {
    let (name, pass) = (body["name"].as_str(), body["pass"].as_str());
    let name = name.ok_or(StatusCode::BAD_REQUEST)?.to_owned();
    if pass != Some(&format!("pass, {name}")) {
        shop.lock()
            .unwrap()
            .wrong
            .push(format!("password of {name}"));
        return Err(StatusCode::FORBIDDEN);
    }
    *shop.lock().unwrap().logins.entry(name.clone()).or_default() += 1;
    let mut headers = HeaderMap::new();
    let cookie = format!("session={name}; Path=/; HttpOnly");
    headers.insert("set-cookie", cookie.parse().unwrap());
    Ok((
        headers,
        Json(json!({"auth": {"token": format!("token-of-{name}")}})),
    ))
}

async fn list(
    State(shop): State<Shared>,
    headers: HeaderMap,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Json<Value>, StatusCode> {
    let page: u32 = query["page"].parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    match user_of(&headers) {
        Some(_) if (1..=5).contains(&page) => Ok(Json(
            json!({"items": [{"id": page * 10}, {"id": page * 10 + 1}]}),
        )),
        user => {
            shop.lock()
                .unwrap()
                .wrong
                .push(format!("list {user:?} {page}"));
            Err(StatusCode::UNAUTHORIZED)
        }
    }
}

async fn add(
    State(shop): State<Shared>,
    headers: HeaderMap,
    body: String,
) -> Result<(StatusCode, HeaderMap), StatusCode> {
    let user = user_of(&headers).ok_or(StatusCode::UNAUTHORIZED)?;
    let mut shop = shop.lock().unwrap();
    let cart = shop.carts.entry(user.clone()).or_default();
    cart.push(body);
    let mut headers = HeaderMap::new();
    headers.insert("location", format!("/cart/{user}").parse().unwrap());
    Ok((StatusCode::CREATED, headers))
}

async fn cart(State(shop): State<Shared>, headers: HeaderMap) -> Result<String, StatusCode> {
    let user = user_of(&headers).ok_or(StatusCode::UNAUTHORIZED)?;
    let shop = shop.lock().unwrap();
    Ok(format!(
        "<p class=\"sum\">{} items</p>",
        shop.carts[&user].len()
    ))
}

async fn check_out(State(shop): State<Shared>, headers: HeaderMap) -> StatusCode {
    match user_of(&headers) {
        Some(user) => {
            *shop.lock().unwrap().checkouts.entry(user).or_default() += 1;
            StatusCode::NO_CONTENT
        }
        None => StatusCode::UNAUTHORIZED,
    }
}

/// Serves a shop until the process ends.
fn shop() -> (String, Shared) {
    let shared = Shared::default();
    let app = Router::new()
        .route("/login", post(login))
        .route("/items", get(list))
        .route("/cart", post(add))
        .route("/cart/{user}", get(cart))
        .route("/checkout", post(check_out))
        .with_state(shared.clone());
    let url = serve(app);
    (url, shared)
}

const PLAN: &str = r#"
name = "shop"
thresholds = ["checks > 99%", "response_time.p99[buy/log in] < 10s", "error_rate < 1%"]

[http]
base_url = "URL"
headers = { accept = "application/json" }

[data.users]
file = "users.csv"
pick = "unique"

[[scenario]]
name = "buy"

[[scenario.step]]
name = "log in"
url = "/login"
json = { name = "{{ users.name }}", pass = "{{ users.pass }}" }
extract = { token = "$.auth.token" }
check = ["status == 200", "$.auth.token matches ^token-of-", "header set-cookie exists"]
think = "1ms..5ms"

[[scenario.step]]
name = "list"
url = "/items?page={{ random_int(1, 5) }}"
headers = { authorization = "Bearer {{ token }}" }
extract = { item = "$.items[1].id" }
check = ["$.items[0].id > 9"]

[[scenario.step]]
name = "add"
url = "/cart"
headers = { authorization = "Bearer {{ token }}" }
form = { item = "{{ item }}", note = "for {{ users.name }} & co" }
extract = { cart = "header location" }
check = ["status == 201"]

[[scenario.step]]
name = "look"
url = "{{ cart }}"
headers = { authorization = "Bearer {{ token }}" }
check = ["body contains '1 items'", "body matches ^<p"]

[[scenario.step]]
name = "check out"
method = "POST"
url = "/checkout"
headers = { authorization = "Bearer {{ token }}" }
check = ["status == 204"]

[load]
rate = RATE
duration = "SECONDSs"
"#;

fn write_plan(dir: &std::path::Path, url: &str, rows: u32, seconds: u32) -> String {
    let text = PLAN
        .replace("URL", url)
        .replace("RATE", &(rows / seconds).to_string())
        .replace("SECONDS", &seconds.to_string());
    let rows = (0..rows).map(|i| format!("user{i},\"pass, user{i}\"\n"));
    std::fs::write(
        dir.join("users.csv"),
        format!("name,pass\n{}", rows.collect::<String>()),
    )
    .unwrap();
    let path = dir.join("plan.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Runs one purchase for each of `rows` users over three nodes.
fn run_one_purchase_per_user(rows: u32, seconds: u32) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let (url, shop) = shop();
    let nodes = swarm(dir.path(), 3, &[]);
    let plan = write_plan(dir.path(), &url, rows, seconds);
    let result = run_test(&nodes[1], &[&plan]);
    assert_eq!(result["verdict"], "valid", "{}", result["reasons"]);
    let shop = shop.lock().unwrap();
    assert_eq!(shop.wrong, Vec::<String>::new());
    let users = (0..rows).map(|i| format!("user{i}"));
    let once: BTreeMap<String, u32> = users.map(|user| (user, 1)).collect();
    assert_eq!(shop.logins, once);
    assert_eq!(shop.checkouts, once);
    for (user, cart) in &shop.carts {
        let [item] = &cart[..] else {
            panic!("{user}: {cart:?}");
        };
        let end = format!("&note=for+{user}+%26+co");
        let number = item
            .strip_prefix("item=")
            .and_then(|i| i.strip_suffix(&end));
        assert!(number.is_some_and(|n| n.ends_with('1')), "{item}");
    }
    assert_eq!(result["nodes"].as_array().unwrap().len(), 3);
    let steps = result["steps"].as_array().unwrap();
    let names: Vec<_> = steps.iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "buy/log in",
            "buy/list",
            "buy/add",
            "buy/look",
            "buy/check out"
        ]
    );
    for step in steps {
        assert_eq!(step["totals"]["ok"], rows, "{step}");
        assert_eq!(step["response_time_ms"]["count"], rows, "{step}");
    }
    assert_eq!(result["totals"]["sent"], 5 * rows);
    assert_eq!(result["totals"]["checks_failed"], 0);
    assert_eq!(result["totals"]["checks_passed"], 8 * rows);
    assert_eq!(result["scenarios"][0]["totals"]["sent"], 5 * rows);
    let thresholds = result["thresholds"].as_array().unwrap().iter();
    assert!(
        thresholds.clone().all(|t| t["passed"] == true),
        "{}",
        result["thresholds"]
    );
    assert_eq!(thresholds.count(), 3);
    result
}

#[test]
fn every_row_is_used_once_per_swarm_and_extracted_values_are_passed_on() {
    run_one_purchase_per_user(600, 4);
}

/// Prints the response times of each step.
/// `cargo test --test swarm scenarios -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn measure_ten_thousand_users() {
    let result = run_one_purchase_per_user(10_000, 40);
    for step in result["steps"].as_array().unwrap() {
        let time = &step["response_time_ms"];
        println!(
            "{}: {} in {} s; p50 {} ms, p99 {} ms",
            step["name"], time["count"], result["duration_s"], time["p50"], time["p99"]
        );
    }
}

/// A plan or suite of the cookbook with the same structure and short durations.
fn shortened(text: &str) -> String {
    let mut file: toml::Table = text.parse().unwrap();
    if let Some(suite) = file.get_mut("suite").and_then(toml::Value::as_table_mut) {
        short(suite, "pause", "300ms");
        for plan in file["plan"].as_array_mut().unwrap() {
            shorten(plan.as_table_mut().unwrap());
        }
    }
    shorten(&mut file);
    file.to_string()
}

fn short(table: &mut toml::Table, key: &str, to: &str) {
    if table.contains_key(key) {
        table.insert(key.into(), to.into());
    }
}

fn shorten(plan: &mut toml::Table) {
    if let Some(load) = plan.get_mut("load").and_then(toml::Value::as_table_mut) {
        short(load, "duration", "1s");
        short(load, "warm_up", "300ms");
        short(load, "think_time", "10ms..50ms");
        let stages = load.get_mut("stages").and_then(toml::Value::as_array_mut);
        for stage in stages.into_iter().flatten() {
            let stage = stage.as_table_mut().unwrap();
            short(stage, "length", "500ms");
            short(stage, "target", "40");
        }
    }
    let scenarios = plan.get_mut("scenario").and_then(toml::Value::as_array_mut);
    for scenario in scenarios.into_iter().flatten() {
        for step in scenario["step"].as_array_mut().unwrap() {
            short(step.as_table_mut().unwrap(), "think", "10ms..50ms");
        }
    }
}

#[test]
fn every_plan_of_the_cookbook_is_valid_and_runs() {
    let cookbook = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("swarm-config/plans");
    let dir = tempfile::tempdir().unwrap();
    let mut plans = Vec::new();
    for entry in std::fs::read_dir(&cookbook).unwrap().flatten() {
        let path = entry.path();
        let copy = dir.path().join(entry.file_name());
        if path.extension().is_none_or(|e| e != "toml") {
            std::fs::copy(&path, copy).unwrap();
            continue;
        }
        std::fs::write(&copy, shortened(&std::fs::read_to_string(&path).unwrap())).unwrap();
        plans.push((path, copy));
    }
    assert!(plans.len() >= 11, "{plans:?}");
    for (path, copy) in plans {
        let out = vajra(&["validate", path.to_str().unwrap()]);
        assert_eq!(out.code, 0, "{path:?}: {}", out.stderr);
        let out = vajra(&["start-test", copy.to_str().unwrap(), "--json", "-"]);
        assert_eq!(out.code, 0, "{path:?}: {}", out.stderr);
        let all = out.json();
        let results = match all["plans"].as_array() {
            Some(plans) => plans.iter().map(|plan| plan["result"].clone()).collect(),
            None => vec![all],
        };
        for result in results {
            assert_ne!(
                result["verdict"], "invalid",
                "{path:?}: {}",
                result["reasons"]
            );
            let totals = &result["totals"];
            assert!(totals["sent"].as_u64().unwrap() > 0, "{path:?}");
            assert_eq!(totals["failed"], 0, "{path:?}: {}", result["errors"]);
        }
    }
}

/// With 10 % errors the swarm aborts the test soon after `abort_after`, and reports the threshold.
#[test]
fn a_threshold_failed_during_the_test_aborts_it_on_every_node() {
    let dir = tempfile::tempdir().unwrap();
    let target = crate::common::Target::start(dir.path(), &["--error-rate", "0.1"]);
    let nodes = swarm(dir.path(), 3, &[]);
    let plan = dir.path().join("plan.toml");
    let text = format!(
        "thresholds = [{{ is = \"error_rate < 1%\", abort = true, abort_after = \"1s\" }}]\n\
         [task]\ntype = \"HTTP\"\nurl = \"{}\"\n[load]\nrate = 200\nduration = \"10m\"\n",
        target.url
    );
    std::fs::write(&plan, text).unwrap();
    let junit = dir.path().join("junit.xml");
    let out = start_test(
        &nodes[0],
        &[plan.to_str().unwrap(), "--junit", junit.to_str().unwrap()],
    );
    assert_eq!(out.code, 99, "{}", out.stderr);
    let result = out.json();
    let seconds = result["duration_s"].as_f64().unwrap();
    assert!((1.0..30.0).contains(&seconds), "{seconds}");
    assert_eq!(result["thresholds"][0]["passed"], false);
    let mut events = result["events"].as_array().unwrap().iter();
    let why = events.find(|e| e["kind"] == "threshold").expect("an event");
    assert!(
        why["text"].as_str().unwrap().contains("error_rate < 1%"),
        "{why}"
    );
    assert_eq!(target.served(), result["totals"]["sent"].as_u64().unwrap());
    let xml = std::fs::read_to_string(junit).unwrap();
    assert!(
        xml.contains("name=\"error_rate &lt; 1%\" classname=\"vajra\">"),
        "{xml}"
    );
}

#[test]
fn an_invalid_plan_is_reported_with_line_and_column() {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("plan.toml");
    let text = "[task]\ntype = \"SLEEP\"\nms = 1\n\n[load]\nrate = 5\nduration = \"soon\"\n";
    std::fs::write(&plan, text).unwrap();
    let out = vajra(&["validate", plan.to_str().unwrap()]);
    assert_eq!(out.code, 104, "{out:?}");
    assert!(out.stderr.contains("plan.toml:7:12"), "{}", out.stderr);
    assert!(
        out.stderr
            .contains("\n7 | duration = \"soon\"\n  |            ^"),
        "{}",
        out.stderr
    );
    let json = dir.path().join("plan.json");
    let text =
        "{\"task\":{\"type\":\"SLEEP\",\"ms\":1},\n\"load\":{\"rate\":5,\"duration\":\"1s\"}}";
    std::fs::write(&json, text).unwrap();
    let out = vajra(&["validate", json.to_str().unwrap()]);
    assert_eq!(out.code, 0, "{out:?}");
    assert!(out.stdout.contains("5 requests in"), "{}", out.stdout);
}

#[test]
fn a_label_aggregates_its_steps() {
    let dir = tempfile::tempdir().unwrap();
    let target = crate::common::Target::start(dir.path(), &[]);
    let plan = format!(
        "thresholds = [\"error_rate[label:api] < 1%\", \"response_time.p99[label:all] < 5s\"]\n\
         [http]\nbase_url = \"{}\"\n\
         [[scenario]]\nname = \"a\"\n\
         [[scenario.step]]\nname = \"one\"\nurl = \"/1\"\nlabels = [\"api\", \"all\"]\n\
         [[scenario.step]]\nname = \"two\"\nurl = \"/2\"\nlabels = [\"all\"]\n\
         [[scenario]]\nname = \"b\"\n\
         [[scenario.step]]\nname = \"one\"\nurl = \"/3\"\nlabels = [\"api\", \"all\"]\n\
         [load]\nrate = 100\nduration = \"1s\"\n",
        target.url
    );
    let path = dir.path().join("plan.toml");
    std::fs::write(&path, plan).unwrap();
    let path = path.to_str().unwrap();
    let out = vajra(&["start-test", path, "--standalone", "--json", "-"]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    let result = out.json();
    let of = |label: usize| {
        let label = &result["labels"][label];
        let count = label["response_time_ms"]["count"].clone();
        (label["name"].clone(), label["totals"]["ok"].clone(), count)
    };
    assert_eq!(of(0), (json!("api"), json!(100), json!(100)));
    assert_eq!(of(1), (json!("all"), json!(150), json!(150)));
    // An unknown label is reported before any request is sent.
    let served = target.served();
    let missing = ["--threshold", "rate[label:web] > 1/s"];
    let out = vajra(&["start-test", path, "--standalone", missing[0], missing[1]]);
    assert_eq!(out.code, 104, "{}", out.stderr);
    assert!(
        out.stderr.contains("labels label:api, label:all"),
        "{}",
        out.stderr
    );
    assert_eq!(target.served(), served);
}
