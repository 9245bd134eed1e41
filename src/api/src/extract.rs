//! Extractors of parameters and bodies, which reject invalid input with problem details.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::types::MAX_PAGE;
use vajra_plan::MAX_PLAN_BYTES;

/// Largest request body: the largest plan, and the overhead of its JSON form.
const MAX_BODY: usize = 2 * MAX_PLAN_BYTES;
/// Time limit for receiving a body. A plan is small, and most callers are on the same machine.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Parameters of the query. Unknown parameters are rejected: a misspelt one would otherwise be
/// ignored without notice.
pub(super) struct QueryParams<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(params)| QueryParams(params)).map_err(|e| {
            let text = e.body_text();
            let reason = text.strip_prefix("Failed to deserialize query string: ");
            let reason = reason.unwrap_or(&text);
            Problem::bad_request(format!("invalid query: {reason}"))
        })
    }
}

/// Parameters of the path.
pub(super) struct PathParams<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(params)| PathParams(params))
            .map_err(|e| Problem::bad_request(e.body_text()))
    }
}

/// A page size between 1 and [`MAX_PAGE`].
///
/// # Errors
/// The requested size is out of range.
pub(super) fn page_size(requested: Option<usize>, default: usize) -> Result<usize, Problem> {
    match requested.unwrap_or(default) {
        n @ 1..=MAX_PAGE => Ok(n),
        n => Err(Problem::bad_request(format!(
            "limit {n} is not between 1 and {MAX_PAGE}"
        ))),
    }
}

/// Reads a body and parses it as JSON. `expected` shows the form of the body in errors.
///
/// # Errors
/// The body is too large, is not received in time, or is not of this form.
pub(super) async fn json_body<T: DeserializeOwned>(
    body: Body,
    expected: &str,
) -> Result<T, Problem> {
    parse_body(&read_body(body).await?, expected)
}

/// Parses a body as JSON. `expected` shows the form of the body in errors.
///
/// # Errors
/// The body is not of this form.
pub(super) fn parse_body<T: DeserializeOwned>(body: &[u8], expected: &str) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|e| {
        Problem::bad_request(format!("invalid body: {e}; expected the form {expected}"))
    })
}

/// Reads a body.
///
/// # Errors
/// The body is too large, or is not received in time.
pub(super) async fn read_body(body: Body) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, MAX_BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(e)) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body cannot be read: {e}; it may have at most {MAX_BODY} bytes"),
        )),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            format!(
                "the body was not received within {} s",
                BODY_TIMEOUT.as_secs()
            ),
        )),
    }
}
