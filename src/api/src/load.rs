//! Changes of the load of a running test.

use axum::Json;
use axum::body::Body;
use axum::extract::State;

use super::extract::{PathParams, json_body};
use super::find;
use super::openapi::{BodyProblems, LookupProblems, Problems};
use super::problem::Problem;
use super::state::Shared;
use super::types::{EmptyBody, LoadChange, NewLoad, TestPath};
use vajra_runtime::handle::LoadRequest;

/// Change the load of a running test.
///
/// Sets the full load, as a rate (open model) or as users (closed model). All other levels of the
/// plan change in proportion.
#[utoipa::path(
    post, path = "/tests/{id}/scale", tag = "tests", params(TestPath), request_body = NewLoad,
    responses(
        (status = 200, description = "The change was accepted", body = LoadChange),
        Problems, LookupProblems, BodyProblems,
    )
)]
pub(super) async fn scale(
    State(s): State<Shared>,
    PathParams(TestPath { id }): PathParams<TestPath>,
    body: Body,
) -> Result<Json<LoadChange>, Problem> {
    let load: NewLoad = json_body(body, "{\"rate\": N} or {\"users\": N}").await?;
    let request = match (load.rate, load.users) {
        (Some(rate), None) => LoadRequest::Rate(rate),
        (None, Some(users)) => LoadRequest::Users(users),
        _ => {
            return Err(Problem::bad_request(
                "the body must have either \"rate\" or \"users\"",
            ));
        }
    };
    change(&s, &id, request).await
}

/// Pause a running test: no requests are sent, and the plan's time stops.
#[utoipa::path(
    post, path = "/tests/{id}/pause", tag = "tests", params(TestPath), request_body = EmptyBody,
    responses(
        (status = 200, description = "The pause was accepted", body = LoadChange),
        Problems, LookupProblems, BodyProblems,
    )
)]
pub(super) async fn pause(
    State(s): State<Shared>,
    PathParams(TestPath { id }): PathParams<TestPath>,
    body: Body,
) -> Result<Json<LoadChange>, Problem> {
    let EmptyBody {} = json_body(body, "{}").await?;
    change(&s, &id, LoadRequest::Pause).await
}

/// Resume a paused test.
#[utoipa::path(
    post, path = "/tests/{id}/resume", tag = "tests", params(TestPath), request_body = EmptyBody,
    responses(
        (status = 200, description = "The resumption was accepted", body = LoadChange),
        Problems, LookupProblems, BodyProblems,
    )
)]
pub(super) async fn resume(
    State(s): State<Shared>,
    PathParams(TestPath { id }): PathParams<TestPath>,
    body: Body,
) -> Result<Json<LoadChange>, Problem> {
    let EmptyBody {} = json_body(body, "{}").await?;
    change(&s, &id, LoadRequest::Resume).await
}

async fn change(s: &Shared, id: &str, request: LoadRequest) -> Result<Json<LoadChange>, Problem> {
    let id = find::test(s, id).await?;
    let at = s.node.change_load(id, request).await?;
    Ok(Json(LoadChange {
        test_id: id.to_string(),
        at_s: at.as_secs_f64(),
    }))
}
