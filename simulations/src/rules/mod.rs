//! Checks of single rules on the state machines, for bugs that another rule hides from every sweep:
//! promises hide a second vote in a term, polls hide a claim that raises terms. Each check passes
//! without a bug and fails with its own.

mod election;
mod shares;
mod support;

use support::BrokenRule;
use vajra_core::protocol::planted::{Bug, plant};

/// A check of a rule.
type Check = fn() -> Result<(), BrokenRule>;

/// Bugs that need a check of their own.
const CHECKS: &[(Bug, Check)] = &[
    (Bug::ClaimOnce, election::a_claim_is_repeated),
    (Bug::NoRankDelay, election::later_ranks_wait),
    (
        Bug::NoWithdrawal,
        election::a_candidate_withdraws_before_an_earlier_rank,
    ),
    (Bug::ClaimRaisesTerm, election::a_claim_raises_no_term),
    (
        Bug::AuthorityFromVotes,
        election::authority_counts_from_the_claim,
    ),
    (
        Bug::ResignFreesAll,
        election::a_resignation_frees_promises_of_its_own_term_only,
    ),
    (
        Bug::StartBelieved,
        election::a_vote_does_not_delay_the_start,
    ),
    (Bug::OldBeats, election::an_old_beat_renews_no_promise),
    (Bug::TermsUnbounded, election::a_far_term_is_not_considered),
    (Bug::NoBackOff, election::forced_step_downs_back_off),
    (
        Bug::LowerTermFollowed,
        election::a_lower_term_is_not_followed,
    ),
    (
        Bug::VoteForgetsLease,
        election::a_vote_carries_the_longest_lease,
    ),
    (
        Bug::StartUnacknowledged,
        shares::no_share_before_the_start_is_acknowledged,
    ),
    (
        Bug::StretchUnacknowledged,
        shares::no_longer_lease_before_it_is_acknowledged,
    ),
    (
        Bug::RenewedUninformed,
        shares::no_renewal_before_earlier_entries_are_committed,
    ),
    (Bug::SplitRoundsUp, shares::parts_add_up),
    (
        Bug::AnswersWithoutAuthority,
        shares::no_answer_without_authority,
    ),
    (
        Bug::LeavesSilently,
        shares::a_leaving_worker_frees_its_slots_at_once,
    ),
    (Bug::OldHeartbeats, shares::an_old_heartbeat_is_not_answered),
    (
        Bug::IncarnationsUnnamed,
        shares::an_order_to_an_earlier_incarnation_is_refused,
    ),
    (Bug::RestartFreesShare, shares::a_restart_frees_no_slots),
    (
        Bug::OneWayRenewed,
        shares::a_worker_without_answers_is_not_renewed,
    ),
    (
        Bug::LeaseUnbounded,
        shares::a_lease_of_a_week_is_not_accepted,
    ),
    (Bug::ReportedTwice, shares::a_report_is_honoured_once),
    (Bug::ReportedLate, shares::a_late_report_is_not_honoured),
    (Bug::FailContinues, shares::a_loss_ends_a_test_under_fail),
    (
        Bug::SuspensionIgnored,
        shares::a_suspended_node_ignores_its_own_gap,
    ),
];

/// Result of the check of this bug's rule with the bug planted; `None` if there is no check or it
/// passes.
pub fn broken_by(bug: Bug) -> Option<&'static str> {
    let (_, check) = CHECKS.iter().find(|(b, _)| *b == bug)?;
    plant(Some(bug));
    let found = check();
    plant(None);
    found.err().map(|broken| broken.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_passes_without_a_bug_and_fails_with_its_own() {
        for (bug, check) in CHECKS {
            assert_eq!(check(), Ok(()), "{}", bug.key());
            assert!(broken_by(*bug).is_some(), "{}", bug.key());
        }
    }
}
