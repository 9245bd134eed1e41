//! Counts of the traffic between nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use vajra_core::protocol::budget::COPIES;
use vajra_core::protocol::messages::{Gossip, Reply, Request};

use crate::size::{self, Topic};

/// Traffic by topic.
#[derive(Debug, Default)]
pub struct Meter {
    /// Start of the measurement.
    pub from: Option<Duration>,
    /// Messages and bytes by topic.
    pub sums: BTreeMap<Topic, (u64, u64)>,
}

impl Meter {
    fn add(&mut self, now: Duration, topic: Topic, messages: u64, bytes: u64) {
        if self.from.is_some_and(|from| now >= from) {
            let sum = self.sums.entry(topic).or_default();
            sum.0 += messages;
            sum.1 += messages * bytes;
        }
    }

    /// Counts a gossip message to `nodes` nodes; each receives it [`COPIES`] times on average.
    pub fn gossip(&mut self, now: Duration, message: &Gossip, nodes: usize) {
        if self.from.is_some() {
            let (topic, bytes) = size::gossip(message);
            self.add(now, topic, nodes as u64 * COPIES, bytes);
        }
    }

    /// Counts a request.
    pub fn request(&mut self, now: Duration, request: &Request) {
        if self.from.is_some() {
            self.add(now, Topic::Requests, 1, size::request(request));
        }
    }

    /// Counts a reply.
    pub fn reply(&mut self, now: Duration, reply: &Reply) {
        if self.from.is_some() {
            self.add(now, Topic::Requests, 1, size::reply(reply));
        }
    }
}
