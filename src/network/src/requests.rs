//! Requests and their answers, both ways.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use libp2p::PeerId;
use libp2p::request_response::{
    Event, InboundFailure, InboundRequestId, Message, OutboundFailure, OutboundRequestId,
    ResponseChannel,
};

use super::address;
use super::behaviour::CONTROL_TIMEOUT;
use super::event_loop::EventLoop;
use super::handle::{Lane, NetworkEvent, RequestFailed, RequestTicket};
use vajra_core::protocol::Peer;
use vajra_core::protocol::messages::Reply;
use vajra_wire as wire;

/// Our requests under way: a coordinator's orders to a few thousand workers.
const MAX_OUTBOUND: usize = 4096;

/// Requests of others without an answer yet: a thousand workers registering at once, with
/// some to spare.
const MAX_INBOUND: usize = 2048;

/// Requests waiting for a connection. Each may hold a mebibyte.
const MAX_WAITING: usize = 64;

/// A request waits this long for a connection, whatever its own time-out: a sender that
/// learns of an absent peer can still do something else.
const CONNECT_TIMEOUT: Duration = CONTROL_TIMEOUT;

/// All requests under way.
#[derive(Default)]
pub(super) struct Requests {
    outbound: HashMap<(Lane, OutboundRequestId), u64>,
    inbound: HashSet<(Lane, InboundRequestId)>,
    waiting: Vec<Waiting>,
}

/// A request whose peer is being dialled.
struct Waiting {
    to: PeerId,
    id: u64,
    lane: Lane,
    bytes: Vec<u8>,
    until: Instant,
}

impl EventLoop {
    pub(super) fn request(&mut self, to: Peer, id: u64, lane: Lane, bytes: Vec<u8>) {
        let Some(peer) = address::peer_id(&to) else {
            self.answer(to, id, Err(RequestFailed::NotConnected));
            return;
        };
        if self.links.is_connected(&peer) {
            self.send_request(peer, id, lane, bytes);
            return;
        }
        let now = Instant::now();
        let dial = self.book.take(&peer);
        if dial.is_none() && !self.book.is_dialling(&peer) {
            self.answer(to, id, Err(RequestFailed::NotConnected));
        } else if self.requests.waiting.len() >= MAX_WAITING {
            self.answer(to, id, Err(RequestFailed::Overloaded));
        } else {
            let until = now + CONNECT_TIMEOUT;
            self.requests.waiting.push(Waiting {
                to: peer,
                id,
                lane,
                bytes,
                until,
            });
        }
        if let Some(addresses) = dial {
            self.dial_peer(peer, addresses, now);
        }
    }

    fn send_request(&mut self, peer: PeerId, id: u64, lane: Lane, bytes: Vec<u8>) {
        if self.requests.outbound.len() >= MAX_OUTBOUND {
            self.answer(address::peer(&peer), id, Err(RequestFailed::Overloaded));
            return;
        }
        let behaviour = self.swarm.behaviour_mut();
        let number = match lane {
            Lane::Control => behaviour.control.send_request(&peer, bytes),
            Lane::Bulk => behaviour.bulk.send_request(&peer, bytes),
        };
        self.requests.outbound.insert((lane, number), id);
    }

    /// A connection to a peer stands: sends what waited for it.
    pub(super) fn send_waiting(&mut self, peer: &PeerId) {
        for waiting in self.take_waiting(|w| w.to == *peer) {
            self.send_request(waiting.to, waiting.id, waiting.lane, waiting.bytes);
        }
    }

    /// A dial has failed: so has what waited for it.
    pub(super) fn fail_waiting(&mut self, peer: &PeerId) {
        self.fail(|w| w.to == *peer);
    }

    /// Fails what has waited too long.
    pub(super) fn expire_requests(&mut self, now: Instant) {
        self.fail(|w| w.until <= now);
    }

    fn fail(&mut self, which: impl Fn(&Waiting) -> bool) {
        for waiting in self.take_waiting(which) {
            self.answer(
                address::peer(&waiting.to),
                waiting.id,
                Err(RequestFailed::NotConnected),
            );
        }
    }

    fn take_waiting(&mut self, which: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let (taken, left) = std::mem::take(&mut self.requests.waiting)
            .into_iter()
            .partition(which);
        self.requests.waiting = left;
        taken
    }

    pub(super) fn reply(&mut self, ticket: RequestTicket, bytes: Vec<u8>) {
        let behaviour = self.swarm.behaviour_mut();
        // An error means that the asker has given up or gone; it will ask again.
        let _ = match ticket.lane {
            Lane::Control => behaviour.control.send_response(ticket.channel, bytes),
            Lane::Bulk => behaviour.bulk.send_response(ticket.channel, bytes),
        };
    }

    pub(super) fn on_request(&mut self, lane: Lane, event: Event<Vec<u8>, Vec<u8>>) {
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
                self.on_inbound(lane, peer, request_id, &request, channel);
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
                    self.stats.update(|s| s.requests_malformed += 1);
                    RequestFailed::Invalid(error.to_string())
                });
                self.finish(lane, peer, request_id, result);
            }
            Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                self.finish(lane, peer, request_id, Err(failure(error)));
            }
            Event::InboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                self.requests.inbound.remove(&(lane, request_id));
                if let InboundFailure::Io(error) = &error
                    && error.kind() == std::io::ErrorKind::InvalidData
                {
                    self.stats.update(|s| s.requests_malformed += 1);
                }
                tracing::debug!(%peer, %error, "inbound request");
            }
            Event::ResponseSent { request_id, .. } => {
                self.requests.inbound.remove(&(lane, request_id));
            }
        }
    }

    /// Dropping the channel tells the asker that no answer comes.
    fn on_inbound(
        &mut self,
        lane: Lane,
        peer: PeerId,
        number: InboundRequestId,
        bytes: &[u8],
        channel: ResponseChannel<Vec<u8>>,
    ) {
        if self.requests.inbound.len() >= MAX_INBOUND {
            self.stats.update(|s| s.requests_dropped += 1);
            return;
        }
        let request = match wire::decode_request(bytes) {
            Ok(request) => request,
            Err(error) if error.is_newer() => {
                tracing::debug!(%peer, "a request of a newer version");
                let refusal = Reply::Refused(format!(
                    "vajra-node {} does not know this request",
                    env!("CARGO_PKG_VERSION")
                ));
                let ticket = RequestTicket { lane, channel };
                return self.reply(ticket, wire::encode_reply(&refusal));
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "malformed request");
                self.stats.update(|s| s.requests_malformed += 1);
                return;
            }
        };
        let ticket = RequestTicket { lane, channel };
        let from = address::peer(&peer);
        match self.outbox.offer(NetworkEvent::Request {
            from,
            ticket,
            request,
        }) {
            Ok(()) => {
                self.requests.inbound.insert((lane, number));
                self.stats.update(|s| s.requests_received += 1);
            }
            Err(_) => self.stats.update(|s| s.requests_dropped += 1),
        }
    }

    fn finish(
        &mut self,
        lane: Lane,
        peer: PeerId,
        number: OutboundRequestId,
        result: Result<Reply, RequestFailed>,
    ) {
        if let Some(id) = self.requests.outbound.remove(&(lane, number)) {
            self.answer(address::peer(&peer), id, result);
        }
    }

    fn answer(&mut self, from: Peer, id: u64, result: Result<Reply, RequestFailed>) {
        self.outbox.send(NetworkEvent::Reply { from, id, result });
    }
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
