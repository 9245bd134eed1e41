//! Each rule of the election, in terms of messages in, messages out, and an injected time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::effects::Output;
use super::super::fakes::node;
use super::super::messages::Gossip;
use super::*;

const TEST: TestId = TestId([1; 16]);
const MS: u64 = 1_000_000;
const BODY: BeatBody = BeatBody {
    share_lease: Duration::from_millis(2_500),
    since_start: None,
    phase: Phase::Running,
};

fn at(ms: u64) -> Time {
    Time(ms * MS)
}

/// An elector of rank `me` among `count`, which has the plan.
fn elector(me: u32, count: u32) -> Election {
    let electorate = (0..count).map(node).collect();
    let mut election = Election::new(TEST, node(me), electorate, Timings::lan(), at(0));
    election.allow_leading();
    election
}

/// What is published while `act` runs.
fn said<T>(act: impl FnOnce(&mut Effects) -> T) -> (T, Vec<TestMessage>) {
    let mut fx = Effects::default();
    let result = act(&mut fx);
    let messages = fx.outputs.into_iter().filter_map(|o| match o {
        Output::Publish(Gossip::Test(m)) => Some(m),
        _ => None,
    });
    (result, messages.collect())
}

fn hear(e: &mut Election, ms: u64, message: &TestMessage) -> (Option<Change>, Vec<TestMessage>) {
    said(|fx| e.handle(at(ms), message, fx))
}

fn tick(e: &mut Election, ms: u64) -> (Option<Change>, Vec<TestMessage>) {
    said(|fx| e.tick(at(ms), BODY, fx))
}

fn poll(term: u64, candidate: u32) -> TestMessage {
    TestMessage::Poll {
        test: TEST,
        term,
        candidate: node(candidate),
        sending: 1,
    }
}

fn poll_answer(term: u64, candidate: u32, elector: u32, yes: bool, seen: u64) -> TestMessage {
    TestMessage::PollAnswer {
        test: TEST,
        term,
        candidate: node(candidate),
        elector: node(elector),
        sending: 1,
        yes,
        seen_term: seen,
    }
}

fn claim(term: u64, candidate: u32, sending: u32) -> TestMessage {
    TestMessage::Claim {
        test: TEST,
        term,
        candidate: node(candidate),
        sending,
    }
}

fn vote(term: u64, candidate: u32, elector: u32, sending: u32) -> TestMessage {
    TestMessage::Vote {
        test: TEST,
        term,
        candidate: node(candidate),
        elector: node(elector),
        sending,
        share_lease: Duration::ZERO,
        stop: None,
    }
}

fn beat(term: u64, coordinator: u32, number: u64) -> TestMessage {
    TestMessage::Beat {
        test: TEST,
        term,
        coordinator: node(coordinator),
        number,
        share_lease: BODY.share_lease,
        since_start: None,
        phase: Phase::Running,
    }
}

fn ack(term: u64, coordinator: u32, elector: u32, number: u64) -> TestMessage {
    TestMessage::BeatAck {
        test: TEST,
        term,
        coordinator: node(coordinator),
        elector: node(elector),
        number,
    }
}

fn resign(term: u64, who: u32) -> TestMessage {
    TestMessage::Resign {
        test: TEST,
        term,
        node: node(who),
    }
}

fn voted(messages: &[TestMessage]) -> bool {
    let is_vote = |m: &TestMessage| matches!(m, TestMessage::Vote { .. });
    messages.iter().any(is_vote)
}

fn claims(messages: &[TestMessage]) -> Option<u64> {
    messages.iter().find_map(|m| match m {
        TestMessage::Claim { term, .. } => Some(*term),
        _ => None,
    })
}

fn answer(messages: &[TestMessage]) -> Option<bool> {
    messages.iter().find_map(|m| match m {
        TestMessage::PollAnswer { yes, .. } => Some(*yes),
        _ => None,
    })
}

/// The elector of rank 0 of 3 that leads term 1, elected on the claim sent at 10 ms.
fn coordinator() -> Election {
    let mut e = elector(0, 3);
    tick(&mut e, 0);
    hear(&mut e, 10, &poll_answer(1, 0, 1, true, 0));
    let (change, _) = hear(&mut e, 20, &vote(1, 0, 1, 1));
    assert_eq!(change, Some(Change::Won { term: 1 }));
    e
}

#[test]
fn an_elector_of_rank_r_may_ask_after_r_times_the_delay() {
    for rank in 0..5 {
        let mut e = elector(rank, 5);
        let delay = u64::from(rank) * 200;
        assert_eq!(e.next_wake(), at(delay));
        if delay > 0 {
            assert!(tick(&mut e, delay - 1).1.is_empty());
        }
        assert_eq!(tick(&mut e, delay).1, [poll(1, rank)]);
    }
}

#[test]
fn without_the_plan_an_elector_does_not_stand_but_votes() {
    let electorate = (0..3).map(node).collect();
    let mut e = Election::new(TEST, node(0), electorate, Timings::lan(), at(0));
    assert!(tick(&mut e, 5_000).1.is_empty());
    assert!(voted(&hear(&mut e, 5_001, &claim(1, 1, 1)).1));
}

#[test]
fn a_candidate_polls_until_a_majority_says_yes_and_only_then_claims() {
    let mut e = elector(0, 5);
    assert_eq!(claims(&tick(&mut e, 0).1), None);
    assert_eq!(
        claims(&hear(&mut e, 5, &poll_answer(1, 0, 1, true, 0)).1),
        None
    );
    assert_eq!(
        claims(&hear(&mut e, 6, &poll_answer(1, 0, 1, true, 0)).1),
        None
    );
    assert_eq!(
        claims(&hear(&mut e, 7, &poll_answer(1, 0, 2, true, 0)).1),
        Some(1)
    );
}

#[test]
fn a_poll_binds_nobody() {
    let mut e = elector(2, 3);
    assert_eq!(answer(&hear(&mut e, 1, &poll(1, 0)).1), Some(true));
    assert_eq!(e.term(), 0);
    assert_eq!(answer(&hear(&mut e, 2, &poll(1, 1)).1), Some(true));
    assert!(voted(&hear(&mut e, 3, &claim(1, 1, 1)).1));
}

#[test]
fn a_no_tells_the_candidate_which_term_to_ask_for() {
    let mut e = elector(0, 3);
    tick(&mut e, 0);
    hear(&mut e, 1, &poll_answer(1, 0, 1, false, 4));
    let (_, messages) = tick(&mut e, 100);
    assert!(matches!(messages[..], [TestMessage::Poll { term: 5, .. }]));
}

#[test]
fn a_claim_is_sent_eight_times_and_then_given_up() {
    let mut e = elector(0, 3);
    tick(&mut e, 0);
    hear(&mut e, 0, &poll_answer(1, 0, 1, true, 0));
    for sending in 2..=8u32 {
        let (_, messages) = tick(&mut e, u64::from(sending - 1) * 100);
        assert_eq!(messages, [claim(1, 0, sending)]);
    }
    assert_eq!(tick(&mut e, 800).1, [resign(1, 0)]);
}

#[test]
fn a_claim_alone_raises_nobodys_term() {
    let mut e = elector(2, 3);
    hear(&mut e, 0, &beat(3, 0, 1));
    assert!(!voted(&hear(&mut e, 1, &claim(9, 1, 1)).1));
    assert_eq!(e.term(), 3);
    let acked = hear(&mut e, 2, &beat(3, 0, 2)).1;
    assert_eq!(
        acked,
        [ack(3, 0, 2, 2)],
        "the coordinator is still followed"
    );
}

#[test]
fn one_vote_a_term_even_after_the_promise_has_ended() {
    let mut e = elector(2, 3);
    assert!(voted(&hear(&mut e, 0, &claim(1, 0, 1)).1));
    assert!(
        voted(&hear(&mut e, 100, &claim(1, 0, 2)).1),
        "the same again"
    );
    assert!(!voted(&hear(&mut e, 5_000, &claim(1, 1, 1)).1));
    assert!(voted(&hear(&mut e, 5_000, &claim(2, 1, 1)).1));
}

#[test]
fn a_vote_is_a_promise_for_an_authority_lease_and_two_per_cent() {
    let mut e = elector(2, 3);
    hear(&mut e, 0, &claim(1, 0, 1));
    assert!(!voted(&hear(&mut e, 1_019, &claim(2, 1, 1)).1));
    assert!(voted(&hear(&mut e, 1_020, &claim(2, 1, 1)).1));
}

#[test]
fn a_beat_renews_the_promise_from_its_receipt() {
    let mut e = elector(2, 3);
    hear(&mut e, 0, &claim(1, 0, 1));
    hear(&mut e, 900, &beat(1, 0, 3));
    assert_eq!(answer(&hear(&mut e, 1_919, &poll(2, 1)).1), Some(false));
    assert_eq!(answer(&hear(&mut e, 1_920, &poll(2, 1)).1), Some(true));
}

#[test]
fn after_a_promise_an_elector_waits_its_rank_before_it_stands() {
    let mut e = elector(2, 3);
    hear(&mut e, 100, &beat(1, 0, 1));
    assert_eq!(e.next_wake(), at(100 + 1_020 + 2 * 200));
}

#[test]
fn resigning_frees_promises_of_exactly_that_term() {
    let mut e = elector(2, 3);
    hear(&mut e, 0, &beat(5, 0, 1));
    for other in [resign(4, 0), resign(6, 0), resign(5, 1)] {
        hear(&mut e, 1, &other);
        assert_eq!(answer(&hear(&mut e, 1, &poll(6, 1)).1), Some(false));
    }
    hear(&mut e, 2, &resign(5, 0));
    assert_eq!(answer(&hear(&mut e, 2, &poll(6, 1)).1), Some(true));
    assert_eq!(e.leader(), None);
}

#[test]
fn a_candidate_withdraws_for_an_earlier_rank_and_not_for_a_later_one() {
    let mut e = elector(1, 3);
    tick(&mut e, 200);
    hear(&mut e, 201, &poll_answer(1, 1, 2, true, 0));
    assert!(hear(&mut e, 202, &claim(1, 2, 1)).1.is_empty());
    let (_, messages) = hear(&mut e, 203, &claim(1, 0, 1));
    assert_eq!(
        messages,
        [resign(1, 1)],
        "and its vote of the term is its own"
    );
}

#[test]
fn whose_rival_resigned_the_same_term_asks_for_the_next_one_at_once() {
    let mut e = elector(0, 5);
    tick(&mut e, 0);
    hear(&mut e, 1, &poll_answer(1, 0, 1, true, 0));
    hear(&mut e, 1, &poll_answer(1, 0, 2, true, 0));
    hear(&mut e, 2, &resign(1, 3));
    assert_eq!(e.next_wake(), at(2));
    let (_, messages) = tick(&mut e, 2);
    assert!(matches!(messages[..], [TestMessage::Poll { term: 2, .. }]));
}

#[test]
fn authority_counts_from_the_sending_that_a_majority_answered() {
    let mut e = elector(0, 3);
    tick(&mut e, 0);
    hear(&mut e, 0, &poll_answer(1, 0, 1, true, 0));
    tick(&mut e, 100);
    let (change, _) = hear(&mut e, 150, &vote(1, 0, 1, 1));
    assert_eq!(change, Some(Change::Won { term: 1 }));
    assert!(e.has_authority(at(979)));
    assert!(
        !e.has_authority(at(980)),
        "98 % from the first sending, at 0 ms"
    );
}

#[test]
fn votes_that_come_too_late_make_no_coordinator() {
    let mut e = elector(0, 3);
    tick(&mut e, 0);
    hear(&mut e, 0, &poll_answer(1, 0, 1, true, 0));
    assert_eq!(hear(&mut e, 980, &vote(1, 0, 1, 1)).0, None);
    assert_eq!(e.leading(), None);
}

#[test]
fn votes_of_strangers_other_terms_and_sendings_never_made_do_not_count() {
    let mut e = elector(0, 3);
    tick(&mut e, 0);
    hear(&mut e, 0, &poll_answer(1, 0, 1, true, 0));
    for wrong in [
        vote(1, 0, 9, 1),
        vote(2, 0, 1, 1),
        vote(1, 0, 1, 2),
        vote(1, 0, 1, 0),
    ] {
        assert_eq!(hear(&mut e, 1, &wrong).0, None);
    }
    assert_eq!(
        hear(&mut e, 1, &vote(1, 0, 1, 1)).0,
        Some(Change::Won { term: 1 })
    );
}

#[test]
fn a_majority_of_acknowledgements_extends_authority_from_the_beats_sending() {
    let mut e = coordinator();
    assert_eq!(tick(&mut e, 30).1, [beat(1, 0, 1)]);
    assert_eq!(tick(&mut e, 280).1, [beat(1, 0, 2)]);
    hear(&mut e, 500, &ack(1, 0, 2, 1));
    assert!(e.has_authority(at(1_009)));
    assert!(!e.has_authority(at(1_010)));
    hear(&mut e, 600, &ack(1, 0, 2, 2));
    assert!(e.has_authority(at(1_259)));
    assert!(!e.has_authority(at(1_260)));
}

#[test]
fn a_coordinator_whose_authority_ran_out_resigns_and_late_acknowledgements_do_not_revive_it() {
    let mut e = coordinator();
    tick(&mut e, 30);
    hear(&mut e, 995, &ack(1, 0, 1, 1));
    assert!(!e.has_authority(at(995)));
    let (change, messages) = tick(&mut e, 995);
    assert_eq!(change, Some(Change::Lost { term: 1 }));
    assert_eq!(messages, [resign(1, 0)]);
}

/// The candidate's claim leaves at 0 and arrives at once: the worst case for the voter.
#[test]
fn authority_ends_before_the_promise_on_the_worst_clocks() {
    let lease = Timings::lan().authority_lease;
    let authority = held(lease).as_secs_f64() / 0.99;
    let mut e = elector(2, 3);
    hear(&mut e, 0, &claim(1, 0, 1));
    let until = (authority * 1.01 * 1_000.0) as u64;
    assert_eq!(answer(&hear(&mut e, until, &poll(2, 1)).1), Some(false));
}

#[test]
fn beats_of_a_lower_term_are_fenced() {
    let mut e = elector(2, 3);
    hear(&mut e, 0, &beat(4, 1, 1));
    assert_eq!(hear(&mut e, 1, &beat(3, 0, 9)), (None, vec![]));
    assert_eq!(e.leader(), Some(&(4, node(1))));
}

#[test]
fn a_coordinator_that_hears_a_higher_term_steps_down() {
    let mut e = coordinator();
    let (change, messages) = hear(&mut e, 50, &beat(2, 1, 1));
    assert_eq!(change, Some(Change::Lost { term: 1 }));
    assert!(messages.contains(&resign(1, 0)));
    assert!(!e.has_authority(at(50)));
    assert_eq!(e.leader(), Some(&(2, node(1))));
}

#[test]
fn a_restarted_elector_is_none_and_a_restarted_candidate_gets_no_vote() {
    let mut reborn = node(0);
    reborn.incarnation.0 = 2;
    let electorate = (0..3).map(node).collect();
    let mut e = Election::new(TEST, reborn.clone(), electorate, Timings::lan(), at(0));
    e.allow_leading();
    assert_eq!(e.next_wake(), Time::MAX);
    assert!(hear(&mut e, 1, &claim(1, 1, 1)).1.is_empty());
    assert!(hear(&mut e, 1, &poll(1, 1)).1.is_empty());
    let mut other = elector(1, 3);
    let theirs = TestMessage::Claim {
        test: TEST,
        term: 1,
        candidate: reborn,
        sending: 1,
    };
    assert!(!voted(&hear(&mut other, 1, &theirs).1));
}

#[test]
fn votes_carry_the_longest_share_lease_heard_and_the_winner_learns_it() {
    let long = Duration::from_secs(8);
    let mut voter = elector(2, 3);
    let mut stretched = beat(1, 0, 1);
    if let TestMessage::Beat { share_lease, .. } = &mut stretched {
        *share_lease = long;
    }
    hear(&mut voter, 0, &stretched);
    hear(&mut voter, 10, &beat(1, 0, 2));
    let (_, messages) = hear(&mut voter, 2_000, &claim(2, 1, 1));
    let [vote] = &messages[..] else {
        panic!("{messages:?}")
    };
    assert!(matches!(vote, TestMessage::Vote { share_lease, .. } if *share_lease == long));
    let mut winner = elector(1, 3);
    tick(&mut winner, 1_990);
    hear(&mut winner, 1_995, &poll_answer(2, 1, 2, false, 1));
    tick(&mut winner, 2_090);
    hear(&mut winner, 2_095, &poll_answer(2, 1, 2, true, 1));
    hear(&mut winner, 2_100, vote);
    assert_eq!(winner.leading(), Some(2));
    assert_eq!(winner.heard().share_lease, long);
}

#[test]
fn a_longer_share_lease_counts_only_once_a_majority_acknowledged_its_beat() {
    let mut e = coordinator();
    tick(&mut e, 30);
    assert_eq!(e.acknowledged_share_lease(), Duration::ZERO);
    hear(&mut e, 40, &ack(1, 0, 1, 1));
    assert_eq!(e.acknowledged_share_lease(), BODY.share_lease);
}

#[test]
fn who_leaves_neither_stands_nor_votes_nor_promises() {
    let mut e = elector(1, 3);
    e.retire();
    assert_eq!(e.next_wake(), Time::MAX);
    assert!(hear(&mut e, 1, &claim(1, 0, 1)).1.is_empty());
    assert!(hear(&mut e, 1, &beat(1, 0, 1)).1.is_empty());
}

#[test]
fn a_lone_elector_elects_itself_and_needs_nobody() {
    let mut e = elector(0, 1);
    let (change, _) = tick(&mut e, 0);
    assert_eq!(change, Some(Change::Won { term: 1 }));
    for ms in (0..5_000).step_by(250) {
        tick(&mut e, ms);
        assert!(e.has_authority(at(ms + 249)));
    }
}
