//! The connections between the nodes of the swarm, as reported by the nodes themselves.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};

use super::calls::Caller;
use crate::answer::{Answer, admit};
use crate::results::part_reply;
use crate::results::records::{LinkReport, LinksRecord, MAX_LINKS, Whole, fetch_links};
use crate::time::in_ms;
use vajra_core::protocol::Peer;
use vajra_network::{self as network, NetworkHandle};
use vajra_results::{SwarmLink, SwarmLinks};

/// Most nodes asked for their links.
const MAX_ASKED: usize = 64;
/// Timeout of their replies.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long the links are cached.
const CACHED_FOR: Duration = Duration::from_secs(3);
/// Lists of links built for others at once. Further requests are refused.
const SERVED_AT_ONCE: usize = 4;

/// The links of the swarm, cached for a few seconds.
pub struct Links {
    cache: Arc<Mutex<Option<(Instant, SwarmLinks)>>>,
    serving: Arc<Semaphore>,
}

impl Default for Links {
    fn default() -> Links {
        Links {
            cache: Arc::default(),
            serving: Arc::new(Semaphore::new(SERVED_AT_ONCE)),
        }
    }
}

impl Links {
    /// The links of this node, for another one.
    pub fn answer(&self, net: &NetworkHandle, offset: u64) -> Answer {
        let Some(permit) = admit(&self.serving) else {
            return Answer::busy();
        };
        let net = net.clone();
        Answer::task(async move {
            let _permit = permit;
            let links = own_links(&net).await;
            let whole = serde_json::to_vec(&LinksRecord { links }).ok();
            let whole = whole.map(|bytes| Whole::of(bytes.into()));
            part_reply(whole.as_ref(), offset)
        })
    }

    /// The links of all nodes: of this one, and of those in `live`.
    pub fn of_swarm(
        &self,
        own: &Peer,
        live: Vec<Peer>,
        net: Option<NetworkHandle>,
        caller: Caller,
    ) -> impl Future<Output = SwarmLinks> + Send + use<> {
        let (cache, own) = (self.cache.clone(), network::show_peer(own));
        async move {
            // Concurrent requests wait here for the same links.
            let mut cache = cache.lock().await;
            let fresh = cache.as_ref().filter(|(at, _)| at.elapsed() < CACHED_FOR);
            if let Some((_, links)) = fresh {
                return links.clone();
            }
            let mut links = SwarmLinks {
                links: Vec::new(),
                complete: live.len() <= MAX_ASKED,
            };
            if let Some(net) = net {
                let reports = own_links(&net).await;
                links
                    .links
                    .extend(reports.into_iter().map(|l| link(&own, l)));
            }
            let replies = live.into_iter().take(MAX_ASKED).map(|peer| {
                let caller = caller.clone();
                async move {
                    let reply = timeout(TIMEOUT, fetch_links(&caller, &peer)).await;
                    (network::show_peer(&peer), reply)
                }
            });
            for (from, reply) in join_all(replies).await {
                match reply {
                    Ok(Ok(reports)) => {
                        let reports = reports.into_iter();
                        links.links.extend(reports.map(|l| link(&from, l)));
                    }
                    Ok(Err(e)) => {
                        links.complete = false;
                        tracing::debug!(peer = %from, "cannot fetch the links: {e}");
                    }
                    Err(_) => links.complete = false,
                }
            }
            *cache = Some((Instant::now(), links.clone()));
            links
        }
    }
}

/// The connections of this node.
async fn own_links(net: &NetworkHandle) -> Vec<LinkReport> {
    let links = net.links().await.into_iter().take(MAX_LINKS);
    let report = |link: network::Link| LinkReport {
        to: network::show_peer(&link.peer),
        round_trip_ms: link.round_trip.map(in_ms),
        mesh: link.mesh,
    };
    links.map(report).collect()
}

fn link(from: &str, report: LinkReport) -> SwarmLink {
    SwarmLink {
        from: from.to_owned(),
        to: report.to,
        round_trip_ms: report.round_trip_ms,
        mesh: report.mesh,
    }
}
