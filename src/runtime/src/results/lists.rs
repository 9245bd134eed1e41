//! Requests for the lists of results of other nodes.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::records;
use super::remote::ResultSummary;
use crate::peers::calls::Caller;
use crate::peers::clocks::next_peer;
use vajra_core::protocol::Peer;
use vajra_network as network;

/// Time between two requests for a list, each to another node. A list has about 40 KB.
const LIST_INTERVAL: Duration = Duration::from_secs(10);
/// Timeout of a list.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);
/// Most newly connected nodes whose lists are requested soon, one per second. In a large swarm most
/// nodes have the same results, so the others can wait.
const MAX_NEWCOMERS: usize = 16;

/// The node whose list is requested next.
pub struct ListSchedule {
    newcomers: VecDeque<Peer>,
    last: Option<Peer>,
    next_at: Instant,
}

/// The list of results of a node.
pub struct ResultList {
    /// The node.
    pub peer: Peer,
    /// Its tests.
    pub tests: Vec<ResultSummary>,
}

impl Default for ListSchedule {
    fn default() -> ListSchedule {
        ListSchedule {
            newcomers: VecDeque::new(),
            last: None,
            next_at: Instant::now() + LIST_INTERVAL,
        }
    }
}

impl ListSchedule {
    /// A node has connected; its list is requested soon.
    pub fn connected(&mut self, peer: &Peer) {
        if self.newcomers.len() < MAX_NEWCOMERS && !self.newcomers.contains(peer) {
            self.newcomers.push_back(peer.clone());
        }
    }

    /// Called once per second: the node whose list is due now.
    pub fn next(&mut self, live: &BTreeSet<Peer>, connected: &BTreeSet<Peer>) -> Option<Peer> {
        self.newcomers.retain(|p| connected.contains(p));
        if let Some(at) = self.newcomers.iter().position(|p| live.contains(p)) {
            return self.newcomers.remove(at);
        }
        if Instant::now() < self.next_at {
            return None;
        }
        self.next_at = Instant::now() + LIST_INTERVAL;
        self.last = next_peer(self.last.as_ref(), live).cloned();
        self.last.clone()
    }
}

/// Requests the list of a node.
pub async fn request_list(peer: Peer, caller: Caller) -> Option<ResultList> {
    let failed: &dyn std::fmt::Display =
        match timeout(LIST_TIMEOUT, records::fetch_tests(&caller, &peer)).await {
            Ok(Ok(tests)) => return Some(ResultList { peer, tests }),
            Ok(Err(e)) => &e.to_string(),
            Err(_) => &"timeout",
        };
    let peer = network::show_peer(&peer);
    tracing::debug!(peer, "cannot fetch the list of tests: {failed}");
    None
}
