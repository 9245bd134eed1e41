//! The event loop: one task that owns the swarm and everything that changes with it. Its
//! parts are in [`super::connections`] (connections), [`super::discovery`] (finding and dialling),
//! [`super::gossip`] and [`super::requests`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use libp2p::core::transport::ListenerId;
use libp2p::metrics::{Metrics, Recorder as _, Registry};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, TransportError};
use tokio::sync::{mpsc, oneshot};

use super::address;
use super::behaviour::{self, Behaviour, BehaviourEvent};
use super::bootstrap::Seeds;
use super::config::{NetworkConfig, NetworkError};
use super::connections::Links;
use super::discovery::{Dial, Saver, Walks};
use super::handle::{Command, NetworkEvent, NetworkHandle};
use super::outbox::Outbox;
use super::peers::AddressBook;
use super::requests::Requests;
use super::stats::Stats;

/// How often due dials, time-outs and savings are looked for; the shortest back-off is a
/// little longer.
const TICK: Duration = Duration::from_millis(100);

/// A listener that has no address by then has none at all.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

/// At the end, queued gossip and answers have this long to leave.
const FLUSH: Duration = Duration::from_millis(150);

/// At the end, connections have this long to close.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A bootstrap name being looked up: which, and what came of it.
type Lookup = BoxFuture<'static, (usize, Result<Vec<Multiaddr>, String>)>;

pub(super) struct EventLoop {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) own: PeerId,
    pub(super) identify: String,
    pub(super) outbox: Outbox,
    pub(super) stats: Arc<Stats>,
    pub(super) links: Links,
    pub(super) book: AddressBook,
    pub(super) seeds: Seeds,
    pub(super) dials: HashMap<ConnectionId, Dial>,
    pub(super) lookups: FuturesUnordered<Lookup>,
    pub(super) walks: Walks,
    pub(super) saver: Saver,
    pub(super) requests: Requests,
    commands: mpsc::Receiver<Command>,
    listening: Vec<(ListenerId, Multiaddr)>,
    started: bool,
    listen_failure: Option<(ListenerId, std::io::Error)>,
    metrics: Metrics,
}

/// A running network: commands in, events out, and where it listens.
pub type Running = (NetworkHandle, mpsc::Receiver<NetworkEvent>, Vec<Multiaddr>);

/// Starts a network as a task on the current runtime, and returns when it listens. The
/// addresses have `/p2p/` at their end.
///
/// # Errors
/// [`NetworkError::AddressInUse`] if a port is taken; others as they say. Nothing is left
/// running then.
pub async fn spawn(config: NetworkConfig) -> Result<Running, NetworkError> {
    for bootstrap in &config.bootstrap {
        address::check_bootstrap(bootstrap)?;
    }
    for listen in &config.listen {
        address::check_listen(listen)?;
        probe(listen)?;
    }
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let (swarm, warning) = behaviour::swarm(&config, &mut registry)?;
    let stats = Arc::new(Stats::default());
    let (handle, commands) = NetworkHandle::new(stats.clone(), registry);
    let (mut outbox, events) = Outbox::new(stats.clone());
    if let Some(warning) = warning {
        outbox.send(NetworkEvent::Warning(warning));
    }
    let now = Instant::now();
    let own = *swarm.local_peer_id();
    // The low bytes of the peer id differ between nodes; that is all that jitter needs.
    let seed = own
        .to_bytes()
        .iter()
        .fold(unix_s(), |seed, b| seed.rotate_left(8) ^ u64::from(*b));
    let mut event_loop = EventLoop {
        swarm,
        own,
        identify: config.swarm_name.identify(),
        outbox,
        stats,
        links: Links::default(),
        book: AddressBook::new(own, seed),
        seeds: Seeds::new(&config.bootstrap, now, !seed),
        dials: HashMap::new(),
        lookups: FuturesUnordered::new(),
        walks: Walks::new(now),
        saver: Saver::new(config.known_peers, now),
        requests: Requests::default(),
        commands,
        listening: Vec::new(),
        started: false,
        listen_failure: None,
        metrics,
    };
    event_loop.restore_known(now);
    event_loop.listen(&config.listen).await?;
    // A listener on every interface reports one address after the other.
    while let Some(Some(event)) = event_loop.swarm.next().now_or_never() {
        event_loop.on_swarm_event(event);
    }
    event_loop.started = true;
    let listening = event_loop
        .listening
        .iter()
        .map(|(_, a)| address::with_peer(a, own))
        .collect();
    tokio::spawn(event_loop.run());
    Ok((handle, events, listening))
}

/// The TCP transport shares ports on purpose (it dials from its listening port), so a second
/// process of the same user would get a taken port without an error. An ordinary socket does
/// not.
fn probe(listen: &Multiaddr) -> Result<(), NetworkError> {
    let Some((ip, port)) = address::socket(listen) else {
        return Ok(());
    };
    if port == 0 {
        return Ok(());
    }
    match std::net::TcpListener::bind((ip, port)) {
        Ok(_) => Ok(()),
        Err(error) => Err(listen_error(listen, error)),
    }
}

fn listen_error(listen: &Multiaddr, source: std::io::Error) -> NetworkError {
    let address = listen.clone();
    match source.kind() {
        std::io::ErrorKind::AddrInUse => NetworkError::AddressInUse { address },
        _ => NetworkError::Listen { address, source },
    }
}

pub(super) fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl EventLoop {
    /// Listens, and waits until each listener has an address. Connections that arrive
    /// meanwhile are handled as always.
    async fn listen(&mut self, addresses: &[Multiaddr]) -> Result<(), NetworkError> {
        let mut wanted: HashMap<ListenerId, &Multiaddr> = HashMap::new();
        for address in addresses {
            let id = self
                .swarm
                .listen_on(address.clone())
                .map_err(|error| match error {
                    TransportError::Other(source) => listen_error(address, source),
                    TransportError::MultiaddrNotSupported(_) => {
                        NetworkError::Address(address::AddressError::Listen(address.clone()))
                    }
                })?;
            wanted.insert(id, address);
        }
        let deadline = tokio::time::Instant::now() + LISTEN_TIMEOUT;
        loop {
            let ready: HashSet<ListenerId> = self.listening.iter().map(|(id, _)| *id).collect();
            let Some((_, missing)) = wanted.iter().find(|(id, _)| !ready.contains(id)) else {
                return Ok(());
            };
            match tokio::time::timeout_at(deadline, self.swarm.select_next_some()).await {
                Ok(event) => self.on_swarm_event(event),
                Err(_) => {
                    let source = std::io::Error::other("the machine has no such address");
                    return Err(listen_error(missing, source));
                }
            }
            if let Some((id, source)) = self.listen_failure.take()
                && let Some(address) = wanted.get(&id)
            {
                return Err(listen_error(address, source));
            }
        }
    }

    async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let done = loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                command = self.commands.recv() => match command {
                    None => break None,
                    Some(Command::Shutdown(done)) => break Some(done),
                    Some(command) => self.on_command(command),
                },
                () = self.outbox.flush(), if self.outbox.is_waiting() => {}
                Some((seed, result)) = self.lookups.next(), if !self.lookups.is_empty() => {
                    self.on_resolved(seed, result);
                }
                _ = tick.tick() => {
                    if self.outbox.is_closed() {
                        break None;
                    }
                    self.on_tick(Instant::now());
                }
            }
        };
        self.close(done).await;
    }

    fn on_tick(&mut self, now: Instant) {
        self.dial_due(now);
        self.walk_due(now);
        self.expire_requests(now);
        self.close_unidentified(now);
        self.save_due(now);
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish(topic, bytes) => self.publish(topic, bytes),
            Command::Request {
                to,
                id,
                lane,
                bytes,
            } => self.request(to, id, lane, bytes),
            Command::Reply(ticket, bytes) => self.reply(ticket, bytes),
            Command::Acceptance(ticket, verdict) => self.verdict(&ticket, verdict),
            Command::Dial(addresses) => self.learn_addresses(addresses),
            // Whoever asked may be gone.
            Command::Links(tell) => drop(tell.send(self.links_seen())),
            // The loop takes it out before.
            Command::Shutdown(_) => {}
        }
    }

    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        self.metrics.record(&event);
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                num_established,
                cause,
                ..
            } => {
                tracing::debug!(%peer_id, ?cause, left = num_established, "connection closed");
                self.on_disconnected(peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => {
                self.on_dial_failed(connection_id, &error);
            }
            SwarmEvent::IncomingConnectionError { error, .. } => {
                tracing::debug!(%error, "inbound connection failed");
                self.stats.update(|s| s.inbound_failed += 1);
            }
            SwarmEvent::NewListenAddr {
                listener_id,
                address,
            } => {
                if self.started {
                    let address = address::with_peer(&address, self.own);
                    self.outbox.send(NetworkEvent::Listening(address));
                }
                self.listening.push((listener_id, address));
            }
            SwarmEvent::ExpiredListenAddr {
                listener_id,
                address,
            } => {
                self.listening
                    .retain(|(id, a)| *id != listener_id || *a != address);
                self.outbox
                    .send(NetworkEvent::ListeningEnded(address::with_peer(
                        &address, self.own,
                    )));
            }
            SwarmEvent::ListenerClosed {
                listener_id,
                reason: Err(error),
                ..
            } => {
                self.outbox
                    .send(NetworkEvent::Warning(format!("a listener ended: {error}")));
                self.listen_failure = Some((listener_id, error));
            }
            SwarmEvent::ListenerError { error, .. } => tracing::debug!(%error, "listener"),
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match &event {
            BehaviourEvent::Gossip(event) => self.metrics.record(event),
            BehaviourEvent::Identify(event) => self.metrics.record(event),
            BehaviourEvent::Ping(event) => self.metrics.record(event),
            BehaviourEvent::Kad(event) => self.metrics.record(event),
            _ => {}
        }
        match event {
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Control(event) => self.on_request(super::handle::Lane::Control, event),
            BehaviourEvent::Bulk(event) => self.on_request(super::handle::Lane::Bulk, event),
            BehaviourEvent::Identify(event) => self.on_identify(event),
            BehaviourEvent::Ping(event) => self.on_ping(event),
            BehaviourEvent::Kad(event) => self.on_kad(event),
            BehaviourEvent::Mdns(event) => self.on_mdns(event),
            BehaviourEvent::Limits(never) | BehaviourEvent::Keep(never) => match never {},
        }
    }

    /// Lets queued messages leave, closes every connection and saves what is known.
    async fn close(mut self, done: Option<oneshot::Sender<()>>) {
        self.drain(FLUSH, |_| false).await;
        let known = self.book.members(unix_s());
        for peer in self.swarm.connected_peers().copied().collect::<Vec<_>>() {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        self.drain(CLOSE_TIMEOUT, |swarm| {
            swarm.connected_peers().next().is_none()
        })
        .await;
        self.saver.finish(known).await;
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    /// Runs the swarm alone, until something is reached or time is up.
    async fn drain(&mut self, time: Duration, reached: impl Fn(&Swarm<Behaviour>) -> bool) {
        let swarm = &mut self.swarm;
        let _ = tokio::time::timeout(time, async {
            while !reached(swarm) {
                swarm.select_next_some().await;
            }
        })
        .await;
    }
}
