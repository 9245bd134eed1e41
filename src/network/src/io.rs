//! What all parts of the event loop share.

use std::sync::Arc;

use libp2p::Swarm;

use super::behaviour::Behaviour;
use super::outbox::Outbox;
use super::stats::Stats;

/// The swarm, the events for the caller, and the counters.
pub(super) struct Io {
    pub swarm: Swarm<Behaviour>,
    pub outbox: Outbox,
    pub stats: Arc<Stats>,
}
