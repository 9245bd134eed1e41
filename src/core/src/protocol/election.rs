//! One test's election on one node: terms, polls, claims, votes, promises, beats, authority.
//!
//! The safety of it all rests on one order of events: **authority ends before promises do**.
//! An elector that votes, or hears a beat, promises for one authority lease *from receipt*
//! to vote for nobody else; a coordinator counts its authority for one authority lease from
//! the *sending* of what a majority answered. The holder counts 98 % and the waiter 102 %,
//! so clocks that drift by up to 1 % do not change that order. Two majorities share an
//! elector, so no one else can win before the former coordinator has lost.
//!
//! Progress rests on polls: nobody claims (and thereby uses up a term) before a majority
//! said that it would vote, so a node that hears nobody unseats nobody.

mod standing;
mod voting;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::decisions::{Decisions, LogEntry};
use super::effects::Effects;
use super::id::{NodeId, TestId};
use super::messages::{StartHeard, StopOrder, TestEvent, TestMessage, TestState};
use super::planted::{Bug, planted};
use super::spec::Timings;
use super::time::{Time, awaited, held};

/// Beats whose acknowledgement can still extend authority: those of one authority lease
/// (four), and some slack for beats sent out of turn.
const BEATS_KEPT: usize = 16;

/// What a beat says besides who sent it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BeatBody {
    /// The share-lease length in use, or about to be.
    pub share_lease: Duration,
    /// Nanoseconds since the start of the profile.
    pub since_start: Option<i64>,
    /// How far the test is.
    pub phase: TestState,
    /// What was decided.
    pub decisions: Arc<[LogEntry]>,
    /// What happened of late.
    pub events: Vec<TestEvent>,
}

/// What a node heard in the course of an election that others should learn from it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Heard {
    /// Longest share lease that a beat carried.
    pub share_lease: Duration,
    /// A stop.
    pub stop: Option<StopOrder>,
    /// The start of the profile on this node's clock, and the highest term of a beat that
    /// named it.
    pub start: Option<(u64, Time)>,
    /// What was decided.
    pub decisions: Decisions,
}

/// What a majority of electors has acknowledged to the coordinator: whoever is elected after
/// it will hear it with the votes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Acknowledged {
    /// The longest share lease that a beat announced.
    pub share_lease: Duration,
    /// A beat named the start of the profile.
    pub start: bool,
    /// A beat carried so many decisions.
    pub decisions: usize,
}

/// What an elector takes from a beat.
struct BeatHeard<'a> {
    number: u64,
    share_lease: Duration,
    decisions: &'a Arc<[LogEntry]>,
}

/// What changed in who leads.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// This node has just become the coordinator.
    Won {
        /// In this term.
        term: u64,
    },
    /// This node is coordinator no more.
    Lost {
        /// In this term.
        term: u64,
    },
    /// A beat of this coordinator was heard.
    Leader {
        /// Its term.
        term: u64,
        /// Who.
        node: NodeId,
    },
}

#[derive(Clone, PartialEq, Debug)]
struct Promise {
    term: u64,
    to: NodeId,
    until: Time,
}

#[derive(Debug)]
enum Stage {
    /// Waits until it may ask.
    Waiting { until: Time },
    /// Asks whether a majority would vote for it.
    Polling {
        sending: u32,
        next: Time,
        yes: BTreeMap<NodeId, Time>,
    },
    /// Claims a term.
    Claiming {
        term: u64,
        sent: Vec<Time>,
        next: Time,
        votes: BTreeMap<NodeId, u32>,
    },
    /// Is the coordinator.
    Leading(Authority),
}

/// A coordinator's authority, and what it rests on.
#[derive(Debug)]
struct Authority {
    term: u64,
    until: Time,
    number: u64,
    next_beat: Time,
    sent: VecDeque<(u64, Time)>,
    acks: BTreeMap<NodeId, u64>,
    leases: BTreeMap<u64, Duration>,
    /// The first beat that named the start of the profile.
    start_named: Option<u64>,
    /// How many decisions each beat carried.
    decided: BTreeMap<u64, usize>,
    acknowledged: Acknowledged,
}

/// One test's election on one node.
#[derive(Debug)]
pub struct Election {
    test: TestId,
    me: NodeId,
    timings: Timings,
    electorate: Vec<NodeId>,
    rank: Option<u32>,
    /// Highest term voted in or followed.
    seen_term: u64,
    /// Highest term that another elector named in its answer to a poll.
    named_term: u64,
    voted_for: Option<NodeId>,
    promise: Option<Promise>,
    leader: Option<(u64, NodeId)>,
    heard: Heard,
    /// The plan is here: without it, this node votes but does not stand.
    can_lead: bool,
    /// It stands in its turn, and not only after everybody else.
    willing: bool,
    stage: Stage,
}

impl Election {
    /// The election of a test announced at `now`.
    pub fn new(
        test: TestId,
        me: NodeId,
        electorate: Vec<NodeId>,
        timings: Timings,
        now: Time,
    ) -> Election {
        let rank = electorate
            .iter()
            .position(|n| same(n, &me))
            .map(|r| r as u32);
        let mut election = Election {
            test,
            me,
            timings,
            electorate,
            rank,
            seen_term: 0,
            named_term: 0,
            voted_for: None,
            promise: None,
            leader: None,
            heard: Heard::default(),
            can_lead: false,
            willing: true,
            stage: Stage::Waiting { until: Time::MAX },
        };
        election.wait_from(now);
        election
    }

    /// The plan has arrived: this node may stand from now on.
    pub fn allow_leading(&mut self) {
        self.can_lead = true;
    }

    /// This node can't do all that a coordinator has to do: it stands only after everybody
    /// else has had their turn.
    pub fn stand_back(&mut self, now: Time) {
        self.willing = false;
        if matches!(self.stage, Stage::Waiting { .. }) {
            self.wait_from(now);
        }
    }

    /// The coordinator last heard of, and its term.
    pub fn leader(&self) -> Option<&(u64, NodeId)> {
        self.leader.as_ref()
    }

    /// Highest term known here.
    pub fn term(&self) -> u64 {
        self.seen_term
    }

    /// Who may vote, in order of succession.
    pub fn electorate(&self) -> &[NodeId] {
        &self.electorate
    }

    /// What this node heard; handed to the coordinator that it votes for.
    pub fn heard(&self) -> &Heard {
        &self.heard
    }

    /// A stop was heard.
    pub fn hear_stop(&mut self, stop: StopOrder) {
        self.heard.stop.get_or_insert(stop);
    }

    /// A beat of this term, or a vote that passes one on, named the start of the profile.
    /// A later term's word counts; within one the earliest is the truest, because delays
    /// make a start look later than it was.
    pub fn hear_start(&mut self, term: u64, start: Time) {
        self.heard.start = match self.heard.start {
            Some((known, at)) if known == term => Some((term, at.min(start))),
            Some((known, at)) if known > term => Some((known, at)),
            _ => Some((term, start)),
        };
    }

    /// The next beat is due now: there is something to tell.
    pub fn hurry_beat(&mut self, now: Time) {
        if let Stage::Leading(a) = &mut self.stage {
            a.next_beat = now;
        }
    }

    /// Whether this node is the coordinator and has authority at `now`.
    pub fn has_authority(&self, now: Time) -> bool {
        matches!(&self.stage, Stage::Leading(a)
            if now < a.until || planted(Bug::AuthorityForever))
    }

    /// Until when this node has authority; before anything if it has none.
    pub fn authority_until(&self) -> Time {
        match &self.stage {
            Stage::Leading(a) => a.until,
            _ => Time::ZERO,
        }
    }

    /// The term in which this node leads.
    pub fn leading(&self) -> Option<u64> {
        match &self.stage {
            Stage::Leading(a) => Some(a.term),
            _ => None,
        }
    }

    /// What a majority acknowledged of this node's beats, while it leads.
    pub fn acknowledged(&self) -> Acknowledged {
        match &self.stage {
            Stage::Leading(a) => a.acknowledged,
            _ => Acknowledged::default(),
        }
    }

    /// When to be woken next.
    pub fn next_wake(&self) -> Time {
        match &self.stage {
            _ if self.rank.is_none() => Time::MAX,
            Stage::Waiting { .. } if !self.can_lead => Time::MAX,
            Stage::Waiting { until } => *until,
            Stage::Polling { next, .. } | Stage::Claiming { next, .. } => *next,
            Stage::Leading(a) if planted(Bug::AuthorityForever) => a.next_beat,
            Stage::Leading(a) if planted(Bug::BeatsWithoutAuthority) => a.next_beat,
            Stage::Leading(a) => a.next_beat.min(a.until),
        }
    }

    fn majority(&self) -> usize {
        let more = usize::from(!planted(Bug::MinorityElects));
        (self.electorate.len() / 2 + more).max(1)
    }

    fn is_elector(&self, node: &NodeId) -> bool {
        self.electorate.iter().any(|n| same(n, node))
    }

    fn rank_of(&self, node: &NodeId) -> Option<u32> {
        self.electorate
            .iter()
            .position(|n| same(n, node))
            .map(|r| r as u32)
    }

    fn wait_from(&mut self, from: Time) {
        let until = match self.rank {
            Some(_) if planted(Bug::NoRankDelay) => from,
            Some(rank) => {
                let others = self.electorate.len() as u32;
                let turn = if self.willing { rank } else { rank + others };
                from + self.timings.rank_delay * turn
            }
            None => Time::MAX,
        };
        self.stage = Stage::Waiting { until };
    }

    /// A promise to somebody else that still holds.
    fn bound_to_other(&self, candidate: &NodeId, now: Time) -> bool {
        self.promise
            .as_ref()
            .is_some_and(|p| p.to != *candidate && now < p.until)
            && !planted(Bug::PromiseIgnored)
            && !planted(Bug::SecondVoteUnbound)
    }

    fn promise(&mut self, term: u64, to: &NodeId, now: Time) {
        self.promise = Some(Promise {
            term,
            to: to.clone(),
            until: now + awaited(self.timings.authority_lease),
        });
    }

    /// After a promise to another: this node may stand when it has ended.
    fn wait_for_promise(&mut self) {
        if let Some(p) = &self.promise {
            let until = p.until;
            self.wait_from(until);
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Time, beat: BeatBody, fx: &mut Effects) -> Option<Change> {
        self.rank?;
        match &self.stage {
            Stage::Waiting { until } if self.can_lead && now >= *until && planted(Bug::NoPoll) => {
                self.start_claim(self.seen_term + 1, now, fx)
            }
            Stage::Waiting { until } if self.can_lead && now >= *until => {
                self.stage = Stage::Polling {
                    sending: 0,
                    next: now,
                    yes: BTreeMap::new(),
                };
                self.poll(now, fx)
            }
            Stage::Polling { next, .. } if now >= *next => self.poll(now, fx),
            Stage::Claiming { next, .. } if now >= *next => self.claim(now, fx),
            Stage::Leading(a)
                if now >= a.until
                    && !planted(Bug::AuthorityForever)
                    && !planted(Bug::BeatsWithoutAuthority) =>
            {
                Some(self.step_down(now, fx))
            }
            Stage::Leading(a) if now >= a.next_beat => self.beat(now, beat, fx),
            _ => None,
        }
    }

    /// This node leaves: it neither stands nor votes any more.
    pub fn retire(&mut self) {
        self.rank = None;
        self.stage = Stage::Waiting { until: Time::MAX };
    }

    /// Handles a message of this test's election; others are left alone. `from` is proven.
    pub fn handle(&mut self, now: Time, message: &TestMessage, fx: &mut Effects) -> Option<Change> {
        if *message.author() == self.me {
            return None;
        }
        match message {
            TestMessage::Poll {
                term,
                candidate,
                sending,
                ..
            } => self.on_poll(now, *term, candidate, *sending, fx),
            TestMessage::PollAnswer {
                candidate,
                elector,
                yes,
                seen_term,
                ..
            } if *candidate == self.me => self.on_poll_answer(now, elector, *yes, *seen_term, fx),
            TestMessage::Claim {
                term,
                candidate,
                sending,
                ..
            } => self.on_claim(now, *term, candidate, *sending, fx),
            TestMessage::Vote {
                term,
                candidate,
                elector,
                sending,
                share_lease,
                stop,
                start,
                decisions,
                ..
            } if *candidate == self.me => self.on_vote(
                now,
                *term,
                elector,
                *sending,
                Heard {
                    share_lease: *share_lease,
                    stop: *stop,
                    start: start.map(|s| (s.term, now.shifted(s.since.saturating_neg()))),
                    decisions: decisions.clone(),
                },
            ),
            TestMessage::Beat {
                term,
                coordinator,
                number,
                share_lease,
                decisions,
                ..
            } => {
                let body = BeatHeard {
                    number: *number,
                    share_lease: *share_lease,
                    decisions,
                };
                self.on_beat(now, *term, coordinator, body, fx)
            }
            TestMessage::BeatAck {
                term,
                coordinator,
                elector,
                number,
                ..
            } if *coordinator == self.me => {
                self.on_ack(now, *term, elector, *number);
                None
            }
            TestMessage::Resign { term, node, .. } => {
                self.on_resign(now, *term, node);
                None
            }
            _ => None,
        }
    }
}

/// An elector is a node in one life: started again, it has forgotten its promises.
fn same(elector: &NodeId, node: &NodeId) -> bool {
    elector == node || (planted(Bug::RestartedElectorVotes) && elector.peer == node.peer)
}

#[cfg(test)]
#[path = "election_tests.rs"]
mod tests;
