//! Traffic budget of metrics. In flat gossip every node receives every snapshot, so traffic per
//! node grows with the swarm. The interval between snapshots is stretched, and where that is not
//! enough, histograms are sent in rotation. Counters are always sent.

use std::time::Duration;

use super::spec::Timings;
use crate::metrics::Piece;

/// Most bytes of metrics that a node receives per second.
pub const METRICS_PER_SECOND: u64 = 1 << 20;
/// Copies of a message that a node receives: every link of a mesh of 6 carries it once in one of
/// its directions (GossipSub 1.1, section "mesh construction"), provided that duplicates in flight
/// are suppressed.
pub const COPIES: u64 = 3;
/// Size of the counters of a snapshot with one step, signed and framed, in bytes.
pub const COUNTERS: u64 = 600;
/// Size of a histogram, signed and framed, in bytes: a response time spread over three decades.
pub const HISTOGRAM: u64 = 1_600;
/// The longest time between two snapshots.
pub const LONGEST_INTERVAL: Duration = Duration::from_secs(5);

impl Timings {
    /// Time between snapshots in a swarm of `nodes` nodes: stretched so that the counters and one
    /// histogram of each fit the budget, up to [`LONGEST_INTERVAL`].
    pub fn metrics_interval(&self, nodes: usize) -> Duration {
        let bytes = nodes as u64 * COPIES * (COUNTERS + HISTOGRAM);
        let needed = Duration::from_millis(bytes * 1_000 / METRICS_PER_SECOND);
        needed.clamp(
            self.metrics_interval,
            LONGEST_INTERVAL.max(self.metrics_interval),
        )
    }
}

/// Most nodes whose counters alone fit the budget: the limit of flat gossip.
pub fn most_nodes() -> u64 {
    METRICS_PER_SECOND * LONGEST_INTERVAL.as_secs() / (COPIES * COUNTERS)
}

/// Selects the pieces of a snapshot to gossip.
#[derive(Debug, Default)]
pub struct Allowance {
    /// Unused bytes of the budget.
    saved: u64,
    /// Index of the next histogram.
    next: usize,
}

impl Allowance {
    /// The pieces that fit this node's part of the budget: the counters, then histograms in
    /// rotation.
    pub fn choose(&mut self, pieces: &[Piece], nodes: usize, interval: Duration) -> Vec<Piece> {
        let part = METRICS_PER_SECOND as f64 * interval.as_secs_f64();
        let part = part / (nodes.max(1) as u64 * COPIES) as f64;
        let (mut chosen, mut histograms) = (Vec::new(), Vec::new());
        for piece in pieces {
            match piece {
                Piece::Counters(_) => chosen.push(piece.clone()),
                Piece::Histogram { data, .. } => {
                    histograms.push((piece, HISTOGRAM.max(data.len() as u64)));
                }
            }
        }
        let all: u64 = histograms.iter().map(|(_, bytes)| bytes).sum();
        self.saved = (self.saved + part as u64).saturating_sub(COUNTERS).min(all);
        for _ in 0..histograms.len() {
            let (piece, bytes) = histograms[self.next % histograms.len()];
            if bytes > self.saved {
                break;
            }
            self.saved -= bytes;
            self.next += 1;
            chosen.push(piece.clone());
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::super::fakes::{node, snapshot};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_interval_stretches_with_the_swarm_up_to_five_seconds() {
        let timings = Timings::lan();
        let at = |nodes| timings.metrics_interval(nodes).as_millis();
        assert_eq!(at(5), 1_000);
        assert_eq!(at(150), 1_000);
        assert_eq!(at(500), 3_147);
        assert_eq!(at(1_000), 5_000);
        assert_eq!(most_nodes(), 2_912);
    }

    #[test]
    fn a_small_swarm_gossips_everything_and_a_large_one_rotates_histograms() {
        let pieces = snapshot(node(1), 1, 5).pieces;
        let mut allowance = Allowance::default();
        assert_eq!(allowance.choose(&pieces, 5, SECOND), pieces);
        let mut allowance = Allowance::default();
        let interval = Timings::lan().metrics_interval(1_000);
        let mut seen = Vec::new();
        let mut sent = 0;
        for _ in 0..20 {
            let chosen = allowance.choose(&pieces, 1_000, interval);
            assert_eq!(chosen[0], pieces[0], "counters are always sent");
            sent += COUNTERS + HISTOGRAM * (chosen.len() as u64 - 1);
            seen.extend(chosen.into_iter().skip(1));
        }
        for histogram in &pieces[1..] {
            assert!(seen.contains(histogram));
        }
        let per_second = sent * 1_000 * COPIES / (20 * interval.as_secs());
        assert!(
            per_second <= METRICS_PER_SECOND,
            "{per_second} bytes per second"
        );
    }
}
