//! Many seeds, on several threads.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vajra_core::protocol::planted::Bug;

use crate::check::Violation;
use crate::coverage::Coverage;
use crate::run::run;
use crate::scenario::{Faults, Scenario};
use crate::trace::Trace;

/// What came of a sweep.
#[derive(Debug, Default)]
pub struct Swept {
    /// Seeds run.
    pub seeds: u64,
    /// Those that broke an invariant, in order.
    pub failed: Vec<(u64, Violation)>,
    /// What was seen in all of them.
    pub coverage: Coverage,
    /// Events handled.
    pub events: u64,
    /// Real time that it took.
    pub took: Duration,
}

/// When a sweep is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// After its last seed.
    Done,
    /// When a seed broke an invariant.
    FirstFailure,
}

/// Runs every seed of the range on `jobs` threads, with a bug planted if one is given.
pub fn sweep(
    seeds: Range<u64>,
    nodes: Option<usize>,
    jobs: usize,
    bug: Option<Bug>,
    until: Until,
) -> Swept {
    let began = Instant::now();
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
    swept.took = began.elapsed();
    swept
}
