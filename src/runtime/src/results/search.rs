//! Searches the nodes for a result or timeline, one after the other.

use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::records::{self, RecordError};
use crate::peers::calls::Caller;
use vajra_core::protocol::{Peer, TestId};
use vajra_network as network;
use vajra_results::{TestResult, Timeline};

/// Timeout of a result from one node, so that a slow node leaves time for the next.
const RESULT_SOURCE_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of a timeline from one node.
pub const TIMELINE_SOURCE_TIMEOUT: Duration = Duration::from_secs(7);
/// Timeout of the search for a result.
const RESULT_TIMEOUT: Duration = Duration::from_secs(15);
/// Timeout of the search for its timeline. Both together are below the timeout of an API request.
const TIMELINE_TIMEOUT: Duration = Duration::from_secs(10);

/// A node to ask for a result.
pub struct Source {
    /// The node.
    pub peer: Peer,
    /// It lists a complete result.
    pub lists_complete: bool,
}

/// The first complete result, or else the first, and its source. Adds the sources without the
/// result that they list to `without`.
pub async fn find_result(
    caller: &Caller,
    test: TestId,
    sources: &[Source],
    without: &mut Vec<Peer>,
) -> Option<(Peer, TestResult)> {
    let mut best = None;
    let search = async {
        for Source {
            peer,
            lists_complete,
        } in sources
        {
            let fetch = records::fetch_result(caller, peer, test);
            let is_without = match timeout(RESULT_SOURCE_TIMEOUT, fetch).await {
                Ok(Ok(result)) if result.complete => {
                    best = Some((peer.clone(), result));
                    return;
                }
                Ok(Ok(result)) => {
                    best.get_or_insert((peer.clone(), result));
                    *lists_complete
                }
                failed => is_permanent(peer, failed),
            };
            if is_without {
                without.push(peer.clone());
            }
        }
    };
    // After the timeout, use the best result found.
    let _ = timeout(RESULT_TIMEOUT, search).await;
    best
}

/// The first timeline. Adds the sources without one to `without`.
pub async fn find_timeline(
    caller: &Caller,
    test: TestId,
    sources: impl Iterator<Item = &Peer>,
    without: &mut Vec<Peer>,
) -> Option<Timeline> {
    let search = async {
        for peer in sources {
            let fetch = records::fetch_timeline(caller, peer, test);
            let is_without = match timeout(TIMELINE_SOURCE_TIMEOUT, fetch).await {
                Ok(Ok(timeline)) => return Some(timeline),
                failed => is_permanent(peer, failed),
            };
            if is_without {
                without.push(peer.clone());
            }
        }
        None
    };
    timeout(TIMELINE_TIMEOUT, search).await.ok().flatten()
}

/// Logs a failed request; returns whether the source would fail again.
fn is_permanent<T>(source: &Peer, outcome: Result<Result<T, RecordError>, Elapsed>) -> bool {
    let peer = network::show_peer(source);
    match outcome {
        Ok(Ok(_)) => false,
        Ok(Err(e)) => {
            tracing::debug!(peer, "cannot fetch a result: {e}");
            e.is_permanent()
        }
        Err(_) => {
            tracing::debug!(peer, "cannot fetch a result: timeout");
            true
        }
    }
}
