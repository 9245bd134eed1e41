//! Sends events to the caller. The event loop never waits for the caller: when the event queue is
//! full, gossip and requests are dropped, while replies, connects and disconnects wait here.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::event::{EVENT_QUEUE, NetworkEvent};
use super::stats::Stats;

/// Most events that wait here: twice the requests that this node can have in progress, each of which
/// ends with one reply. Connects and disconnects cancel each other. So the limit is reached only
/// when the caller no longer reads events.
pub(super) const MAX_WAITING: usize = 8192;

/// Slots of the event queue that gossip leaves free: a quarter is enough for the replies and
/// connects of a short burst.
const NOT_FOR_GOSSIP: usize = EVENT_QUEUE / 4;

pub(super) struct Outbox {
    channel: mpsc::Sender<NetworkEvent>,
    waiting: VecDeque<NetworkEvent>,
    stats: Arc<Stats>,
}

impl Outbox {
    pub(super) fn new(stats: Arc<Stats>) -> (Outbox, mpsc::Receiver<NetworkEvent>) {
        let (channel, events) = mpsc::channel(EVENT_QUEUE);
        (
            Outbox {
                channel,
                waiting: VecDeque::new(),
                stats,
            },
            events,
        )
    }

    /// Sends an event that must not be lost.
    pub(super) fn send(&mut self, event: NetworkEvent) {
        if self.waiting.is_empty() {
            match self.channel.try_send(event) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => return,
                Err(mpsc::error::TrySendError::Full(event)) => self.waiting.push_back(event),
            }
        } else if let Some(at) = self
            .waiting
            .iter()
            .rposition(|earlier| cancels(earlier, &event))
        {
            self.waiting.remove(at);
        } else {
            self.waiting.push_back(event);
        }
        if self.waiting.len() > MAX_WAITING {
            self.waiting.pop_front();
            self.stats.update(|s| s.events_lost += 1);
        }
    }

    /// Sends gossip. Returns it if the queue is nearly full.
    #[allow(clippy::result_large_err)]
    pub(super) fn offer_gossip(&mut self, event: NetworkEvent) -> Result<(), NetworkEvent> {
        if self.channel.capacity() <= NOT_FOR_GOSSIP {
            Err(event)
        } else {
            self.offer(event)
        }
    }

    /// Sends an event that may be lost. Returns it if the queue is full.
    #[allow(clippy::result_large_err)]
    pub(super) fn offer(&mut self, event: NetworkEvent) -> Result<(), NetworkEvent> {
        if !self.waiting.is_empty() {
            return Err(event);
        }
        self.channel
            .try_send(event)
            .map_err(mpsc::error::TrySendError::into_inner)
    }

    /// Whether events wait for [`Self::flush`].
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Sends the first waiting event when the queue has a free slot. Cancel-safe.
    pub(super) async fn flush(&mut self) {
        match self.channel.reserve().await {
            Ok(slot) => {
                if let Some(event) = self.waiting.pop_front() {
                    slot.send(event);
                }
            }
            Err(_) => self.waiting.clear(),
        }
    }

    /// Whether the caller has dropped its receiver.
    pub(super) fn is_closed(&self) -> bool {
        self.channel.is_closed()
    }
}

/// Whether two events are the connect and disconnect of the same peer.
fn cancels(earlier: &NetworkEvent, later: &NetworkEvent) -> bool {
    match (earlier, later) {
        (NetworkEvent::PeerConnected(a), NetworkEvent::PeerDisconnected(b))
        | (NetworkEvent::PeerDisconnected(a), NetworkEvent::PeerConnected(b)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use vajra_core::protocol::Peer;

    fn warning(n: usize) -> NetworkEvent {
        NetworkEvent::Warning(n.to_string())
    }

    #[tokio::test]
    async fn events_that_must_not_be_lost_arrive_in_order_even_if_the_queue_was_full() {
        let (mut outbox, mut events) = Outbox::new(Arc::default());
        let total = EVENT_QUEUE + 10;
        (0..total).for_each(|n| outbox.send(warning(n)));
        for n in 0..total {
            let NetworkEvent::Warning(text) = events.recv().await.unwrap() else {
                panic!()
            };
            assert_eq!(text, n.to_string());
            if outbox.is_waiting() {
                outbox.flush().await;
            }
        }
    }

    #[tokio::test]
    async fn events_that_may_be_lost_are_returned_when_the_queue_is_full() {
        let (mut outbox, _events) = Outbox::new(Arc::default());
        let accepted = (0..EVENT_QUEUE)
            .take_while(|n| outbox.offer_gossip(warning(*n)).is_ok())
            .count();
        assert_eq!(accepted, EVENT_QUEUE - NOT_FOR_GOSSIP);
        assert!(
            outbox.offer(warning(0)).is_ok(),
            "slots are left for requests"
        );
    }

    #[tokio::test]
    async fn waiting_connects_and_disconnects_of_a_peer_cancel_each_other() {
        let (mut outbox, _events) = Outbox::new(Arc::default());
        (0..EVENT_QUEUE).for_each(|n| outbox.send(warning(n)));
        outbox.send(warning(0));
        for _ in 0..MAX_WAITING {
            outbox.send(NetworkEvent::PeerConnected(Peer::new(b"x")));
            outbox.send(NetworkEvent::PeerDisconnected(Peer::new(b"x")));
        }
        assert_eq!(outbox.waiting.len(), 1);
    }
}
