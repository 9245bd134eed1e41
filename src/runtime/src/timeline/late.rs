//! Timelines of tests that this node joined late, completed from other nodes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::recording::SharedRecording;
use crate::peers::calls::Caller;
use crate::queries::live_peers;
use crate::results::records;
use crate::results::search::{TIMELINE_SOURCE_TIMEOUT, find_timeline};
use crate::results::store::Store;
use vajra_core::protocol::{Node, Peer, TestId, Time};
use vajra_core::sync::lock;
use vajra_results::{Recording, TestResult};

/// Most nodes asked for a timeline.
const MAX_SOURCES: usize = 8;
/// Rounds in which all sources are asked for the complete timeline of an ended test.
const REPLACE_ROUNDS: u32 = 5;
/// Pause before each round; the other nodes store their timelines at about the same time.
const REPLACE_PAUSE: Duration = Duration::from_secs(1);

/// The start of a timeline, if a node has sent it.
pub struct Beginning {
    /// The test.
    pub test: TestId,
    /// The recording of the other node.
    pub recording: Option<Arc<Recording>>,
}

/// The nodes that probably have recorded a test from its start: the first coordinator, then
/// workers, then others.
fn sources(core: &Node, now: Time, test: TestId) -> Vec<Peer> {
    let t = core.tests().get(&test);
    let first = t.and_then(|t| t.tenures().first());
    let first = first.map(|tenure| &tenure.node.peer);
    let workers = t.map(|t| t.merge().workers());
    let works = |peer: &Peer| workers.is_some_and(|w| w.keys().any(|n| n.peer == *peer));
    let mut peers = live_peers(core, now);
    peers.sort_by_key(|peer| (Some(peer) != first, !works(peer)));
    peers.truncate(MAX_SOURCES);
    peers
}

/// Fetches the start of the timeline of a running test, and orders the nodes of `own` alike.
pub fn catch_up(
    core: &Node,
    now: Time,
    test: TestId,
    own: SharedRecording,
    caller: Caller,
) -> impl Future<Output = Beginning> + Send + use<> {
    let sources = sources(core, now, test);
    async move {
        let found = find_timeline(&caller, test, sources.iter(), &mut Vec::new()).await;
        let read = move |timeline| {
            let other = Recording::from_stored(timeline);
            lock(&own).add_nodes_of(&other);
            Arc::new(other)
        };
        let recording = match found {
            Some(timeline) => tokio::task::spawn_blocking(move || read(timeline))
                .await
                .ok(),
            None => None,
        };
        Beginning { test, recording }
    }
}

/// Replaces the stored timeline of an ended test, which starts at `begins_s`, by that of a node
/// that was there earlier. Returns the test if it was replaced.
pub fn replace_stored(
    core: &Node,
    now: Time,
    (test, result, begins_s): (TestId, Arc<TestResult>, f64),
    (store, term): (Store, u64),
    caller: Caller,
) -> impl Future<Output = Option<TestId>> + Send + use<> {
    let sources = sources(core, now, test);
    async move {
        for _ in 0..REPLACE_ROUNDS {
            tokio::time::sleep(REPLACE_PAUSE).await;
            for source in &sources {
                let fetch = records::fetch_timeline(&caller, source, test);
                let Ok(Ok(timeline)) = timeout(TIMELINE_SOURCE_TIMEOUT, fetch).await else {
                    continue;
                };
                let (store, result) = (store.clone(), result.clone());
                let replace = move || {
                    let recording = Recording::from_stored(timeline.clone());
                    let fits =
                        recording.first_end_s() < begins_s && recording.adds_up_to(&result.totals);
                    if fits {
                        store.put_or_remember(test, &result, Some(&timeline), term);
                    }
                    fits
                };
                if let Ok(true) = tokio::task::spawn_blocking(replace).await {
                    return Some(test);
                }
            }
        }
        tracing::debug!(%test, "no node has the complete timeline");
        None
    }
}
