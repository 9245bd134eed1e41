//! Server-sent events: the limit of open streams, and keep-alive.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use tokio::sync::OwnedSemaphorePermit;

use super::problem::Problem;
use super::state::Shared;

/// Interval of comments that keep a silent stream open, and that reveal closed connections.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A permit for one more event stream, to be held while the stream is open.
pub(super) fn permit(s: &Shared) -> Result<OwnedSemaphorePermit, Problem> {
    s.streams.clone().try_acquire_owned().map_err(|_| {
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too many event streams are open on this node; close one, or query the node at intervals",
        )
    })
}

/// The response that sends these events.
pub(super) fn response(
    events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static,
) -> impl IntoResponse {
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}
