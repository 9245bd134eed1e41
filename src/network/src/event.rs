//! Events of the network, and the tickets by which the caller responds to them.

use std::fmt;
use std::time::Duration;

use libp2p::gossipsub::MessageId;
use libp2p::request_response::ResponseChannel;
use libp2p::{Multiaddr, PeerId};

use super::behaviour::RequestProtocol;
use vajra_core::protocol::Peer;
use vajra_core::protocol::messages::{Gossip, Reply, Request};

/// Events that wait for the caller: one second of gossip from a thousand nodes. Gossip that would
/// fill the last quarter is dropped and counted; the rest of the queue is for other events.
pub const EVENT_QUEUE: usize = 1024;

/// An event of the network.
#[derive(Debug)]
pub enum NetworkEvent {
    /// A gossip message arrived. Its author is authenticated; the caller must check that the
    /// content names the same author. It is forwarded only if the caller accepts it with
    /// [`NetworkHandle::set_acceptance`](super::NetworkHandle::set_acceptance).
    Gossip {
        /// Peer that signed the message.
        author: Peer,
        /// Peer that sent it to this node.
        forwarder: Peer,
        /// Identifies the message.
        ticket: GossipTicket,
        /// Content.
        message: Gossip,
    },
    /// A request arrived. Answer it with [`NetworkHandle::reply`](super::NetworkHandle::reply). If
    /// the ticket is dropped, the request fails at the sender.
    Request {
        /// Sender.
        from: Peer,
        /// Identifies the request.
        ticket: RequestTicket,
        /// Content.
        request: Request,
    },
    /// The result of a request of this node. Every request that
    /// [`NetworkHandle::request`](super::NetworkHandle::request) accepts has exactly one.
    Reply {
        /// Receiver of the request.
        from: Peer,
        /// `id` of the request.
        id: u64,
        /// Its answer.
        result: Result<Reply, RequestFailed>,
    },
    /// The first connection to a node was established, and the node identified as one of this
    /// swarm.
    PeerConnected(Peer),
    /// The last connection to such a node was closed.
    PeerDisconnected(Peer),
    /// A connected node of this swarm answered a ping. Sent every few seconds per node; some may be
    /// lost.
    RoundTrip {
        /// The node.
        peer: Peer,
        /// Round-trip time of the ping.
        round_trip: Duration,
    },
    /// A new listen address, with `/p2p/`. Not sent for those that [`spawn`](super::spawn) returns.
    Listening(Multiaddr),
    /// A listen address was removed.
    ListeningEnded(Multiaddr),
    /// A warning for the operator: a bootstrap address cannot be reached or leads to another swarm.
    /// At most once a minute per address.
    Bootstrap(String),
    /// Another warning for the operator. The network keeps running.
    Warning(String),
}

/// A connected node of this swarm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// The node.
    pub peer: Peer,
    /// Round-trip time of the last ping, if any was answered.
    pub round_trip: Option<Duration>,
    /// Whether the node is in the gossip mesh of any topic.
    pub mesh: bool,
}

/// Identifies a received gossip message.
#[derive(Debug)]
pub struct GossipTicket {
    pub(super) message: MessageId,
    pub(super) forwarder: PeerId,
    pub(super) author: Option<PeerId>,
}

/// Permits one answer to a request. If it is dropped, the request fails at the sender.
pub struct RequestTicket {
    pub(super) protocol: RequestProtocol,
    pub(super) channel: ResponseChannel<Vec<u8>>,
}

impl fmt::Debug for RequestTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestTicket({:?})", self.protocol)
    }
}

/// Why a request has no answer. Unless noted otherwise, the receiver may have processed it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestFailed {
    /// The peer is not connected and could not be reached in time. Not processed.
    #[error("the node cannot be reached")]
    NotConnected,
    /// The answer did not arrive in time.
    #[error("no answer in time")]
    TimedOut,
    /// The connection was lost.
    #[error("the connection was lost")]
    ConnectionLost,
    /// The peer does not support the protocol. Not processed.
    #[error("the node does not support this protocol")]
    Unsupported,
    /// The peer sent no answer, or an invalid one.
    #[error("no valid answer: {0}")]
    Invalid(String),
    /// The request exceeds the size limit. Not sent.
    #[error("the request has {0} bytes, which exceeds the limit")]
    TooLarge(usize),
    /// Too many requests are in progress. Not sent.
    #[error("too many requests are in progress")]
    Overloaded,
    /// The network is shut down. Not sent.
    #[error("the network is shut down")]
    Gone,
}
