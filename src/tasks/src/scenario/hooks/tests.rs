//! Setup and teardown against a local server.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::{HookError, run_hook};
use vajra_plan::{Hook, Scalar, Scenarios, Task, Values, parse_toml};
use vajra_task::{Secrets, TaskContext, TestOrigin};

const OWN: TestOrigin = TestOrigin::ThisNode;

/// The requests that the server received.
type Seen = Arc<Mutex<Vec<String>>>;

/// The path selects the response. `/login` sets a cookie that `/mine` requires.
async fn answer(
    State(seen): State<Seen>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let text = |name: &str| {
        let value = headers.get(name);
        value
            .and_then(|v| v.to_str().ok())
            .unwrap_or("-")
            .to_owned()
    };
    let line = format!("{method} {uri} {} {}", text("cookie"), text("x-key"));
    seen.lock().unwrap().push(line);
    match uri.path() {
        "/login" => {
            let mut headers = HeaderMap::new();
            headers.insert("set-cookie", "session=s1; Path=/".parse().unwrap());
            headers.insert("content-type", "application/json".parse().unwrap());
            (headers, "{\"token\":\"t7\",\"id\":42}").into_response()
        }
        "/mine" if text("cookie") == "session=s1" => "ok".into_response(),
        "/large" => "x".repeat(5000).into_response(),
        "/slow" => std::future::pending().await,
        path if path.starts_with("/status/") => {
            let code = path["/status/".len()..].parse().unwrap();
            StatusCode::from_u16(code).unwrap().into_response()
        }
        _ => "ok".into_response(),
    }
}

async fn server() -> (String, Seen) {
    let seen = Seen::default();
    let app = Router::new().fallback(answer).with_state(seen.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    (url, seen)
}

fn scenarios(url: &str, more: &str) -> Scenarios {
    let text = format!(
        "[http]\nbase_url = \"{url}\"\ntimeout = \"2s\"\n[vars]\nwho = \"ann\"\n{more}\n\
         [[scenario]]\n[[scenario.step]]\nurl = \"/\"\n[load]\nrate = 1\nduration = \"1s\"\n"
    );
    let plan = parse_toml(&text).unwrap().into_plan().unwrap();
    match plan.task {
        Task::Scenarios(scenarios) => *scenarios,
        other => panic!("{other:?}"),
    }
}

async fn setup(url: &str, steps: &str) -> Result<Values, HookError> {
    let plan = scenarios(url, steps);
    let context = Arc::new(TaskContext::default());
    run_hook(&plan, Hook::Setup, Values::new(), context, OWN, || true).await
}

fn step(name: &str, more: &str) -> String {
    format!("[[setup]]\nname = \"{name}\"\n{more}\n")
}

fn text(value: &str) -> Scalar {
    Scalar::Text(value.into())
}

#[tokio::test]
async fn values_of_the_setup_are_available_in_the_teardown() {
    let (url, seen) = server().await;
    let plan = scenarios(
        &url,
        &(step(
            "log in",
            "url = \"/login?{{ vars.who }}\"\nextract = { token = \"$.token\", id = \"$.id\" }",
        ) + &step(
            "mine",
            "url = \"/mine?{{ token }}{{ setup.id }}\"\nmethod = \"POST\"\ncheck = [\"status == 200\"]",
        ) + "[[teardown]]\nurl = \"/gone/{{ setup.id }}\"\nmethod = \"DELETE\"\nextract = { what = \"body\" }\n\
               [[teardown]]\nurl = \"/{{ what }}\"\nheaders = { x-key = \"{{ env.PATH }}\" }\n"),
    );
    let context = Arc::new(TaskContext {
        secrets: Secrets::new(["env:PATH"]),
        ..TaskContext::default()
    });
    let calls = Arc::new(AtomicU32::new(0));
    let counting = calls.clone();
    let may_send = move || counting.fetch_add(1, Ordering::SeqCst) < u32::MAX;
    let found = run_hook(
        &plan,
        Hook::Setup,
        Values::new(),
        context.clone(),
        OWN,
        may_send,
    )
    .await;
    let expected = Values::from([("id".into(), text("42")), ("token".into(), text("t7"))]);
    assert_eq!(found, Ok(expected.clone()));
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    let found = run_hook(&plan, Hook::Teardown, expected, context, OWN, || true).await;
    assert_eq!(found, Ok(Values::from([("what".into(), text("ok"))])));
    let path = std::env::var("PATH").unwrap();
    assert_eq!(
        *seen.lock().unwrap(),
        [
            "GET /login?ann - -",
            "POST /mine?t742 session=s1 -",
            "DELETE /gone/42 - -",
            &format!("GET /ok - {path}"),
        ]
    );
}

#[tokio::test]
async fn the_first_failure_ends_a_hook_and_is_explained() {
    let (url, seen) = server().await;
    let after = step("after", "url = \"/after\"");
    for (first, expected) in [
        (
            "url = \"/status/503\"",
            "setup step \"one\": status 503 Service Unavailable, expected a status below 400",
        ),
        (
            "url = \"/login\"\ncheck = [\"status == 200\", \"$.id > 50\"]",
            "setup step \"one\": the check \"$.id > 50\" failed: it is \"42\"",
        ),
        (
            "url = \"/login\"\nextract = { no = \"$.none\" }",
            "setup step \"one\": extract no: $.none is not in the response: the response has status 200 and \
             22 bytes of application/json",
        ),
        (
            "url = \"/slow\"\ntimeout = \"100ms\"",
            "setup step \"one\": timeout: no full response in time",
        ),
        (
            "url = \"/large\"\nextract = { all = \"body\" }",
            "setup step \"one\": the values for all scenarios have 5010 bytes together, and at \
             most 4096 are allowed; all alone has 5000",
        ),
        (
            "url = \"/login\"\nheaders = { x-key = \"{{ env.NONE }}\" }",
            "setup: the plan uses the secret \"env:NONE\", which this node does not allow; allow it \
             with --allow-secret env:NONE",
        ),
        (
            "url = \"http://127.0.0.1:1/\"",
            "setup step \"one\": connect: ",
        ),
    ] {
        let error = setup(&url, &(step("one", first) + &after))
            .await
            .unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    let seen = seen.lock().unwrap();
    assert!(!seen.iter().any(|line| line.contains("/after")), "{seen:?}");
}

#[tokio::test]
async fn nothing_is_sent_without_permission() {
    let (url, seen) = server().await;
    let plan = scenarios(
        &url,
        &(step("a", "url = \"/a\"") + &step("b", "url = \"/b\"")),
    );
    let remaining = AtomicU32::new(1);
    let take =
        move || remaining.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    let may_send = move || take().is_ok();
    let context = Arc::new(TaskContext::default());
    let result = run_hook(&plan, Hook::Setup, Values::new(), context, OWN, may_send).await;
    let expected = HookError::NotSent {
        hook: Hook::Setup,
        step: "b".into(),
    };
    assert_eq!(result, Err(expected));
    assert_eq!(*seen.lock().unwrap(), ["GET /a - -"]);
}

#[tokio::test]
async fn a_hook_without_steps_succeeds() {
    let found = setup("http://127.0.0.1:1", "").await;
    assert_eq!(found, Ok(Values::new()));
}

#[tokio::test]
async fn dropping_the_future_ends_the_hook() {
    let (url, seen) = server().await;
    let steps = step("a", "url = \"/a\"\nthink = \"300ms\"") + &step("b", "url = \"/b\"");
    let running = setup(&url, &steps);
    tokio::select! {
        result = running => panic!("{result:?}"),
        () = until(|| seen.lock().unwrap().len() == 1) => {}
    }
    // A second run takes as long: by its end, the first one would have sent its second request.
    setup(&url, &steps).await.unwrap();
    let expected = ["GET /a - -", "GET /a - -", "GET /b - -"];
    assert_eq!(*seen.lock().unwrap(), expected);
}

async fn until(holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn the_future_may_be_awaited_on_any_thread() {
    fn sendable(_: impl Send + 'static) {}
    let plan = scenarios("http://127.0.0.1:1", "");
    let context = Arc::new(TaskContext::default());
    sendable(run_hook(
        &plan,
        Hook::Setup,
        Values::new(),
        context,
        OWN,
        || true,
    ));
}
