//! The swarm as a whole: its events, its links, and both with nodes and tests as a stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use utoipa::IntoParams;

use super::extract::Params;
use super::openapi::Problems;
use super::problem::Problem;
use super::routes::{place_for_stream, sse};
use super::{MAX_PAGE, Shared};
use vajra_results::{SwarmEvents, SwarmLinks, SwarmNow};
use vajra_runtime::handle::CommandError;

/// Events that are told unless more are asked for.
const SOME_EVENTS: usize = 100;
/// Time between two lines of a stream.
const EVERY: Duration = Duration::from_secs(2);
/// One line serves all streams for so long.
const FRESH: Duration = Duration::from_millis(900);
/// Tests and events in a line.
const NEWEST: usize = 20;

/// The last line of the streams, and when it was made.
pub(super) type LastLine = Arc<Mutex<Option<(Instant, Arc<str>)>>>;

/// How much of what happened.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// At most so many; 100 unless given
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// How much is asked for, if it is between one and the most that there is.
pub(super) fn limit(asked: Option<usize>, default: usize) -> Result<usize, Problem> {
    match asked.unwrap_or(default) {
        n @ 1..=MAX_PAGE => Ok(n),
        n => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("limit {n} is not between 1 and {MAX_PAGE}"),
        )),
    }
}

/// What happened in the swarm, newest first.
#[utoipa::path(
    get, path = "/swarm/events", operation_id = "swarm_events", tag = "nodes", params(EventsQuery),
    responses((status = 200, description = "The events", body = SwarmEvents), Problems)
)]
pub(super) async fn events(
    State(s): State<Shared>,
    Params(q): Params<EventsQuery>,
) -> Result<Json<SwarmEvents>, Problem> {
    let limit = limit(q.limit, SOME_EVENTS)?;
    let events = s.node.swarm_events(limit).await?;
    Ok(Json(SwarmEvents { events }))
}

/// Who is connected to whom.
#[utoipa::path(
    get, path = "/swarm/links", operation_id = "swarm_links", tag = "nodes",
    responses((status = 200, description = "The connections", body = SwarmLinks), Problems)
)]
pub(super) async fn links(State(s): State<Shared>) -> Result<Json<SwarmLinks>, Problem> {
    Ok(Json(s.node.swarm_links().await?))
}

/// The swarm, every two seconds, for as long as somebody listens, as server-sent events.
///
/// Each is a `swarm` with a `SwarmNow` as its data.
#[utoipa::path(
    get, path = "/events", operation_id = "swarm_stream", tag = "nodes",
    responses(
        (status = 200, description = "The events", body = String, content_type = "text/event-stream"),
        (status = 429, description = "Too many streams are open", body = Problem,
            content_type = "application/problem+json"),
        Problems,
    )
)]
pub(super) async fn stream(State(s): State<Shared>) -> Result<Response, Problem> {
    let place = place_for_stream(&s)?;
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let lines = futures::stream::unfold((s, every, place), |(s, mut every, place)| async move {
        every.tick().await;
        let line = line(&s).await.ok()?;
        let event = Event::default().event("swarm").data(line);
        Some((Ok::<_, Infallible>(event), (s, every, place)))
    });
    Ok(sse(lines).into_response())
}

async fn line(s: &Shared) -> Result<Arc<str>, CommandError> {
    let mut last = s.last_line.lock().await;
    if let Some((at, line)) = &*last
        && at.elapsed() < FRESH
    {
        return Ok(line.clone());
    }
    let nodes = s.node.nodes().await?;
    let mut tests = s.node.tests().await?;
    tests.tests.truncate(NEWEST);
    let events = s.node.swarm_events(NEWEST).await?;
    let now = SwarmNow {
        nodes,
        tests,
        events,
    };
    // Plain data, which always can be JSON.
    let line: Arc<str> = serde_json::to_string(&now).unwrap_or_default().into();
    *last = Some((Instant::now(), line.clone()));
    Ok(line)
}
