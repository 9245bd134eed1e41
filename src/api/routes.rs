//! The routes under `/api/v1`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use futures::Stream;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::error::RecvError;

use super::extract::{Params, Segment, whole};
use super::problem::Problem;
use super::{MAX_PAGE, Shared, blobs, dashboard, find, guard, plans, reports, swarm};
use crate::node::handle::{StartOptions, Steering, Update};
use crate::plan::{self, Plan};
use crate::report::preflight::PreflightReport;
use crate::report::timeline::MAX_POINTS;
use crate::report::{NodeEntry, NodeList, Pool, TestPage, TestResult, Timeline};

/// Where the node says whether it is well; the one path that never needs a token.
pub(super) const HEALTH: &str = "/healthz";
/// How long a node that is well takes at most to answer itself.
const HEALTH_WAIT: Duration = Duration::from_secs(2);
/// Pause after which a comment keeps an event stream open, and finds out that nobody listens.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Longest that a start waits for nodes; a caller that wants longer asks again.
const MAX_WAIT: Duration = Duration::from_secs(600);
/// Why a plan that starts processes is refused.
pub(super) const NO_LOCAL: &str =
    "[local] starts processes and works from the command line only; remove it";

pub(super) fn router(shared: Shared) -> Router {
    let v1 = Router::new()
        .route("/nodes", get(nodes))
        .route("/nodes/{peer}", get(node))
        .route("/nodes/{peer}/drain", post(drain))
        .route("/tests", get(tests).post(start))
        .route("/tests/{id}", get(status).delete(stop))
        .route("/tests/{id}/events", get(events))
        .route("/tests/{id}/timeline", get(timeline))
        .route("/tests/{id}/report", get(reports::report))
        .route("/tests/{id}/compare", get(reports::compared))
        .route("/tests/{id}/scale", post(scale))
        .route("/tests/{id}/pause", post(pause))
        .route("/tests/{id}/resume", post(resume))
        .route("/swarm/events", get(swarm::events))
        .route("/swarm/links", get(swarm::links))
        .route("/events", get(swarm::stream))
        .route("/preflight", post(preflight))
        .route("/plan", post(plans::look))
        .route("/plan-schema", get(plans::schema))
        .route("/blobs/{digest}", get(blobs::get).put(blobs::put))
        .route("/version", get(version));
    Router::new()
        .nest("/api/v1", v1)
        .merge(dashboard::routes())
        .route(HEALTH, get(health))
        .fallback(|| async {
            Problem::new(StatusCode::NOT_FOUND, "no such resource; see docs/api.md")
        })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this resource does not take that method; see docs/api.md",
            )
        })
        .layer(middleware::from_fn_with_state(shared.clone(), guard::guard))
        .with_state(shared)
}

/// Well is a node whose driver answers, not one whose API does.
async fn health(State(s): State<Shared>) -> Result<&'static str, Problem> {
    let unwell = |why| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why);
    match tokio::time::timeout(HEALTH_WAIT, s.node.tests()).await {
        Ok(Ok(_)) => Ok("ok\n"),
        Ok(Err(e)) => Err(e.into()),
        Err(_) => Err(unwell("the node does not answer itself")),
    }
}

async fn version() -> Json<serde_json::Value> {
    Json(json!({"name": "vajra-node", "version": env!("CARGO_PKG_VERSION")}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodesQuery {
    task_type: Option<String>,
}

async fn nodes(
    State(s): State<Shared>,
    Params(q): Params<NodesQuery>,
) -> Result<Json<NodeList>, Problem> {
    let mut list = s.node.nodes().await?;
    if let Some(wanted) = q.task_type {
        list.nodes.retain(|n| n.task_types.contains(&wanted));
        list.pool = Pool::of(&list.nodes);
    }
    Ok(Json(list))
}

async fn node(State(s): State<Shared>, Segment(peer): Segment) -> Result<Json<NodeEntry>, Problem> {
    Ok(Json(find::node(&s, &peer).await?))
}

async fn drain(
    State(s): State<Shared>,
    Segment(peer): Segment,
) -> Result<Json<NodeEntry>, Problem> {
    let node = find::node(&s, &peer).await?;
    let parsed = crate::network::parse_peer(&node.peer).ok_or_else(|| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a peer id does not read back",
        )
    })?;
    s.node.drain((!node.is_self).then_some(parsed)).await?;
    Ok(Json(node))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestsQuery {
    limit: Option<usize>,
    before: Option<String>,
}

async fn tests(
    State(s): State<Shared>,
    Params(q): Params<TestsQuery>,
) -> Result<Json<TestPage>, Problem> {
    let limit = swarm::limit(q.limit, MAX_PAGE)?;
    let mut tests = s.node.tests().await?.tests;
    if let Some(before) = q.before {
        let before = find::test(&s, &before).await?.to_string();
        tests.retain(|t| t.test_id < before);
    }
    let more = tests.len() > limit;
    tests.truncate(limit);
    let last = tests.last().filter(|_| more);
    let next = last.map(|t| t.test_id.clone());
    Ok(Json(TestPage { tests, next }))
}

/// A new test: the plan, and how long to wait for the swarm.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTest {
    plan: serde_json::Value,
    #[serde(default)]
    wait_for: u32,
}

async fn start(State(s): State<Shared>, body: Body) -> Result<Response, Problem> {
    let new: NewTest = read(body).await?;
    let plan = plan_of(&new.plan)?;
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

/// The body, as JSON of a known shape.
pub(super) async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let body = whole(body).await?;
    serde_json::from_slice(&body).map_err(|e| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("the body is not {{\"plan\": …}}: {e}"),
        )
    })
}

pub(super) fn plan_of(value: &serde_json::Value) -> Result<Plan, Problem> {
    if value.get("local").is_some() {
        return Err(Problem::field("local", NO_LOCAL));
    }
    let bytes = serde_json::to_vec(value)
        .map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.to_string()))?;
    Ok(plan::parse_json(&bytes)?)
}

/// A plan to be looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Looked {
    plan: serde_json::Value,
}

async fn preflight(State(s): State<Shared>, body: Body) -> Result<Json<PreflightReport>, Problem> {
    let looked: Looked = read(body).await?;
    let plan = plan_of(&looked.plan)?;
    Ok(Json(s.node.preflight(Arc::new(plan)).await?))
}

async fn status(
    State(s): State<Shared>,
    Segment(id): Segment,
) -> Result<Json<TestResult>, Problem> {
    let id = find::test(&s, &id).await?;
    Ok(Json(TestResult::clone(&*s.node.status(id).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StopQuery {
    graceful: Option<bool>,
}

async fn stop(
    State(s): State<Shared>,
    Segment(id): Segment,
    Params(q): Params<StopQuery>,
) -> Result<Response, Problem> {
    let id = find::test(&s, &id).await?;
    s.node.stop(id, q.graceful.unwrap_or(true)).await?;
    Ok((
        StatusCode::ACCEPTED,
        Json(json!({"test_id": id.to_string()})),
    )
        .into_response())
}

/// Full load from now on: a rate (open model) or users (closed model).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLoad {
    rate: Option<f64>,
    users: Option<u32>,
}

async fn scale(
    State(s): State<Shared>,
    Segment(id): Segment,
    body: Body,
) -> Result<Json<serde_json::Value>, Problem> {
    let body = whole(body).await?;
    let wrong = |why: String| {
        let what = format!("the body is not {{\"rate\": N}} or {{\"users\": N}}: {why}");
        Problem::new(StatusCode::BAD_REQUEST, what)
    };
    let new: NewLoad = serde_json::from_slice(&body).map_err(|e| wrong(e.to_string()))?;
    let how = match (new.rate, new.users) {
        (Some(rate), None) => Steering::Rate(rate),
        (None, Some(users)) => Steering::Users(users),
        _ => return Err(wrong("it has one of them".into())),
    };
    steer(&s, &id, how).await
}

/// A body that says nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn pause(
    State(s): State<Shared>,
    Segment(id): Segment,
    body: Body,
) -> Result<Json<serde_json::Value>, Problem> {
    let Nothing {} = read(body).await?;
    steer(&s, &id, Steering::Pause).await
}

async fn resume(
    State(s): State<Shared>,
    Segment(id): Segment,
    body: Body,
) -> Result<Json<serde_json::Value>, Problem> {
    let Nothing {} = read(body).await?;
    steer(&s, &id, Steering::Resume).await
}

async fn steer(s: &Shared, id: &str, how: Steering) -> Result<Json<serde_json::Value>, Problem> {
    let id = find::test(s, id).await?;
    let at = s.node.steer(id, how).await?;
    Ok(Json(
        json!({"test_id": id.to_string(), "at_s": at.as_secs_f64()}),
    ))
}

/// The right to keep one more event stream open.
pub(super) fn place_for_stream(s: &Shared) -> Result<OwnedSemaphorePermit, Problem> {
    s.streams.clone().try_acquire_owned().map_err(|_| {
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too many event streams are open on this node",
        )
    })
}

async fn events(State(s): State<Shared>, Segment(id): Segment) -> Result<Response, Problem> {
    let permit = place_for_stream(&s)?;
    let id = find::test(&s, &id).await?;
    let receiver = s.node.watch(id).await?;
    let stream =
        futures::stream::unfold((Some(receiver), permit), |(receiver, permit)| async move {
            let mut receiver = receiver?;
            loop {
                match receiver.recv().await {
                    Ok(update) => {
                        let (event, last) = as_event(&update);
                        let rest = (!last).then_some(receiver);
                        return Some((Ok(event), (rest, permit)));
                    }
                    // A slow listener misses lines and goes on with the newest.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        });
    Ok(sse(stream).into_response())
}

pub(super) fn sse(
    stream: impl Stream<Item = Result<Event, Infallible>> + Send + 'static,
) -> impl IntoResponse {
    Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// An event, and whether it is the last.
fn as_event(update: &Update) -> (Event, bool) {
    let (name, data) = match update {
        Update::Progress(p) if p.state == "ended" => ("ended", serde_json::to_string(p)),
        Update::Progress(p) => ("progress", serde_json::to_string(p)),
        Update::Point(point) => ("point", serde_json::to_string(point)),
    };
    let event = Event::default().event(name).data(data.unwrap_or_default());
    (event, name == "ended")
}

/// How much of a timeline is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimelineQuery {
    points: Option<usize>,
    #[serde(default)]
    histograms: bool,
}

async fn timeline(
    State(s): State<Shared>,
    Segment(id): Segment,
    Params(q): Params<TimelineQuery>,
) -> Result<Json<Timeline>, Problem> {
    let points = q.points.unwrap_or(MAX_POINTS);
    if points == 0 {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "points is at least 1",
        ));
    }
    let id = find::test(&s, &id).await?;
    Ok(Json(s.node.timeline(id, points, q.histograms).await?))
}
