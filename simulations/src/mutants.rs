//! A check of the checks: every rule of the protocol is broken on purpose, and the sweep must
//! see it. Where another rule hides a bug from every sweep, a check of that rule alone
//! ([`crate::rules`]) must see it, and the table says so.

use std::ops::Range;

use vajra_core::protocol::planted::Bug;

use crate::check::Violation;
use crate::rules;
use crate::sweep::{self, Until};

/// What became of one bug.
#[derive(Debug)]
pub enum Caught {
    /// The sweep saw it.
    Sweep {
        /// The first seed that showed it.
        seed: u64,
        /// Seeds run until then.
        after: u64,
        /// What broke.
        violation: Violation,
    },
    /// The sweep did not see it, but a check of its rule did.
    Rule {
        /// What the check said.
        what: String,
    },
    /// Nothing saw it.
    Missed,
}

/// Plants a bug and looks for it in these seeds.
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
            Some(what) => Caught::Rule { what },
            None => Caught::Missed,
        },
    }
}
