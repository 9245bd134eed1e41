//! The routes under `/api/v1`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use futures::Stream;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use super::problem::Problem;
use super::{MAX_BODY, Shared, guard};
use crate::node::handle::{Progress, StartOptions};
use crate::plan::{self, PlanError};
use crate::protocol::TestId;
use crate::report::{NodeEntry, NodeList, Pool, TestList, TestResult};

/// Longest that a start waits for nodes; a caller that wants longer asks again.
const MAX_WAIT: Duration = Duration::from_secs(600);

pub(super) fn router(shared: Shared) -> Router {
    let v1 = Router::new()
        .route("/nodes", get(nodes))
        .route("/nodes/{peer}", get(node))
        .route("/nodes/{peer}/drain", post(drain))
        .route("/tests", get(tests).post(start))
        .route("/tests/{id}", get(status).delete(stop))
        .route("/tests/{id}/events", get(events))
        .route("/version", get(version));
    Router::new()
        .nest("/api/v1", v1)
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(|| async {
            Problem::new(StatusCode::NOT_FOUND, "no such resource; see docs/api.md")
        })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this resource does not take that method; see docs/api.md",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(shared.clone(), guard::guard))
        .with_state(shared)
}

async fn version() -> Json<serde_json::Value> {
    Json(json!({"name": "vajra-node", "version": env!("CARGO_PKG_VERSION")}))
}

#[derive(Deserialize)]
struct NodesQuery {
    task_type: Option<String>,
}

async fn nodes(
    State(s): State<Shared>,
    Query(q): Query<NodesQuery>,
) -> Result<Json<NodeList>, Problem> {
    let mut list = s.node.nodes().await?;
    if let Some(wanted) = q.task_type {
        list.nodes.retain(|n| n.task_types.contains(&wanted));
        list.pool = Pool::of(&list.nodes);
    }
    Ok(Json(list))
}

async fn find_node(s: &Shared, peer: &str) -> Result<NodeEntry, Problem> {
    let list = s.node.nodes().await?;
    let mut found: Vec<NodeEntry> = list
        .nodes
        .into_iter()
        .filter(|n| n.peer == peer || n.name == peer || (peer == "self" && n.is_self))
        .collect();
    match (found.pop(), found.is_empty()) {
        (Some(node), true) => Ok(node),
        (Some(_), false) => Err(Problem::new(
            StatusCode::CONFLICT,
            format!("several nodes are called {peer:?}; use the peer id"),
        )),
        (None, _) => Err(Problem::new(
            StatusCode::NOT_FOUND,
            format!("no node {peer:?} is known here; `vajra-node nodes` lists them"),
        )),
    }
}

async fn node(
    State(s): State<Shared>,
    Path(peer): Path<String>,
) -> Result<Json<NodeEntry>, Problem> {
    Ok(Json(find_node(&s, &peer).await?))
}

async fn drain(
    State(s): State<Shared>,
    Path(peer): Path<String>,
) -> Result<Json<NodeEntry>, Problem> {
    let node = find_node(&s, &peer).await?;
    let parsed = crate::network::parse_peer(&node.peer).ok_or_else(|| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a peer id does not read back",
        )
    })?;
    s.node.drain((!node.is_self).then_some(parsed)).await?;
    Ok(Json(node))
}

async fn tests(State(s): State<Shared>) -> Result<Json<TestList>, Problem> {
    Ok(Json(s.node.tests().await?))
}

/// A new test: the plan, and how long to wait for the swarm.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTest {
    plan: serde_json::Value,
    #[serde(default)]
    wait_for: u32,
}

async fn start(State(s): State<Shared>, body: Bytes) -> Result<Response, Problem> {
    let new: NewTest = serde_json::from_slice(&body).map_err(|e| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("the body is not {{\"plan\": …}}: {e}"),
        )
    })?;
    if new.plan.get("local").is_some() {
        return Err(Problem::field(
            "local",
            "[local] starts processes and works from the command line only; remove it",
        ));
    }
    let bytes = serde_json::to_vec(&new.plan)
        .map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.to_string()))?;
    let plan = plan::parse_json(&bytes).map_err(|e| match &e {
        PlanError::Field { field, .. } => Problem::field(*field, e.to_string()),
        _ => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, e.to_string()),
    })?;
    let options = StartOptions {
        wait_for: new.wait_for,
    };
    let started = tokio::time::timeout(MAX_WAIT, s.node.start(Arc::new(plan), options)).await;
    let id = started.map_err(|_| {
        Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            format!("the swarm did not grow to {} nodes", new.wait_for),
        )
    })??;
    let location = format!("/api/v1/tests/{id}");
    let body = Json(json!({"test_id": id.to_string()}));
    Ok((StatusCode::CREATED, [("location", location)], body).into_response())
}

/// The test that an id means: a whole one, a unique prefix, or `latest`.
async fn find_test(s: &Shared, wanted: &str) -> Result<TestId, Problem> {
    if let Ok(id) = wanted.parse() {
        return Ok(id);
    }
    let list = s.node.tests().await?;
    let mut fits = list
        .tests
        .iter()
        .filter(|t| wanted == "latest" || (wanted.len() >= 4 && t.test_id.starts_with(wanted)));
    let found = fits.next();
    if wanted != "latest" && fits.next().is_some() {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            format!("several tests begin with {wanted:?}; give more digits"),
        ));
    }
    found.and_then(|t| t.test_id.parse().ok()).ok_or_else(|| {
        let hint = match wanted {
            "latest" => "no test has been run yet".to_owned(),
            _ => format!("no test {wanted:?} is known here (an id, 4 digits of its beginning or more, or `latest`)"),
        };
        Problem::new(StatusCode::NOT_FOUND, format!("{hint}; `vajra-node tests` lists them"))
    })
}

async fn status(
    State(s): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<TestResult>, Problem> {
    let id = find_test(&s, &id).await?;
    Ok(Json(TestResult::clone(&*s.node.status(id).await?)))
}

#[derive(Deserialize)]
struct StopQuery {
    graceful: Option<bool>,
}

async fn stop(
    State(s): State<Shared>,
    Path(id): Path<String>,
    Query(q): Query<StopQuery>,
) -> Result<Response, Problem> {
    let id = find_test(&s, &id).await?;
    s.node.stop(id, q.graceful.unwrap_or(true)).await?;
    Ok((
        StatusCode::ACCEPTED,
        Json(json!({"test_id": id.to_string()})),
    )
        .into_response())
}

async fn events(State(s): State<Shared>, Path(id): Path<String>) -> Result<Response, Problem> {
    let permit = s.streams.clone().try_acquire_owned().map_err(|_| {
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too many event streams are open on this node",
        )
    })?;
    let id = find_test(&s, &id).await?;
    let receiver = s.node.watch(id).await?;
    let stream =
        futures::stream::unfold((Some(receiver), permit), |(receiver, permit)| async move {
            let mut receiver = receiver?;
            loop {
                match receiver.recv().await {
                    Ok(progress) => {
                        let rest = (progress.state != "ended").then_some(receiver);
                        return Some((Ok(as_event(&progress)), (rest, permit)));
                    }
                    // A slow listener misses lines and goes on with the newest.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        });
    Ok(sse(stream).into_response())
}

fn sse(
    stream: impl Stream<Item = Result<Event, Infallible>> + Send + 'static,
) -> impl IntoResponse {
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(10)))
}

fn as_event(progress: &Progress) -> Event {
    let name = if progress.state == "ended" {
        "ended"
    } else {
        "progress"
    };
    let data = serde_json::to_string(progress).unwrap_or_default();
    Event::default().event(name).data(data)
}
