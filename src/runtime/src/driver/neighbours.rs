//! What this node knows of the others beyond the protocol: how far they are, how their clocks
//! stand, who is connected to whom, what happened to them.

use futures::future::join_all;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::history::{Fetched, links_told};
use super::*;
use crate::clocks::{Clocks, Reading};
use crate::history::ResultSummary;
use crate::records;
use crate::swarm_log::SwarmLog;
use vajra_core::protocol::messages::Reply;
use vajra_results::{Recording, SwarmEvent, SwarmLink, SwarmLinks};

/// What tasks learn of other nodes, on its way to the driver. A few are under way at a time.
pub(super) const LEARN_QUEUE: usize = 64;
/// One clock is read in so many seconds.
const CLOCK_EVERY: u32 = 2;
/// How long an answer to that may take; what takes longer says little.
const CLOCK_WAIT: Duration = Duration::from_secs(1);
/// Most nodes that are asked for their links.
const MAX_ASKED: usize = 64;
/// How long they may take.
const LINKS_WAIT: Duration = Duration::from_secs(2);
/// So long the links that were told serve whoever asks.
const LINKS_FRESH: Duration = Duration::from_secs(3);

/// What tasks learn of other nodes.
pub(super) enum Learned {
    /// Which results a node holds.
    Tests(Peer, Vec<ResultSummary>),
    /// A test was fetched.
    Fetched(Fetched),
    /// How a test began that this node has come late to, if anybody told.
    Beginning(TestId, Option<Arc<Recording>>),
    /// The timeline of an ended test has been replaced by a better one.
    TookOver(TestId),
    /// A node's clock.
    Clock(Peer, Reading),
}

/// The links as they were told last, and when that was.
type LinksKept = Arc<Mutex<Option<(Instant, SwarmLinks)>>>;

/// What is known of the other nodes.
#[derive(Default)]
pub(crate) struct Neighbours {
    /// Of those that are connected.
    pub round_trips: BTreeMap<Peer, Duration>,
    pub clocks: Clocks,
    log: SwarmLog,
    links: LinksKept,
    seconds: u32,
}

impl Driver {
    pub(super) fn learned(&mut self, learned: Learned) {
        match learned {
            Learned::Tests(peer, tests) => {
                self.history.told(&peer, tests);
            }
            Learned::Fetched(brought) => self.brought(brought),
            Learned::Beginning(test, found) => self.caught_up(test, found),
            Learned::TookOver(test) => self.took_over(test),
            Learned::Clock(peer, reading) => self.neighbours.clocks.read(peer, reading),
        }
    }

    /// Something was heard from a node, or of it.
    pub(super) fn look_at(&mut self, peer: &Peer) {
        let now = self.now();
        if let Some(known) = self.core.members().get(peer) {
            self.neighbours.log.look_at(now, unix_ms(), known);
        }
    }

    /// Hook a second: who is here, and one question or two.
    pub(super) fn look_around(&mut self) {
        let now = self.now();
        let members = self.core.members();
        self.neighbours.log.look(now, unix_ms(), members);
        let live: BTreeSet<Peer> = members.live_ids(now).map(|n| n.peer).collect();
        self.ask_around(&live);
        let neighbours = &mut self.neighbours;
        neighbours.clocks.keep_only(&live);
        neighbours.seconds = neighbours.seconds.wrapping_add(1);
        if neighbours.seconds.is_multiple_of(CLOCK_EVERY)
            && let Some(peer) = neighbours.clocks.next(&live)
        {
            self.read_clock(peer);
        }
    }

    fn read_clock(&mut self, peer: Peer) {
        let (unix, sent) = (unix_ms(), Instant::now());
        let answer = self.ask(&peer, Request::Clock);
        let learn = self.learn.clone();
        tokio::spawn(async move {
            if let Ok(Ok(Ok(Reply::Clock { unix_ms }))) = timeout(CLOCK_WAIT, answer).await {
                let reading = Reading::of(unix, sent.elapsed(), unix_ms);
                // The driver may have ended meanwhile.
                let _ = learn.send(Learned::Clock(peer, reading)).await;
            }
        });
    }

    /// What happened in the swarm, newest first.
    pub(super) fn swarm_events(&self, limit: usize) -> Vec<SwarmEvent> {
        self.neighbours.log.newest(limit)
    }

    /// Asks the nodes with whom they are connected, unless that was done just now.
    pub(super) fn swarm_links(&self, reply: oneshot::Sender<SwarmLinks>) {
        let kept = self.neighbours.links.clone();
        let me = network::show_peer(&self.core.local().node.peer);
        let live = self.live_peers();
        let (caller, net) = (self.data.caller(), self.net.clone());
        tokio::spawn(async move {
            // Whoever asks meanwhile waits here, and is told the same.
            let mut kept = kept.lock().await;
            let fresh = kept.as_ref().filter(|(at, _)| at.elapsed() < LINKS_FRESH);
            let links = match fresh {
                Some((_, links)) => links.clone(),
                None => {
                    let mut links = SwarmLinks {
                        links: Vec::new(),
                        complete: live.len() <= MAX_ASKED,
                    };
                    if let Some(net) = net {
                        let told = links_told(&net).await;
                        links.links.extend(told.into_iter().map(|l| link(&me, l)));
                    }
                    let asked = live.into_iter().take(MAX_ASKED).map(|peer| {
                        let caller = caller.clone();
                        async move {
                            let links = records::fetch_links(&caller, &peer);
                            let told = timeout(LINKS_WAIT, links).await;
                            (peer, told)
                        }
                    });
                    for (peer, told) in join_all(asked).await {
                        let from = network::show_peer(&peer);
                        match told {
                            Ok(Ok(told)) => {
                                links.links.extend(told.into_iter().map(|l| link(&from, l)));
                            }
                            Ok(Err(e)) => {
                                links.complete = false;
                                tracing::debug!(peer = %from, "its links: {e}");
                            }
                            Err(_) => links.complete = false,
                        }
                    }
                    *kept = Some((Instant::now(), links.clone()));
                    links
                }
            };
            // Whoever asked may be gone.
            let _ = reply.send(links);
        });
    }
}

fn link(from: &str, told: records::LinkTold) -> SwarmLink {
    SwarmLink {
        from: from.to_owned(),
        to: told.to,
        round_trip_ms: told.round_trip_ms,
        mesh: told.mesh,
    }
}
