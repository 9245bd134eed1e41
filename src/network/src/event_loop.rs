//! The event loop: one task that owns the swarm and passes its events, and the caller's commands, to
//! the parts that handle them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use libp2p::metrics::{Metrics, Recorder as _, Registry};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm};
use tokio::sync::{mpsc, oneshot};

use super::behaviour::{self, Behaviour, BehaviourEvent, RequestProtocol};
use super::config::{NetworkConfig, NetworkError};
use super::connections::Connections;
use super::discovery::Discovery;
use super::event::NetworkEvent;
use super::handle::{Command, NetworkHandle};
use super::io::Io;
use super::listeners::{self, Listeners};
use super::outbox::Outbox;
use super::requests::{self, Requests};
use super::stats::Stats;
use super::{address, gossip};

/// Interval of checks for due dials, time-outs and writes; half the shortest back-off.
const TICK: Duration = Duration::from_millis(100);

/// Time limit for a listener to get an address.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for queued gossip and answers to be sent at shutdown.
const FLUSH_TIME: Duration = Duration::from_millis(150);

/// Time limit for connections to close at shutdown.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

struct EventLoop {
    io: Io,
    connections: Connections,
    discovery: Discovery,
    requests: Requests,
    listeners: Listeners,
    commands: mpsc::Receiver<Command>,
    metrics: Metrics,
}

/// A running network: its handle, its events and its listen addresses.
pub type Running = (NetworkHandle, mpsc::Receiver<NetworkEvent>, Vec<Multiaddr>);

/// Starts a network as a task on the current runtime, and returns when it listens. The listen
/// addresses end in `/p2p/…`.
///
/// # Errors
/// [`NetworkError::AddressInUse`] if a port is taken; see the other variants. No task is left
/// running then.
pub async fn spawn(config: NetworkConfig) -> Result<Running, NetworkError> {
    for bootstrap in &config.bootstrap {
        address::check_bootstrap(bootstrap)?;
    }
    for listen in &config.listen {
        address::check_listen(listen)?;
        listeners::check_port_is_free(listen)?;
    }
    let own = config.identity.public().to_peer_id();
    let stats = Arc::new(Stats::default());
    let (mut outbox, events) = Outbox::new(stats.clone());
    let mdns = config.mdns.then(|| behaviour::mdns(own)).transpose();
    let mdns = mdns.unwrap_or_else(|error| {
        let text = format!("no discovery by mDNS: {error}");
        outbox.send(NetworkEvent::Warning(text));
        None
    });
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let swarm = behaviour::swarm(
        &config.identity,
        &config.swarm_name,
        config.swarm_key,
        mdns,
        &mut registry,
    )?;
    let (handle, commands) = NetworkHandle::new(stats.clone(), registry);
    let now = Instant::now();
    let mut event_loop = EventLoop {
        io: Io {
            swarm,
            outbox,
            stats,
        },
        connections: Connections::new(config.swarm_name.identify()),
        discovery: Discovery::new(&config, own, now),
        requests: Requests::default(),
        listeners: Listeners::new(own),
        commands,
        metrics,
    };
    event_loop.discovery.restore_known(&mut event_loop.io, now);
    let listening = event_loop.listen(&config.listen).await?;
    tokio::spawn(event_loop.run());
    Ok((handle, events, listening))
}

impl EventLoop {
    /// Starts to listen, and waits until each listener has an address. Other events are handled
    /// meanwhile.
    async fn listen(&mut self, addresses: &[Multiaddr]) -> Result<Vec<Multiaddr>, NetworkError> {
        for address in addresses {
            self.listeners.start(&mut self.io, address)?;
        }
        let deadline = tokio::time::Instant::now() + LISTEN_TIMEOUT;
        while let Some(missing) = self.listeners.starting()? {
            let event = self.io.swarm.select_next_some();
            match tokio::time::timeout_at(deadline, event).await {
                Ok(event) => self.on_swarm_event(event),
                Err(_) => return Err(listeners::no_address(missing)),
            }
        }
        // A listener on all interfaces reports one address after the other.
        while let Some(Some(event)) = self.io.swarm.next().now_or_never() {
            self.on_swarm_event(event);
        }
        Ok(self.listeners.announce_changes())
    }

    async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let done = loop {
            tokio::select! {
                event = self.io.swarm.select_next_some() => self.on_swarm_event(event),
                command = self.commands.recv() => match command {
                    None => break None,
                    Some(Command::Shutdown(done)) => break Some(done),
                    Some(command) => self.on_command(command),
                },
                () = self.io.outbox.flush(), if self.io.outbox.is_waiting() => {}
                (index, result) = self.discovery.next_lookup() => {
                    self.discovery.on_resolved(&mut self.io, index, result);
                }
                _ = tick.tick() => {
                    if self.io.outbox.is_closed() {
                        break None;
                    }
                    self.on_tick(Instant::now());
                }
            }
        };
        self.close(done).await;
    }

    fn on_tick(&mut self, now: Instant) {
        let io = &mut self.io;
        self.discovery.dial_due(io, now);
        self.discovery.walk_due(io, self.connections.members(), now);
        self.requests.expire(io, now);
        self.connections.close_unidentified(io, now);
        self.discovery.save_due(io, now);
    }

    fn on_command(&mut self, command: Command) {
        let io = &mut self.io;
        match command {
            Command::Publish(topic, bytes) => gossip::publish(io, topic, bytes),
            Command::Request {
                to,
                id,
                protocol,
                bytes,
            } => self
                .requests
                .request(io, &mut self.discovery, to, id, protocol, bytes),
            Command::Reply(ticket, bytes) => requests::reply(io, ticket, bytes),
            Command::Acceptance(ticket, acceptance) => {
                gossip::set_acceptance(io, &ticket, acceptance);
            }
            Command::Dial(addresses) => self.discovery.add_addresses(io, addresses),
            // The caller may no longer wait for the result.
            Command::Links(result) => drop(result.send(self.connections.links(io))),
            // Handled by `run`.
            Command::Shutdown(_) => {}
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        self.metrics.record(&event);
        let io = &mut self.io;
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                let discovery = &mut self.discovery;
                self.connections
                    .on_connected(io, discovery, peer_id, connection_id, &endpoint);
                self.requests.on_connected(io, &peer_id);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                num_established,
                cause,
                ..
            } => {
                tracing::debug!(%peer_id, ?cause, left = num_established, "connection closed");
                let discovery = &mut self.discovery;
                self.connections
                    .on_disconnected(io, discovery, peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => {
                let failed = self.discovery.on_dial_failed(io, connection_id, &error);
                if let Some(peer) = failed {
                    self.requests.on_dial_failed(io, &peer);
                }
            }
            SwarmEvent::IncomingConnectionError { error, .. } => {
                tracing::debug!(%error, "inbound connection failed");
                io.stats.update(|s| s.inbound_failed += 1);
            }
            SwarmEvent::NewListenAddr {
                listener_id,
                address,
            } => self.listeners.on_new_address(io, listener_id, address),
            SwarmEvent::ExpiredListenAddr {
                listener_id,
                address,
            } => self.listeners.on_expired(io, listener_id, &address),
            SwarmEvent::ListenerClosed {
                listener_id,
                reason: Err(error),
                ..
            } => self.listeners.on_failed(io, listener_id, error),
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
        let io = &mut self.io;
        match event {
            BehaviourEvent::Gossip(event) => gossip::on_event(io, event),
            BehaviourEvent::Control(event) => {
                self.requests.on_event(io, RequestProtocol::Control, event);
            }
            BehaviourEvent::Bulk(event) => {
                self.requests.on_event(io, RequestProtocol::Bulk, event);
            }
            BehaviourEvent::Identify(event) => {
                self.connections.on_identify(io, &mut self.discovery, event);
            }
            BehaviourEvent::Ping(event) => self.connections.on_ping(io, event),
            BehaviourEvent::Kad(event) => self.discovery.on_kad(io, event),
            BehaviourEvent::Mdns(event) => self.discovery.on_mdns(io, event),
            BehaviourEvent::Limits(never) | BehaviourEvent::Keep(never) => match never {},
        }
    }

    /// Sends queued messages, closes every connection and saves the known peers.
    async fn close(mut self, done: Option<oneshot::Sender<()>>) {
        let swarm = &mut self.io.swarm;
        drain(swarm, FLUSH_TIME, |_| false).await;
        let saved = self.discovery.finish();
        for peer in swarm.connected_peers().copied().collect::<Vec<_>>() {
            let _ = swarm.disconnect_peer_id(peer);
        }
        drain(swarm, CLOSE_TIMEOUT, |swarm| {
            swarm.connected_peers().next().is_none()
        })
        .await;
        saved.await;
        if let Some(done) = done {
            let _ = done.send(());
        }
    }
}

/// Runs the swarm without handling its events, until the condition holds or the time is over.
async fn drain(
    swarm: &mut Swarm<Behaviour>,
    time: Duration,
    finished: impl Fn(&Swarm<Behaviour>) -> bool,
) {
    let _ = tokio::time::timeout(time, async {
        while !finished(swarm) {
            swarm.select_next_some().await;
        }
    })
    .await;
}
