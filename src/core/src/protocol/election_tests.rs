//! The rules of the election, one per test.

use super::super::effects::Output;
use super::super::fakes::{self, FakeKeys, node};
use super::super::messages::{Gossip, Request};
use super::*;

const TEST: TestId = TestId([2; 16]);
const MS: i64 = 1_000_000;

/// An elector, and its last messages.
struct Elector {
    election: Election,
    sent: Vec<TestMessage>,
    changes: Vec<Change>,
}

fn electors(count: u32) -> Vec<NodeId> {
    (0..count).map(node).collect()
}

fn election(me: NodeId, count: u32) -> Election {
    let keys = Arc::new(FakeKeys::of(&me));
    Election::new(TEST, me, electors(count), keys, Timings::lan(), Time(0))
}

impl Elector {
    /// Elector `rank` of three that receives the announcement at time 0.
    fn new(rank: u32) -> Elector {
        let mut election = election(node(rank), 3);
        election.allow_leading();
        Elector {
            election,
            sent: Vec::new(),
            changes: Vec::new(),
        }
    }

    fn after(&mut self, fx: Effects, change: Option<Change>) {
        self.sent = fx
            .outputs
            .into_iter()
            .filter_map(|o| match o {
                Output::Publish(Gossip::Test(m)) | Output::Send(_, Request::Election(m)) => Some(m),
                _ => None,
            })
            .collect();
        self.changes.extend(change);
    }

    fn tick(&mut self, ms: i64) -> &mut Elector {
        let mut fx = Effects::default();
        let change = self
            .election
            .tick(Time(ms * MS), BeatBody::default(), &mut fx);
        self.after(fx, change);
        self
    }

    fn receive(&mut self, ms: i64, message: TestMessage) -> &mut Elector {
        let mut fx = Effects::default();
        let change = self.election.handle(Time(ms * MS), &message, &mut fx);
        self.after(fx, change);
        self
    }

    fn voted(&self) -> bool {
        self.sent
            .iter()
            .any(|m| matches!(m, TestMessage::Vote { .. }))
    }

    fn claimed(&self) -> Option<u64> {
        self.sent.iter().find_map(|m| match m {
            TestMessage::Claim { term, .. } => Some(*term),
            _ => None,
        })
    }

    fn answered_yes(&self) -> bool {
        self.sent
            .iter()
            .any(|m| matches!(m, TestMessage::PollAnswer { yes: true, .. }))
    }

    /// Elector 0 of three, elected in term 1: claimed at 0 ms, voted for by elector 1.
    fn coordinator() -> Elector {
        let mut e = Elector::new(0);
        e.tick(0).receive(0, yes(0, 1)).receive(1, vote(1, 0, 1, 1));
        assert_eq!(e.changes, [Change::Won { term: 1 }]);
        e
    }
}

fn poll(term: u64, by: u32) -> TestMessage {
    TestMessage::Poll {
        test: TEST,
        term,
        candidate: node(by),
        sending: 1,
    }
}

fn yes(candidate: u32, by: u32) -> TestMessage {
    TestMessage::PollAnswer {
        test: TEST,
        term: 1,
        candidate: node(candidate),
        elector: node(by),
        sending: 1,
        yes: true,
        seen_term: 0,
    }
}

fn claim(term: u64, by: u32) -> TestMessage {
    TestMessage::Claim {
        test: TEST,
        term,
        candidate: node(by),
        sending: 1,
    }
}

/// A vote that relays a beat of an earlier term.
fn vote(term: u64, candidate: u32, by: u32, sending: u32) -> TestMessage {
    let relayed = signed_beat(term.saturating_sub(1), 2, 1, |b| {
        b.share_lease = Duration::from_secs(9);
    });
    relaying(term, candidate, by, sending, (term > 1).then_some(relayed))
}

fn relaying(term: u64, candidate: u32, by: u32, sending: u32, beat: Option<Beat>) -> TestMessage {
    let statement = super::vote(TEST, term, &node(candidate), &node(by));
    TestMessage::Vote {
        test: TEST,
        term,
        candidate: node(candidate),
        elector: node(by),
        sending,
        stop: None,
        start: None,
        beat: beat.map(Arc::new),
        signature: FakeKeys::of(&node(by)).sign(&statement),
    }
}

fn signed_beat(term: u64, by: u32, number: u64, change: impl FnOnce(&mut Beat)) -> Beat {
    fakes::beat(TEST, (term, by, number), &electors(3), change)
}

fn beat(term: u64, by: u32, number: u64) -> TestMessage {
    let lease = |b: &mut Beat| b.share_lease = Duration::from_secs(4);
    TestMessage::Beat(signed_beat(term, by, number, lease).into())
}

fn ack(term: u64, coordinator: u32, by: u32, number: u64) -> TestMessage {
    TestMessage::BeatAck {
        test: TEST,
        term,
        coordinator: node(coordinator),
        elector: node(by),
        number,
    }
}

fn resign(term: u64, by: u32) -> TestMessage {
    TestMessage::Resign {
        test: TEST,
        term,
        node: node(by),
    }
}

#[test]
fn an_elector_waits_for_its_rank_and_polls_before_it_claims() {
    let mut second = Elector::new(1);
    assert!(second.tick(199).sent.is_empty());
    second.tick(200);
    assert!(matches!(
        second.sent[..],
        [TestMessage::Poll { term: 1, .. }]
    ));
    assert_eq!(second.tick(300).claimed(), None, "no answers yet");
    assert_eq!(second.receive(310, yes(1, 2)).claimed(), Some(1));
}

#[test]
fn answers_of_other_nodes_and_refusals_are_not_counted() {
    let mut first = Elector::new(0);
    first.tick(0);
    assert_eq!(first.receive(1, yes(0, 77)).claimed(), None);
    let no = TestMessage::PollAnswer {
        test: TEST,
        term: 1,
        candidate: node(0),
        elector: node(1),
        sending: 1,
        yes: false,
        seen_term: 5,
    };
    assert_eq!(first.receive(2, no).claimed(), None);
    first.tick(100);
    assert!(
        matches!(first.sent[..], [TestMessage::Poll { term: 6, .. }]),
        "a known term is not polled for again"
    );
}

#[test]
fn an_elector_without_the_plan_votes_but_does_not_stand() {
    let mut e = Elector::new(0);
    e.election.can_lead = false;
    assert_eq!(e.election.next_wake(), Time::MAX);
    assert!(e.tick(5_000).sent.is_empty());
    assert!(e.receive(5_001, claim(1, 1)).voted());
}

#[test]
fn a_poll_is_not_binding_and_a_vote_is() {
    let mut e = Elector::new(2);
    assert!(e.receive(1, poll(1, 0)).answered_yes());
    assert!(e.receive(2, poll(1, 1)).answered_yes());
    assert!(e.receive(3, claim(1, 0)).voted());
    assert!(!e.receive(4, poll(2, 1)).answered_yes());
    assert!(!e.receive(5, claim(2, 1)).voted(), "a vote is a promise");
}

#[test]
fn a_promise_lasts_an_authority_lease_from_receipt_plus_the_margin() {
    let mut e = Elector::new(2);
    e.receive(3, claim(1, 0));
    assert!(!e.receive(1_022, claim(2, 1)).voted());
    assert!(e.receive(1_023, claim(3, 1)).voted());
}

#[test]
fn there_is_one_vote_per_term_even_without_a_promise() {
    let mut e = Elector::new(2);
    e.receive(3, claim(4, 0));
    assert!(!e.receive(9_000, claim(4, 1)).voted());
    assert!(
        !e.receive(9_000, claim(3, 1)).voted(),
        "lower terms are ignored"
    );
    assert!(e.receive(9_000, claim(4, 0)).voted(), "the same vote again");
    assert!(e.receive(19_000, claim(5, 1)).voted());
}

#[test]
fn claims_and_polls_raise_no_term() {
    let mut e = Elector::new(2);
    e.receive(1, beat(1, 0, 1));
    e.receive(2, poll(8, 1));
    e.receive(3, claim(9, 1));
    assert_eq!(e.election.term(), 1);
    e.receive(4, beat(1, 0, 2));
    assert!(matches!(
        e.sent[..],
        [TestMessage::BeatAck {
            term: 1,
            number: 2,
            ..
        }]
    ));
}

#[test]
fn a_resignation_frees_promises_of_exactly_its_term() {
    let mut e = Elector::new(2);
    e.receive(1, claim(3, 0));
    e.receive(2, resign(2, 0));
    assert!(!e.receive(3, claim(4, 1)).voted());
    e.receive(4, resign(3, 1));
    assert!(
        !e.receive(5, claim(4, 1)).voted(),
        "the resignation of another node frees no promise"
    );
    e.receive(6, resign(3, 0));
    assert!(e.receive(7, claim(4, 1)).voted());
}

#[test]
fn a_candidate_withdraws_for_an_earlier_rank_and_the_rival_gets_its_vote_in_the_next_term() {
    let mut second = Elector::new(1);
    second.tick(200).receive(201, yes(1, 2));
    assert_eq!(second.claimed(), Some(1));
    second.receive(202, claim(1, 0));
    assert!(matches!(
        &second.sent[..],
        [TestMessage::Resign { term: 1, .. }]
    ));
    assert!(second.receive(203, claim(2, 0)).voted());

    let mut first = Elector::new(0);
    first.tick(0).receive(1, yes(0, 2));
    first.receive(2, claim(1, 1));
    assert!(first.sent.is_empty(), "a rival of later rank is ignored");
}

#[test]
fn a_claim_is_repeated_eight_times_and_then_withdrawn() {
    let mut e = Elector::new(0);
    e.tick(0).receive(0, yes(0, 1));
    let sendings = (1..8)
        .filter(|i| e.tick(i * 100).claimed() == Some(1))
        .count();
    assert_eq!(sendings, 7);
    e.tick(800);
    assert!(matches!(&e.sent[..], [TestMessage::Resign { term: 1, .. }]));
    assert_eq!(e.election.leading(), None);
}

#[test]
fn authority_counts_from_the_answered_claim() {
    let mut e = Elector::new(0);
    e.tick(0).receive(0, yes(0, 1));
    for i in 1..5 {
        e.tick(i * 100);
    }
    // Claims 1 to 5 are sent at 0, 100, 200, 300, 400 ms. The second one is answered.
    e.receive(450, vote(1, 0, 1, 2));
    assert_eq!(e.changes, [Change::Won { term: 1 }]);
    assert!(e.election.has_authority(Time(1_079 * MS)));
    assert!(!e.election.has_authority(Time(1_080 * MS)));
}

#[test]
fn a_vote_that_arrives_after_the_authority_lease_does_not_elect() {
    let mut e = Elector::new(0);
    e.tick(0).receive(0, yes(0, 1));
    assert!(e.receive(990, vote(1, 0, 1, 1)).changes.is_empty());
}

#[test]
fn acknowledged_beats_extend_authority_from_their_sending() {
    let mut e = Elector::coordinator();
    e.tick(10);
    assert!(matches!(&e.sent[..], [TestMessage::Beat(b)] if b.number == 1));
    e.tick(260);
    e.receive(300, ack(1, 0, 1, 2));
    assert!(e.election.has_authority(Time(1_239 * MS)));
    assert!(!e.election.has_authority(Time(1_240 * MS)));
}

#[test]
fn a_coordinator_without_acknowledgements_steps_down_and_resigns() {
    let mut e = Elector::coordinator();
    for ms in [1, 251, 501, 751] {
        e.tick(ms);
    }
    e.tick(980);
    assert_eq!(e.changes.last(), Some(&Change::Lost { term: 1 }));
    assert!(matches!(&e.sent[..], [TestMessage::Resign { term: 1, .. }]));
    e.receive(981, ack(1, 0, 1, 4));
    assert!(!e.election.has_authority(Time(982 * MS)), "too late");
}

/// The order of events that safety depends on, at the worst allowed drift: the coordinator's
/// clock 1 % slow, the elector's 1 % fast, and no delay of the claim.
#[test]
fn authority_ends_before_the_promise_that_it_depends_on() {
    let lease = Timings::lan().authority_lease;
    let authority_ends = for_holder(lease).as_secs_f64() / 0.99;
    let promise_ends = for_waiter(lease).as_secs_f64() / 1.01;
    assert!(authority_ends < promise_ends);
}

#[test]
fn a_beat_of_a_higher_term_unseats_a_coordinator() {
    let mut e = Elector::coordinator();
    e.receive(20, beat(2, 1, 1));
    assert_eq!(e.changes.last(), Some(&Change::Lost { term: 1 }));
    assert_eq!(e.election.leader(), Some(&(2, node(1))));
    e.receive(30, beat(1, 2, 9));
    assert!(e.sent.is_empty(), "lower terms are ignored");
}

#[test]
fn after_the_last_beat_the_next_rank_stands_when_its_promise_has_ended() {
    let mut e = Elector::new(1);
    e.receive(5_000, beat(1, 0, 9));
    assert_eq!(e.election.next_wake(), Time(6_220 * MS));
    assert!(e.tick(6_219).sent.is_empty());
    assert!(matches!(
        e.tick(6_220).sent[..],
        [TestMessage::Poll { term: 2, .. }]
    ));
}

#[test]
fn a_restarted_elector_is_not_an_elector() {
    let mut reborn = node(0);
    reborn.incarnation.0 += 1;
    let mut election = election(reborn, 3);
    election.allow_leading();
    let mut e = Elector {
        election,
        sent: Vec::new(),
        changes: Vec::new(),
    };
    assert!(e.tick(60_000).sent.is_empty());
    assert!(e.receive(1, claim(1, 1)).sent.is_empty());
    assert!(e.receive(1, poll(1, 1)).sent.is_empty());
    assert!(
        e.receive(2, beat(1, 1, 1)).sent.is_empty(),
        "it follows without acknowledging"
    );
    assert_eq!(e.election.leader(), Some(&(1, node(1))));
}

/// A candidate in term 5, after it has received this vote of elector 1.
fn after_vote(beat: Option<Beat>) -> Elector {
    let mut e = Elector::new(0);
    e.receive(0, self::beat(4, 1, 7));
    e.tick(1_300).receive(1_301, yes(0, 1));
    assert_eq!(e.claimed(), Some(5));
    e.receive(1_302, relaying(5, 0, 1, 1, beat));
    assert_eq!(e.changes.last(), Some(&Change::Won { term: 5 }));
    e
}

#[test]
fn votes_carry_the_newest_beat_to_the_winner() {
    let mut voter = Elector::new(1);
    voter.receive(1, beat(1, 0, 1));
    voter.receive(100, beat(1, 0, 2));
    voter.receive(2_000, claim(2, 2));
    let [TestMessage::Vote { beat, .. }] = &voter.sent[..] else {
        panic!("{:?}", voter.sent);
    };
    assert_eq!(beat.as_ref().map(|b| b.number), Some(2));
    let lease = |beat| after_vote(beat).election.replicated().share_lease;
    let newer = signed_beat(4, 1, 8, |b| b.share_lease = Duration::from_secs(9));
    assert_eq!(lease(Some(newer)), Duration::from_secs(9));
    assert_eq!(lease(None), Duration::from_secs(4), "its own newest beat");
}

#[test]
fn a_relayed_beat_counts_only_with_the_signature_of_a_certified_coordinator() {
    let lease = |beat: Beat| after_vote(Some(beat)).election.replicated().share_lease;
    let long = |b: &mut Beat| b.share_lease = Duration::from_secs(9);
    let mut changed = signed_beat(4, 1, 8, |_| {});
    long(&mut changed);
    assert_eq!(lease(changed), Duration::from_secs(4), "not signed");
    let mut uncertified = signed_beat(3, 2, 8, long);
    uncertified.certificate = Arc::default();
    assert_eq!(lease(uncertified), Duration::from_secs(4));
    let mut other_test = signed_beat(4, 1, 8, long);
    other_test.test = TestId([3; 16]);
    assert_eq!(lease(other_test), Duration::from_secs(4));
    assert_eq!(lease(signed_beat(3, 2, 8, long)), Duration::from_secs(9));
}

#[test]
fn a_vote_without_the_signature_of_its_elector_does_not_count() {
    let mut e = Elector::new(0);
    e.tick(0).receive(0, yes(0, 1));
    let TestMessage::Vote {
        test,
        term,
        candidate,
        sending,
        signature,
        ..
    } = vote(1, 0, 2, 1)
    else {
        panic!();
    };
    let elector = node(1);
    let forged = TestMessage::Vote {
        test,
        term,
        candidate,
        elector,
        sending,
        stop: None,
        start: None,
        beat: None,
        signature,
    };
    assert!(e.receive(1, forged).changes.is_empty());
    e.receive(2, vote(1, 0, 1, 1));
    assert_eq!(e.changes, [Change::Won { term: 1 }]);
    let certificate = e.election.certificate();
    assert!(e.election.is_certified(1, &node(0), &certificate));
}

#[test]
fn a_coordinator_is_certified_by_its_votes_and_no_other_node_in_its_term() {
    let mut e = Elector::new(2);
    let certificate = |term, by| signed_beat(term, by, 1, |_| {}).certificate;
    assert!(!e.election.certify(3, &node(0), &Certificate::default()));
    assert!(!e.election.certify(3, &node(0), &certificate(3, 1)));
    assert!(!e.election.certify(3, &node(0), &certificate(2, 0)));
    assert!(e.election.certify(3, &node(0), &certificate(3, 0)));
    assert!(
        e.election.certify(3, &node(0), &Certificate::default()),
        "known"
    );
    assert!(!e.election.certify(3, &node(1), &certificate(3, 1)));
    assert!(!e.election.certify(2, &node(1), &certificate(2, 1)));
    assert!(e.election.certify(4, &node(1), &certificate(4, 1)));
    assert!(!e.election.certify(3, &node(0), &certificate(3, 0)));
}

#[test]
fn an_electorate_of_one_elects_itself_at_once() {
    let mut election = election(node(0), 1);
    election.allow_leading();
    let mut fx = Effects::default();
    let change = election.tick(Time(0), BeatBody::default(), &mut fx);
    assert_eq!(change, Some(Change::Won { term: 1 }));
    for ms in (0..5_000).step_by(250) {
        assert_eq!(
            election.tick(Time(ms * MS), BeatBody::default(), &mut fx),
            None
        );
    }
    assert!(election.has_authority(Time(5_000 * MS)));
}

#[test]
fn an_elector_that_yields_its_rank_waits_for_all_others() {
    let mut first = Elector::new(0);
    first.election.yield_rank(Time(0));
    let mut last = Elector::new(2);
    let (a, b) = (first.election.next_wake(), last.election.next_wake());
    assert!(a > b, "{a:?} {b:?}");
    assert!(!last.tick(b.0 / MS).sent.is_empty());
    assert!(
        !first.tick(a.0 / MS).sent.is_empty(),
        "it stands after them"
    );
}

#[test]
fn an_elector_above_the_term_forces_one_new_election() {
    let mut e = Elector::coordinator();
    e.receive(10, poll(2, 2));
    assert!(e.election.has_authority(Time(11 * MS)), "a missed beat");
    e.receive(20, poll(4, 2));
    assert!(matches!(e.sent[..], [TestMessage::Resign { term: 1, .. }]));
    assert_eq!(e.changes.last(), Some(&Change::Lost { term: 1 }));
    e.tick(220);
    assert!(
        e.sent
            .iter()
            .any(|m| matches!(m, TestMessage::Poll { term: 4, .. })),
        "the next term is above the highest reported one: {:?}",
        e.sent
    );
}

#[test]
fn the_start_of_a_later_term_counts_and_within_one_the_earliest() {
    let mut e = Elector::new(1);
    e.election.record_start(1, Time(50));
    e.election.record_start(1, Time(40));
    e.election.record_start(1, Time(60));
    assert_eq!(e.election.replicated().start, Some((1, Time(40))));
    e.election.record_start(3, Time(90));
    e.election.record_start(2, Time(10));
    assert_eq!(e.election.replicated().start, Some((3, Time(90))));
}

#[test]
fn a_start_is_acknowledged_by_a_majority_of_one_beat_that_named_it() {
    let mut e = Elector::coordinator();
    let beat_at = |e: &mut Elector, ms: i64, since_start| {
        let body = BeatBody {
            since_start,
            ..BeatBody::default()
        };
        e.election.beat_now(Time(ms * MS));
        e.election
            .tick(Time(ms * MS), body, &mut Effects::default());
    };
    beat_at(&mut e, 10, None);
    beat_at(&mut e, 20, Some(-5));
    e.receive(21, ack(1, 0, 1, 1));
    assert!(!e.election.acknowledged().start, "a beat without the start");
    e.receive(22, ack(1, 0, 1, 2));
    assert!(e.election.acknowledged().start);
}

#[test]
fn a_suspended_coordinator_steps_down_before_it_votes_for_a_rival() {
    let mut e = Elector::coordinator();
    e.receive(60_000, claim(2, 1));
    assert!(e.voted());
    assert_eq!(e.changes.last(), Some(&Change::Lost { term: 1 }));
    assert_eq!(e.election.leading(), None);
}

#[test]
fn a_beat_that_is_not_newer_renews_no_promise_and_is_not_acknowledged() {
    let mut e = Elector::new(2);
    e.receive(0, beat(1, 0, 5));
    for (ms, number) in [(400, 4), (800, 5)] {
        assert!(e.receive(ms, beat(1, 0, number)).sent.is_empty());
    }
    assert!(e.receive(1_021, claim(2, 1)).voted(), "no longer promised");
    let mut follows = Elector::new(2);
    follows.receive(0, beat(1, 0, 5));
    assert!(!follows.receive(400, beat(1, 0, 6)).sent.is_empty());
    assert!(!follows.receive(1_021, claim(2, 1)).voted());
    assert!(
        !follows.receive(1_030, beat(2, 0, 1)).sent.is_empty(),
        "numbers start again in each term"
    );
}

#[test]
fn a_term_far_above_the_known_ones_is_ignored_and_reached_in_steps() {
    let mut e = Elector::new(2);
    e.receive(0, beat(4, 0, 1));
    assert!(!e.receive(2_000, claim(13, 1)).voted());
    assert_eq!(e.election.term(), 4);
    let mut late = Elector::new(2);
    let answers = (0..5).map(|ms| late.receive(ms, poll(30, 1)).answered_yes());
    let answers: Vec<bool> = answers.collect();
    assert_eq!(answers, [false, false, false, true, true]);
    assert!(late.receive(10, claim(30, 1)).voted());
}

#[test]
fn a_refusal_with_a_far_term_does_not_use_up_the_numbers() {
    let mut first = Elector::new(0);
    first.tick(0);
    let no = TestMessage::PollAnswer {
        test: TEST,
        term: 1,
        candidate: node(0),
        elector: node(1),
        sending: 1,
        yes: false,
        seen_term: u64::MAX / 2,
    };
    first.receive(1, no);
    first.tick(100);
    assert!(
        matches!(first.sent[..], [TestMessage::Poll { term: 9, .. }]),
        "{:?}",
        first.sent
    );
}

#[test]
fn an_elector_that_unseats_coordinators_again_and_again_has_to_wait() {
    let mut e = Elector::coordinator();
    e.receive(20, poll(4, 2));
    assert_eq!(e.changes.last(), Some(&Change::Lost { term: 1 }));
    e.tick(220).receive(221, yes(0, 1));
    let term = e.claimed().expect("a claim");
    e.receive(222, vote(term, 0, 1, 1));
    assert_eq!(e.changes.last(), Some(&Change::Won { term }));
    e.receive(223, poll(term + 3, 2));
    assert_eq!(e.election.leading(), None, "after its first wait");
    e.tick(423).receive(424, yes(0, 1));
    let term = e.claimed().expect("a claim");
    e.receive(425, vote(term, 0, 1, 1));
    e.receive(500, poll(term + 3, 2));
    assert_eq!(e.election.leading(), Some(term), "the wait has doubled");
}

#[test]
fn polls_without_success_become_rarer() {
    let mut e = Elector::new(0);
    let polls = (0..20_000)
        .filter(|ms| !e.tick(*ms).sent.is_empty())
        .collect::<Vec<i64>>();
    assert!(polls[..16].iter().zip(0..).all(|(at, i)| *at == i * 100));
    assert!((80..120).contains(&polls.len()), "{}", polls.len());
}
