//! Whole networks on loopback, mDNS off. Every wait is for an event, with a guard.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::handle::Command;
use super::*;
use crate::protocol::messages::{Gossip, Reply, Request, StopOrder, TestMessage};
use crate::protocol::{Digest, Incarnation, NodeId, Peer, TestId};
use crate::wire::Topic;

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

#[tokio::test]
async fn gossip_arrives_with_its_author() {
    let mut a = start(config(&[])).await;
    let b = start(config(&[&a])).await;
    assert_eq!(a.connected().await, b.peer);
    let (author, forwarder, ticket, message) =
        heard(|| b.handle.publish(&claim(&b.peer)), &mut a).await;
    assert_eq!((author, forwarder), (b.peer.clone(), b.peer.clone()));
    assert_eq!(message, claim(&b.peer));
    a.handle.verdict(ticket, Verdict::Accept);
}

#[tokio::test]
async fn malformed_gossip_is_counted_and_never_delivered() {
    let mut a = start(config(&[])).await;
    let b = start(config(&[&a])).await;
    a.connected().await;
    let garbage = || {
        b.handle
            .send(Command::Publish(Topic::Tests, vec![0xff; 100]))
    };
    let bad = async {
        let mut again = tokio::time::interval(Duration::from_millis(50));
        while a.handle.stats().gossip_rejected == 0 {
            again.tick().await;
            garbage();
        }
    };
    tokio::time::timeout(GUARD, bad).await.unwrap();
    let offences = a.handle.stats().offenders[&b.peer];
    assert!(offences.forwarded > 0 && offences.authored > 0);
    let (.., message) = heard(|| b.handle.publish(&claim(&b.peer)), &mut a).await;
    assert_eq!(message, claim(&b.peer));
}

#[tokio::test]
async fn a_rejected_author_is_counted() {
    let mut a = start(config(&[])).await;
    let b = start(config(&[&a])).await;
    let (_, _, ticket, _) = heard(|| b.handle.publish(&claim(&b.peer)), &mut a).await;
    a.handle.verdict(ticket, Verdict::Reject);
    a.counted(|s| s.offenders.get(&b.peer).is_some_and(|o| o.authored == 1))
        .await;
}

#[tokio::test]
async fn a_small_request_is_answered() {
    let mut a = start(config(&[])).await;
    let mut b = start(config(&[&a])).await;
    b.connected().await;
    b.handle
        .request(a.peer.clone(), &small_request(), 17)
        .unwrap();
    let (from, ticket, request) = a.request().await;
    assert_eq!((from, request), (b.peer.clone(), small_request()));
    a.handle.reply(ticket, &Reply::Refused("no".to_owned()));
    assert_eq!(
        b.reply().await,
        (a.peer.clone(), 17, Ok(Reply::Refused("no".to_owned())))
    );
}

#[tokio::test]
async fn a_plan_of_a_mebibyte_is_fetched() {
    let mut a = start(config(&[])).await;
    let mut b = start(config(&[&a])).await;
    b.connected().await;
    let plan: Arc<[u8]> = (0..1024 * 1024).map(|i| i as u8).collect();
    let ask = Request::FetchPlan(Digest::of(&plan));
    b.handle.request(a.peer.clone(), &ask, 1).unwrap();
    let (_, ticket, request) = a.request().await;
    assert_eq!(request, ask);
    a.handle.reply(ticket, &Reply::Plan(Some(plan.clone())));
    assert_eq!(b.reply().await.2, Ok(Reply::Plan(Some(plan))));
}

#[tokio::test]
async fn an_answer_too_large_to_send_becomes_a_refusal() {
    let mut a = start(config(&[])).await;
    let mut b = start(config(&[&a])).await;
    b.connected().await;
    b.handle
        .request(a.peer.clone(), &Request::FetchPlan(Digest::of(b"x")), 1)
        .unwrap();
    let (_, ticket, _) = a.request().await;
    a.handle
        .reply(ticket, &Reply::Plan(Some(vec![0; 2 * 1024 * 1024].into())));
    assert!(matches!(b.reply().await.2, Ok(Reply::Refused(_))));
}

#[tokio::test]
async fn a_dropped_request_fails_at_the_other_end() {
    let mut a = start(config(&[])).await;
    let mut b = start(config(&[&a])).await;
    b.connected().await;
    b.handle
        .request(a.peer.clone(), &small_request(), 1)
        .unwrap();
    drop(a.request().await);
    assert!(b.reply().await.2.is_err());
}

#[tokio::test]
async fn a_request_without_an_answer_times_out() {
    let mut a = start(config(&[])).await;
    let mut b = start(config(&[&a])).await;
    b.connected().await;
    b.handle
        .request(a.peer.clone(), &small_request(), 1)
        .unwrap();
    let _unanswered = a.request().await;
    assert_eq!(b.reply().await.2, Err(RequestFailed::TimedOut));
}

#[tokio::test]
async fn a_request_to_nobody_fails() {
    let mut a = start(config(&[])).await;
    let stranger = Identity::ephemeral().peer();
    a.handle
        .request(stranger.clone(), &small_request(), 4)
        .unwrap();
    assert_eq!(
        a.reply().await,
        (stranger, 4, Err(RequestFailed::NotConnected))
    );
}

#[tokio::test]
async fn nodes_that_met_through_a_third_stay_connected_when_it_dies() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let b = runtime.spawn(start(config(&[]))).await.unwrap();
    let mut a = start(config(&[&b])).await;
    assert_eq!(a.connected().await, b.peer);
    let mut c = start(config(&[&b])).await;
    assert_eq!(a.connected().await, c.peer);
    runtime.shutdown_background();
    assert_eq!(a.disconnected().await, b.peer);
    assert_eq!(c.disconnected().await, b.peer);
    let (author, ..) = heard(|| a.handle.publish(&claim(&a.peer)), &mut c).await;
    assert_eq!(author, a.peer);
    assert_eq!(a.handle.stats().peers, 1);
}

#[tokio::test]
async fn everybody_in_a_small_swarm_knows_everybody() {
    let hub = start(config(&[])).await;
    let mut nodes = vec![];
    for _ in 0..6 {
        nodes.push(start(config(&[&hub])).await);
    }
    for node in nodes.iter().chain([&hub]) {
        node.counted(|s| s.peers == 6).await;
    }
}

#[tokio::test]
async fn a_restarted_node_finds_its_swarm_from_its_data_directory_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    let life = |bootstrap: &[&Node]| NetworkConfig {
        identity: data.start().unwrap().keypair,
        known_peers: Some(data.known_peers(&"test".parse().unwrap())),
        ..config(bootstrap)
    };
    let mut a = start(life(&[])).await;
    let mut b = start(config(&[&a])).await;
    assert_eq!(a.connected().await, b.peer);
    a.handle.shutdown().await;
    assert_eq!(b.disconnected().await, a.peer);
    let mut again = start(life(&[])).await;
    assert_eq!(again.peer, a.peer);
    assert_eq!(again.connected().await, b.peer);
}

#[tokio::test]
async fn a_bootstrap_node_that_comes_late_is_found() {
    let late = start(config(&[])).await;
    let mut early_config = config(&[&late]);
    let listen = late.bare();
    late.handle.shutdown().await;
    early_config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    let mut early = start(early_config).await;
    let warning = early
        .until(|event| match event {
            NetworkEvent::Bootstrap(text) => Some(text),
            _ => None,
        })
        .await;
    assert!(warning.contains(&listen.to_string()), "{warning}");
    let late = start(NetworkConfig {
        listen: vec![listen],
        ..config(&[])
    })
    .await;
    assert_eq!(early.connected().await, late.peer);
}

#[tokio::test]
async fn a_bootstrap_name_is_resolved_and_reached() {
    let mut a = start(config(&[])).await;
    let (_, port) = address::socket(&a.bare()).unwrap();
    let named: Multiaddr = format!("/dns4/localhost/tcp/{port}").parse().unwrap();
    let b = start(NetworkConfig {
        bootstrap: vec![named],
        ..config(&[])
    })
    .await;
    assert_eq!(a.connected().await, b.peer);
}

#[tokio::test]
async fn an_address_heard_of_is_dialled() {
    let a = start(config(&[])).await;
    let mut b = start(config(&[])).await;
    b.handle.dial(vec![a.address.clone(), b.address.clone()]);
    assert_eq!(b.connected().await, a.peer);
}

#[tokio::test]
async fn swarms_of_other_names_never_mix() {
    let mut a = start(config(&[])).await;
    let other = start(NetworkConfig {
        swarm_name: "other".parse().unwrap(),
        ..config(&[&a])
    })
    .await;
    let met = async {
        tokio::select! {
            () = a.counted(|s| s.strangers > 0) => {}
            () = other.counted(|s| s.strangers > 0) => {}
        }
    };
    met.await;
    let mut c = start(config(&[&a])).await;
    assert_eq!(a.connected().await, c.peer);
    assert_eq!(c.connected().await, a.peer);
    assert_eq!(other.handle.stats().peers, 0);
    assert_eq!(a.handle.stats().peers, 1);
}

#[tokio::test]
async fn without_the_swarm_key_nobody_connects() {
    let key = Some(SwarmKey::generate().unwrap());
    let mut a = start(NetworkConfig {
        swarm_key: key,
        ..config(&[])
    })
    .await;
    for key in [None, Some(SwarmKey::generate().unwrap())] {
        let mut outsider = start(NetworkConfig {
            swarm_key: key,
            ..config(&[&a])
        })
        .await;
        let warned = outsider.until(|event| match event {
            NetworkEvent::Bootstrap(_) => Some(None),
            NetworkEvent::PeerConnected(peer) => Some(Some(peer)),
            _ => None,
        });
        assert_eq!(warned.await, None);
    }
    let c = start(NetworkConfig {
        swarm_key: key,
        ..config(&[&a])
    })
    .await;
    assert_eq!(a.connected().await, c.peer);
}

#[tokio::test]
async fn garbage_on_the_listening_port_does_no_harm() {
    let mut a = start(config(&[])).await;
    let (ip, port) = address::socket(&a.bare()).unwrap();
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 70_000],
        &[0; 1],
        &[],
    ] {
        let mut socket = tokio::net::TcpStream::connect((ip, port)).await.unwrap();
        // The other end may hang up in the middle.
        let _ = socket.write_all(garbage).await;
    }
    a.counted(|s| s.inbound_failed >= 4).await;
    let b = start(config(&[&a])).await;
    assert_eq!(a.connected().await, b.peer);
}

#[tokio::test]
async fn a_taken_port_is_an_error_of_its_own() {
    let a = start(config(&[])).await;
    let error = spawn(NetworkConfig {
        listen: vec![a.bare()],
        ..config(&[])
    })
    .await
    .unwrap_err();
    assert!(
        matches!(&error, NetworkError::AddressInUse { address } if *address == a.bare()),
        "{error}"
    );
}

#[tokio::test]
async fn after_shutdown_requests_are_refused() {
    let a = start(config(&[])).await;
    a.handle.shutdown().await;
    assert_eq!(
        a.handle.request(a.peer.clone(), &small_request(), 1),
        Err(RequestFailed::Gone)
    );
}
