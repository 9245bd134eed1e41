//! Scenarios over several real nodes, against a web application made for the test.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use common::{swarm, vajra};
use serde_json::{Value, json};

/// What the shop has seen of each user.
#[derive(Default)]
struct Shop {
    logins: BTreeMap<String, u32>,
    carts: BTreeMap<String, Vec<String>>,
    checkouts: BTreeMap<String, u32>,
    /// Requests that no shop should get.
    wrong: Vec<String>,
}

type Shared = Arc<Mutex<Shop>>;

/// Whose token a request shows; it must be in the cookie, too.
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

/// Serves a shop on a thread of its own, to the end of the process.
fn shop() -> (String, Shared) {
    let shared = Shared::default();
    let app = Router::new()
        .route("/login", post(login))
        .route("/items", get(list))
        .route("/cart", post(add))
        .route("/cart/{user}", get(cart))
        .route("/checkout", post(check_out))
        .with_state(shared.clone());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
    });
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
duration = "4s"
"#;

fn write_plan(dir: &std::path::Path, url: &str, rate: u32, rows: u32) -> String {
    let text = PLAN.replace("URL", url).replace("RATE", &rate.to_string());
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

#[test]
fn every_row_is_used_once_over_the_swarm_and_values_are_handed_on() {
    let dir = tempfile::tempdir().unwrap();
    let (url, shop) = shop();
    let nodes = swarm(dir.path(), 3, &[]);
    let plan = write_plan(dir.path(), &url, 150, 600);
    let out = vajra(&["start-test", &plan, "--api", &nodes[1].api, "--json", "-"]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    let result = out.json();
    assert_eq!(result["verdict"], "valid", "{}", result["reasons"]);
    let shop = shop.lock().unwrap();
    assert_eq!(shop.wrong, Vec::<String>::new());
    let everybody = (0..600).map(|i| format!("user{i}"));
    let once: BTreeMap<String, u32> = everybody.map(|user| (user, 1)).collect();
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
        assert_eq!(step["totals"]["ok"], 600, "{step}");
        assert_eq!(step["response_time_ms"]["count"], 600, "{step}");
    }
    assert_eq!(result["totals"]["sent"], 3000);
    assert_eq!(result["totals"]["checks_failed"], 0);
    assert_eq!(result["totals"]["checks_passed"], 600 * 8);
    assert_eq!(result["scenarios"][0]["totals"]["sent"], 3000);
    let kept = result["thresholds"].as_array().unwrap().iter();
    assert!(
        kept.clone().all(|t| t["held"] == true),
        "{}",
        result["thresholds"]
    );
    assert_eq!(kept.count(), 3);
}
