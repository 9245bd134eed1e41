//! Election of one test on one node: terms, polls, claims, votes, promises, beats, authority.
//!
//! Safety depends on one order of events: **authority ends before promises do**. An elector that
//! votes, or receives a beat, promises for one authority lease *from receipt* to vote for no other
//! node. A coordinator counts its authority for one authority lease from the *sending* of what a
//! majority answered. The holder counts 98 % and the waiter 102 %, so clocks that drift by up to 1
//! % do not change that order. Two majorities share an elector, so no other node can win before the
//! former coordinator has lost its authority.
//!
//! Progress depends on polls: no elector claims (which uses up a term) before a majority has
//! answered that it would vote, so an isolated node cannot unseat a coordinator.

mod candidate;
mod elector;
mod forced;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use forced::Forced;

use super::allocation::AllocationName;
use super::beat::Beat;
use super::certificate::{Certificate, vote};
use super::effects::Effects;
use super::id::{NodeId, TestId};
use super::log::{Log, LogEntry};
use super::messages::{FreeNumbers, RelayedStart, TestEvent, TestMessage, TestState};
use super::planted::{Bug, planted};
use super::signature::{Keys, Signature};
use super::spec::{MAX_WORKERS, Timings};
use super::stop::SignedStop;
use super::time::{Time, for_holder, for_waiter};
use crate::Numbers;

/// Beats whose acknowledgement can still extend authority: those of one authority lease (four),
/// plus slack for beats sent early.
const BEATS_KEPT: usize = 16;
/// Polls and claims of a term further above the highest known one are ignored, so that one elector
/// cannot use up the numbers. Each of them makes this many more terms known: an elector that missed
/// many elections catches up.
const MAX_TERM_STEP: u64 = 8;
/// Certificates kept, so that lists of recent coordinators can be relayed with theirs.
const CERTIFICATES_KEPT: usize = 8;
/// Repetitions of a poll at the full rate. From then on the time between them doubles, up to the
/// time between beats.
const QUICK_POLLS: u32 = 16;

/// Content of a beat, without the ids.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BeatBody {
    /// Share lease in use, or about to be.
    pub share_lease: Duration,
    /// Nanoseconds since the start of the profile; negative before it.
    pub since_start: Option<i64>,
    /// Longest time until the coordinator ends the test.
    pub ends_within: Option<Duration>,
    /// State of the test.
    pub state: TestState,
    /// All log entries.
    pub log: Arc<[LogEntry]>,
    /// Recent events.
    pub events: Vec<TestEvent>,
    /// Newest allocation.
    pub allocation: Option<AllocationName>,
    /// Latest end of all granted leases in the time of the profile.
    pub leased_until: Duration,
    /// Free numbers of requests, and the generation of that list.
    pub free: Option<(Arc<Numbers>, u64)>,
}

/// State that beats and votes replicate, so that every later coordinator has it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Replicated {
    /// Longest share lease that a beat announced.
    pub share_lease: Duration,
    /// Stop order.
    pub stop: Option<SignedStop>,
    /// Start of the profile on this node's clock, with the highest term of a beat that named it.
    pub start: Option<(u64, Time)>,
    /// All log entries.
    pub log: Log,
    /// Free numbers of requests.
    pub free: Option<FreeNumbers>,
    /// Latest end of all leases that a beat announced, in the time of the profile.
    pub leased_until: Duration,
}

impl Replicated {
    /// A beat is known. No share lease is longer than `longest`.
    fn update(&mut self, beat: &Beat, longest: Duration) {
        let (term, number) = (beat.term, beat.number);
        if !planted(Bug::VoteForgetsLease) {
            self.share_lease = self.share_lease.max(beat.share_lease.min(longest));
        }
        self.leased_until = self.leased_until.max(beat.leased_until);
        if !planted(Bug::LogForgotten) {
            self.log.update(&Log {
                term,
                entries: beat.log.clone(),
            });
        }
        self.update_free(beat.free.clone().map(|numbers| FreeNumbers {
            term,
            beat: number,
            numbers,
        }));
    }

    fn update_free(&mut self, other: Option<FreeNumbers>) {
        let newness = |f: &FreeNumbers| (f.term, f.beat);
        if other.as_ref().map(newness) > self.free.as_ref().map(newness) {
            self.free = other;
        }
    }
}

/// What a majority of electors has acknowledged to the coordinator, so that every later coordinator
/// receives it with the votes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Acknowledged {
    /// Longest share lease that a beat announced.
    pub share_lease: Duration,
    /// Whether a beat named the start of the profile.
    pub start: bool,
    /// Number of log entries that a beat carried.
    pub log_len: usize,
    /// Newest generation of the free numbers of requests that a beat carried.
    pub numbers: u64,
}

/// What an elector passes on with its vote.
struct Relayed<'a> {
    start: Option<(u64, Time)>,
    beat: Option<&'a Arc<Beat>>,
}

/// A change of the coordinator.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// This node became the coordinator.
    Won {
        /// Its term.
        term: u64,
    },
    /// This node is no longer the coordinator.
    Lost {
        /// Its term.
        term: u64,
    },
    /// A beat of a new coordinator arrived.
    Leader {
        /// Its term.
        term: u64,
        /// The coordinator.
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
    /// Waits until it may poll.
    Waiting { until: Time },
    /// Polls whether a majority would vote for it.
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
        votes: BTreeMap<NodeId, (u32, Signature)>,
    },
    /// Is the coordinator.
    Leading(Authority),
}

/// A coordinator's authority, and the beats that it depends on.
#[derive(Debug)]
struct Authority {
    term: u64,
    until: Time,
    number: u64,
    next_beat: Time,
    sent: VecDeque<(u64, Time)>,
    acks: BTreeMap<NodeId, u64>,
    leases: BTreeMap<u64, Duration>,
    /// Number of the first beat that named the start of the profile.
    start_named: Option<u64>,
    /// Log length of each beat that is not acknowledged by a majority.
    log_lens: BTreeMap<u64, usize>,
    /// Generation of the free numbers in each beat that is not acknowledged by a majority.
    generations: BTreeMap<u64, u64>,
    acknowledged: Acknowledged,
}

/// Election of one test on one node.
#[derive(Debug)]
pub struct Election {
    test: TestId,
    me: NodeId,
    keys: Arc<dyn Keys>,
    timings: Timings,
    electorate: Vec<NodeId>,
    rank: Option<u32>,
    /// Highest term that this node voted in or followed.
    seen_term: u64,
    /// Highest term that another elector reported in a poll answer.
    named_term: u64,
    voted_for: Option<NodeId>,
    promise: Option<Promise>,
    /// Term and number of the newest beat. Older ones are ignored however late they arrive: a
    /// promise must not outlive the coordinator because of a delayed beat.
    newest_beat: (u64, u64),
    /// The newest signed beat, for the next coordinator.
    kept_beat: Option<Arc<Beat>>,
    /// Coordinators of which a certificate has arrived, by term; the newest
    /// [`CERTIFICATES_KEPT`].
    certified: BTreeMap<u64, (NodeId, Arc<Certificate>)>,
    /// Time of the last message of each elector.
    heard: BTreeMap<NodeId, Time>,
    /// Polls and step-downs that single electors forced.
    forced: Forced,
    leader: Option<(u64, NodeId)>,
    replicated: Replicated,
    /// Whether the plan is on this node. Without it, the node votes but does not stand for
    /// election.
    can_lead: bool,
    /// Whether it stands at its own rank; otherwise only after all other electors.
    at_own_rank: bool,
    stage: Stage,
}

impl Election {
    /// Election of a test announced at `now`.
    pub fn new(
        test: TestId,
        me: NodeId,
        electorate: Vec<NodeId>,
        keys: Arc<dyn Keys>,
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
            keys,
            timings,
            electorate,
            rank,
            seen_term: 0,
            named_term: 0,
            voted_for: None,
            promise: None,
            newest_beat: (0, 0),
            kept_beat: None,
            certified: BTreeMap::new(),
            heard: BTreeMap::new(),
            forced: Forced::default(),
            leader: None,
            replicated: Replicated::default(),
            can_lead: false,
            at_own_rank: true,
            stage: Stage::Waiting { until: Time::MAX },
        };
        election.wait_from(now);
        election
    }

    /// The plan has arrived: this node may stand for election.
    pub fn allow_leading(&mut self) {
        self.can_lead = true;
    }

    /// This node cannot run the plan's hooks: it stands for election only after all other electors.
    pub fn yield_rank(&mut self, now: Time) {
        self.at_own_rank = false;
        if matches!(self.stage, Stage::Waiting { .. }) {
            self.wait_from(now);
        }
    }

    /// Coordinator of the last beat received, and its term.
    pub fn leader(&self) -> Option<&(u64, NodeId)> {
        self.leader.as_ref()
    }

    /// Highest known term.
    pub fn term(&self) -> u64 {
        self.seen_term
    }

    /// Whether a beat is newer than all that arrived. Others are ignored.
    pub fn is_new_beat(&self, term: u64, number: u64) -> bool {
        (term, number) > self.newest_beat || planted(Bug::OldBeats)
    }

    /// Whether this node is the coordinator of the term, by this certificate or by one of this term
    /// that arrived before. A lower term than the highest certified one does not count any more.
    pub fn certify(&mut self, term: u64, node: &NodeId, certificate: &Certificate) -> bool {
        let newest = self.certified.keys().next_back();
        if newest.is_some_and(|newest| term < *newest) {
            return false;
        }
        let certified = self.is_certified(term, node, certificate);
        if certified && !self.certified.contains_key(&term) {
            self.keep_certificate(term, node.clone(), Arc::new(certificate.clone()));
        }
        certified
    }

    fn keep_certificate(&mut self, term: u64, node: NodeId, certificate: Arc<Certificate>) {
        self.certified.insert(term, (node, certificate));
        if self.certified.len() > CERTIFICATES_KEPT {
            self.certified.pop_first();
        }
    }

    /// Whether a certificate proves that the node is or was the coordinator of the term.
    pub fn is_certified(&self, term: u64, node: &NodeId, certificate: &Certificate) -> bool {
        if let Some((holder, _)) = self.certified.get(&term) {
            return holder == node;
        }
        let tenure = (self.test, term, node);
        let majority = self.majority();
        certificate.proves(tenure, &self.electorate, majority, &*self.keys)
            || planted(Bug::TenureUncertified)
    }

    /// Proof that this node is the coordinator.
    pub fn certificate(&self) -> Arc<Certificate> {
        let term = self.leading();
        let certificate = term.and_then(|term| self.certificate_of(term));
        certificate.cloned().unwrap_or_default()
    }

    /// Proof that a node is or was the coordinator of this term, if it is kept.
    pub fn certificate_of(&self, term: u64) -> Option<&Arc<Certificate>> {
        self.certified
            .get(&term)
            .map(|(_, certificate)| certificate)
    }

    /// The electorate, in order of succession.
    pub fn electorate(&self) -> &[NodeId] {
        &self.electorate
    }

    /// Number of electors of which no message has arrived after `since`.
    pub fn silent_electors(&self, since: Time) -> usize {
        let silent =
            |n: &&NodeId| **n != self.me && self.heard.get(*n).is_none_or(|heard| *heard <= since);
        self.electorate.iter().filter(silent).count()
    }

    /// Highest term of a beat that this node has received or sent.
    pub fn term_of_beats(&self) -> u64 {
        self.newest_beat.0
    }

    /// State for the next coordinator, sent with this node's vote.
    pub fn replicated(&self) -> &Replicated {
        &self.replicated
    }

    /// A beat is known: a later coordinator continues from it.
    fn replicate(&mut self, beat: &Beat) {
        let longest = self.timings.share_lease(MAX_WORKERS);
        self.replicated.update(beat, longest);
    }

    /// A request to stop the test arrived.
    pub fn record_stop(&mut self, stop: &SignedStop) {
        self.replicated.stop = Some(stop.clone());
    }

    /// A beat of this term, or a vote that relays one, named the start of the profile. A later
    /// term's value replaces that of an earlier one. Within a term the earliest value is the most
    /// accurate, because delays make a start appear later than it was.
    pub fn record_start(&mut self, term: u64, start: Time) {
        self.replicated.start = match self.replicated.start {
            Some((known, at)) if known == term => Some((term, at.min(start))),
            Some((known, at)) if known > term => Some((known, at)),
            _ => Some((term, start)),
        };
    }

    /// Makes the next beat due now, because its content changed.
    pub fn beat_now(&mut self, now: Time) {
        if let Stage::Leading(a) = &mut self.stage {
            a.next_beat = now;
        }
    }

    /// Whether this node is the coordinator and has authority at `now`.
    pub fn has_authority(&self, now: Time) -> bool {
        matches!(&self.stage, Stage::Leading(a)
            if now < a.until || planted(Bug::AuthorityForever))
    }

    /// End of this node's authority; [`Time::ZERO`] if it has none.
    pub fn authority_until(&self) -> Time {
        match &self.stage {
            Stage::Leading(a) => a.until,
            _ => Time::ZERO,
        }
    }

    /// Term in which this node is the coordinator.
    pub fn leading(&self) -> Option<u64> {
        match &self.stage {
            Stage::Leading(a) => Some(a.term),
            _ => None,
        }
    }

    /// What a majority has acknowledged of this coordinator's beats.
    pub fn acknowledged(&self) -> Acknowledged {
        match &self.stage {
            Stage::Leading(a) => a.acknowledged,
            _ => Acknowledged::default(),
        }
    }

    /// Latest time of the next `tick`.
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
                let place = if self.at_own_rank {
                    rank
                } else {
                    rank + others
                };
                from + self.timings.rank_delay * place
            }
            None => Time::MAX,
        };
        self.stage = Stage::Waiting { until };
    }

    /// Whether a promise to another node still holds.
    fn promised_to_other(&self, candidate: &NodeId, now: Time) -> bool {
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
            until: now + for_waiter(self.timings.authority_lease),
        });
    }

    /// Waits for the end of the promise before standing for election.
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

    /// This node leaves: it no longer stands for election or votes.
    pub fn retire(&mut self) {
        self.rank = None;
        self.stage = Stage::Waiting { until: Time::MAX };
    }

    /// Handles a message of this test's election and ignores other messages. The author is
    /// authenticated.
    pub fn handle(&mut self, now: Time, message: &TestMessage, fx: &mut Effects) -> Option<Change> {
        if *message.author() == self.me {
            return None;
        }
        if self.is_elector(message.author()) {
            self.heard.insert(message.author().clone(), now);
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
                start,
                beat,
                signature,
                ..
            } if *candidate == self.me => {
                let start = start.map(|s| (s.term, now.shifted(s.since.saturating_neg())));
                let relayed = Relayed {
                    start,
                    beat: beat.as_ref(),
                };
                self.on_vote(now, *term, elector, (*sending, *signature), relayed)
            }
            TestMessage::Beat(beat) => self.on_beat(now, beat, fx),
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

/// Whether a node is the elector: a restarted node is not, because it has lost its promises.
fn same(elector: &NodeId, node: &NodeId) -> bool {
    elector == node || (planted(Bug::RestartedElectorVotes) && elector.peer == node.peer)
}

#[cfg(test)]
#[path = "election_tests.rs"]
mod tests;
