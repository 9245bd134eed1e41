//! The libp2p behaviours of a node and their configuration.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::upgrade::Version;
use libp2p::gossipsub::{
    self, IdentTopic, IdentityTransform, MessageAuthenticity, ValidationMode,
    WhitelistSubscriptionFilter,
};
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::metrics::{BandwidthTransport, Registry};
use libp2p::pnet::PnetConfig;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    PeerId, StreamProtocol, Swarm, Transport, identify, kad, mdns, noise, ping, swarm, tcp, yamux,
};

use super::codec::Codec;
use super::keep_alive;
use super::swarm_key::SwarmKey;
use super::swarm_name::SwarmName;
use vajra_wire::{MAX_BULK, MAX_CONTROL, MAX_GOSSIP, Topic};

/// Time limit of a small request, well below any lease.
pub(super) const CONTROL_TIMEOUT: Duration = Duration::from_secs(1);

/// Time limit of a large request: a mebibyte over a slow link.
const BULK_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest gossip frame. A larger one closes the receiver's stream, so a quarter is reserved for
/// signature and envelope.
const MAX_FRAME: usize = 64 * 1024;
const _: () = assert!(MAX_GOSSIP + MAX_FRAME / 4 <= MAX_FRAME);

/// Most connected nodes with which idle connections are kept. In a larger swarm each node would
/// spend its file descriptors and pings on connections without traffic.
pub(super) const KEEP_UP_TO: usize = 512;

/// Idle time after which a connection is closed, above [`KEEP_UP_TO`].
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// Time limit for encrypting and multiplexing a connection.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Most connections: a coordinator is connected to each of a thousand workers, to some twice.
const MAX_ESTABLISHED: u32 = 2048;

/// Most connections to one peer: two if both dial, and a few over other addresses.
const MAX_PER_PEER: u32 = 6;

/// Most handshakes in progress, per direction: enough for a fully connected swarm of fifty nodes
/// that start together, and few enough that a port scan cannot use up the file descriptors.
const MAX_PENDING: u32 = 128;

/// Most requests in progress per connection and direction: a few for each of the 32 tests that a
/// node can take part in. libp2p drops further inbound requests without notice.
const MAX_STREAMS: usize = 128;

/// Gossip frames that wait for one slow peer: one second of gossip from a thousand nodes. Frames
/// that wait longer than a few seconds are dropped by gossipsub in any case.
const GOSSIP_QUEUE: usize = 1024;

/// Interval of pings, and their time limit. Two failures in a row close a connection, so a
/// partition is detected within three intervals.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// Interval in which gossipsub repairs its mesh and requests missed messages.
const GOSSIP_HEARTBEAT: Duration = Duration::from_secs(1);

/// Peers outside the mesh that each heartbeat tells which messages are new: at least this number,
/// and at least this share of them.
const GOSSIP_LAZY: usize = 2;
const GOSSIP_FACTOR: f64 = 0.1;

/// Peers in the mesh of each topic: the target, and the range in which gossipsub changes nothing.
/// This node must have dialled at least `MESH_OUTBOUND` of them.
const MESH: usize = 6;
const MESH_LOW: usize = 4;
const MESH_HIGH: usize = 12;
const MESH_OUTBOUND: usize = 2;
// Gossipsub checks this only for topics with their own configuration.
const _: () = assert!(MESH_OUTBOUND < MESH_LOW && MESH_LOW <= MESH && MESH <= MESH_HIGH);
const _: () = assert!(MESH_OUTBOUND * 2 <= MESH);

/// The smaller mesh of adverts: each copy of a message is verified, and adverts are not urgent.
/// Large enough that the swarm stays connected when nodes fail.
const NODES_MESH: usize = 3;
const NODES_MESH_LOW: usize = 2;
const NODES_MESH_HIGH: usize = 4;
const NODES_MESH_OUTBOUND: usize = 1;
const _: () = assert!(NODES_MESH_OUTBOUND < NODES_MESH_LOW && NODES_MESH_LOW <= NODES_MESH);
const _: () = assert!(NODES_MESH <= NODES_MESH_HIGH && NODES_MESH_OUTBOUND * 2 <= NODES_MESH);

type Gossipsub = gossipsub::Behaviour<IdentityTransform, WhitelistSubscriptionFilter>;
type Requests = request_response::Behaviour<Codec>;

/// All behaviours of a node. Limits come first, so that the others never see a refused connection.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    pub keep: keep_alive::Behaviour,
    pub ping: ping::Behaviour,
    pub identify: identify::Behaviour,
    pub kad: kad::Behaviour<MemoryStore>,
    pub gossip: Gossipsub,
    pub control: Requests,
    pub bulk: Requests,
    pub mdns: Toggle<mdns::tokio::Behaviour>,
}

/// The gossipsub name of a topic. The name of the swarm is in the protocol name.
pub(super) fn topic_name(topic: Topic) -> &'static str {
    match topic {
        Topic::Nodes => "nodes",
        Topic::Tests => "tests",
        Topic::Metrics => "metrics",
    }
}

/// The gossipsub topic.
pub(super) fn topic(topic: Topic) -> IdentTopic {
    IdentTopic::new(topic_name(topic))
}

/// The two request-response protocols.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum RequestProtocol {
    /// Small messages that need a quick answer.
    Control,
    /// Large or slow ones.
    Bulk,
}

impl RequestProtocol {
    /// Longest message in bytes.
    pub(super) fn limit(self) -> usize {
        match self {
            RequestProtocol::Control => MAX_CONTROL,
            RequestProtocol::Bulk => MAX_BULK,
        }
    }

    fn timeout(self) -> Duration {
        match self {
            RequestProtocol::Control => CONTROL_TIMEOUT,
            RequestProtocol::Bulk => BULK_TIMEOUT,
        }
    }

    fn name(self, swarm: &SwarmName) -> StreamProtocol {
        match self {
            RequestProtocol::Control => swarm.control(),
            RequestProtocol::Bulk => swarm.bulk(),
        }
    }
}

impl Behaviour {
    /// The behaviour of a request-response protocol.
    pub(super) fn requests(&mut self, protocol: RequestProtocol) -> &mut Requests {
        match protocol {
            RequestProtocol::Control => &mut self.control,
            RequestProtocol::Bulk => &mut self.bulk,
        }
    }
}

/// Why libp2p refused its configuration.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No key exchange with this identity.
    #[error(transparent)]
    Noise(#[from] noise::Error),
    /// Invalid gossipsub configuration.
    #[error(transparent)]
    GossipConfig(#[from] gossipsub::ConfigBuilderError),
    /// Gossipsub cannot sign messages with this configuration.
    #[error("{0}")]
    GossipSigning(&'static str),
    /// A topic cannot be subscribed to.
    #[error(transparent)]
    Subscription(#[from] gossipsub::SubscriptionError),
}

/// A swarm without listeners.
pub(super) fn swarm(
    keys: &Keypair,
    name: &SwarmName,
    key: Option<SwarmKey>,
    mdns: Option<mdns::tokio::Behaviour>,
    registry: &mut Registry,
) -> Result<Swarm<Behaviour>, SetupError> {
    let key = key.map(|key| PnetConfig::new(key.pre_shared()));
    let noise = noise::Config::new(keys)?;
    let plain = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let transport = match key {
        Some(key) => plain
            .and_then(move |socket, _| key.handshake(socket))
            .upgrade(Version::V1Lazy)
            .authenticate(noise)
            .multiplex(yamux::Config::default())
            .timeout(HANDSHAKE_TIMEOUT)
            .boxed(),
        None => plain
            .upgrade(Version::V1Lazy)
            .authenticate(noise)
            .multiplex(yamux::Config::default())
            .timeout(HANDSHAKE_TIMEOUT)
            .boxed(),
    };
    let transport = BandwidthTransport::new(transport, registry)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed();
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(limits()),
        keep: keep_alive::Behaviour::new(),
        ping: ping::Behaviour::new(
            ping::Config::new()
                .with_interval(PING_INTERVAL)
                .with_timeout(PING_INTERVAL),
        ),
        identify: identify(keys, name),
        kad: kademlia(keys, name),
        gossip: gossip(keys, name)?.with_metrics(
            registry.sub_registry_with_prefix("gossipsub"),
            gossipsub::MetricsConfig::default(),
        ),
        control: requests(RequestProtocol::Control, name),
        bulk: requests(RequestProtocol::Bulk, name),
        mdns: mdns.into(),
    };
    let settings = swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE_TIMEOUT);
    let own = keys.public().to_peer_id();
    Ok(Swarm::new(transport, behaviour, own, settings))
}

/// Discovery by mDNS.
pub(super) fn mdns(own: PeerId) -> io::Result<mdns::tokio::Behaviour> {
    mdns::tokio::Behaviour::new(mdns::Config::default(), own)
}

fn limits() -> ConnectionLimits {
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(MAX_PENDING))
        .with_max_pending_outgoing(Some(MAX_PENDING))
        .with_max_established(Some(MAX_ESTABLISHED))
        .with_max_established_per_peer(Some(MAX_PER_PEER))
}

fn identify(keys: &Keypair, name: &SwarmName) -> identify::Behaviour {
    let agent = concat!("vajra-node/", env!("CARGO_PKG_VERSION")).to_owned();
    identify::Behaviour::new(
        identify::Config::new(name.identify(), keys.public())
            .with_agent_version(agent)
            .with_push_listen_addr_updates(true)
            // The address book alone decides which addresses are dialled.
            .with_cache_size(0),
    )
}

fn kademlia(keys: &Keypair, name: &SwarmName) -> kad::Behaviour<MemoryStore> {
    let own = keys.public().to_peer_id();
    let mut config = kad::Config::new(name.kad());
    // Only used to find peers; records are not stored.
    config
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        .set_query_timeout(Duration::from_secs(20));
    let mut kad = kad::Behaviour::with_config(own, MemoryStore::new(own), config);
    // Otherwise it is a client, which others do not find, until an external address is confirmed.
    kad.set_mode(Some(kad::Mode::Server));
    kad
}

fn gossip(keys: &Keypair, name: &SwarmName) -> Result<Gossipsub, SetupError> {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(name.gossip())
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .max_transmit_size(MAX_FRAME)
        .heartbeat_initial_delay(Duration::ZERO)
        .heartbeat_interval(GOSSIP_HEARTBEAT)
        .history_length(5)
        .history_gossip(3)
        .gossip_lazy(GOSSIP_LAZY)
        .gossip_factor(GOSSIP_FACTOR)
        .mesh_n(MESH)
        .mesh_n_low(MESH_LOW)
        .mesh_n_high(MESH_HIGH)
        .mesh_outbound_min(MESH_OUTBOUND)
        .prune_backoff(Duration::from_secs(10))
        .mesh_n_for_topic(NODES_MESH, topic(Topic::Nodes).hash())
        .mesh_n_low_for_topic(NODES_MESH_LOW, topic(Topic::Nodes).hash())
        .mesh_n_high_for_topic(NODES_MESH_HIGH, topic(Topic::Nodes).hash())
        .mesh_outbound_min_for_topic(NODES_MESH_OUTBOUND, topic(Topic::Nodes).hash())
        // A copy to every peer would be verified by each, and forwarded to each again.
        .flood_publish(false)
        .connection_handler_queue_len(GOSSIP_QUEUE)
        .build()?;
    let ours: HashSet<_> = Topic::ALL.map(|t| topic(t).hash()).into();
    let filter = WhitelistSubscriptionFilter(ours);
    let signed = MessageAuthenticity::Signed(keys.clone());
    let mut gossip = Gossipsub::new_with_subscription_filter(signed, config, filter)
        .map_err(SetupError::GossipSigning)?;
    for t in Topic::ALL {
        gossip.subscribe(&topic(t))?;
    }
    Ok(gossip)
}

fn requests(protocol: RequestProtocol, swarm: &SwarmName) -> Requests {
    let config = request_response::Config::default()
        .with_request_timeout(protocol.timeout())
        .with_max_concurrent_streams(MAX_STREAMS);
    let names = [(protocol.name(swarm), ProtocolSupport::Full)];
    Requests::with_codec(Codec::new(protocol.limit()), names, config)
}
