//! Routes the events of the network.

use super::Driver;
use crate::answer::Answer;
use crate::preflight::Local;
use crate::queries::live_peers;
use crate::time::unix_ms;
use vajra_core::protocol::messages::{Gossip, RecordName, Reply, Request};
use vajra_core::protocol::{Input, Peer};
use vajra_network::{self as network, NetworkEvent, RequestTicket};
use vajra_plan::Sha256;

impl Driver {
    pub(super) fn network_event(&mut self, event: NetworkEvent) {
        match event {
            NetworkEvent::Gossip {
                author,
                ticket,
                message,
                ..
            } => {
                self.dial_advertised(&author, &message);
                let is_advert = matches!(message, Gossip::Advert(_));
                let decision = self.handle(Input::Gossip {
                    author: author.clone(),
                    message,
                });
                if let (Some(net), Some(acceptance)) = (&self.swarm.net, decision.acceptance) {
                    net.set_acceptance(ticket, acceptance);
                }
                if is_advert {
                    self.check_peer(&author);
                }
            }
            NetworkEvent::Request {
                from,
                ticket,
                request,
            } => self.request(from, ticket, request),
            NetworkEvent::Reply { from, id, result } => {
                match self.swarm.calls.replied(id, result) {
                    None => {}
                    Some(Ok(reply)) => self.input(Input::Reply { from, reply }),
                    Some(Err(e)) => {
                        tracing::debug!(peer = %network::show_peer(&from), "request failed: {e}");
                    }
                }
            }
            NetworkEvent::PeerConnected(peer) => {
                self.peers.connected(peer.clone());
                self.results.connected(&peer);
                self.input(Input::Connected(peer.clone()));
                self.check_peer(&peer);
            }
            NetworkEvent::PeerDisconnected(peer) => {
                self.peers.disconnected(&peer);
                self.input(Input::Disconnected(peer.clone()));
                self.check_peer(&peer);
            }
            NetworkEvent::RoundTrip { peer, round_trip } => {
                self.peers.round_trip_measured(peer, round_trip);
            }
            NetworkEvent::Listening(address) => {
                let addresses = &mut self.swarm.addresses;
                addresses.push(address.to_string());
                addresses.sort();
                addresses.dedup();
                self.input(Input::Addresses(self.swarm.addresses.clone()));
            }
            NetworkEvent::ListeningEnded(address) => {
                let ended = address.to_string();
                self.swarm.addresses.retain(|a| *a != ended);
                self.input(Input::Addresses(self.swarm.addresses.clone()));
            }
            NetworkEvent::Bootstrap(text) | NetworkEvent::Warning(text) => tracing::warn!("{text}"),
        }
    }

    fn check_peer(&mut self, peer: &Peer) {
        self.peers.check(&self.core, self.clock.now(), peer);
    }

    /// Connects to the author of an advert that came through others.
    fn dial_advertised(&self, author: &Peer, message: &Gossip) {
        if let (Some(net), Gossip::Advert(advert)) = (&self.swarm.net, message)
            && !self.peers.all_connected().contains(author)
        {
            let addresses = advert.addresses.iter();
            net.dial(addresses.filter_map(|a| a.parse().ok()).collect());
        }
    }

    fn request(&mut self, from: Peer, ticket: RequestTicket, request: Request) {
        let Some(net) = self.swarm.net.clone() else {
            return;
        };
        let now = self.now();
        let answer = match request {
            Request::Clock => Answer::now(Reply::Clock { unix_ms: unix_ms() }),
            Request::Preflight(request) => {
                let peer = network::show_peer(&from);
                tracing::debug!(peer, plan = ?request.digest, "pre-flight check");
                let local = Local::of(&self.core, now, &self.engine.host);
                self.preflights.answer(local, request)
            }
            Request::FetchRecord { record, offset } => match record {
                RecordName::Links => self.peers.links().answer(&net, offset),
                RecordName::Tests => self.results.answer_list(offset),
                RecordName::Result(test) => self.results.answer_result(test, offset),
                RecordName::Timeline(test) => {
                    let unsaved = self.timelines.unsaved(test);
                    self.results.answer_timeline(test, offset, unsaved)
                }
            },
            Request::FetchBlob { digest, offset } => {
                self.data.answer_part(Sha256(digest.0), offset)
            }
            Request::TakeData(plan) => {
                let mut sources = vec![from];
                sources.extend(live_peers(&self.core, now));
                let engine = &self.engine.host;
                self.data.answer_distribution(engine, plan, sources)
            }
            request => match self.handle(Input::Request { from, request }).reply {
                Some(reply) => Answer::now(reply),
                None => return,
            },
        };
        match answer {
            Answer::Now(reply) => net.reply(ticket, &reply),
            Answer::Blocking(work) => drop(tokio::task::spawn_blocking(move || {
                net.reply(ticket, &work());
            })),
            Answer::Task(work) => drop(tokio::spawn(async move {
                net.reply(ticket, &work.await);
            })),
        }
    }
}
