//! What captured nodes know of the messages of others.

use std::collections::VecDeque;
use std::sync::Arc;

use vajra_core::protocol::Peer;
use vajra_core::protocol::beat::Beat;
use vajra_core::protocol::messages::{Gossip, TestMessage};

use crate::rng::Rng;
use crate::scenario::Scenario;

/// Messages of others that the captured node has kept.
const KEPT: usize = 64;
/// What captured nodes know, and their randomness.
#[derive(Debug)]
pub(super) struct Captured {
    /// Whether any node is captured in this run.
    pub(super) any: bool,
    pub(super) rng: Rng,
    pub(super) kept: VecDeque<(Peer, Arc<Gossip>)>,
    pub(super) newest_beat: Option<Arc<Beat>>,
}

impl Captured {
    pub(super) fn new(scenario: &Scenario) -> Captured {
        Captured {
            any: scenario.faults.captured(),
            rng: Rng::new(scenario.seed, "captured"),
            kept: VecDeque::new(),
            newest_beat: None,
        }
    }

    /// Records a message that was gossiped.
    pub(super) fn overhear(&mut self, author: &Peer, message: &Arc<Gossip>) {
        if !self.any || matches!(**message, Gossip::Advert(_)) {
            return;
        }
        if let Gossip::Test(TestMessage::Beat(beat)) = &**message {
            self.newest_beat = Some(beat.clone());
        }
        // The oldest ones are kept, too: they are the most useful to repeat.
        if self.kept.len() == KEPT {
            let at = KEPT / 4 + self.rng.index(KEPT * 3 / 4);
            self.kept.remove(at);
        }
        self.kept.push_back((author.clone(), message.clone()));
    }
}
