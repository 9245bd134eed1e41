//! The candidate: polls, claims, counting votes, beats, stepping down.

use super::super::signature::SIGNATURE_LEN;
use super::*;

impl Election {
    pub(super) fn poll(&mut self, now: Time, fx: &mut Effects) -> Option<Change> {
        let term = self.seen_term.max(self.named_term) + 1;
        let majority = self.majority();
        let interval = self.timings.ask_interval;
        let longest = self.timings.beat_interval().max(interval);
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
        let doublings = (*sending / QUICK_POLLS).min(8);
        *next = now + (interval * 2u32.pow(doublings)).min(longest);
        let message = TestMessage::Poll {
            test: self.test,
            term,
            candidate: self.me.clone(),
            sending: *sending,
        };
        fx.publish(message);
        None
    }

    pub(super) fn start_claim(&mut self, term: u64, now: Time, fx: &mut Effects) -> Option<Change> {
        if self.promised_to_other(&self.me.clone(), now) {
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

    pub(super) fn claim(&mut self, now: Time, fx: &mut Effects) -> Option<Change> {
        let (mut max, interval) = (self.timings.max_claims, self.timings.ask_interval);
        if planted(Bug::ClaimOnce) {
            max = 1;
        }
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
        let statement = vote(self.test, term, &self.me, &self.me);
        votes.insert(self.me.clone(), (sending, self.keys.sign(&statement)));
        fx.publish(TestMessage::Claim {
            test: self.test,
            term,
            candidate: self.me.clone(),
            sending,
        });
        self.promise(term, &self.me.clone(), now);
        self.count_votes(now)
    }

    pub(super) fn withdraw(&mut self, term: u64, now: Time, fx: &mut Effects) {
        self.promise = None;
        self.wait_from(now + self.timings.rank_delay);
        fx.publish(TestMessage::Resign {
            test: self.test,
            term,
            node: self.me.clone(),
        });
    }

    /// The newest repetition or beat that a majority has answered. Answers are cumulative: a later
    /// answer implies a later promise.
    pub(super) fn majority_of<T: Ord + Copy>(
        answers: impl Iterator<Item = T>,
        majority: usize,
    ) -> Option<T> {
        let mut all: Vec<T> = answers.collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.get(majority - 1).copied()
    }

    pub(super) fn count_votes(&mut self, now: Time) -> Option<Change> {
        let majority = self.majority();
        let Stage::Claiming {
            term, sent, votes, ..
        } = &self.stage
        else {
            return None;
        };
        let sending = Self::majority_of(votes.values().map(|(sending, _)| *sending), majority)?;
        let sent_at = match sent[sending as usize - 1] {
            _ if planted(Bug::AuthorityFromVotes) => now,
            at => at,
        };
        let until = sent_at + for_holder(self.timings.authority_lease);
        if now >= until {
            return None;
        }
        let term = *term;
        let signatures = votes.iter().map(|(elector, (_, s))| (elector, s));
        let certificate = Certificate::new(&self.electorate, signatures);
        self.leader = Some((term, self.me.clone()));
        self.keep_certificate(term, self.me.clone(), Arc::new(certificate));
        self.stage = Stage::Leading(Authority {
            term,
            until,
            number: 0,
            next_beat: now,
            sent: VecDeque::new(),
            acks: BTreeMap::new(),
            leases: BTreeMap::new(),
            start_named: None,
            log_lens: BTreeMap::new(),
            generations: BTreeMap::new(),
            acknowledged: Acknowledged::default(),
        });
        Some(Change::Won { term })
    }

    pub(super) fn beat(&mut self, now: Time, body: BeatBody, fx: &mut Effects) -> Option<Change> {
        let interval = self.timings.beat_interval();
        let me = self.me.clone();
        let certificate = self.certificate();
        let Stage::Leading(a) = &mut self.stage else {
            return None;
        };
        a.number += 1;
        a.next_beat = now + interval;
        if a.sent.len() == BEATS_KEPT {
            a.sent.pop_front();
        }
        a.sent.push_back((a.number, now));
        // A successor waits for the longest lease, also after a shorter one.
        let share_lease = body.share_lease.max(self.replicated.share_lease);
        a.leases.insert(a.number, share_lease);
        if body.since_start.is_some() {
            a.start_named.get_or_insert(a.number);
        }
        a.log_lens.insert(a.number, body.log.len());
        let (free, generation) = body.free.unzip();
        a.generations.insert(a.number, generation.unwrap_or(0));
        a.acks.insert(me.clone(), a.number);
        let (term, number) = (a.term, a.number);
        self.newest_beat = (term, number);
        let mut beat = Beat {
            test: self.test,
            term,
            coordinator: me.clone(),
            number,
            share_lease,
            since_start: body.since_start,
            ends_within: body.ends_within,
            state: body.state,
            log: body.log,
            committed: a.acknowledged.log_len as u32,
            events: body.events,
            allocation: body.allocation,
            leased_until: body.leased_until,
            free,
            certificate,
            signature: Signature([0; SIGNATURE_LEN]),
        };
        beat.signature = self.keys.sign(&beat.statement());
        self.replicate(&beat);
        self.kept_beat = Some(Arc::new(beat.relayed()));
        fx.publish(TestMessage::Beat(Arc::new(beat)));
        self.promise(term, &me, now);
        self.count_acks(now);
        None
    }

    pub(super) fn count_acks(&mut self, now: Time) {
        let majority = self.majority();
        let lease = for_holder(self.timings.authority_lease);
        let Stage::Leading(a) = &mut self.stage else {
            return;
        };
        let Some(number) = Self::majority_of(a.acks.values().copied(), majority) else {
            return;
        };
        if let Some((_, sent)) = a.sent.iter().find(|(n, _)| *n == number) {
            let sent_at = match *sent {
                _ if planted(Bug::AuthorityFromAcks) => now,
                at => at,
            };
            a.until = a.until.max(sent_at + lease);
        }
        while let Some(first) = a.leases.first_entry() {
            if *first.key() > number {
                break;
            }
            let known = &mut a.acknowledged.share_lease;
            *known = (*known).max(first.remove());
        }
        while let Some(first) = a.log_lens.first_entry() {
            if *first.key() > number {
                break;
            }
            let known = &mut a.acknowledged.log_len;
            *known = (*known).max(first.remove());
        }
        while let Some(first) = a.generations.first_entry() {
            if *first.key() > number {
                break;
            }
            let known = &mut a.acknowledged.numbers;
            *known = (*known).max(first.remove());
        }
        a.acknowledged.start |= a.start_named.is_some_and(|first| first <= number);
    }

    /// Gives up the term: authority has expired, or this node leaves.
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
}
