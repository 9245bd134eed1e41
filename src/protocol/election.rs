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

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::effects::Effects;
use super::id::{NodeId, TestId};
use super::messages::{Phase, StopOrder, TestMessage};
use super::spec::Timings;
use super::time::{Time, awaited, held};

/// Beats whose acknowledgement can still extend authority: those of one authority lease
/// (four), and some slack for beats sent out of turn.
const BEATS_KEPT: usize = 16;

/// What a beat says besides who sent it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BeatBody {
    /// The share-lease length in use, or about to be.
    pub share_lease: Duration,
    /// Nanoseconds since the start of the profile.
    pub since_start: Option<i64>,
    /// How far the test is.
    pub phase: Phase,
}

/// What a node heard in the course of an election that others should learn from it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Heard {
    /// Longest share lease that a beat carried.
    pub share_lease: Duration,
    /// A stop.
    pub stop: Option<StopOrder>,
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
    acknowledged_lease: Duration,
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
        let rank = electorate.iter().position(|n| *n == me).map(|r| r as u32);
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
            stage: Stage::Waiting { until: Time::MAX },
        };
        election.wait_from(now);
        election
    }

    /// The plan has arrived: this node may stand from now on.
    pub fn allow_leading(&mut self) {
        self.can_lead = true;
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
    pub fn heard(&self) -> Heard {
        self.heard
    }

    /// A stop was heard.
    pub fn hear_stop(&mut self, stop: StopOrder) {
        self.heard.stop.get_or_insert(stop);
    }

    /// Whether this node is the coordinator and has authority at `now`.
    pub fn has_authority(&self, now: Time) -> bool {
        matches!(&self.stage, Stage::Leading(a) if now < a.until)
    }

    /// The term in which this node leads.
    pub fn leading(&self) -> Option<u64> {
        match &self.stage {
            Stage::Leading(a) => Some(a.term),
            _ => None,
        }
    }

    /// The longest share lease that a majority acknowledged a beat of (this node leading).
    pub fn acknowledged_share_lease(&self) -> Duration {
        match &self.stage {
            Stage::Leading(a) => a.acknowledged_lease,
            _ => Duration::ZERO,
        }
    }

    /// When to be woken next.
    pub fn next_wake(&self) -> Time {
        match &self.stage {
            _ if self.rank.is_none() => Time::MAX,
            Stage::Waiting { .. } if !self.can_lead => Time::MAX,
            Stage::Waiting { until } => *until,
            Stage::Polling { next, .. } | Stage::Claiming { next, .. } => *next,
            Stage::Leading(a) => a.next_beat.min(a.until),
        }
    }

    fn majority(&self) -> usize {
        self.electorate.len() / 2 + 1
    }

    fn is_elector(&self, node: &NodeId) -> bool {
        self.electorate.contains(node)
    }

    fn rank_of(&self, node: &NodeId) -> Option<u32> {
        self.electorate
            .iter()
            .position(|n| n == node)
            .map(|r| r as u32)
    }

    fn wait_from(&mut self, from: Time) {
        let until = match self.rank {
            Some(rank) => from + self.timings.rank_delay * rank,
            None => Time::MAX,
        };
        self.stage = Stage::Waiting { until };
    }

    /// A promise to somebody else that still holds.
    fn bound_to_other(&self, candidate: &NodeId, now: Time) -> bool {
        self.promise
            .as_ref()
            .is_some_and(|p| p.to != *candidate && now < p.until)
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
            Stage::Leading(a) if now >= a.until => Some(self.step_down(now, fx)),
            Stage::Leading(a) if now >= a.next_beat => self.beat(now, beat, fx),
            _ => None,
        }
    }

    fn poll(&mut self, now: Time, fx: &mut Effects) -> Option<Change> {
        let term = self.seen_term.max(self.named_term) + 1;
        let majority = self.majority();
        let interval = self.timings.ask_interval;
        let fresh = self.timings.authority_lease;
        let Stage::Polling { sending, next, yes } = &mut self.stage else {
            return None;
        };
        yes.retain(|_, at| now.since(*at) < fresh);
        yes.insert(self.me.clone(), now);
        if yes.len() >= majority {
            return self.start_claim(term, now, fx);
        }
        *sending += 1;
        *next = now + interval;
        let message = TestMessage::Poll {
            test: self.test,
            term,
            candidate: self.me.clone(),
            sending: *sending,
        };
        fx.publish(message);
        None
    }

    fn start_claim(&mut self, term: u64, now: Time, fx: &mut Effects) -> Option<Change> {
        if self.bound_to_other(&self.me.clone(), now) {
            self.wait_for_promise();
            return None;
        }
        self.seen_term = term;
        self.voted_for = Some(self.me.clone());
        self.stage = Stage::Claiming {
            term,
            sent: Vec::new(),
            next: now,
            votes: BTreeMap::new(),
        };
        self.claim(now, fx)
    }

    fn claim(&mut self, now: Time, fx: &mut Effects) -> Option<Change> {
        let (max, interval) = (self.timings.max_claims, self.timings.ask_interval);
        let Stage::Claiming {
            term,
            sent,
            next,
            votes,
        } = &mut self.stage
        else {
            return None;
        };
        let term = *term;
        if sent.len() as u32 >= max {
            self.withdraw(term, now, fx);
            return None;
        }
        sent.push(now);
        *next = now + interval;
        let sending = sent.len() as u32;
        votes.insert(self.me.clone(), sending);
        fx.publish(TestMessage::Claim {
            test: self.test,
            term,
            candidate: self.me.clone(),
            sending,
        });
        self.promise(term, &self.me.clone(), now);
        self.count_votes(now)
    }

    fn withdraw(&mut self, term: u64, now: Time, fx: &mut Effects) {
        self.promise = None;
        self.wait_from(now + self.timings.rank_delay);
        fx.publish(TestMessage::Resign {
            test: self.test,
            term,
            node: self.me.clone(),
        });
    }

    /// The sending, or beat, that a majority has answered (or a later one): answers are
    /// cumulative, because who answered a later one promised later.
    fn majority_of<T: Ord + Copy>(answers: impl Iterator<Item = T>, majority: usize) -> Option<T> {
        let mut all: Vec<T> = answers.collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.get(majority - 1).copied()
    }

    fn count_votes(&mut self, now: Time) -> Option<Change> {
        let majority = self.majority();
        let Stage::Claiming {
            term, sent, votes, ..
        } = &self.stage
        else {
            return None;
        };
        let sending = Self::majority_of(votes.values().copied(), majority)?;
        let until = sent[sending as usize - 1] + held(self.timings.authority_lease);
        if now >= until {
            return None;
        }
        let term = *term;
        self.leader = Some((term, self.me.clone()));
        self.stage = Stage::Leading(Authority {
            term,
            until,
            number: 0,
            next_beat: now,
            sent: VecDeque::new(),
            acks: BTreeMap::new(),
            leases: BTreeMap::new(),
            acknowledged_lease: Duration::ZERO,
        });
        Some(Change::Won { term })
    }

    fn beat(&mut self, now: Time, body: BeatBody, fx: &mut Effects) -> Option<Change> {
        let interval = self.timings.beat_interval();
        let me = self.me.clone();
        let Stage::Leading(a) = &mut self.stage else {
            return None;
        };
        a.number += 1;
        a.next_beat = now + interval;
        if a.sent.len() == BEATS_KEPT {
            a.sent.pop_front();
        }
        a.sent.push_back((a.number, now));
        a.leases.insert(a.number, body.share_lease);
        a.acks.insert(me.clone(), a.number);
        let (term, number) = (a.term, a.number);
        fx.publish(TestMessage::Beat {
            test: self.test,
            term,
            coordinator: me.clone(),
            number,
            share_lease: body.share_lease,
            since_start: body.since_start,
            phase: body.phase,
        });
        self.heard.share_lease = self.heard.share_lease.max(body.share_lease);
        self.promise(term, &me, now);
        self.count_acks();
        None
    }

    fn count_acks(&mut self) {
        let majority = self.majority();
        let lease = held(self.timings.authority_lease);
        let Stage::Leading(a) = &mut self.stage else {
            return;
        };
        let Some(number) = Self::majority_of(a.acks.values().copied(), majority) else {
            return;
        };
        if let Some((_, sent)) = a.sent.iter().find(|(n, _)| *n == number) {
            a.until = a.until.max(*sent + lease);
        }
        while let Some(first) = a.leases.first_entry() {
            if *first.key() > number {
                break;
            }
            a.acknowledged_lease = a.acknowledged_lease.max(first.remove());
        }
    }

    /// Gives up leading: authority has run out, or this node leaves.
    pub fn step_down(&mut self, now: Time, fx: &mut Effects) -> Change {
        let term = self.leading().unwrap_or(self.seen_term);
        self.withdraw(term, now, fx);
        if self
            .leader
            .as_ref()
            .is_some_and(|(t, n)| *t == term && *n == self.me)
        {
            self.leader = None;
        }
        Change::Lost { term }
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
            } => {
                self.on_poll(now, *term, candidate, *sending, fx);
                None
            }
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
            } => {
                self.on_claim(now, *term, candidate, *sending, fx);
                None
            }
            TestMessage::Vote {
                term,
                candidate,
                elector,
                sending,
                share_lease,
                stop,
                ..
            } if *candidate == self.me => self.on_vote(
                now,
                *term,
                elector,
                *sending,
                Heard {
                    share_lease: *share_lease,
                    stop: *stop,
                },
            ),
            TestMessage::Beat {
                term,
                coordinator,
                number,
                share_lease,
                ..
            } => self.on_beat(now, *term, coordinator, *number, *share_lease, fx),
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

    fn would_vote(&self, now: Time, term: u64, candidate: &NodeId) -> bool {
        term > self.seen_term && !self.bound_to_other(candidate, now)
    }

    fn on_poll(
        &mut self,
        now: Time,
        term: u64,
        candidate: &NodeId,
        sending: u32,
        fx: &mut Effects,
    ) {
        if self.rank.is_none() || !self.is_elector(candidate) {
            return;
        }
        fx.publish(TestMessage::PollAnswer {
            test: self.test,
            term,
            candidate: candidate.clone(),
            elector: self.me.clone(),
            sending,
            yes: self.would_vote(now, term, candidate),
            seen_term: self.seen_term,
        });
    }

    fn on_poll_answer(
        &mut self,
        now: Time,
        elector: &NodeId,
        answer: bool,
        seen_term: u64,
        fx: &mut Effects,
    ) -> Option<Change> {
        if !self.is_elector(elector) {
            return None;
        }
        let majority = self.majority();
        let Stage::Polling { yes, .. } = &mut self.stage else {
            return None;
        };
        if answer {
            yes.insert(elector.clone(), now);
        } else {
            yes.remove(elector);
            self.named_term = self.named_term.max(seen_term);
        }
        if yes.len() >= majority {
            let term = self.seen_term.max(self.named_term) + 1;
            return self.start_claim(term, now, fx);
        }
        None
    }

    fn on_claim(
        &mut self,
        now: Time,
        term: u64,
        candidate: &NodeId,
        sending: u32,
        fx: &mut Effects,
    ) {
        let (Some(mine), Some(theirs)) = (self.rank, self.rank_of(candidate)) else {
            return;
        };
        if let Stage::Claiming { term: claimed, .. } = &self.stage
            && theirs < mine
        {
            let claimed = *claimed;
            self.withdraw(claimed, now, fx);
        }
        let again = term == self.seen_term
            && self.voted_for.as_ref() == Some(candidate)
            && !self.bound_to_other(candidate, now);
        if !again && !self.would_vote(now, term, candidate) {
            return;
        }
        self.seen_term = term;
        self.voted_for = Some(candidate.clone());
        self.promise(term, candidate, now);
        self.wait_for_promise();
        fx.publish(TestMessage::Vote {
            test: self.test,
            term,
            candidate: candidate.clone(),
            elector: self.me.clone(),
            sending,
            share_lease: self.heard.share_lease,
            stop: self.heard.stop,
        });
    }

    fn on_vote(
        &mut self,
        now: Time,
        voted: u64,
        elector: &NodeId,
        sending: u32,
        heard: Heard,
    ) -> Option<Change> {
        if !self.is_elector(elector) {
            return None;
        }
        let Stage::Claiming {
            term, sent, votes, ..
        } = &mut self.stage
        else {
            return None;
        };
        if voted != *term || sending == 0 || sending as usize > sent.len() {
            return None;
        }
        let latest = votes.entry(elector.clone()).or_insert(sending);
        *latest = (*latest).max(sending);
        self.heard.share_lease = self.heard.share_lease.max(heard.share_lease);
        if let Some(stop) = heard.stop {
            self.hear_stop(stop);
        }
        self.count_votes(now)
    }

    fn on_beat(
        &mut self,
        now: Time,
        term: u64,
        coordinator: &NodeId,
        number: u64,
        share_lease: Duration,
        fx: &mut Effects,
    ) -> Option<Change> {
        if term < self.seen_term || !self.is_elector(coordinator) {
            return None;
        }
        let mut lost = None;
        match &self.stage {
            Stage::Leading(a) if a.term < term => lost = Some(self.step_down(now, fx)),
            Stage::Claiming { term: claimed, .. } => {
                let claimed = *claimed;
                self.withdraw(claimed, now, fx);
            }
            _ => {}
        }
        if term > self.seen_term {
            self.seen_term = term;
            self.voted_for = None;
        }
        self.heard.share_lease = self.heard.share_lease.max(share_lease);
        let news = self.leader.as_ref() != Some(&(term, coordinator.clone()));
        self.leader = Some((term, coordinator.clone()));
        if self.rank.is_some() {
            self.promise(term, coordinator, now);
            self.wait_for_promise();
            fx.publish(TestMessage::BeatAck {
                test: self.test,
                term,
                coordinator: coordinator.clone(),
                elector: self.me.clone(),
                number,
            });
        }
        lost.or_else(|| {
            news.then(|| Change::Leader {
                term,
                node: coordinator.clone(),
            })
        })
    }

    fn on_ack(&mut self, now: Time, acked: u64, elector: &NodeId, number: u64) {
        if !self.is_elector(elector) || !self.has_authority(now) {
            return;
        }
        let Stage::Leading(a) = &mut self.stage else {
            return;
        };
        if acked != a.term || number > a.number {
            return;
        }
        let latest = a.acks.entry(elector.clone()).or_insert(number);
        *latest = (*latest).max(number);
        self.count_acks();
    }

    fn on_resign(&mut self, now: Time, term: u64, node: &NodeId) {
        if matches!(&self.stage, Stage::Claiming { term: claimed, .. } if *claimed == term) {
            // A rival has had votes of this term; there may be no majority left in it.
            self.stage = Stage::Polling {
                sending: 0,
                next: now,
                yes: BTreeMap::new(),
            };
        }
        if self
            .leader
            .as_ref()
            .is_some_and(|(t, n)| *t == term && n == node)
        {
            self.leader = None;
        }
        if self
            .promise
            .as_ref()
            .is_some_and(|p| p.term == term && p.to == *node)
        {
            self.promise = None;
            self.wait_from(now);
        }
    }
}

#[cfg(test)]
#[path = "election_tests.rs"]
mod tests;
