//! Gossip: publishing messages, delivering received ones, and reporting their acceptance.

use libp2p::PeerId;
use libp2p::gossipsub::{self, MessageAcceptance, MessageId, PublishError, TopicHash};

use super::address;
use super::behaviour::{topic, topic_name};
use super::event::{GossipTicket, NetworkEvent};
use super::io::Io;
use vajra_core::protocol::Acceptance;
use vajra_wire::{self as wire, Topic};

pub(super) fn publish(io: &mut Io, to: Topic, bytes: Vec<u8>) {
    let result = io.swarm.behaviour_mut().gossip.publish(topic(to), bytes);
    io.stats.update(|s| match &result {
        Ok(_) => s.gossip_published += 1,
        // A swarm of one, or peers whose subscriptions have not arrived yet.
        Err(PublishError::NoPeersSubscribedToTopic) => s.gossip_no_peers += 1,
        Err(_) => s.gossip_queue_full += 1,
    });
    if let Err(error) = result
        && !matches!(error, PublishError::NoPeersSubscribedToTopic)
    {
        tracing::debug!(%error, topic = topic_name(to), "not published");
    }
}

pub(super) fn on_event(io: &mut Io, event: gossipsub::Event) {
    match event {
        gossipsub::Event::Message {
            propagation_source,
            message_id,
            message,
        } => {
            on_message(io, propagation_source, message_id, message);
        }
        gossipsub::Event::SlowPeer {
            peer_id,
            failed_messages,
        } => {
            tracing::debug!(%peer_id, ?failed_messages, "slow peer");
            io.stats.update(|s| s.slow_peers += 1);
        }
        _ => {}
    }
}

fn on_message(io: &mut Io, forwarder: PeerId, id: MessageId, message: gossipsub::Message) {
    let ticket = GossipTicket {
        message: id,
        forwarder,
        author: message.source,
    };
    // Neither happens: strict validation requires a signed source, and the subscription filter
    // allows no other topic.
    let (Some(author), Some(topic)) = (message.source, topic_of(&message.topic)) else {
        set_acceptance(io, &ticket, Acceptance::Reject);
        return;
    };
    let content = match wire::decode_gossip(topic, &message.data) {
        Ok(content) => content,
        Err(error) => {
            tracing::debug!(%forwarder, %author, topic = %message.topic, %error, "gossip refused");
            let acceptance = if error.is_newer() {
                Acceptance::Ignore
            } else {
                Acceptance::Reject
            };
            set_acceptance(io, &ticket, acceptance);
            return;
        }
    };
    let event = NetworkEvent::Gossip {
        author: address::peer(&author),
        forwarder: address::peer(&forwarder),
        ticket,
        message: content,
    };
    match io.outbox.offer_gossip(event) {
        Ok(()) => io.stats.update(|s| s.gossip_received += 1),
        Err(dropped) => {
            io.stats.update(|s| s.gossip_dropped += 1);
            if let NetworkEvent::Gossip { ticket, .. } = dropped {
                report(io, &ticket, MessageAcceptance::Ignore);
            }
        }
    }
}

/// Reports the acceptance of a message to gossipsub, and counts it.
pub(super) fn set_acceptance(io: &mut Io, ticket: &GossipTicket, acceptance: Acceptance) {
    match acceptance {
        Acceptance::Accept => report(io, ticket, MessageAcceptance::Accept),
        Acceptance::Ignore => {
            report(io, ticket, MessageAcceptance::Ignore);
            io.stats.update(|s| {
                s.gossip_ignored += 1;
                if let Some(peer) = s.offences(address::peer(&ticket.forwarder)) {
                    peer.ignored += 1;
                }
            });
        }
        Acceptance::Reject => {
            report(io, ticket, MessageAcceptance::Reject);
            io.stats.update(|s| {
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

/// Has no effect if the message is no longer in gossipsub's cache.
fn report(io: &mut Io, ticket: &GossipTicket, acceptance: MessageAcceptance) {
    io.swarm
        .behaviour_mut()
        .gossip
        .report_message_validation_result(&ticket.message, &ticket.forwarder, acceptance);
}

fn topic_of(hash: &TopicHash) -> Option<Topic> {
    Topic::ALL
        .into_iter()
        .find(|t| topic_name(*t) == hash.as_str())
}
