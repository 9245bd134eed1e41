//! Rules of the election, on one elector of three.

use std::sync::Arc;
use std::time::Duration;

use vajra_core::protocol::beat::Beat;
use vajra_core::protocol::certificate::{self, Certificate};
use vajra_core::protocol::election::{BeatBody, Election};
use vajra_core::protocol::messages::{Gossip, RelayedStart, Request, TestMessage, TestState};
use vajra_core::protocol::spec::Timings;
use vajra_core::protocol::{Effects, NodeId, Output, Signature};

use super::support::{BrokenRule, TEST, ensure, keys, ms, node};

struct Elector(Election);

impl Elector {
    /// Elector `rank` of three, which receives the announcement at time 0.
    fn new(rank: u32) -> Elector {
        let me = node(rank);
        let keys = keys(&me);
        let mut election = Election::new(TEST, me, electors(), keys, Timings::lan(), ms(0));
        election.allow_leading();
        Elector(election)
    }

    fn sent(fx: Effects) -> Vec<TestMessage> {
        let sent = fx.outputs.into_iter().filter_map(|o| match o {
            Output::Publish(Gossip::Test(m)) | Output::Send(_, Request::Election(m)) => Some(m),
            _ => None,
        });
        sent.collect()
    }

    fn tick(&mut self, at: u64) -> Vec<TestMessage> {
        let mut fx = Effects::default();
        self.0.tick(ms(at), BeatBody::default(), &mut fx);
        Elector::sent(fx)
    }

    fn receive(&mut self, at: u64, message: &TestMessage) -> Vec<TestMessage> {
        let mut fx = Effects::default();
        self.0.handle(ms(at), message, &mut fx);
        Elector::sent(fx)
    }

    /// Polls, gets a positive answer of elector `by`, and claims term 1.
    fn poll_and_claim(&mut self, at: u64, rank: u32, by: u32) -> Vec<TestMessage> {
        self.tick(at);
        self.receive(
            at,
            &TestMessage::PollAnswer {
                test: TEST,
                term: 1,
                candidate: node(rank),
                elector: node(by),
                sending: 1,
                yes: true,
                seen_term: 0,
            },
        )
    }
}

fn electors() -> Vec<NodeId> {
    (0..3).map(node).collect()
}

/// Signature under the vote of an elector.
fn signed_vote(term: u64, candidate: u32, elector: u32) -> Signature {
    let statement = certificate::vote(TEST, term, &node(candidate), &node(elector));
    keys(&node(elector)).sign(&statement)
}

fn claim(term: u64, by: u32) -> TestMessage {
    TestMessage::Claim {
        test: TEST,
        term,
        candidate: node(by),
        sending: 1,
    }
}

/// A vote of elector 1.
fn vote(term: u64, candidate: u32) -> TestMessage {
    TestMessage::Vote {
        test: TEST,
        term,
        candidate: node(candidate),
        elector: node(1),
        sending: 1,
        stop: None,
        start: None,
        beat: None,
        signature: signed_vote(term, candidate, 1),
    }
}

fn beat(term: u64, by: u32, number: u64) -> TestMessage {
    TestMessage::Beat(Arc::new(signed_beat(term, by, number, None)))
}

fn signed_beat(term: u64, by: u32, number: u64, since_start: Option<i64>) -> Beat {
    let votes: Vec<Signature> = (0..3).map(|e| signed_vote(term, by, e)).collect();
    let electors = electors();
    let certificate = Certificate::new(&electors, electors.iter().zip(&votes));
    let mut beat = Beat {
        test: TEST,
        term,
        coordinator: node(by),
        number,
        share_lease: Duration::from_secs(9),
        since_start,
        ends_within: None,
        state: TestState::Running,
        log: Arc::from([]),
        committed: 0,
        allocation: None,
        leased_until: Duration::ZERO,
        free: None,
        events: Vec::new(),
        certificate: certificate.into(),
        signature: Signature([0; 64]),
    };
    beat.signature = keys(&node(by)).sign(&beat.statement());
    beat
}

fn acknowledges(sent: &[TestMessage]) -> bool {
    sent.iter()
        .any(|m| matches!(m, TestMessage::BeatAck { .. }))
}

pub fn later_ranks_wait() -> Result<(), BrokenRule> {
    let mut second = Elector::new(1);
    ensure(
        second.tick(150).is_empty(),
        "all electors poll at once and split the votes",
    )?;
    ensure(!second.tick(200).is_empty(), "a later rank never polls")
}

pub fn a_claim_is_repeated() -> Result<(), BrokenRule> {
    let mut first = Elector::new(0);
    let claimed = first.poll_and_claim(0, 0, 1);
    let again = first.tick(100);
    let claims = |sent: &[TestMessage]| sent.iter().any(|m| matches!(m, TestMessage::Claim { .. }));
    ensure(
        claims(&claimed) && claims(&again),
        "a lost claim is not repeated",
    )
}

pub fn a_candidate_withdraws_before_an_earlier_rank() -> Result<(), BrokenRule> {
    let mut second = Elector::new(1);
    second.poll_and_claim(200, 1, 2);
    let sent = second.receive(210, &claim(1, 0));
    let resigns = sent.iter().any(|m| matches!(m, TestMessage::Resign { .. }));
    ensure(resigns, "two candidates split the votes permanently")
}

pub fn a_claim_raises_no_term() -> Result<(), BrokenRule> {
    let mut elector = Elector::new(2);
    elector.receive(0, &beat(1, 0, 1));
    elector.receive(100, &claim(5, 1));
    let sent = elector.receive(250, &beat(1, 0, 2));
    ensure(
        acknowledges(&sent),
        "a claim of an isolated node unseats a coordinator",
    )
}

pub fn authority_counts_from_the_claim() -> Result<(), BrokenRule> {
    let mut first = Elector::new(0);
    first.poll_and_claim(0, 0, 1);
    first.receive(900, &vote(1, 0));
    ensure(first.0.has_authority(ms(970)), "a majority voted")?;
    ensure(
        !first.0.has_authority(ms(1_100)),
        "authority outlasts the promises of the voters",
    )
}

pub fn a_lower_term_is_not_followed() -> Result<(), BrokenRule> {
    let mut elector = Elector::new(2);
    elector.receive(0, &claim(3, 0));
    let sent = elector.receive(100, &beat(2, 1, 9));
    ensure(
        !acknowledges(&sent),
        "a beat of a lower term is acknowledged",
    )
}

pub fn a_vote_carries_the_longest_lease() -> Result<(), BrokenRule> {
    let mut elector = Elector::new(2);
    elector.receive(0, &beat(1, 0, 1));
    let sent = elector.receive(1_100, &claim(2, 1));
    let mut successor = Elector::new(1);
    successor.tick(200);
    for (by, yes) in [(0, false), (2, true)] {
        let answer = TestMessage::PollAnswer {
            test: TEST,
            term: 2,
            candidate: node(1),
            elector: node(by),
            sending: 1,
            yes,
            seen_term: 1,
        };
        successor.receive(200, &answer);
    }
    for vote in sent {
        successor.receive(210, &vote);
    }
    let term = successor.0.leading();
    let known = successor.0.replicated().share_lease;
    ensure(
        term.is_none() || known == Duration::from_secs(9),
        "a successor does not learn the longest share lease",
    )?;
    ensure(term.is_some(), "a vote with a beat does not count")
}

pub fn a_vote_does_not_delay_the_start() -> Result<(), BrokenRule> {
    let mut candidate = Elector::new(0);
    candidate.receive(0, &beat(1, 2, 1));
    candidate.tick(1_100);
    let yes = TestMessage::PollAnswer {
        test: TEST,
        term: 2,
        candidate: node(0),
        elector: node(1),
        sending: 1,
        yes: true,
        seen_term: 1,
    };
    candidate.receive(1_100, &yes);
    let mut vote = vote(2, 0);
    if let TestMessage::Vote { start, beat, .. } = &mut vote {
        *beat = Some(Arc::new(signed_beat(1, 2, 2, Some(5_000_000_000))));
        *start = Some(RelayedStart {
            term: 1,
            since: 2_000_000_000,
        });
    }
    candidate.receive(1_110, &vote);
    ensure(candidate.0.leading() == Some(2), "a vote does not count")?;
    ensure(
        candidate.0.replicated().start.is_none(),
        "an elector makes a successor start new workers too late",
    )
}

pub fn an_old_beat_renews_no_promise() -> Result<(), BrokenRule> {
    let mut elector = Elector::new(2);
    elector.receive(0, &beat(1, 0, 2));
    let sent = elector.receive(900, &beat(1, 0, 1));
    ensure(
        !acknowledges(&sent),
        "a delayed beat keeps electors from voting for a successor",
    )
}

pub fn a_far_term_is_not_considered() -> Result<(), BrokenRule> {
    let mut elector = Elector::new(2);
    let sent = elector.receive(0, &claim(1_000, 1));
    ensure(sent.is_empty(), "one elector uses up the numbers of terms")
}

pub fn forced_step_downs_back_off() -> Result<(), BrokenRule> {
    let mut coordinator = Elector::new(0);
    let mut forced = 0;
    for at in (0..4_000).step_by(100) {
        coordinator.tick(at);
        let term = coordinator.0.term() + 1;
        coordinator.receive(
            at,
            &TestMessage::PollAnswer {
                test: TEST,
                term,
                candidate: node(0),
                elector: node(1),
                sending: 1,
                yes: true,
                seen_term: 0,
            },
        );
        coordinator.receive(at, &vote(coordinator.0.term(), 0));
        let Some(term) = coordinator.0.leading() else {
            continue;
        };
        let poll = TestMessage::Poll {
            test: TEST,
            term: term + 2,
            candidate: node(2),
            sending: 1,
        };
        coordinator.receive(at, &poll);
        forced += u32::from(coordinator.0.leading().is_none());
    }
    ensure(forced > 0, "an elector above the term is never included")?;
    ensure(forced < 8, "one elector unseats every coordinator")
}

pub fn a_resignation_frees_promises_of_its_own_term_only() -> Result<(), BrokenRule> {
    let mut elector = Elector::new(2);
    elector.receive(0, &beat(2, 0, 1));
    let resign = |term| TestMessage::Resign {
        test: TEST,
        term,
        node: node(0),
    };
    elector.receive(10, &resign(1));
    let sent = elector.receive(20, &claim(3, 1));
    ensure(
        sent.is_empty(),
        "a delayed resignation lets two coordinators have authority at once",
    )?;
    elector.receive(30, &resign(2));
    let sent = elector.receive(40, &claim(3, 1));
    ensure(!sent.is_empty(), "a resignation frees no promise")
}
