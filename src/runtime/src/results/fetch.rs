//! Fetches a test from other nodes and stores it.

use std::sync::Arc;

use super::search::{Source, find_result, find_timeline};
use super::store::Store;
use crate::peers::calls::Caller;
use vajra_core::protocol::{Peer, TestId};
use vajra_results::{TestResult, Timeline};

/// A test that was fetched and stored, as far as it was found.
pub struct Fetched {
    /// The test.
    pub test: TestId,
    /// Its result, if one was found.
    pub result: Option<Arc<TestResult>>,
    /// Tests removed from the store.
    pub removed: Vec<TestId>,
    /// Something was found that was not here before.
    pub is_new: bool,
    /// Nodes without the result that they list.
    pub without_result: Vec<Peer>,
    /// Nodes without the timeline that they list.
    pub without_timeline: Vec<Peer>,
}

/// Searches the sources for a test and stores what they have. `here`: whether the result on this
/// node is complete; none if there is no result.
pub async fn fetch(
    caller: Caller,
    store: Store,
    test: TestId,
    here: Option<bool>,
    sources: Vec<Source>,
    term: u64,
) -> Fetched {
    let (mut without_result, mut without_timeline) = (Vec::new(), Vec::new());
    let found = match here {
        Some(true) => None,
        _ => find_result(&caller, test, &sources, &mut without_result).await,
    };
    // An incomplete result is no better than one that is here.
    let found = found.filter(|(_, result)| here.is_none() || result.complete);
    let first = found.as_ref().map(|(from, _)| from);
    let rest = sources.iter().map(|source| &source.peer);
    let order = first.into_iter().chain(rest.filter(|p| Some(*p) != first));
    let timeline = match here.is_some() || found.is_some() {
        true => find_timeline(&caller, test, order, &mut without_timeline).await,
        false => None,
    };
    let result = found.map(|(_, result)| Arc::new(result));
    let is_new = result.is_some() || timeline.is_some();
    let new = result.clone();
    let put = tokio::task::spawn_blocking(move || put(&store, test, new, timeline, term));
    Fetched {
        test,
        result,
        removed: put.await.unwrap_or_default(),
        is_new,
        without_result,
        without_timeline,
    }
}

/// Stores what was fetched, in memory if it cannot be written. Returns the tests removed for it.
fn put(
    store: &Store,
    test: TestId,
    result: Option<Arc<TestResult>>,
    timeline: Option<Timeline>,
    term: u64,
) -> Vec<TestId> {
    let is_new = result.is_some() || timeline.is_some();
    let result = result.or_else(|| store.get(test)).filter(|_| is_new);
    let put =
        |result: Arc<TestResult>| store.put_or_remember(test, &result, timeline.as_ref(), term);
    result.map(put).unwrap_or_default()
}
