//! Health and version of the node.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::openapi::Problems;
use super::problem::Problem;
use super::state::Shared;
use super::types::Version;

/// Time within which the control loop of a healthy node responds.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Check the health of the node. Needs no token.
///
/// A node is healthy if its control loop responds within 2 s.
#[utoipa::path(
    get, path = "/healthz", tag = "node",
    responses((status = 200, description = "The node is healthy", body = String, content_type = "text/plain"), Problems)
)]
pub(super) async fn health(State(s): State<Shared>) -> Result<&'static str, Problem> {
    match tokio::time::timeout(HEALTH_TIMEOUT, s.node.tests()).await {
        Ok(Ok(_)) => Ok("ok\n"),
        Ok(Err(e)) => Err(e.into()),
        Err(_) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the node's control loop does not respond",
        )),
    }
}

/// Get the version of the node.
#[utoipa::path(
    get, path = "/version", tag = "node",
    responses((status = 200, description = "Version and commit", body = Version), Problems)
)]
pub(super) async fn version(State(s): State<Shared>) -> Json<Version> {
    Json(Version {
        name: "vajra-node",
        version: s.build.version,
        commit: s.build.commit,
    })
}
