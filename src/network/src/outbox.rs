//! Events on their way to the driver. The event loop never waits for the driver: what may be
//! lost (gossip, requests) is dropped when it is behind, what must not (replies, peers coming
//! and going) waits here.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::handle::{EVENT_QUEUE, NetworkEvent};
use super::stats::Stats;

/// Most events that wait. Replies are bounded by the requests under way, and a peer's coming
/// and going cancel each other, so only a driver that has long stopped gets here.
const MAX_WAITING: usize = 8192;

/// Gossip leaves this much of the channel to everything else.
const KEPT_FREE: usize = EVENT_QUEUE / 4;

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

    /// Sends an event that must arrive.
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

    /// Sends gossip, if the driver keeps up; gives it back otherwise.
    #[allow(clippy::result_large_err)]
    pub(super) fn offer_gossip(&mut self, event: NetworkEvent) -> Result<(), NetworkEvent> {
        if self.channel.capacity() <= KEPT_FREE {
            Err(event)
        } else {
            self.offer(event)
        }
    }

    /// Sends an event that may be lost; gives it back if there is no room.
    #[allow(clippy::result_large_err)]
    pub(super) fn offer(&mut self, event: NetworkEvent) -> Result<(), NetworkEvent> {
        if !self.waiting.is_empty() {
            return Err(event);
        }
        self.channel
            .try_send(event)
            .map_err(mpsc::error::TrySendError::into_inner)
    }

    /// Whether [`Self::flush`] has something to do.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Waits for room and sends the first waiting event. Cancel-safe.
    pub(super) async fn flush(&mut self) {
        match self.channel.reserve().await {
            Ok(room) => {
                if let Some(event) = self.waiting.pop_front() {
                    room.send(event);
                }
            }
            Err(_) => self.waiting.clear(),
        }
    }

    /// Whether the driver is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.channel.is_closed()
    }
}

/// Whether two events about a peer amount to nothing.
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
    async fn what_must_arrive_does_in_order_however_late_the_driver_is() {
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
    async fn what_may_be_lost_is_given_back_when_the_driver_is_behind() {
        let (mut outbox, _events) = Outbox::new(Arc::default());
        let taken = (0..EVENT_QUEUE)
            .take_while(|n| outbox.offer_gossip(warning(*n)).is_ok())
            .count();
        assert_eq!(taken, EVENT_QUEUE - KEPT_FREE);
        assert!(
            outbox.offer(warning(0)).is_ok(),
            "room is kept for requests"
        );
    }

    #[tokio::test]
    async fn a_peer_that_comes_and_goes_unseen_leaves_no_trace() {
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
