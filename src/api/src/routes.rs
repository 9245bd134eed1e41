//! The routes under `/api/v1`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json, Router, middleware};
use futures::Stream;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::error::RecvError;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{
    Looked, Named, NewLoad, NewTest, NodesQuery, Nothing, Steered, StopQuery, TestsQuery,
    TimelineQuery, Version,
};
use super::extract::{Params, Segment, whole};
use super::openapi::{self, BodyProblems, Described, Document, NamedProblems, Problems};
use super::problem::Problem;
use super::{MAX_PAGE, Shared, blobs, dashboard, find, guard, metrics, plans, reports, swarm};
use vajra_core::protocol::TestId;
use vajra_plan::{self as plan, Plan};
use vajra_results::preflight::PreflightReport;
use vajra_results::timeline::MAX_POINTS;
use vajra_results::{NodeEntry, NodeList, Pool, TestPage, TestResult, Timeline};
use vajra_runtime::handle::{LoadRequest, StartOptions, Update};

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
    let (router, api) = routes().split_for_parts();
    router
        .merge(dashboard::routes())
        .fallback(|| async {
            Problem::new(StatusCode::NOT_FOUND, "no such resource; see docs/api.md")
        })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this resource does not take that method; see docs/api.md",
            )
        })
        .layer(Extension(Described::new(&api)))
        .layer(middleware::from_fn_with_state(shared.clone(), guard::guard))
        .with_state(shared)
}

/// Every route, and its description.
pub(super) fn routes() -> OpenApiRouter<Shared> {
    let v1 = OpenApiRouter::new()
        .routes(routes!(nodes))
        .routes(routes!(node))
        .routes(routes!(drain))
        .routes(routes!(tests, start))
        .routes(routes!(status, stop))
        .routes(routes!(events))
        .routes(routes!(timeline))
        .routes(routes!(reports::report))
        .routes(routes!(reports::compared))
        .routes(routes!(scale))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(preflight))
        .routes(routes!(plans::look))
        .routes(routes!(plans::schema))
        .routes(routes!(swarm::events))
        .routes(routes!(swarm::links))
        .routes(routes!(swarm::stream))
        .routes(routes!(blobs::get, blobs::put))
        .routes(routes!(version))
        .routes(routes!(openapi::document));
    OpenApiRouter::with_openapi(Document::openapi())
        .nest("/api/v1", v1)
        .routes(routes!(openapi::docs))
        .routes(routes!(metrics::metrics))
        .routes(routes!(health))
}

/// Whether the node is well. Needs no token.
///
/// Well is a node whose driver answers, not one whose API does.
#[utoipa::path(
    get, path = "/healthz", tag = "node",
    responses((status = 200, description = "It is", body = String, content_type = "text/plain"), Problems)
)]
async fn health(State(s): State<Shared>) -> Result<&'static str, Problem> {
    let unwell = |why| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why);
    match tokio::time::timeout(HEALTH_WAIT, s.node.tests()).await {
        Ok(Ok(_)) => Ok("ok\n"),
        Ok(Err(e)) => Err(e.into()),
        Err(_) => Err(unwell("the node does not answer itself")),
    }
}

/// Which build the node is.
#[utoipa::path(
    get, path = "/version", tag = "node",
    responses((status = 200, description = "The build", body = Version), Problems)
)]
async fn version(State(s): State<Shared>) -> Json<Version> {
    Json(Version {
        name: "vajra-node",
        version: s.build.version,
        commit: s.build.commit,
    })
}

/// The nodes, as this one sees them.
#[utoipa::path(
    get, path = "/nodes", tag = "nodes", params(NodesQuery),
    responses((status = 200, description = "The nodes", body = NodeList), Problems)
)]
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

/// One node.
#[utoipa::path(
    get, path = "/nodes/{peer}", tag = "nodes",
    params(("peer" = String, Path, description = "A peer id, the unique beginning or end of one (at least four characters), a node's name, or `self`")),
    responses((status = 200, description = "The node", body = NodeEntry), Problems, NamedProblems)
)]
async fn node(State(s): State<Shared>, Segment(peer): Segment) -> Result<Json<NodeEntry>, Problem> {
    Ok(Json(find::node(&s, &peer).await?))
}

/// Has a node take no new share.
#[utoipa::path(
    post, path = "/nodes/{peer}/drain", tag = "nodes",
    params(("peer" = String, Path, description = "A peer id, the unique beginning or end of one (at least four characters), a node's name, or `self`")), request_body = Nothing,
    responses(
        (status = 200, description = "The node", body = NodeEntry),
        Problems, NamedProblems, BodyProblems,
    )
)]
async fn drain(
    State(s): State<Shared>,
    Segment(peer): Segment,
) -> Result<Json<NodeEntry>, Problem> {
    let node = find::node(&s, &peer).await?;
    let parsed = vajra_network::parse_peer(&node.peer).ok_or_else(|| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a peer id does not read back",
        )
    })?;
    s.node.drain((!node.is_self).then_some(parsed)).await?;
    Ok(Json(node))
}

/// The tests, newest first, page by page.
#[utoipa::path(
    get, path = "/tests", tag = "tests", params(TestsQuery),
    responses((status = 200, description = "The tests", body = TestPage), Problems, NamedProblems)
)]
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

/// Starts a test.
#[utoipa::path(
    post, path = "/tests", tag = "tests", request_body = NewTest,
    responses(
        (status = 201, description = "It begins", body = Named,
            headers(("location" = String, description = "Where its result is"))),
        (status = 409, description = "The node refuses", body = Problem,
            content_type = "application/problem+json"),
        (status = 504, description = "The swarm did not grow to `wait_for` nodes", body = Problem,
            content_type = "application/problem+json"),
        Problems, BodyProblems,
    )
)]
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
    let body = Json(named(id));
    Ok((StatusCode::CREATED, [("location", location)], body).into_response())
}

fn named(id: TestId) -> Named {
    Named {
        test_id: id.to_string(),
    }
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

/// Looks on every node whether a plan would run.
#[utoipa::path(
    post, path = "/preflight", tag = "tests", request_body = Looked,
    responses(
        (status = 200, description = "What was found, whatever it is", body = PreflightReport),
        Problems, BodyProblems,
    )
)]
async fn preflight(State(s): State<Shared>, body: Body) -> Result<Json<PreflightReport>, Problem> {
    let looked: Looked = read(body).await?;
    let plan = plan_of(&looked.plan)?;
    Ok(Json(s.node.preflight(Arc::new(plan)).await?))
}

/// A test's result: so far, or for good.
#[utoipa::path(
    get, path = "/tests/{id}", tag = "tests", params(("id" = String, Path, description = "A whole id, a unique prefix of at least four digits, or `latest`")),
    responses((status = 200, description = "The result", body = TestResult), Problems, NamedProblems)
)]
async fn status(
    State(s): State<Shared>,
    Segment(id): Segment,
) -> Result<Json<TestResult>, Problem> {
    let id = find::test(&s, &id).await?;
    Ok(Json(TestResult::clone(&*s.node.status(id).await?)))
}

/// Stops a test on every node.
#[utoipa::path(
    delete, path = "/tests/{id}", tag = "tests", params(("id" = String, Path, description = "A whole id, a unique prefix of at least four digits, or `latest`"), StopQuery),
    responses((status = 202, description = "It is being stopped", body = Named), Problems, NamedProblems)
)]
async fn stop(
    State(s): State<Shared>,
    Segment(id): Segment,
    Params(q): Params<StopQuery>,
) -> Result<Response, Problem> {
    let id = find::test(&s, &id).await?;
    s.node.stop(id, q.graceful.unwrap_or(true)).await?;
    Ok((StatusCode::ACCEPTED, Json(named(id))).into_response())
}

/// Changes the load of a running test.
#[utoipa::path(
    post, path = "/tests/{id}/scale", tag = "tests", params(("id" = String, Path, description = "A whole id, a unique prefix of at least four digits, or `latest`")), request_body = NewLoad,
    responses(
        (status = 200, description = "Since when it counts", body = Steered),
        Problems, NamedProblems, BodyProblems,
    )
)]
async fn scale(
    State(s): State<Shared>,
    Segment(id): Segment,
    body: Body,
) -> Result<Json<Steered>, Problem> {
    let body = whole(body).await?;
    let wrong = |why: String| {
        let what = format!("the body is not {{\"rate\": N}} or {{\"users\": N}}: {why}");
        Problem::new(StatusCode::BAD_REQUEST, what)
    };
    let new: NewLoad = serde_json::from_slice(&body).map_err(|e| wrong(e.to_string()))?;
    let how = match (new.rate, new.users) {
        (Some(rate), None) => LoadRequest::Rate(rate),
        (None, Some(users)) => LoadRequest::Users(users),
        _ => return Err(wrong("it has one of them".into())),
    };
    steer(&s, &id, how).await
}

/// Lets the load stand still.
#[utoipa::path(
    post, path = "/tests/{id}/pause", tag = "tests", params(("id" = String, Path, description = "A whole id, a unique prefix of at least four digits, or `latest`")), request_body = Nothing,
    responses(
        (status = 200, description = "Since when it counts", body = Steered),
        Problems, NamedProblems, BodyProblems,
    )
)]
async fn pause(
    State(s): State<Shared>,
    Segment(id): Segment,
    body: Body,
) -> Result<Json<Steered>, Problem> {
    let Nothing {} = read(body).await?;
    steer(&s, &id, LoadRequest::Pause).await
}

/// Lets a paused test go on.
#[utoipa::path(
    post, path = "/tests/{id}/resume", tag = "tests", params(("id" = String, Path, description = "A whole id, a unique prefix of at least four digits, or `latest`")), request_body = Nothing,
    responses(
        (status = 200, description = "Since when it counts", body = Steered),
        Problems, NamedProblems, BodyProblems,
    )
)]
async fn resume(
    State(s): State<Shared>,
    Segment(id): Segment,
    body: Body,
) -> Result<Json<Steered>, Problem> {
    let Nothing {} = read(body).await?;
    steer(&s, &id, LoadRequest::Resume).await
}

async fn steer(s: &Shared, id: &str, how: LoadRequest) -> Result<Json<Steered>, Problem> {
    let id = find::test(s, id).await?;
    let at = s.node.change_load(id, how).await?;
    Ok(Json(Steered {
        test_id: id.to_string(),
        at_s: at.as_secs_f64(),
    }))
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

/// A test's progress as server-sent events.
///
/// Once a second `progress` and `point`, at the end `ended`: a `Progress`, a `Point` and a
/// `Progress` as their data.
#[utoipa::path(
    get, path = "/tests/{id}/events", tag = "tests", params(("id" = String, Path, description = "A whole id, a unique prefix of at least four digits, or `latest`")),
    responses(
        (status = 200, description = "The events", body = String, content_type = "text/event-stream"),
        (status = 429, description = "Too many streams are open", body = Problem,
            content_type = "application/problem+json"),
        Problems, NamedProblems,
    )
)]
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

/// A test over time.
#[utoipa::path(
    get, path = "/tests/{id}/timeline", tag = "tests", params(("id" = String, Path, description = "A whole id, a unique prefix of at least four digits, or `latest`"), TimelineQuery),
    responses((status = 200, description = "The intervals", body = Timeline), Problems, NamedProblems)
)]
async fn timeline(
    State(s): State<Shared>,
    Segment(id): Segment,
    Params(q): Params<TimelineQuery>,
) -> Result<Response, Problem> {
    let points = q.points.unwrap_or(MAX_POINTS);
    if points == 0 {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "points is at least 1",
        ));
    }
    let id = find::test(&s, &id).await?;
    let turn = turn(&s).await;
    let timeline = s.node.timeline(id, points, q.histograms).await?;
    // Megabytes are written away from the thread that keeps the node's leases.
    let written = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        serde_json::to_vec(&timeline)
    });
    let wrong = |e: String| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, e);
    let written = written.await.map_err(|e| wrong(e.to_string()))?;
    let bytes = written.map_err(|e| wrong(e.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

/// The right to keep a core busy with results; there is one.
async fn turn(s: &Shared) -> Option<OwnedSemaphorePermit> {
    // It is closed never.
    s.reports.clone().acquire_owned().await.ok()
}
