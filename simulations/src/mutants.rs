//! Checks the checkers: every rule of the protocol is broken by a planted bug, which the sweep must
//! detect. Where another rule hides a bug from every sweep, a check of its rule ([`crate::rules`])
//! must detect it, which the table reports.

use std::ops::Range;

use vajra_core::protocol::planted::Bug;

use crate::rules;
use crate::sweep::{self, Until};
use crate::violation::Violation;

/// Outcome for one bug.
#[derive(Debug)]
pub enum Caught {
    /// The sweep detected it.
    Sweep {
        /// First failing seed.
        seed: u64,
        /// Number of seeds up to that one.
        after: u64,
        /// Violated invariant.
        violation: Violation,
    },
    /// The sweep did not detect it, but a check of its rule did.
    Rule {
        /// Text of the check.
        description: &'static str,
    },
    /// Not detected.
    Missed,
}

/// Plants a bug and runs these seeds until one fails.
pub fn hunt(bug: Bug, seeds: Range<u64>, jobs: usize) -> Caught {
    let from = seeds.start;
    let swept = sweep::sweep(seeds, None, jobs, Some(bug), Until::FirstFailure);
    match swept.failed.into_iter().next() {
        Some((seed, violation)) => Caught::Sweep {
            seed,
            after: seed - from + 1,
            violation,
        },
        None => match rules::broken_by(bug) {
            Some(description) => Caught::Rule { description },
            None => Caught::Missed,
        },
    }
}
