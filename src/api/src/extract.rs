//! What a request brings along, with problem JSON for what is wrong with it.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use vajra_plan::MAX_PLAN_BYTES;

/// Largest request body: the largest plan, and what JSON adds to it.
const MAX_BODY: usize = 2 * MAX_PLAN_BYTES;
/// How long a body may take: a plan is small, and the caller near.
const BODY_WAIT: Duration = Duration::from_secs(30);

/// The query, where it may have nothing but known parameters: one that is misspelt would be
/// as good as not given.
pub(super) struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Params<T>, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(params)| Params(params)).map_err(|e| {
            let text = e.body_text();
            let why = text.strip_prefix("Failed to deserialize query string: ");
            let why = why.unwrap_or(&text);
            Problem::new(StatusCode::BAD_REQUEST, format!("the query: {why}"))
        })
    }
}

/// The one variable segment of a path.
pub(super) struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Segment, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(segment)| Segment(segment))
            .map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))
    }
}

/// The whole body.
///
/// # Errors
/// It is too large or does not come.
pub(super) async fn whole(body: Body) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_WAIT, axum::body::to_bytes(body, MAX_BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(e)) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body may have {MAX_BODY} bytes: {e}"),
        )),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the body did not come within {} s", BODY_WAIT.as_secs()),
        )),
    }
}
