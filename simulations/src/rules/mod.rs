//! Rules checked one by one, on the state machines themselves, for the bugs that another rule
//! hides from every sweep: promises hide a second vote in a term, polls a claim that raises
//! terms. Each check holds without a bug and fails with its own.

mod election;
mod shares;

use std::collections::BTreeMap;
use std::time::Duration;

use vajra_core::protocol::messages::TaskDescription;
use vajra_core::protocol::planted::{Bug, plant};
use vajra_core::protocol::spec::{Balance, LocalNode, OnLost, TestSpec};
use vajra_core::protocol::{Incarnation, NodeId, Peer, Time};

/// A rule's check: what it found wrong, if anything.
type Check = fn() -> Result<(), String>;

/// The bugs that need a check of their own.
const CHECKS: &[(Bug, Check)] = &[
    (Bug::ClaimOnce, election::a_claim_is_repeated),
    (Bug::NoRankDelay, election::later_ranks_wait),
    (
        Bug::NoWithdrawal,
        election::a_candidate_withdraws_before_an_earlier_rank,
    ),
    (Bug::ClaimRaisesTerm, election::a_claim_raises_nobodys_term),
    (
        Bug::AuthorityFromVotes,
        election::authority_counts_from_the_claim,
    ),
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
        shares::no_share_before_a_majority_knows_the_start,
    ),
    (
        Bug::StretchUnacknowledged,
        shares::no_longer_lease_before_a_majority_knows_it,
    ),
    (
        Bug::RenewedUninformed,
        shares::no_renewal_before_earlier_decisions_are_settled,
    ),
    (Bug::SplitRoundsUp, shares::parts_add_up),
    (
        Bug::AnswersWithoutAuthority,
        shares::no_answer_without_authority,
    ),
    (
        Bug::LeavesSilently,
        shares::who_leaves_frees_its_slots_at_once,
    ),
    (Bug::OldHeartbeats, shares::an_old_heartbeat_is_not_answered),
    (
        Bug::IncarnationsUnnamed,
        shares::an_answer_to_an_earlier_life_is_not_taken,
    ),
    (Bug::RestartFreesShare, shares::a_restart_frees_nothing),
    (
        Bug::OneWayRenewed,
        shares::who_hears_no_answer_is_not_renewed,
    ),
    (Bug::ReportedTwice, shares::a_report_is_honoured_once),
    (Bug::ReportedLate, shares::a_late_report_is_not_honoured),
    (Bug::FailRunsOn, shares::a_loss_ends_a_test_that_asks_for_it),
    (Bug::SleeperBlames, shares::who_slept_blames_nobody),
];

/// What the check of this bug's rule says with the bug planted; `None` if there is no check or
/// it found nothing.
pub fn broken_by(bug: Bug) -> Option<String> {
    let (_, check) = CHECKS.iter().find(|(b, _)| *b == bug)?;
    plant(Some(bug));
    let found = check();
    plant(None);
    found.err()
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(otherwise.to_owned()),
    }
}

fn ms(ms: u64) -> Time {
    Time(ms * 1_000_000)
}

/// Node `i` in its first life.
fn node(i: u32) -> NodeId {
    NodeId {
        peer: Peer::new(&i.to_be_bytes()),
        incarnation: Incarnation(1),
    }
}

fn myself(node: NodeId) -> LocalNode {
    LocalNode {
        node,
        name: "n".into(),
        version: "simulated".into(),
        capacity: 100,
        task_types: vec!["SLEEP".into()],
        labels: BTreeMap::new(),
        environment: String::new(),
    }
}

fn spec(on_lost: OnLost) -> TestSpec {
    TestSpec {
        length: Duration::from_secs(60),
        end: Duration::from_secs(60),
        setup: None,
        teardown: None,
        grace: Duration::from_secs(1),
        min_workers: 1,
        balance: Balance::Equal,
        on_lost,
        labels: BTreeMap::new(),
        task: TaskDescription {
            task_type: "SLEEP".into(),
            ..TaskDescription::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_holds_without_a_bug_and_fails_with_its_own() {
        for (bug, check) in CHECKS {
            assert_eq!(check(), Ok(()), "{}", bug.key());
            assert!(broken_by(*bug).is_some(), "{}", bug.key());
        }
    }
}
