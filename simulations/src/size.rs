//! Modelled size of messages, because the core has no encoding: the sizes of the real encoding of
//! ordinary messages (peer ids of 38 bytes, two addresses per node, one step), rounded up.

use vajra_core::metrics::Piece;
use vajra_core::protocol::budget::{COUNTERS, HISTOGRAM};
use vajra_core::protocol::messages::{Gossip, Reply, Request, TestMessage};

/// Signature, author, sequence number, topic and framing of a gossip message.
const SIGNED: u64 = 180;
/// Noise and Yamux framing, and the stream's opening, of a request or its reply.
const STREAM: u64 = 80;

/// Kind of traffic, as in the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Topic {
    /// Adverts.
    Nodes,
    /// Elections, beats, ends.
    Tests,
    /// Snapshots by gossip.
    Metrics,
    /// Requests and replies.
    Requests,
}

impl Topic {
    /// All topics.
    pub const ALL: [Topic; 4] = [Topic::Nodes, Topic::Tests, Topic::Metrics, Topic::Requests];

    /// Name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Topic::Nodes => "adverts",
            Topic::Tests => "tests",
            Topic::Metrics => "metrics",
            Topic::Requests => "requests",
        }
    }
}

fn pieces(pieces: &[Piece]) -> u64 {
    let of = |p: &Piece| match p {
        Piece::Counters(_) => COUNTERS,
        Piece::Histogram { .. } => HISTOGRAM,
    };
    pieces.iter().map(of).sum()
}

/// Topic and size of a gossip message.
pub fn gossip(message: &Gossip) -> (Topic, u64) {
    match message {
        Gossip::Advert(a) => (Topic::Nodes, SIGNED + 300 + 120 * a.tests.len() as u64),
        Gossip::Snapshot(s) => (Topic::Metrics, pieces(&s.pieces)),
        Gossip::Test(TestMessage::Announced(a)) => {
            let plan = a.plan.as_ref().map_or(0, |p| p.len() as u64);
            (
                Topic::Tests,
                SIGNED + 200 + 50 * a.electorate.len() as u64 + plan,
            )
        }
        Gossip::Test(TestMessage::Ended(e)) => {
            let (roster, events) = (e.roster.len() as u64, e.events.len() as u64);
            (Topic::Tests, SIGNED + 120 + 80 * roster + 100 * events)
        }
        Gossip::Test(_) => (Topic::Tests, SIGNED + 150),
    }
}

/// Size of a request.
pub fn request(request: &Request) -> u64 {
    STREAM
        + match request {
            Request::Register(_) => 350,
            Request::Heartbeat(_) => 150,
            Request::Assign(_) => 250,
            Request::Metrics(s) => pieces(&s.pieces),
            Request::Election(_) => 150,
            _ => 60,
        }
}

/// Size of a reply.
pub fn reply(reply: &Reply) -> u64 {
    STREAM
        + match reply {
            Reply::Heartbeat(_) => 150,
            Reply::Register(_) => 120,
            Reply::Snapshots { snapshots, .. } => snapshots.iter().map(|s| pieces(&s.pieces)).sum(),
            Reply::Plan(Some(plan)) => plan.len() as u64,
            Reply::Announcement(Some(_)) => 700,
            _ => 40,
        }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
    use vajra_core::metrics::new_histogram;

    use super::*;
    use crate::rng::Rng;

    /// Response times from 0.1 ms to 100 ms, evenly over the decades, as many as a worker has after
    /// ten minutes at 100 per second.
    #[test]
    fn a_histogram_fits_the_size_in_the_budget() {
        let mut rng = Rng::new(1, "sizes");
        let mut histogram = new_histogram();
        for _ in 0..60_000 {
            let sum: u64 = (0..6).map(|_| rng.within(0..500)).sum();
            let decades = 2.0 + sum as f64 / 1_000.0;
            histogram.saturating_record(10f64.powf(decades) as u64);
        }
        let mut data = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&histogram, &mut data)
            .expect("memory");
        let size = data.len() as u64 + SIGNED;
        assert!((HISTOGRAM / 4..=HISTOGRAM * 2).contains(&size), "{size}");
    }
}
