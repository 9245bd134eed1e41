//! The handle: commands for the event loop.

use std::fmt;
use std::sync::Arc;

use libp2p::Multiaddr;
use libp2p::metrics::Registry;
use tokio::sync::{mpsc, oneshot};

use super::behaviour::RequestProtocol;
use super::event::{GossipTicket, Link, RequestFailed, RequestTicket};
use super::stats::{NetworkStats, Stats};
use vajra_core::protocol::messages::{Gossip, Reply, Request};
use vajra_core::protocol::{Acceptance, Peer};
use vajra_wire::{self as wire, MAX_CONTROL, MAX_GOSSIP, Topic};

/// Commands that wait for the event loop. It handles one in tens of microseconds, so this covers
/// the beats, answers and acceptances of a coordinator over a stall of some hundred milliseconds.
/// Further commands are dropped and counted, as on a lossy network.
pub const COMMAND_QUEUE: usize = 1024;

pub(super) enum Command {
    Publish(Topic, Vec<u8>),
    Request {
        to: Peer,
        id: u64,
        protocol: RequestProtocol,
        bytes: Vec<u8>,
    },
    Reply(RequestTicket, Vec<u8>),
    Acceptance(GossipTicket, Acceptance),
    Dial(Vec<Multiaddr>),
    Links(oneshot::Sender<Vec<Link>>),
    Shutdown(oneshot::Sender<()>),
}

/// Controls a running network. Methods that are not `async` never block.
#[derive(Clone)]
pub struct NetworkHandle {
    commands: mpsc::Sender<Command>,
    stats: Arc<Stats>,
    libp2p: Arc<Registry>,
}

impl NetworkHandle {
    pub(super) fn new(
        stats: Arc<Stats>,
        libp2p: Registry,
    ) -> (NetworkHandle, mpsc::Receiver<Command>) {
        let (commands, inbox) = mpsc::channel(COMMAND_QUEUE);
        let handle = NetworkHandle {
            commands,
            stats,
            libp2p: Arc::new(libp2p),
        };
        (handle, inbox)
    }

    /// Publishes a message to all other nodes. Delivery is not guaranteed. A message that is too
    /// large, or finds the queue full, is dropped and counted.
    pub fn publish(&self, gossip: &Gossip) {
        let (topic, bytes) = wire::encode_gossip(gossip);
        if bytes.len() > MAX_GOSSIP {
            tracing::error!(topic = ?topic, bytes = bytes.len(), "gossip too large, dropped");
            self.stats.update(|s| s.gossip_too_large += 1);
        } else {
            self.send(Command::Publish(topic, bytes));
        }
    }

    /// Sends a request to one node. The answer or failure arrives as
    /// [`NetworkEvent::Reply`](super::NetworkEvent::Reply) with this `id`.
    ///
    /// # Errors
    /// [`RequestFailed::TooLarge`], [`RequestFailed::Overloaded`] or [`RequestFailed::Gone`]. No
    /// event follows then.
    pub fn request(&self, to: Peer, request: &Request, id: u64) -> Result<(), RequestFailed> {
        let bytes = wire::encode_request(request);
        let protocol = match request {
            // The answers may be large.
            Request::FetchAnnouncement(_)
            | Request::FetchEnd(_)
            | Request::FetchPlan(_)
            | Request::FetchSnapshots { .. }
            | Request::FetchAllocation { .. }
            | Request::FetchBlob { .. }
            | Request::FetchRecord { .. } => RequestProtocol::Bulk,
            // The answers are small, but may take longer than a control request allows.
            Request::TakeData(_) | Request::Preflight(_) => RequestProtocol::Bulk,
            _ if bytes.len() > MAX_CONTROL => RequestProtocol::Bulk,
            _ => RequestProtocol::Control,
        };
        if bytes.len() > protocol.limit() {
            return Err(RequestFailed::TooLarge(bytes.len()));
        }
        self.commands
            .try_send(Command::Request {
                to,
                id,
                protocol,
                bytes,
            })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => {
                    self.stats.update(|s| s.commands_dropped += 1);
                    RequestFailed::Overloaded
                }
                mpsc::error::TrySendError::Closed(_) => RequestFailed::Gone,
            })
    }

    /// Answers a request. An answer that exceeds the size limit is replaced by a refusal.
    pub fn reply(&self, ticket: RequestTicket, reply: &Reply) {
        let mut bytes = wire::encode_reply(reply);
        if bytes.len() > ticket.protocol.limit() {
            let text = format!(
                "the answer has {} bytes, which exceeds the limit",
                bytes.len()
            );
            tracing::error!("{text}");
            bytes = wire::encode_reply(&Reply::Refused(text));
        }
        self.send(Command::Reply(ticket, bytes));
    }

    /// Sets whether a gossip message is forwarded, and whether it counts against its forwarder and
    /// author.
    pub fn set_acceptance(&self, ticket: GossipTicket, acceptance: Acceptance) {
        self.send(Command::Acceptance(ticket, acceptance));
    }

    /// Adds addresses of nodes, each with `/p2p/`; others are ignored. They are dialled if this node
    /// needs more connections.
    pub fn dial(&self, addresses: Vec<Multiaddr>) {
        self.send(Command::Dial(addresses));
    }

    /// The connected nodes of this swarm. Empty if the command queue is full.
    pub async fn links(&self) -> Vec<Link> {
        let (result, links) = oneshot::channel();
        self.send(Command::Links(result));
        links.await.unwrap_or_default()
    }

    /// Sends queued messages, closes all connections and stops the network.
    pub async fn shutdown(&self) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Shutdown(done)).await.is_ok() {
            // An error means that the event loop has already stopped.
            let _ = wait.await;
        }
    }

    /// The counters.
    pub fn stats(&self) -> NetworkStats {
        self.stats.get()
    }

    /// The metrics of libp2p, for a Prometheus scrape.
    pub fn libp2p_metrics(&self) -> Arc<Registry> {
        self.libp2p.clone()
    }

    pub(super) fn send(&self, command: Command) {
        if self.commands.try_send(command).is_err() {
            self.stats.update(|s| s.commands_dropped += 1);
        }
    }
}

impl fmt::Debug for NetworkHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NetworkHandle")
    }
}
