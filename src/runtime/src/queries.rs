//! Queries of the protocol's state that several subjects need.

use vajra_core::protocol::{Node, Peer, TestId, Time};

/// The other live nodes.
pub fn live_peers(core: &Node, now: Time) -> Vec<Peer> {
    let live = core.members().live_ids(now);
    live.map(|node| node.peer).collect()
}

/// The newest term with an elected coordinator; 0 before the first.
pub fn newest_term(core: &Node, test: TestId) -> u64 {
    let tenures = core.tests().get(&test).map(|t| t.tenures());
    let terms = tenures.into_iter().flatten().map(|tenure| tenure.term);
    terms.max().unwrap_or(0)
}

/// Whether a test is known and has not ended.
pub fn is_running(core: &Node, test: TestId) -> bool {
    let known = core.tests().get(&test);
    known.is_some_and(|t| t.ended().is_none())
}
