//! Gossip: publishing, and received messages on their way to a verdict.

use libp2p::gossipsub::{self, MessageAcceptance, MessageId, PublishError};
use libp2p::{PeerId, gossipsub::TopicHash};

use super::address;
use super::behaviour::{topic, topic_name};
use super::event_loop::EventLoop;
use super::handle::{Acceptance, GossipTicket, NetworkEvent};
use vajra_wire::{self as wire, Topic};

impl EventLoop {
    pub(super) fn publish(&mut self, to: Topic, bytes: Vec<u8>) {
        let result = self.swarm.behaviour_mut().gossip.publish(topic(to), bytes);
        self.stats.update(|s| match &result {
            Ok(_) => s.gossip_published += 1,
            // A swarm of one, or peers whose subscriptions are still under way.
            Err(PublishError::NoPeersSubscribedToTopic) => s.gossip_unheard += 1,
            Err(_) => s.gossip_unsent += 1,
        });
        if let Err(error) = result
            && !matches!(error, PublishError::NoPeersSubscribedToTopic)
        {
            tracing::debug!(%error, topic = topic_name(to), "not published");
        }
    }

    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            } => {
                self.on_message(propagation_source, message_id, message);
            }
            gossipsub::Event::SlowPeer {
                peer_id,
                failed_messages,
            } => {
                tracing::debug!(%peer_id, ?failed_messages, "slow peer");
                self.stats.update(|s| s.slow_peers += 1);
            }
            _ => {}
        }
    }

    fn on_message(&mut self, forwarder: PeerId, id: MessageId, message: gossipsub::Message) {
        let ticket = GossipTicket {
            message: id,
            forwarder,
            author: message.source,
        };
        // Strict validation lets nothing pass without a signed source.
        let Some(author) = message.source else {
            self.verdict(&ticket, Acceptance::Reject);
            return;
        };
        // The subscription filter lets no other topic pass.
        let Some(of) = which(&message.topic) else {
            self.verdict(&ticket, Acceptance::Reject);
            return;
        };
        let content = match wire::decode_gossip(of, &message.data) {
            Ok(content) => content,
            Err(error) => {
                tracing::debug!(%forwarder, %author, topic = %message.topic, %error, "gossip refused");
                let verdict = if error.is_newer() {
                    Acceptance::Ignore
                } else {
                    Acceptance::Reject
                };
                self.verdict(&ticket, verdict);
                return;
            }
        };
        let event = NetworkEvent::Gossip {
            author: address::peer(&author),
            forwarder: address::peer(&forwarder),
            ticket,
            message: content,
        };
        match self.outbox.offer_gossip(event) {
            Ok(()) => self.stats.update(|s| s.gossip_received += 1),
            Err(dropped) => {
                self.stats.update(|s| s.gossip_dropped += 1);
                if let NetworkEvent::Gossip { ticket, .. } = dropped {
                    self.report(&ticket, MessageAcceptance::Ignore);
                }
            }
        }
    }

    pub(super) fn verdict(&mut self, ticket: &GossipTicket, verdict: Acceptance) {
        match verdict {
            Acceptance::Accept => self.report(ticket, MessageAcceptance::Accept),
            Acceptance::Ignore => {
                self.report(ticket, MessageAcceptance::Ignore);
                self.stats.update(|s| {
                    s.gossip_ignored += 1;
                    if let Some(peer) = s.offences(address::peer(&ticket.forwarder)) {
                        peer.ignored += 1;
                    }
                });
            }
            Acceptance::Reject => {
                self.report(ticket, MessageAcceptance::Reject);
                self.stats.update(|s| {
                    s.gossip_rejected += 1;
                    if let Some(peer) = s.offences(address::peer(&ticket.forwarder)) {
                        peer.forwarded += 1;
                    }
                    if let Some(peer) = ticket.author.and_then(|a| s.offences(address::peer(&a))) {
                        peer.authored += 1;
                    }
                });
            }
        }
    }

    /// Gossipsub may have forgotten the message since; then there is nothing left to decide.
    fn report(&mut self, ticket: &GossipTicket, acceptance: MessageAcceptance) {
        self.swarm
            .behaviour_mut()
            .gossip
            .report_message_validation_result(&ticket.message, &ticket.forwarder, acceptance);
    }
}

fn which(hash: &TopicHash) -> Option<Topic> {
    Topic::ALL
        .into_iter()
        .find(|t| topic_name(*t) == hash.as_str())
}
