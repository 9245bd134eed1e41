//! What a node speaks: the libp2p behaviours, put together and configured.

use std::collections::HashSet;
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
use libp2p::{Swarm, Transport, identify, kad, mdns, noise, ping, swarm, tcp, yamux};

use super::codec::Codec;
use super::config::{NetworkConfig, NetworkError};
use super::keep_alive;
use super::name::SwarmName;
use vajra_wire::{MAX_BULK, MAX_CONTROL, MAX_GOSSIP, Topic};

/// A small request that is not answered by then has failed; well below any lease.
pub(super) const CONTROL_TIMEOUT: Duration = Duration::from_secs(1);

/// A large one: a mebibyte over a slow link.
pub(super) const BULK_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest gossip frame. A longer one closes the receiver's stream, so payloads stay well
/// below it: the signature and the envelope take less than a quarter.
const MAX_FRAME: usize = 64 * 1024;
const _: () = assert!(MAX_GOSSIP + MAX_FRAME / 4 <= MAX_FRAME);

/// Connections beyond which idle ones are no longer kept up.
pub(super) const KEEP_UP_TO: usize = 512;

/// Idle links beyond [`KEEP_UP_TO`] go after this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// A connection that is not encrypted and multiplexed by then is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections at once: a coordinator of a thousand workers is connected to all of them,
/// some doubly.
const MAX_ESTABLISHED: u32 = 2048;

/// Connections to one peer: two by mutual dialling, and a few over other addresses.
const MAX_PER_PEER: u32 = 6;

/// Handshakes under way, each way.
const MAX_PENDING: u32 = 128;

/// Requests under way on one connection, each way; beyond it inbound ones vanish.
const MAX_STREAMS: usize = 128;

/// Gossip frames waiting for one slow peer; older than a few seconds they are dropped anyway.
const GOSSIP_QUEUE: usize = 1024;

/// Time between pings. Two failures in a row close a connection: a partition is noticed
/// within three intervals.
const PING_EVERY: Duration = Duration::from_secs(5);

/// The gossip mesh repairs itself, and hears what it missed, once in this time.
const GOSSIP_HEARTBEAT: Duration = Duration::from_millis(500);

/// Mesh links of each topic: what is wanted, and between what the number is left alone. At
/// least `MESH_OUTBOUND` of them must have been dialled by this node.
const MESH: usize = 6;
const MESH_LOW: usize = 4;
const MESH_HIGH: usize = 12;
const MESH_OUTBOUND: usize = 2;
// Gossipsub itself checks this only for topics with a configuration of their own.
const _: () = assert!(MESH_OUTBOUND < MESH_LOW && MESH_LOW <= MESH && MESH <= MESH_HIGH);
const _: () = assert!(MESH_OUTBOUND * 2 <= MESH);

type Gossipsub = gossipsub::Behaviour<IdentityTransform, WhitelistSubscriptionFilter>;
type Requests = request_response::Behaviour<Codec>;

/// All behaviours of a node. Limits come first: they refuse before others take notice.
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

/// A topic's name in gossipsub; the protocol name already carries the swarm's.
pub(super) fn topic_name(topic: Topic) -> &'static str {
    match topic {
        Topic::Nodes => "nodes",
        Topic::Tests => "tests",
        Topic::Metrics => "metrics",
    }
}

/// A topic as gossipsub knows it.
pub(super) fn topic(topic: Topic) -> IdentTopic {
    IdentTopic::new(topic_name(topic))
}

/// A swarm that listens nowhere yet, and puts what it counts into the registry. The second
/// value tells why mDNS could not be had.
pub(super) fn swarm(
    config: &NetworkConfig,
    registry: &mut Registry,
) -> Result<(Swarm<Behaviour>, Option<String>), NetworkError> {
    let keys = &config.identity;
    let key = config
        .swarm_key
        .map(|key| PnetConfig::new(key.pre_shared()));
    let own = keys.public().to_peer_id();
    let failed = |error: &dyn std::fmt::Display| NetworkError::Setup(error.to_string());

    let noise = noise::Config::new(keys).map_err(|error| failed(&error))?;
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

    let mut warning = None;
    let mdns = config
        .mdns
        .then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), own));
    let mdns = mdns.and_then(|result| {
        result
            .map_err(|error| warning = Some(format!("no discovery by mDNS: {error}")))
            .ok()
    });

    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(limits()),
        keep: keep_alive::Behaviour::new(),
        ping: ping::Behaviour::new(
            ping::Config::new()
                .with_interval(PING_EVERY)
                .with_timeout(PING_EVERY),
        ),
        identify: identify(keys, &config.swarm_name),
        kad: kademlia(keys, &config.swarm_name),
        gossip: gossip(keys, &config.swarm_name)
            .map_err(|error| failed(&error))?
            .with_metrics(
                registry.sub_registry_with_prefix("gossipsub"),
                gossipsub::MetricsConfig::default(),
            ),
        control: requests(config.swarm_name.control(), MAX_CONTROL, CONTROL_TIMEOUT),
        bulk: requests(config.swarm_name.bulk(), MAX_BULK, BULK_TIMEOUT),
        mdns: mdns.into(),
    };
    let settings = swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE_TIMEOUT);
    Ok((Swarm::new(transport, behaviour, own, settings), warning))
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
            // The address book decides what is dialled; a second cache would undermine it.
            .with_cache_size(0),
    )
}

fn kademlia(keys: &Keypair, name: &SwarmName) -> kad::Behaviour<MemoryStore> {
    let own = keys.public().to_peer_id();
    let mut config = kad::Config::new(name.kad());
    // Peers are all that is looked for: nobody's records are stored.
    config
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        .set_query_timeout(Duration::from_secs(20));
    let mut kad = kad::Behaviour::with_config(own, MemoryStore::new(own), config);
    // By itself it stays a client, invisible to others, until an external address is confirmed.
    kad.set_mode(Some(kad::Mode::Server));
    kad
}

fn gossip(keys: &Keypair, name: &SwarmName) -> Result<Gossipsub, String> {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(name.gossip())
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .max_transmit_size(MAX_FRAME)
        .heartbeat_initial_delay(Duration::ZERO)
        .heartbeat_interval(GOSSIP_HEARTBEAT)
        .history_length(10)
        .history_gossip(6)
        .mesh_n(MESH)
        .mesh_n_low(MESH_LOW)
        .mesh_n_high(MESH_HIGH)
        .mesh_outbound_min(MESH_OUTBOUND)
        .prune_backoff(Duration::from_secs(10))
        .flood_publish(true)
        .connection_handler_queue_len(GOSSIP_QUEUE)
        .build()
        .map_err(|error| error.to_string())?;
    let ours: HashSet<_> = Topic::ALL.map(|t| topic(t).hash()).into();
    let filter = WhitelistSubscriptionFilter(ours);
    let signed = MessageAuthenticity::Signed(keys.clone());
    let mut gossip = Gossipsub::new_with_subscription_filter(signed, config, filter)?;
    for t in Topic::ALL {
        gossip
            .subscribe(&topic(t))
            .map_err(|error| error.to_string())?;
    }
    Ok(gossip)
}

fn requests(name: libp2p::StreamProtocol, limit: usize, timeout: Duration) -> Requests {
    let config = request_response::Config::default()
        .with_request_timeout(timeout)
        .with_max_concurrent_streams(MAX_STREAMS);
    Requests::with_codec(Codec::new(limit), [(name, ProtocolSupport::Full)], config)
}
