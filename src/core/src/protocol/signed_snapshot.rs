//! The signed form of a snapshot. Nodes fetch snapshots of a worker from any other node, and count
//! only what the worker signed.

use super::signature::{Keys, Statement};
use crate::metrics::{Counters, Piece, Snapshot, StepCounters};

impl Snapshot {
    /// Whether it has all its pieces.
    pub fn is_whole(&self) -> bool {
        self.pieces.len() == self.pieces_total as usize
    }

    /// What its worker signs: the whole snapshot, in a fixed order of its pieces.
    fn statement(&self) -> Statement {
        let mut s = Statement::about("snapshot", self.test)
            .node(&self.worker)
            .number(self.number)
            .number(u64::from(self.is_final))
            .number(u64::from(self.pieces_total))
            .number(self.elapsed.as_nanos() as u64)
            .number(u64::from(self.slots));
        s = match self.start_error {
            None => s.number(0),
            Some(e) => s
                .number(1)
                .number(e.us.cast_unsigned())
                .number(u64::from(e.within_us)),
        };
        s = s
            .number(self.engine_cpu.as_nanos() as u64)
            .number(u64::from(self.engine_threads));
        let mut histograms = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Counters(steps) => s = s.list(steps.iter(), step),
                Piece::Histogram { step, kind, data } => histograms.push((*step, *kind, data)),
            }
        }
        histograms.sort_unstable();
        s.list(histograms.into_iter(), |s, (step, kind, data)| {
            s.number(u64::from(step)).number(kind as u64).field(data)
        })
    }

    /// Signs the whole snapshot.
    pub fn sign(&mut self, keys: &dyn Keys) {
        self.signature = keys.sign(&self.statement());
    }

    /// Whether it is whole, and its worker signed it.
    pub fn is_signed(&self, keys: &dyn Keys) -> bool {
        self.is_whole() && keys.is_signed(&self.statement(), &self.worker.peer, &self.signature)
    }
}

fn step(s: Statement, step: &StepCounters) -> Statement {
    let Counters {
        planned,
        iterations,
        sent,
        ok,
        failed,
        abandoned,
        warm_up,
        dropped_lease,
        dropped_late,
        dropped_full,
        in_flight,
        bytes_sent,
        bytes_received,
        checks_passed,
        checks_failed,
        status_codes,
        errors,
    } = &step.counters;
    let counts = [
        planned,
        iterations,
        sent,
        ok,
        failed,
        abandoned,
        warm_up,
        dropped_lease,
        dropped_late,
        dropped_full,
        in_flight,
        bytes_sent,
        bytes_received,
        checks_passed,
        checks_failed,
    ];
    counts
        .into_iter()
        .fold(s.field(step.name.as_bytes()), |s, n| s.number(*n))
        .list(status_codes.iter(), |s, (code, n)| {
            s.number(u64::from(*code)).number(*n)
        })
        .list(errors.iter(), |s, (key, e)| {
            s.field(key.kind.as_bytes())
                .field(key.message.as_bytes())
                .number(e.count)
                .number(e.first_ms)
                .number(e.last_ms)
        })
}

#[cfg(test)]
mod tests {
    use super::super::fakes::{FakeKeys, node, snapshot};
    use super::*;
    use crate::metrics::{ErrorCount, ErrorKey, StartError};

    #[test]
    fn no_field_can_be_changed_and_no_piece_can_be_missing() {
        let keys = FakeKeys::of(&node(3));
        let mut signed = snapshot(node(3), 4, 100);
        signed.start_error = Some(StartError::default());
        signed.sign(&keys);
        assert!(signed.is_signed(&keys));
        let counters = |s: &mut Snapshot, change: fn(&mut Counters)| match &mut s.pieces[0] {
            Piece::Counters(steps) => change(&mut steps[0].counters),
            Piece::Histogram { .. } => unreachable!("the counters are the first piece"),
        };
        let changes: [&dyn Fn(&mut Snapshot); 14] = [
            &|s| s.test.0[0] ^= 1,
            &|s| s.worker = node(2),
            &|s| s.worker.incarnation.0 += 1,
            &|s| s.number += 1,
            &|s| s.is_final = true,
            &|s| s.elapsed *= 2,
            &|s| s.slots += 1,
            &|s| s.start_error = None,
            &|s| s.engine_threads += 1,
            &|s| {
                s.pieces.pop();
            },
            &|s| {
                s.pieces.pop();
                s.pieces_total -= 1;
            },
            &|s| counters(s, |c| c.sent += 1),
            &|s| {
                counters(s, |c| {
                    c.status_codes.insert(200, 1);
                });
            },
            &|s| {
                counters(s, |c| {
                    let key = ErrorKey {
                        kind: "tls".into(),
                        message: String::new(),
                    };
                    c.errors.insert(key, ErrorCount::default());
                });
            },
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut changed = signed.clone();
            change(&mut changed);
            assert!(!changed.is_signed(&keys), "change {i}");
        }
        // The order of the pieces on the way does not matter.
        signed.pieces.reverse();
        assert!(signed.is_signed(&keys));
    }
}
