//! Tests: list, start, stop, results.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::blocking::{admit, blocking};
use super::extract::{PathParams, QueryParams, page_size, parse_body, read_body};
use super::find;
use super::openapi::{BodyProblems, LookupProblems, Problems};
use super::plans::plan_of_json;
use super::problem::Problem;
use super::state::Shared;
use super::types::{
    MAX_PAGE, NewTest, PreflightRequest, StopQuery, TestPath, TestReference, TestsQuery,
    TimelineQuery,
};
use vajra_core::protocol::TestId;
use vajra_results::preflight::PreflightReport;
use vajra_results::timeline::MAX_POINTS;
use vajra_results::{TestPage, TestResult, Timeline};
use vajra_runtime::handle::StartOptions;

/// Longest time that a start waits for nodes. A caller that wants to wait longer retries.
const MAX_START_WAIT: Duration = Duration::from_secs(600);
/// The form of a body with a plan, for errors.
const PLAN_BODY: &str = "{\"plan\": …}";

/// List the tests, newest first, in pages.
#[utoipa::path(
    get, path = "/tests", tag = "tests", params(TestsQuery),
    responses((status = 200, description = "One page of tests", body = TestPage), Problems, LookupProblems)
)]
pub(super) async fn tests(
    State(s): State<Shared>,
    QueryParams(q): QueryParams<TestsQuery>,
) -> Result<Json<TestPage>, Problem> {
    let limit = page_size(q.limit, MAX_PAGE)?;
    let mut tests = s.node.tests().await?.tests;
    if let Some(before) = q.before {
        let before = find::test(&s, &before).await?.to_string();
        tests.retain(|t| t.test_id < before);
    }
    let has_more = tests.len() > limit;
    tests.truncate(limit);
    let last = tests.last().filter(|_| has_more);
    let next = last.map(|t| t.test_id.clone());
    Ok(Json(TestPage { tests, next }))
}

/// Start a test.
///
/// The response is sent when the test has been announced. Closing the connection before that cancels
/// the start.
#[utoipa::path(
    post, path = "/tests", tag = "tests", request_body = NewTest,
    responses(
        (status = 201, description = "The test was started", body = TestReference,
            headers(("location" = String, description = "Path of the test's result"))),
        (status = 409, description = "The node refuses the test", body = Problem,
            content_type = "application/problem+json"),
        (status = 504, description = "The swarm did not reach `wait_for` nodes within 10 minutes",
            body = Problem, content_type = "application/problem+json"),
        Problems, BodyProblems,
    )
)]
pub(super) async fn start(State(s): State<Shared>, body: Body) -> Result<Response, Problem> {
    let (plan, wait_for) = parsed(&s, body, |NewTest { plan, wait_for }| {
        Ok((plan_of_json(&plan)?, wait_for))
    })
    .await?;
    let plan = Arc::new(plan);
    let started = s.node.start(plan, StartOptions { wait_for });
    let id = tokio::time::timeout(MAX_START_WAIT, started).await;
    let id = id.map_err(|_| {
        Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            format!(
                "the swarm did not reach {wait_for} nodes within {} s; start more nodes, or lower \
                 wait_for",
                MAX_START_WAIT.as_secs()
            ),
        )
    })??;
    let location = format!("/api/v1/tests/{id}");
    let body = Json(reference(id));
    Ok((StatusCode::CREATED, [("location", location)], body).into_response())
}

/// Reads a body and parses the plan in it on a blocking thread.
async fn parsed<B: DeserializeOwned, T: Send + 'static>(
    s: &Shared,
    body: Body,
    plan: impl FnOnce(B) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let body = read_body(body).await?;
    let permit = admit(&s.plans).await?;
    blocking(permit, move || plan(parse_body(&body, PLAN_BODY)?)).await?
}

fn reference(id: TestId) -> TestReference {
    TestReference {
        test_id: id.to_string(),
    }
}

/// Check on every node whether a plan can run. Nothing is started.
#[utoipa::path(
    post, path = "/preflight", tag = "tests", request_body = PreflightRequest,
    responses(
        (status = 200, description = "The findings, whether they passed or failed", body = PreflightReport),
        Problems, BodyProblems,
    )
)]
pub(super) async fn preflight(
    State(s): State<Shared>,
    body: Body,
) -> Result<Json<PreflightReport>, Problem> {
    let plan = parsed(&s, body, |PreflightRequest { plan }| plan_of_json(&plan)).await?;
    Ok(Json(s.node.preflight(Arc::new(plan)).await?))
}

/// Get the result of a test, intermediate or final.
#[utoipa::path(
    get, path = "/tests/{id}", tag = "tests", params(TestPath),
    responses((status = 200, description = "The result", body = TestResult), Problems, LookupProblems)
)]
pub(super) async fn status(
    State(s): State<Shared>,
    PathParams(TestPath { id }): PathParams<TestPath>,
) -> Result<Json<TestResult>, Problem> {
    let id = find::test(&s, &id).await?;
    Ok(Json(TestResult::clone(&*s.node.status(id).await?)))
}

/// Stop a test on every node.
#[utoipa::path(
    delete, path = "/tests/{id}", tag = "tests", params(TestPath, StopQuery),
    responses((status = 202, description = "The test is stopping", body = TestReference), Problems, LookupProblems)
)]
pub(super) async fn stop(
    State(s): State<Shared>,
    PathParams(TestPath { id }): PathParams<TestPath>,
    QueryParams(q): QueryParams<StopQuery>,
) -> Result<Response, Problem> {
    let id = find::test(&s, &id).await?;
    s.node.stop(id, q.graceful.unwrap_or(true)).await?;
    Ok((StatusCode::ACCEPTED, Json(reference(id))).into_response())
}

/// Get a test over time.
#[utoipa::path(
    get, path = "/tests/{id}/timeline", tag = "tests", params(TestPath, TimelineQuery),
    responses((status = 200, description = "The intervals", body = Timeline), Problems, LookupProblems)
)]
pub(super) async fn timeline(
    State(s): State<Shared>,
    PathParams(TestPath { id }): PathParams<TestPath>,
    QueryParams(q): QueryParams<TimelineQuery>,
) -> Result<Response, Problem> {
    let points = q.points.unwrap_or(MAX_POINTS);
    if points == 0 {
        return Err(Problem::bad_request("points must be at least 1"));
    }
    let id = find::test(&s, &id).await?;
    // A timeline may have megabytes, so only one is built at a time.
    let permit = admit(&s.reports).await?;
    let timeline = s.node.timeline(id, points, q.histograms).await?;
    let json = blocking(permit, move || serde_json::to_vec(&timeline)).await?;
    let json = json.map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}
