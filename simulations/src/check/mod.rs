//! The checkers of the invariants, one per file. They observe the world from outside, in true time,
//! after every event, and do not use the protocol's own bookkeeping.

mod acts_once;
mod bounded_start;
pub mod checker;
mod committed_log;
mod exact_merge;
mod hooks_run_once;
mod no_dip;
pub mod no_excess_load;
mod no_lost_counts;
pub mod one_authority;
mod only_by_right;
mod progress;
mod proportional;
mod single_start;
mod termination;
mod true_end;

use checker::Checker;

/// Checkers of all invariants of a number of tests.
pub fn all(tests: usize) -> Vec<Box<dyn Checker>> {
    (0..tests).flat_map(of_test).collect()
}

/// Checkers of all invariants of one test.
fn of_test(of: usize) -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(no_excess_load::NoExcessLoad::new(of)),
        Box::new(acts_once::ActsOnce { of }),
        Box::new(one_authority::OneAuthority { of }),
        Box::new(single_start::SingleStart { of }),
        Box::new(committed_log::CommittedLog::new(of)),
        Box::new(hooks_run_once::HooksRunOnce { of }),
        Box::new(no_dip::NoDip::new(of)),
        Box::new(true_end::TrueEnd::new(of)),
        Box::new(exact_merge::ExactMerge { of }),
        Box::new(no_lost_counts::NoLostCounts { of }),
        Box::new(only_by_right::OnlyByRight { of }),
        Box::new(progress::Progress::new(of)),
        Box::new(proportional::Proportional::new(of)),
        Box::new(bounded_start::BoundedStart { of }),
        Box::new(termination::Termination { of }),
    ]
}
