//! Requests and their answers, in both directions.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use libp2p::PeerId;
use libp2p::request_response::{
    Event, InboundFailure, InboundRequestId, Message, OutboundFailure, OutboundRequestId,
    ResponseChannel,
};

use super::address;
use super::behaviour::{CONTROL_TIMEOUT, RequestProtocol};
use super::discovery::Discovery;
use super::event::{NetworkEvent, RequestFailed, RequestTicket};
use super::io::Io;
use super::outbox;
use vajra_core::protocol::Peer;
use vajra_core::protocol::messages::Reply;
use vajra_wire as wire;

/// Most requests of this node in progress: a few for each of a thousand workers.
const MAX_OUTBOUND: usize = 4096;
const _: () = assert!(outbox::MAX_WAITING >= 2 * MAX_OUTBOUND);

/// Most unanswered requests of others: two for each of a thousand workers, which may all register
/// at once.
const MAX_INBOUND: usize = 2048;

/// Most requests that wait for a connection. Each may have a mebibyte, so they take at most 64 MiB.
const MAX_WAITING: usize = 64;

/// Time for which a request waits for a connection. It does not depend on the time limit of the
/// request, so that the sender learns early that a peer is absent.
const CONNECT_TIMEOUT: Duration = CONTROL_TIMEOUT;

/// All requests in progress.
#[derive(Default)]
pub(super) struct Requests {
    /// The caller's id of each request.
    outbound: HashMap<(RequestProtocol, OutboundRequestId), u64>,
    inbound: HashSet<(RequestProtocol, InboundRequestId)>,
    waiting: Vec<Waiting>,
}

/// A request whose peer is being dialled.
struct Waiting {
    to: PeerId,
    id: u64,
    protocol: RequestProtocol,
    bytes: Vec<u8>,
    until: Instant,
}

impl Requests {
    /// Sends a request, or dials its receiver first.
    pub(super) fn request(
        &mut self,
        io: &mut Io,
        discovery: &mut Discovery,
        to: Peer,
        id: u64,
        protocol: RequestProtocol,
        bytes: Vec<u8>,
    ) {
        let Some(peer) = address::peer_id(&to) else {
            return finish(io, to, id, Err(RequestFailed::NotConnected));
        };
        if io.swarm.is_connected(&peer) {
            return self.send(io, peer, id, protocol, bytes);
        }
        let now = Instant::now();
        if !discovery.dial_now(io, peer, now) {
            finish(io, to, id, Err(RequestFailed::NotConnected));
        } else if self.waiting.len() >= MAX_WAITING {
            finish(io, to, id, Err(RequestFailed::Overloaded));
        } else {
            self.waiting.push(Waiting {
                to: peer,
                id,
                protocol,
                bytes,
                until: now + CONNECT_TIMEOUT,
            });
        }
    }

    fn send(
        &mut self,
        io: &mut Io,
        peer: PeerId,
        id: u64,
        protocol: RequestProtocol,
        bytes: Vec<u8>,
    ) {
        if self.outbound.len() >= MAX_OUTBOUND {
            return finish(io, address::peer(&peer), id, Err(RequestFailed::Overloaded));
        }
        let requests = io.swarm.behaviour_mut().requests(protocol);
        let number = requests.send_request(&peer, bytes);
        self.outbound.insert((protocol, number), id);
    }

    /// Sends the requests that wait for a connection to this peer.
    pub(super) fn on_connected(&mut self, io: &mut Io, peer: &PeerId) {
        for waiting in self.take_waiting(|w| w.to == *peer) {
            self.send(io, waiting.to, waiting.id, waiting.protocol, waiting.bytes);
        }
    }

    /// Fails the requests that wait for a connection to this peer.
    pub(super) fn on_dial_failed(&mut self, io: &mut Io, peer: &PeerId) {
        self.fail_waiting(io, |w| w.to == *peer);
    }

    /// Fails the requests that have waited too long for a connection.
    pub(super) fn expire(&mut self, io: &mut Io, now: Instant) {
        self.fail_waiting(io, |w| w.until <= now);
    }

    fn fail_waiting(&mut self, io: &mut Io, which: impl Fn(&Waiting) -> bool) {
        for waiting in self.take_waiting(which) {
            let to = address::peer(&waiting.to);
            finish(io, to, waiting.id, Err(RequestFailed::NotConnected));
        }
    }

    fn take_waiting(&mut self, which: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let (taken, left) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(which);
        self.waiting = left;
        taken
    }

    pub(super) fn on_event(
        &mut self,
        io: &mut Io,
        protocol: RequestProtocol,
        event: Event<Vec<u8>, Vec<u8>>,
    ) {
        match event {
            Event::Message {
                peer,
                message:
                    Message::Request {
                        request_id,
                        request,
                        channel,
                    },
                ..
            } => {
                self.on_inbound(io, protocol, peer, request_id, &request, channel);
            }
            Event::Message {
                peer,
                message:
                    Message::Response {
                        request_id,
                        response,
                    },
                ..
            } => {
                let result = wire::decode_reply(&response).map_err(|error| {
                    io.stats.update(|s| s.requests_malformed += 1);
                    RequestFailed::Invalid(error.to_string())
                });
                self.on_result(io, protocol, peer, request_id, result);
            }
            Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                self.on_result(io, protocol, peer, request_id, Err(failure(error)));
            }
            Event::InboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                self.inbound.remove(&(protocol, request_id));
                if let InboundFailure::Io(error) = &error
                    && error.kind() == std::io::ErrorKind::InvalidData
                {
                    io.stats.update(|s| s.requests_malformed += 1);
                }
                tracing::debug!(%peer, %error, "inbound request failed");
            }
            Event::ResponseSent { request_id, .. } => {
                self.inbound.remove(&(protocol, request_id));
            }
        }
    }

    /// Delivers a request. If it is dropped, so is the channel, and the request fails at the sender.
    fn on_inbound(
        &mut self,
        io: &mut Io,
        protocol: RequestProtocol,
        peer: PeerId,
        number: InboundRequestId,
        bytes: &[u8],
        channel: ResponseChannel<Vec<u8>>,
    ) {
        if self.inbound.len() >= MAX_INBOUND {
            io.stats.update(|s| s.requests_dropped += 1);
            return;
        }
        let ticket = RequestTicket { protocol, channel };
        let request = match wire::decode_request(bytes) {
            Ok(request) => request,
            Err(error) if error.is_newer() => {
                tracing::debug!(%peer, "a request of a newer version");
                let refusal = Reply::Refused(format!(
                    "vajra-node {} does not know this request",
                    env!("CARGO_PKG_VERSION")
                ));
                return reply(io, ticket, wire::encode_reply(&refusal));
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "malformed request");
                io.stats.update(|s| s.requests_malformed += 1);
                return;
            }
        };
        let event = NetworkEvent::Request {
            from: address::peer(&peer),
            ticket,
            request,
        };
        match io.outbox.offer(event) {
            Ok(()) => {
                self.inbound.insert((protocol, number));
                io.stats.update(|s| s.requests_received += 1);
            }
            Err(_) => io.stats.update(|s| s.requests_dropped += 1),
        }
    }

    fn on_result(
        &mut self,
        io: &mut Io,
        protocol: RequestProtocol,
        peer: PeerId,
        number: OutboundRequestId,
        result: Result<Reply, RequestFailed>,
    ) {
        if let Some(id) = self.outbound.remove(&(protocol, number)) {
            finish(io, address::peer(&peer), id, result);
        }
    }
}

/// Answers a request of another node.
pub(super) fn reply(io: &mut Io, ticket: RequestTicket, bytes: Vec<u8>) {
    let requests = io.swarm.behaviour_mut().requests(ticket.protocol);
    // An error means that the sender has timed out or disconnected. It repeats its request.
    let _ = requests.send_response(ticket.channel, bytes);
}

/// Reports the result of a request of this node.
fn finish(io: &mut Io, from: Peer, id: u64, result: Result<Reply, RequestFailed>) {
    io.outbox.send(NetworkEvent::Reply { from, id, result });
}

fn failure(error: OutboundFailure) -> RequestFailed {
    match error {
        OutboundFailure::DialFailure => RequestFailed::NotConnected,
        OutboundFailure::Timeout => RequestFailed::TimedOut,
        OutboundFailure::ConnectionClosed => RequestFailed::ConnectionLost,
        OutboundFailure::UnsupportedProtocols => RequestFailed::Unsupported,
        OutboundFailure::Io(error) => RequestFailed::Invalid(error.to_string()),
    }
}
