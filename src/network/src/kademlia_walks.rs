//! When to search Kademlia for more peers. A state machine; time is passed in.

use std::time::{Duration, Instant};

/// Interval of walks after a new peer. It doubles with each walk while no new peer appears.
const IDLE_INTERVAL: Duration = Duration::from_secs(30);

/// Most doublings of [`IDLE_INTERVAL`], which give eight minutes.
const MAX_DOUBLINGS: u32 = 4;

/// Delay of the walk after a new peer, so that one walk covers peers that connect together.
const NEW_PEER_DELAY: Duration = Duration::from_millis(50);

/// Shortest interval between walks.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// The schedule of walks.
#[derive(Debug)]
pub(super) struct Walks {
    next: Instant,
    last: Instant,
    count: u64,
    /// Walks since the last new peer.
    idle: u32,
}

/// Where a walk searches. Walks alternate: peers near this node complete a small swarm, random
/// places sample a large one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Walk {
    NearThisNode,
    Random,
}

impl Walks {
    pub(super) fn new(now: Instant) -> Walks {
        Walks {
            next: now + IDLE_INTERVAL,
            last: now,
            count: 0,
            idle: 0,
        }
    }

    /// A new peer can be queried.
    pub(super) fn soon(&mut self, now: Instant) {
        let soon = (now + NEW_PEER_DELAY).max(self.last + MIN_INTERVAL);
        self.next = self.next.min(soon);
        self.idle = 0;
    }

    /// The walk to start now. If no walk is `useful`, one that is due is skipped.
    pub(super) fn due(&mut self, now: Instant, useful: bool) -> Option<Walk> {
        if now < self.next {
            return None;
        }
        self.next = now + IDLE_INTERVAL * 2_u32.pow(self.idle.min(MAX_DOUBLINGS));
        self.idle = self.idle.saturating_add(1);
        self.last = now;
        if !useful {
            return None;
        }
        self.count += 1;
        Some(match self.count % 2 {
            1 => Walk::NearThisNode,
            _ => Walk::Random,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_alternate_and_new_peers_start_them_early_but_not_too_often() {
        let start = Instant::now();
        let mut walks = Walks::new(start);
        assert_eq!(walks.due(start + NEW_PEER_DELAY, true), None);
        walks.soon(start);
        assert_eq!(walks.due(start + NEW_PEER_DELAY, true), None);
        let first = start + MIN_INTERVAL;
        assert_eq!(walks.due(first, true), Some(Walk::NearThisNode));
        walks.soon(first);
        assert_eq!(walks.due(first + NEW_PEER_DELAY, true), None);
        let second = first + MIN_INTERVAL;
        assert_eq!(walks.due(second, true), Some(Walk::Random));
        assert_eq!(walks.due(second + IDLE_INTERVAL, false), None);
        assert_eq!(walks.due(second + IDLE_INTERVAL, true), None);
    }

    #[test]
    fn walks_become_rare_while_no_new_peer_appears() {
        let start = Instant::now();
        let mut walks = Walks::new(start);
        let hour = |walks: &mut Walks, from: u64| {
            (from..from + 3600)
                .filter(|s| walks.due(start + Duration::from_secs(*s), true).is_some())
                .count()
        };
        assert!(hour(&mut walks, 0) <= 12);
        assert!(hour(&mut walks, 3600) <= 8);
        walks.soon(start + Duration::from_secs(7200));
        assert!(walks.due(start + Duration::from_secs(7201), true).is_some());
        assert_eq!(walks.due(start + Duration::from_secs(7230), true), None);
        assert!(walks.due(start + Duration::from_secs(7231), true).is_some());
    }
}
