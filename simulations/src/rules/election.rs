//! Rules of the election, on one elector of three.

use std::sync::Arc;

use vajra_core::protocol::decisions::Decisions;
use vajra_core::protocol::election::{BeatBody, Election};
use vajra_core::protocol::messages::{Gossip, TestMessage, TestState};
use vajra_core::protocol::spec::Timings;
use vajra_core::protocol::{Effects, Output, TestId};

use super::*;
use crate::world::TEST;

struct Elector(Election);

impl Elector {
    /// Elector `rank` of three, which learns of the test at time 0.
    fn new(rank: u32) -> Elector {
        let electorate = (0..3).map(node).collect();
        let mut election = Election::new(TEST, node(rank), electorate, Timings::lan(), ms(0));
        election.allow_leading();
        Elector(election)
    }

    fn said(fx: Effects) -> Vec<TestMessage> {
        let said = fx.outputs.into_iter().filter_map(|o| match o {
            Output::Publish(Gossip::Test(m)) => Some(m),
            _ => None,
        });
        said.collect()
    }

    fn tick(&mut self, at: u64) -> Vec<TestMessage> {
        let mut fx = Effects::default();
        self.0.tick(ms(at), BeatBody::default(), &mut fx);
        Elector::said(fx)
    }

    fn hears(&mut self, at: u64, message: &TestMessage) -> Vec<TestMessage> {
        let mut fx = Effects::default();
        self.0.handle(ms(at), message, &mut fx);
        Elector::said(fx)
    }

    /// Asks, is told yes by elector `by`, and claims term 1.
    fn claims(&mut self, at: u64, rank: u32, by: u32) -> Vec<TestMessage> {
        self.tick(at);
        self.hears(
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

fn claim(term: u64, by: u32) -> TestMessage {
    TestMessage::Claim {
        test: TEST,
        term,
        candidate: node(by),
        sending: 1,
    }
}

fn beat(term: u64, by: u32, number: u64) -> TestMessage {
    TestMessage::Beat {
        test: TestId(TEST.0),
        term,
        coordinator: node(by),
        number,
        share_lease: Duration::from_secs(9),
        since_start: None,
        phase: TestState::Running,
        decisions: Arc::from([]),
        settled: 0,
        events: Vec::new(),
    }
}

fn acknowledges(said: &[TestMessage]) -> bool {
    said.iter()
        .any(|m| matches!(m, TestMessage::BeatAck { .. }))
}

pub fn later_ranks_wait() -> Result<(), String> {
    let mut second = Elector::new(1);
    ensure(
        second.tick(150).is_empty(),
        "all electors stand at once and split the votes",
    )?;
    ensure(!second.tick(200).is_empty(), "a later rank never stands")
}

pub fn a_claim_is_repeated() -> Result<(), String> {
    let mut first = Elector::new(0);
    let claimed = first.claims(0, 0, 1);
    let again = first.tick(100);
    let claims = |said: &[TestMessage]| said.iter().any(|m| matches!(m, TestMessage::Claim { .. }));
    ensure(
        claims(&claimed) && claims(&again),
        "a lost claim is not sent again",
    )
}

pub fn a_candidate_withdraws_before_an_earlier_rank() -> Result<(), String> {
    let mut second = Elector::new(1);
    second.claims(200, 1, 2);
    let said = second.hears(210, &claim(1, 0));
    let resigns = said.iter().any(|m| matches!(m, TestMessage::Resign { .. }));
    ensure(resigns, "two candidates split the votes for good")
}

pub fn a_claim_raises_nobodys_term() -> Result<(), String> {
    let mut elector = Elector::new(2);
    elector.hears(0, &beat(1, 0, 1));
    elector.hears(100, &claim(5, 1));
    let said = elector.hears(250, &beat(1, 0, 2));
    ensure(
        acknowledges(&said),
        "a claim of somebody deaf unseats a coordinator",
    )
}

pub fn authority_counts_from_the_claim() -> Result<(), String> {
    let mut first = Elector::new(0);
    first.claims(0, 0, 1);
    first.hears(
        900,
        &TestMessage::Vote {
            test: TEST,
            term: 1,
            candidate: node(0),
            elector: node(1),
            sending: 1,
            share_lease: Duration::ZERO,
            stop: None,
            start: None,
            decisions: Decisions::default(),
        },
    );
    ensure(first.0.has_authority(ms(970)), "a majority voted")?;
    ensure(
        !first.0.has_authority(ms(1_100)),
        "authority outlasts the promise of whoever voted",
    )
}

pub fn a_lower_term_is_not_followed() -> Result<(), String> {
    let mut elector = Elector::new(2);
    elector.hears(0, &beat(3, 0, 1));
    let said = elector.hears(100, &beat(2, 1, 9));
    ensure(
        !acknowledges(&said),
        "a beat of a lower term is acknowledged",
    )
}

pub fn a_vote_carries_the_longest_lease() -> Result<(), String> {
    let mut elector = Elector::new(2);
    elector.hears(0, &beat(1, 0, 1));
    let said = elector.hears(1_100, &claim(2, 1));
    let carries = said.iter().any(|m| {
        matches!(m, TestMessage::Vote { share_lease, .. } if *share_lease == Duration::from_secs(9))
    });
    ensure(carries, "a successor is not told how long leases run")
}
