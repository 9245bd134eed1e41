//! Many seeds, on several threads.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vajra_core::protocol::planted::Bug;

use crate::coverage::Coverage;
use crate::run::run;
use crate::scenario::{Faults, Scenario};
use crate::trace::Trace;
use crate::violation::Violation;

/// Result of a sweep.
#[derive(Debug, Default)]
pub struct Swept {
    /// Seeds run.
    pub seeds: u64,
    /// Failed seeds, in order.
    pub failed: Vec<(u64, Violation)>,
    /// Situations that occurred in all of them.
    pub coverage: Coverage,
    /// Events handled.
    pub events: u64,
    /// Real time.
    pub took: Duration,
}

/// End of a sweep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// After its last seed.
    Done,
    /// After the first failed seed.
    FirstFailure,
}

/// Runs all seeds of the range on `jobs` threads, optionally with a planted bug.
pub fn sweep(
    seeds: Range<u64>,
    nodes: Option<usize>,
    jobs: usize,
    bug: Option<Bug>,
    until: Until,
) -> Swept {
    let started = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let stop = AtomicBool::new(false);
    let swept = Mutex::new(Swept::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let scenario = Scenario::from_seed(seed, nodes, Faults::All);
                    let outcome = run(scenario, Trace::default(), bug);
                    let Ok(mut swept) = swept.lock() else { return };
                    if outcome.violation.is_some() && until == Until::FirstFailure {
                        stop.store(true, Ordering::Relaxed);
                    }
                    swept.seeds += 1;
                    swept.events += outcome.events;
                    swept.coverage.add(&outcome.coverage);
                    swept
                        .failed
                        .extend(outcome.violation.map(|violation| (seed, violation)));
                }
            });
        }
    });
    let mut swept = swept.into_inner().unwrap_or_default();
    swept.failed.sort_by_key(|(seed, _)| *seed);
    swept.took = started.elapsed();
    swept
}
