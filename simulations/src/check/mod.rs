//! The checkers of the invariants, one per file. They observe the world from outside, in true time,
//! after every event, and do not use the protocol's own bookkeeping.

pub mod checker;
mod committed_log;
mod exact_merge;
mod hooks_run_once;
pub mod no_excess_load;
mod no_lost_counts;
pub mod one_authority;
mod progress;
mod single_start;
mod termination;

use checker::Checker;

/// Checkers of all invariants.
pub fn all() -> Vec<Box<dyn Checker>> {
    vec![
        Box::<no_excess_load::NoExcessLoad>::default(),
        Box::<one_authority::OneAuthority>::default(),
        Box::<single_start::SingleStart>::default(),
        Box::<committed_log::CommittedLog>::default(),
        Box::<hooks_run_once::HooksRunOnce>::default(),
        Box::<exact_merge::ExactMerge>::default(),
        Box::<no_lost_counts::NoLostCounts>::default(),
        Box::<progress::Progress>::default(),
        Box::<termination::Termination>::default(),
    ]
}
