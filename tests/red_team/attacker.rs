//! The captured member: a network without a node behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vajra_core::protocol::announcement::Announcement;
use vajra_core::protocol::beat::Beat;
use vajra_core::protocol::messages::{
    Advert, Gossip, KnownTest, Reply, Request, Status, TestMessage,
};
use vajra_core::protocol::{Acceptance, Incarnation, NodeId, Peer, TestId};
use vajra_network::{Identity, NetworkConfig, NetworkEvent, NetworkHandle, SwarmKey, SwarmKeys};

/// What it has learned, and what it answers.
#[derive(Default)]
pub struct Known {
    pub peers: BTreeSet<Peer>,
    pub beat: Option<Arc<Beat>>,
    pub announcement: Option<Announcement>,
    /// Answers to requests for announcements.
    pub offers: BTreeMap<TestId, Announcement>,
    /// Announcements that somebody has fetched.
    pub fetched: Vec<TestId>,
}

pub struct Attacker {
    pub net: NetworkHandle,
    pub keys: SwarmKeys,
    pub me: NodeId,
    known: Arc<Mutex<Known>>,
    adverts: u64,
}

impl Attacker {
    /// Joins the swarm of the node with this address.
    pub async fn join(address: &str, key: Option<SwarmKey>) -> Attacker {
        let identity = Identity::ephemeral();
        let swarm_name: vajra_network::SwarmName = "vajra".parse().unwrap();
        let keys = SwarmKeys::new(identity.keypair.clone(), &swarm_name, key.as_ref());
        let me = NodeId {
            peer: identity.peer(),
            incarnation: identity.incarnation,
        };
        let (net, mut events, _) = vajra_network::spawn(NetworkConfig {
            identity: identity.keypair,
            swarm_name,
            swarm_key: key,
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            bootstrap: vec![address.parse().unwrap()],
            mdns: false,
            known_peers: None,
        })
        .await
        .unwrap();
        let known = Arc::new(Mutex::new(Known::default()));
        let (handle, shared) = (net.clone(), known.clone());
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                react(&handle, &shared, event);
            }
        });
        Attacker {
            net,
            keys,
            me,
            known,
            adverts: 0,
        }
    }

    pub fn known<T>(&self, read: impl FnOnce(&mut Known) -> T) -> T {
        read(&mut self.known.lock().unwrap())
    }

    /// Waits until something is known.
    pub async fn learn<T>(&self, what: &str, read: impl Fn(&Known) -> Option<T>) -> T {
        for _ in 0..3_000 {
            if let Some(found) = self.known(|known| read(known)) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no {what} within 30 s");
    }

    pub fn gossip(&self, message: TestMessage) {
        self.net.publish(&Gossip::Test(message));
    }

    /// Sends a request to all nodes.
    pub fn demand(&self, request: &Request) {
        for peer in self.known(|known| known.peers.clone()) {
            let _ = self.net.request(peer, request, 1);
        }
    }

    /// Advertises a running test, and answers requests for its announcement.
    pub fn offer(&mut self, announcement: &Announcement) {
        let test = announcement.test;
        self.known(|known| known.offers.insert(test, announcement.clone()));
        self.adverts += 1;
        self.net.publish(&Gossip::Advert(Arc::new(Advert {
            node: self.me.clone(),
            number: self.adverts,
            name: "attacker".into(),
            version: "0".into(),
            addresses: Vec::new(),
            capacity: 100,
            load: 0,
            task_types: Vec::new(),
            labels: BTreeMap::new(),
            status: Status::Idle,
            interval: Duration::from_secs(2),
            tests: vec![KnownTest {
                test,
                term: 1,
                coordinator: None,
                digest: announcement.digest,
            }],
            environment: String::new(),
        })));
    }

    /// An incarnation of this node that never ran.
    pub fn invented(&self, i: u64) -> NodeId {
        NodeId {
            peer: self.me.peer.clone(),
            incarnation: Incarnation(self.me.incarnation.0 + 1 + i),
        }
    }
}

fn react(net: &NetworkHandle, known: &Mutex<Known>, event: NetworkEvent) {
    let mut known = known.lock().unwrap();
    match event {
        NetworkEvent::Gossip {
            ticket, message, ..
        } => {
            net.set_acceptance(ticket, Acceptance::Accept);
            match message {
                Gossip::Test(TestMessage::Beat(beat)) => known.beat = Some(beat),
                Gossip::Test(TestMessage::Announced(a)) => known.announcement = Some(a),
                _ => {}
            }
        }
        NetworkEvent::Request {
            ticket,
            request: Request::FetchAnnouncement(test),
            ..
        } => {
            let offer = known.offers.get(&test).cloned();
            net.reply(ticket, &Reply::Announcement(offer));
            known.fetched.push(test);
        }
        NetworkEvent::PeerConnected(peer) => {
            known.peers.insert(peer);
        }
        _ => {}
    }
}
