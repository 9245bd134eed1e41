//! Tests of whole networks on loopback, without mDNS. Each waits for an event, with a time limit.

#![allow(clippy::unwrap_used)]

mod discovery;
mod messages;

use std::time::Duration;

use tokio::sync::mpsc;

use super::handle::Command;
use super::*;
use vajra_core::protocol::messages::{Gossip, Reply, Request, TestMessage};
use vajra_core::protocol::{Acceptance, Digest, Incarnation, NodeId, Peer, TestId};
use vajra_wire::Topic;

/// Time limit of a wait, far above what any event here takes, even on a busy machine.
const TIME_LIMIT: Duration = Duration::from_secs(30);

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
    /// Its address without the peer id.
    fn bare(&self) -> Multiaddr {
        address::split_peer(&self.address).0
    }

    /// Skips events until `wanted` returns a value.
    async fn until<T>(&mut self, mut wanted: impl FnMut(NetworkEvent) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.events.recv().await.expect("the network is running");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(TIME_LIMIT, search)
            .await
            .expect("the event arrives in time")
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

    /// Polls the counters, which send no events, until the condition holds.
    async fn counted(&self, condition: impl Fn(&NetworkStats) -> bool) {
        let watch = async {
            let mut interval = tokio::time::interval(Duration::from_millis(10));
            while !condition(&self.handle.stats()) {
                interval.tick().await;
            }
        };
        tokio::time::timeout(TIME_LIMIT, watch)
            .await
            .expect("the counters change in time");
    }
}

/// Sends repeatedly until `to` receives the message. The first messages may find no subscription.
async fn received(send: impl Fn(), to: &mut Node) -> (Peer, Peer, GossipTicket, Gossip) {
    let mut interval = tokio::time::interval(Duration::from_millis(50));
    let arrival = to.until(|event| match event {
        NetworkEvent::Gossip {
            author,
            forwarder,
            ticket,
            message,
        } => Some((author, forwarder, ticket, message)),
        _ => None,
    });
    tokio::pin!(arrival);
    loop {
        tokio::select! {
            message = &mut arrival => return message,
            _ = interval.tick() => send(),
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
    Request::Clock
}
