//! The swarm: membership events, connections, and a stream of its state.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use tokio::time::{MissedTickBehavior, interval};

use super::cache::Lookup;
use super::event_stream;
use super::extract::{QueryParams, page_size};
use super::openapi::{Problems, StreamProblems};
use super::problem::Problem;
use super::state::Shared;
use super::types::EventsQuery;
use vajra_results::{SwarmEvents, SwarmLinks, SwarmNow};
use vajra_runtime::handle::CommandError;

/// Default number of events in a response.
const DEFAULT_EVENTS: usize = 100;
/// Interval of the stream's events.
const STREAM_INTERVAL: Duration = Duration::from_secs(2);
/// Age up to which all streams share one event.
const EVENT_MAX_AGE: Duration = Duration::from_millis(900);
/// Number of tests and membership events in an event of the stream.
const NEWEST: usize = 20;

/// List the membership events of the swarm, newest first.
#[utoipa::path(
    get, path = "/swarm/events", operation_id = "swarm_events", tag = "nodes", params(EventsQuery),
    responses((status = 200, description = "The events observed by this node", body = SwarmEvents), Problems)
)]
pub(super) async fn events(
    State(s): State<Shared>,
    QueryParams(q): QueryParams<EventsQuery>,
) -> Result<Json<SwarmEvents>, Problem> {
    let limit = page_size(q.limit, DEFAULT_EVENTS)?;
    let events = s.node.swarm_events(limit).await?;
    Ok(Json(SwarmEvents { events }))
}

/// List the connections between the nodes, as reported by the nodes.
#[utoipa::path(
    get, path = "/swarm/links", operation_id = "swarm_links", tag = "nodes",
    responses((status = 200, description = "The connections", body = SwarmLinks), Problems)
)]
pub(super) async fn links(State(s): State<Shared>) -> Result<Json<SwarmLinks>, Problem> {
    Ok(Json(s.node.swarm_links().await?))
}

/// Follow the swarm as server-sent events.
///
/// Sends the event `swarm` (data: `SwarmNow`) at once and then every two seconds.
#[utoipa::path(
    get, path = "/events", operation_id = "swarm_stream", tag = "nodes",
    responses(
        (status = 200, description = "The events", body = String, content_type = "text/event-stream"),
        Problems, StreamProblems,
    )
)]
pub(super) async fn stream(State(s): State<Shared>) -> Result<Response, Problem> {
    let permit = event_stream::permit(&s)?;
    let mut ticks = interval(STREAM_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = futures::stream::unfold((s, ticks, permit), |(s, mut ticks, permit)| async move {
        ticks.tick().await;
        let data = swarm_now(&s).await.ok()?;
        let event = Event::default().event("swarm").data(data);
        Some((Ok::<_, Infallible>(event), (s, ticks, permit)))
    });
    Ok(event_stream::response(events).into_response())
}

/// The JSON of a `swarm` event.
async fn swarm_now(s: &Shared) -> Result<Arc<str>, CommandError> {
    let slot = match s.swarm_event.lookup(EVENT_MAX_AGE).await {
        Lookup::Fresh(json) => return Ok(json),
        Lookup::Stale(slot) => slot,
    };
    let nodes = s.node.nodes().await?;
    let mut tests = s.node.tests().await?;
    tests.tests.truncate(NEWEST);
    let events = s.node.swarm_events(NEWEST).await?;
    let now = SwarmNow {
        nodes,
        tests,
        events,
    };
    // Plain data, which always has a JSON form.
    let json: Arc<str> = serde_json::to_string(&now).unwrap_or_default().into();
    slot.fill(json.clone());
    Ok(json)
}
