//! The two ends of the network's channels: commands in, events out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use libp2p::gossipsub::MessageId;
use libp2p::metrics::Registry;
use libp2p::request_response::ResponseChannel;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot};

use super::stats::{NetworkStats, Stats};
use vajra_core::protocol::Peer;
use vajra_core::protocol::messages::{Gossip, Reply, Request};
use vajra_wire::{self as wire, MAX_BULK, MAX_CONTROL, MAX_GOSSIP, Topic};

/// Commands waiting for the event loop. It handles one in tens of microseconds; this many
/// cover a coordinator's beats, answers and verdicts over a stall of some hundred
/// milliseconds. Beyond it commands are dropped and counted, as on a lossy network.
pub const COMMAND_QUEUE: usize = 1024;

/// Events waiting for the driver: a second of a thousand nodes' gossip. A quarter is kept
/// for everything but gossip; beyond that gossip is dropped and counted.
pub const EVENT_QUEUE: usize = 1024;

/// Which of the two request-response behaviours.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Lane {
    Control,
    Bulk,
}

impl Lane {
    fn limit(self) -> usize {
        match self {
            Lane::Control => MAX_CONTROL,
            Lane::Bulk => MAX_BULK,
        }
    }
}

pub(super) enum Command {
    Publish(Topic, Vec<u8>),
    Request {
        to: Peer,
        id: u64,
        lane: Lane,
        bytes: Vec<u8>,
    },
    Reply(RequestTicket, Vec<u8>),
    Acceptance(GossipTicket, Acceptance),
    Dial(Vec<Multiaddr>),
    Links(oneshot::Sender<Vec<LinkSeen>>),
    Shutdown(oneshot::Sender<()>),
}

/// What the network tells the driver.
#[derive(Debug)]
pub enum NetworkEvent {
    /// Somebody published something. The author is authenticated; that the message's content
    /// names the same author is the driver's to check. Answer with a verdict: without one the
    /// message is not forwarded.
    Gossip {
        /// Who signed it.
        author: Peer,
        /// From whom it came.
        forwarder: Peer,
        /// For [`NetworkHandle::verdict`].
        ticket: GossipTicket,
        /// What was said.
        message: Gossip,
    },
    /// Somebody asks. Answer with [`NetworkHandle::reply`]; a dropped ticket is a failure at
    /// the other end.
    Request {
        /// Who.
        from: Peer,
        /// For the answer.
        ticket: RequestTicket,
        /// What.
        request: Request,
    },
    /// The end of a request of ours: every one accepted by [`NetworkHandle::request`] has
    /// exactly one.
    Reply {
        /// Who was asked.
        from: Peer,
        /// The number given with the request.
        id: u64,
        /// The answer.
        result: Result<Reply, RequestFailed>,
    },
    /// A node of this swarm is connected (its first connection, identified).
    PeerConnected(Peer),
    /// Its last connection is gone.
    PeerDisconnected(Peer),
    /// A ping has come back from a connected node of this swarm. Every few seconds; some may be
    /// lost.
    RoundTrip {
        /// Who was pinged.
        peer: Peer,
        /// How long it took.
        round_trip: Duration,
    },
    /// A listen address that came up after the start, with `/p2p/` at its end.
    Listening(Multiaddr),
    /// A listen address is gone.
    ListeningEnded(Multiaddr),
    /// A bootstrap address has been out of reach for a while, or leads to another swarm; what
    /// people should read. At most once a minute for each.
    Bootstrap(String),
    /// Something is amiss that does not stop the network; what people should read.
    Warning(String),
}

/// A node of this swarm that is connected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkSeen {
    /// Who.
    pub peer: Peer,
    /// As last measured by a ping.
    pub round_trip: Option<Duration>,
    /// Gossip of some topic goes over it: it is in the mesh, and not only connected.
    pub mesh: bool,
}

/// Names a received gossip message.
#[derive(Debug)]
pub struct GossipTicket {
    pub(super) message: MessageId,
    pub(super) forwarder: PeerId,
    pub(super) author: Option<PeerId>,
}

/// The right to answer one request. Dropping it tells the other end that no answer comes.
pub struct RequestTicket {
    pub(super) lane: Lane,
    pub(super) channel: ResponseChannel<Vec<u8>>,
}

impl fmt::Debug for RequestTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestTicket({:?})", self.lane)
    }
}

/// What becomes of a gossip message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acceptance {
    /// Forward it.
    Accept,
    /// Do not forward it: of an ended, unknown or newer thing.
    Ignore,
    /// Do not forward it, and count it against forwarder and author: malformed or forged.
    Reject,
}

/// Why a request has no answer. Except where noted it is unknown whether the other end
/// handled it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestFailed {
    /// The peer is not connected and could not be reached in time; it was not asked.
    #[error("the node cannot be reached")]
    NotConnected,
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The connection was lost.
    #[error("the connection was lost")]
    ConnectionLost,
    /// The peer does not speak this protocol; it was not asked.
    #[error("the node does not speak this protocol")]
    Unsupported,
    /// The peer did not answer, or not with an answer.
    #[error("no valid answer: {0}")]
    Invalid(String),
    /// The request is larger than any accepted; it was not sent.
    #[error("the request has {0} bytes, more than are accepted")]
    TooLarge(usize),
    /// Too many requests are under way; it was not sent.
    #[error("too many requests are under way")]
    Overloaded,
    /// The network has been shut down; it was not sent.
    #[error("the network is shut down")]
    Gone,
}

/// A running network, from outside. No call blocks or waits, except [`Self::shutdown`].
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

    /// Tells every node but this one. Lossy: nobody may be there to hear it, and what is too
    /// large or finds the queue full is dropped and counted.
    pub fn publish(&self, gossip: &Gossip) {
        let (topic, bytes) = wire::encode_gossip(gossip);
        if bytes.len() > MAX_GOSSIP {
            tracing::error!(topic = ?topic, bytes = bytes.len(), "gossip too large, dropped");
            self.stats.update(|s| s.gossip_too_large += 1);
        } else {
            self.send(Command::Publish(topic, bytes));
        }
    }

    /// Asks one node; its answer, or the failure, comes as [`NetworkEvent::Reply`] with this
    /// `id`.
    ///
    /// # Errors
    /// [`RequestFailed::TooLarge`], [`RequestFailed::Overloaded`] or [`RequestFailed::Gone`];
    /// then no event follows.
    pub fn request(&self, to: Peer, request: &Request, id: u64) -> Result<(), RequestFailed> {
        let bytes = wire::encode_request(request);
        // By the answer's size, for those whose answer may be large; by their own otherwise.
        let lane = match request {
            Request::FetchAnnouncement(_)
            | Request::FetchPlan(_)
            | Request::FetchSnapshots { .. }
            | Request::FetchBlob { .. }
            | Request::FetchRecord { .. } => Lane::Bulk,
            // Their answers are small, but take the other end longer than a control one may.
            Request::TakeData(_) | Request::Preflight(_) => Lane::Bulk,
            _ if bytes.len() > MAX_CONTROL => Lane::Bulk,
            _ => Lane::Control,
        };
        if bytes.len() > lane.limit() {
            return Err(RequestFailed::TooLarge(bytes.len()));
        }
        self.commands
            .try_send(Command::Request {
                to,
                id,
                lane,
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

    /// Answers a request. An answer too large for its way becomes a refusal that says so.
    pub fn reply(&self, ticket: RequestTicket, reply: &Reply) {
        let mut bytes = wire::encode_reply(reply);
        if bytes.len() > ticket.lane.limit() {
            let text = format!(
                "the answer has {} bytes, more than can be sent",
                bytes.len()
            );
            tracing::error!("{text}");
            bytes = wire::encode_reply(&Reply::Refused(text));
        }
        self.send(Command::Reply(ticket, bytes));
    }

    /// Says what becomes of a gossip message.
    pub fn verdict(&self, ticket: GossipTicket, verdict: Acceptance) {
        self.send(Command::Acceptance(ticket, verdict));
    }

    /// Addresses where nodes are said to be, each with `/p2p/`; others are ignored. They are
    /// dialled as far as this node wants more connections.
    pub fn dial(&self, addresses: Vec<Multiaddr>) {
        self.send(Command::Dial(addresses));
    }

    /// The nodes of this swarm that are connected; none if the network is too busy to say.
    pub async fn links(&self) -> Vec<LinkSeen> {
        let (tell, told) = oneshot::channel();
        self.send(Command::Links(tell));
        told.await.unwrap_or_default()
    }

    /// Sends what is queued, closes all connections and ends; returns when that is done.
    pub async fn shutdown(&self) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Shutdown(done)).await.is_ok() {
            // An error means that the loop had already ended, which is what was asked for.
            let _ = wait.await;
        }
    }

    /// What the network has seen so far.
    pub fn stats(&self) -> NetworkStats {
        self.stats.get()
    }

    /// What libp2p itself counts, to be encoded for a scrape.
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
