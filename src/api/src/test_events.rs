//! The progress of a test as server-sent events.

use axum::extract::State;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use tokio::sync::broadcast::error::RecvError;

use super::event_stream;
use super::extract::PathParams;
use super::find;
use super::openapi::{LookupProblems, Problems, StreamProblems};
use super::problem::Problem;
use super::state::Shared;
use super::types::TestPath;
use vajra_core::protocol::messages::TestState;
use vajra_runtime::handle::Update;

/// Follow a test as server-sent events.
///
/// Sends the events `progress` (data: `Progress`) and `point` (data: `Point`) once per second. At the
/// end of the test, sends `ended` (data: `Progress`) and closes the stream. A slow client misses
/// events.
#[utoipa::path(
    get, path = "/tests/{id}/events", tag = "tests", params(TestPath),
    responses(
        (status = 200, description = "The events", body = String, content_type = "text/event-stream"),
        Problems, LookupProblems, StreamProblems,
    )
)]
pub(super) async fn events(
    State(s): State<Shared>,
    PathParams(TestPath { id }): PathParams<TestPath>,
) -> Result<Response, Problem> {
    let permit = event_stream::permit(&s)?;
    let id = find::test(&s, &id).await?;
    let updates = s.node.watch(id).await?;
    let events = futures::stream::unfold((Some(updates), permit), |(updates, permit)| async move {
        let mut updates = updates?;
        loop {
            match updates.recv().await {
                Ok(update) => {
                    let kind = EventKind::of(&update);
                    let rest = (kind != EventKind::Ended).then_some(updates);
                    return Some((Ok(kind.event(&update)), (rest, permit)));
                }
                // A slow client misses updates and continues with the newest.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    Ok(event_stream::response(events).into_response())
}

/// Name of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum EventKind {
    Progress,
    Point,
    /// The last event.
    Ended,
}

impl EventKind {
    fn of(update: &Update) -> EventKind {
        match update {
            Update::Progress(p) if p.state == TestState::Ended => EventKind::Ended,
            Update::Progress(_) => EventKind::Progress,
            Update::Point(_) => EventKind::Point,
        }
    }

    fn event(self, update: &Update) -> Event {
        let name = match self {
            EventKind::Progress => "progress",
            EventKind::Point => "point",
            EventKind::Ended => "ended",
        };
        // Plain data, which always has a JSON form.
        let data = match update {
            Update::Progress(progress) => serde_json::to_string(progress),
            Update::Point(point) => serde_json::to_string(point),
        };
        Event::default().event(name).data(data.unwrap_or_default())
    }
}
