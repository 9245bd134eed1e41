//! Merged metrics of a test.
//!
//! For every worker and every piece the newest version is kept, and nothing is summed on arrival.
//! So merging is commutative, associative and idempotent: snapshots may arrive late, twice or in
//! any order with the same result. Histograms stay encoded (a few KB each). A reader decodes and
//! adds them, and only then reads percentiles.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::id::{NodeId, TestId};
use super::planted::{Bug, planted};
use super::signature::Signature;
use super::spec::MAX_WORKERS;
use crate::metrics::{Piece, Snapshot, StartError, StepCounters, TimeKind};

/// A value with the number of the snapshot that it came in.
type Numbered<T> = (u64, T);

/// Newest metrics of one worker.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct WorkerMetrics {
    /// Number of the newest snapshot of which any piece arrived.
    pub number: u64,
    /// Whether that snapshot is the worker's last.
    pub is_final: bool,
    /// Number of pieces of that snapshot.
    pub pieces_total: u32,
    /// Time since the start of the profile.
    pub elapsed: Duration,
    /// Share of the worker then, in slots.
    pub slots: u32,
    /// Deviation from the planned start.
    pub start_error: Option<StartError>,
    /// CPU time of the engine threads.
    pub engine_cpu: Duration,
    /// The engine threads.
    pub engine_threads: u32,
    /// The worker's signature of that snapshot.
    pub signature: Option<Signature>,
    counters: Option<Numbered<Vec<StepCounters>>>,
    histograms: BTreeMap<(u32, TimeKind), Numbered<Arc<[u8]>>>,
}

impl WorkerMetrics {
    /// Newest counters of every step.
    pub fn counters(&self) -> &[StepCounters] {
        self.counters.as_ref().map_or(&[], |(_, c)| c)
    }

    /// Newest histogram of a step, encoded.
    pub fn histogram(&self, step: u32, kind: TimeKind) -> Option<&Arc<[u8]>> {
        self.histograms.get(&(step, kind)).map(|(_, data)| data)
    }

    /// Newest histograms of a kind, with their steps.
    pub fn histograms(&self, kind: TimeKind) -> impl Iterator<Item = (u32, &Arc<[u8]>)> {
        self.histograms
            .iter()
            .filter(move |((_, k), _)| *k == kind)
            .map(|((step, _), (_, data))| (*step, data))
    }

    /// Drops the histograms for which `needed` is false.
    pub fn retain_histograms(&mut self, needed: impl Fn(u32, TimeKind) -> bool) {
        self.histograms
            .retain(|(step, kind), _| needed(*step, *kind));
    }

    /// Approximate memory that they take.
    pub fn bytes(&self) -> usize {
        let counters = self.counters().iter().map(StepCounters::bytes);
        let histograms = self.histograms.values().map(|(_, data)| data.len());
        counters.sum::<usize>() + histograms.sum::<usize>()
    }

    /// Whether the worker has had a share of the load.
    pub fn had_load(&self) -> bool {
        let planned = |s: &StepCounters| s.counters.planned > 0 || s.counters.sent > 0;
        self.slots > 0 || self.counters().iter().any(planned)
    }

    /// Whether all pieces of the newest snapshot have arrived.
    pub fn is_complete(&self) -> bool {
        let counters = self.counters.iter().filter(|(n, _)| *n == self.number);
        let histograms = self.histograms.values().filter(|(n, _)| *n == self.number);
        self.pieces_total > 0 && counters.count() + histograms.count() >= self.pieces_total as usize
    }

    fn take(&mut self, snapshot: &Snapshot) -> bool {
        let mut changed = false;
        let older = planted(Bug::OlderSnapshotKept);
        if snapshot.number > self.number || older {
            changed = true;
            self.number = snapshot.number;
            self.is_final = snapshot.is_final;
            self.pieces_total = snapshot.pieces_total;
            self.elapsed = snapshot.elapsed;
            self.slots = snapshot.slots;
            self.start_error = snapshot.start_error;
            self.engine_cpu = snapshot.engine_cpu;
            self.engine_threads = snapshot.engine_threads;
            self.signature = Some(snapshot.signature);
        }
        for piece in &snapshot.pieces {
            match piece {
                Piece::Counters(steps) => {
                    if self
                        .counters
                        .as_ref()
                        .is_none_or(|(n, _)| snapshot.number > *n || older)
                    {
                        let mut steps = steps.clone();
                        if planted(Bug::SnapshotsSummed)
                            && let Some((_, known)) = &self.counters
                        {
                            for (step, known) in steps.iter_mut().zip(known) {
                                step.counters.add(&known.counters);
                            }
                        }
                        self.counters = Some((snapshot.number, steps));
                        changed = true;
                    }
                }
                Piece::Histogram { step, kind, data } => {
                    let kept = self.histograms.get(&(*step, *kind));
                    if kept.is_none_or(|(n, _)| snapshot.number > *n || older) {
                        self.histograms
                            .insert((*step, *kind), (snapshot.number, data.clone()));
                        changed = true;
                    }
                }
            }
        }
        changed
    }
}

/// Merged metrics of one test.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Merge {
    workers: BTreeMap<NodeId, WorkerMetrics>,
}

impl Merge {
    /// Merges a snapshot, or some pieces of one. Returns whether anything was new.
    pub fn take(&mut self, snapshot: &Snapshot) -> bool {
        if let Some(known) = self.workers.get_mut(&snapshot.worker) {
            return known.take(snapshot);
        }
        if self.workers.len() >= MAX_WORKERS {
            return false;
        }
        self.workers
            .entry(snapshot.worker.clone())
            .or_default()
            .take(snapshot)
    }

    /// Takes over the metrics of a worker that is not known.
    pub fn adopt(&mut self, worker: NodeId, metrics: WorkerMetrics) {
        if self.workers.len() < MAX_WORKERS {
            self.workers.entry(worker).or_insert(metrics);
        }
    }

    /// Removes a worker.
    pub fn remove(&mut self, worker: &NodeId) -> Option<WorkerMetrics> {
        self.workers.remove(worker)
    }

    /// All known workers and their newest metrics.
    pub fn workers(&self) -> &BTreeMap<NodeId, WorkerMetrics> {
        &self.workers
    }

    /// Whether a worker's snapshot with this number, or a newer one, has arrived completely.
    pub fn has(&self, worker: &NodeId, number: u64) -> bool {
        self.workers
            .get(worker)
            .is_some_and(|m| m.number >= number && m.is_complete())
    }

    /// The newest known snapshot of a worker, for another node: only a complete one, since a part
    /// cannot be checked.
    pub fn snapshot(&self, test: TestId, worker: &NodeId) -> Option<Snapshot> {
        let m = self.workers.get(worker).filter(|m| m.is_complete())?;
        let counters = m
            .counters
            .iter()
            .filter(|(n, _)| *n == m.number)
            .map(|(_, steps)| Piece::Counters(steps.clone()));
        let histograms = m
            .histograms
            .iter()
            .filter(|(_, (n, _))| *n == m.number)
            .map(|((step, kind), (_, data))| Piece::Histogram {
                step: *step,
                kind: *kind,
                data: data.clone(),
            });
        Some(Snapshot {
            test,
            worker: worker.clone(),
            number: m.number,
            is_final: m.is_final,
            pieces_total: m.pieces_total,
            elapsed: m.elapsed,
            slots: m.slots,
            start_error: m.start_error,
            engine_cpu: m.engine_cpu,
            engine_threads: m.engine_threads,
            pieces: counters.chain(histograms).collect(),
            signature: m.signature?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fakes::{node, snapshot};
    use super::*;

    const TEST: TestId = TestId([1; 16]);

    fn merged(order: &[&Snapshot]) -> Merge {
        let mut merge = Merge::default();
        for s in order {
            merge.take(s);
        }
        merge
    }

    #[test]
    fn order_repetition_and_loss_of_older_snapshots_change_nothing() {
        let (a1, a2, b1) = (
            snapshot(node(1), 1, 10),
            snapshot(node(1), 2, 25),
            snapshot(node(2), 1, 7),
        );
        let expected = merged(&[&a1, &a2, &b1]);
        for order in [
            vec![&a2, &a1, &b1],
            vec![&b1, &a2, &a2, &a1, &b1],
            vec![&a2, &b1],
        ] {
            assert_eq!(merged(&order), expected);
        }
    }

    #[test]
    fn pieces_that_arrive_separately_give_the_same_snapshot() {
        let whole = snapshot(node(1), 3, 99);
        let mut parts: Vec<Snapshot> = whole
            .pieces
            .iter()
            .map(|p| Snapshot {
                pieces: vec![p.clone()],
                ..whole.clone()
            })
            .collect();
        parts.reverse();
        let mut merge = Merge::default();
        for (i, part) in parts.iter().enumerate() {
            assert!(!merge.has(&node(1), 3), "complete after {i} pieces");
            assert!(merge.take(part));
        }
        assert!(merge.has(&node(1), 3));
        assert_eq!(merge.snapshot(TEST, &node(1)), Some(whole));
    }

    #[test]
    fn a_newer_piece_with_older_ones_is_not_a_complete_snapshot() {
        let old = snapshot(node(1), 1, 5);
        let mut new = snapshot(node(1), 2, 6);
        new.pieces.truncate(1);
        let mut merge = merged(&[&old]);
        merge.take(&new);
        assert!(!merge.has(&node(1), 2));
        assert!(!merge.has(&node(1), 1));
        assert!(!merge.take(&old));
    }

    #[test]
    fn another_incarnation_is_another_worker() {
        let mut restarted = node(1);
        restarted.incarnation.0 += 1;
        let merge = merged(&[&snapshot(node(1), 5, 50), &snapshot(restarted, 1, 3)]);
        let sent: u64 = merge
            .workers()
            .values()
            .flat_map(|m| m.counters())
            .map(|s| s.counters.sent)
            .sum();
        assert_eq!(sent, 53);
    }
}
