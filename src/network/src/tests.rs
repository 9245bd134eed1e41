//! Whole networks on loopback, mDNS off. Every wait is for an event, with a guard.

#![allow(clippy::unwrap_used)]

mod meeting;
mod talking;

use std::time::Duration;

use tokio::sync::mpsc;

use super::handle::Command;
use super::*;
use vajra_core::protocol::messages::{Gossip, Reply, Request, StopOrder, TestMessage};
use vajra_core::protocol::{Digest, Incarnation, NodeId, Peer, TestId};
use vajra_wire::Topic;

/// Far beyond what anything here takes, even on a busy machine.
const GUARD: Duration = Duration::from_secs(30);

struct Node {
    peer: Peer,
    address: Multiaddr,
    handle: NetworkHandle,
    events: mpsc::Receiver<NetworkEvent>,
}

fn config(bootstrap: &[&Node]) -> NetworkConfig {
    NetworkConfig {
        identity: Identity::ephemeral().keypair,
        swarm_name: "test".parse().unwrap(),
        swarm_key: None,
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        bootstrap: bootstrap.iter().map(|node| node.bare()).collect(),
        mdns: false,
        known_peers: None,
    }
}

async fn start(config: NetworkConfig) -> Node {
    let peer = address::peer(&config.identity.public().to_peer_id());
    let (handle, events, listening) = spawn(config).await.unwrap();
    Node {
        peer,
        address: listening[0].clone(),
        handle,
        events,
    }
}

impl Node {
    /// Its address without its peer id.
    fn bare(&self) -> Multiaddr {
        address::split_peer(&self.address).0
    }

    /// Passes over events until one is wanted.
    async fn until<T>(&mut self, mut wanted: impl FnMut(NetworkEvent) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.events.recv().await.expect("the network runs");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(GUARD, search)
            .await
            .expect("the event comes in time")
    }

    async fn connected(&mut self) -> Peer {
        self.until(|event| match event {
            NetworkEvent::PeerConnected(peer) => Some(peer),
            _ => None,
        })
        .await
    }

    async fn disconnected(&mut self) -> Peer {
        self.until(|event| match event {
            NetworkEvent::PeerDisconnected(peer) => Some(peer),
            _ => None,
        })
        .await
    }

    async fn request(&mut self) -> (Peer, RequestTicket, Request) {
        self.until(|event| match event {
            NetworkEvent::Request {
                from,
                ticket,
                request,
            } => Some((from, ticket, request)),
            _ => None,
        })
        .await
    }

    async fn reply(&mut self) -> (Peer, u64, Result<Reply, RequestFailed>) {
        self.until(|event| match event {
            NetworkEvent::Reply { from, id, result } => Some((from, id, result)),
            _ => None,
        })
        .await
    }

    /// Waits until a counter has moved; counters send no events.
    async fn counted(&self, what: impl Fn(&NetworkStats) -> bool) {
        let watch = async {
            let mut look = tokio::time::interval(Duration::from_millis(10));
            while !what(&self.handle.stats()) {
                look.tick().await;
            }
        };
        tokio::time::timeout(GUARD, watch)
            .await
            .expect("the count comes in time");
    }
}

/// Sends again and again (a first message may find no subscription yet) until `to` hears it.
async fn heard(send: impl Fn(), to: &mut Node) -> (Peer, Peer, GossipTicket, Gossip) {
    let mut again = tokio::time::interval(Duration::from_millis(50));
    let hear = to.until(|event| match event {
        NetworkEvent::Gossip {
            author,
            forwarder,
            ticket,
            message,
        } => Some((author, forwarder, ticket, message)),
        _ => None,
    });
    tokio::pin!(hear);
    loop {
        tokio::select! {
            heard = &mut hear => return heard,
            _ = again.tick() => send(),
        }
    }
}

fn claim(of: &Peer) -> Gossip {
    let candidate = NodeId {
        peer: of.clone(),
        incarnation: Incarnation(5),
    };
    Gossip::Test(TestMessage::Claim {
        test: TestId([7; 16]),
        term: 3,
        candidate,
        sending: 1,
    })
}

fn small_request() -> Request {
    let order = StopOrder {
        graceful: true,
        timeout: Duration::from_secs(5),
    };
    Request::Stop {
        test: TestId([7; 16]),
        term: 3,
        order,
    }
}
