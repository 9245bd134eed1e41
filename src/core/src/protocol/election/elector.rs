//! The elector: votes, promises, following a coordinator.

use super::*;

impl Election {
    pub(super) fn would_vote(&self, now: Time, term: u64, candidate: &NodeId) -> bool {
        let second_vote = planted(Bug::SecondVote) || planted(Bug::SecondVoteUnbound);
        (term > self.seen_term || (second_vote && term == self.seen_term))
            && !self.promised_to_other(candidate, now)
    }

    pub(super) fn on_poll(
        &mut self,
        now: Time,
        term: u64,
        candidate: &NodeId,
        sending: u32,
        fx: &mut Effects,
    ) -> Option<Change> {
        if self.rank.is_none() || !self.is_elector(candidate) || !self.is_near(term) {
            return None;
        }
        let wait = self.timings.rank_delay;
        if let Stage::Leading(a) = &self.stage
            && term > a.term + 1
            && self.forced.allow(now, candidate, wait)
        {
            // An elector has voted in a higher term that had no winner, and will never follow this
            // coordinator. A new election includes it.
            let change = self.step_down(now, fx);
            self.named_term = self.named_term.max(term - 1);
            return Some(change);
        }
        fx.answer(
            sending,
            TestMessage::PollAnswer {
                test: self.test,
                term,
                candidate: candidate.clone(),
                elector: self.me.clone(),
                sending,
                yes: self.would_vote(now, term, candidate),
                seen_term: self.seen_term,
            },
        );
        None
    }

    pub(super) fn on_poll_answer(
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
        }
        let elected = yes.len() >= majority;
        if !answer && self.is_near(seen_term) {
            self.named_term = self.named_term.max(seen_term);
        }
        if elected {
            let term = self.seen_term.max(self.named_term) + 1;
            return self.start_claim(term, now, fx);
        }
        None
    }

    /// Whether a term is close enough to the known ones to be considered. If not, the known ones
    /// come a bounded step closer.
    fn is_near(&mut self, term: u64) -> bool {
        let reach = self.seen_term.max(self.named_term) + MAX_TERM_STEP;
        if term <= reach || planted(Bug::TermsUnbounded) {
            return true;
        }
        self.named_term = reach;
        false
    }

    pub(super) fn on_claim(
        &mut self,
        now: Time,
        term: u64,
        candidate: &NodeId,
        sending: u32,
        fx: &mut Effects,
    ) -> Option<Change> {
        let (own_rank, their_rank) = (self.rank?, self.rank_of(candidate)?);
        if !self.is_near(term) {
            return None;
        }
        let wait = self.timings.rank_delay;
        if let Stage::Claiming { term: claimed, .. } = &self.stage
            && their_rank < own_rank
            && !planted(Bug::NoWithdrawal)
            && self.forced.allow(now, candidate, wait)
        {
            let claimed = *claimed;
            self.withdraw(claimed, now, fx);
        }
        if planted(Bug::ClaimRaisesTerm) && term > self.seen_term + 1 {
            self.seen_term = term - 1;
        }
        let same_vote = term == self.seen_term
            && self.voted_for.as_ref() == Some(candidate)
            && !self.promised_to_other(candidate, now);
        if !same_vote && !self.would_vote(now, term, candidate) {
            if planted(Bug::ClaimRaisesTerm) {
                self.seen_term = self.seen_term.max(term);
            }
            return None;
        }
        // A coordinator that was suspended past its authority may receive its successor's claim
        // first.
        let lost = match self.stage {
            Stage::Leading(_) => Some(self.step_down(now, fx)),
            _ => None,
        };
        self.seen_term = term;
        self.voted_for = Some(candidate.clone());
        self.promise(term, candidate, now);
        self.wait_for_promise();
        let statement = vote(self.test, term, candidate, &self.me);
        let signature = self.keys.sign(&statement);
        fx.answer(
            sending,
            TestMessage::Vote {
                test: self.test,
                term,
                candidate: candidate.clone(),
                elector: self.me.clone(),
                sending,
                stop: self.replicated.stop.clone(),
                start: self.replicated.start.map(|(term, at)| RelayedStart {
                    term,
                    since: now.signed_since(at),
                }),
                beat: self.kept_beat.clone(),
                signature,
            },
        );
        lost
    }

    pub(super) fn on_vote(
        &mut self,
        now: Time,
        voted: u64,
        elector: &NodeId,
        (sending, signature): (u32, Signature),
        relayed: Relayed<'_>,
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
        let statement = vote(self.test, voted, &self.me, elector);
        if !self.keys.is_signed(&statement, &elector.peer, &signature) {
            return None;
        }
        let latest = votes.entry(elector.clone()).or_insert((sending, signature));
        latest.0 = latest.0.max(sending);
        if let Some(beat) = relayed.beat
            && self.is_genuine(beat)
        {
            self.keep_beat(beat.clone());
            if let Some((term, start)) = relayed.start {
                self.start_relayed(now, term, start, beat);
            }
        }
        self.count_votes(now)
    }

    /// An elector relays its estimate of the start with a beat. A start that is later than the beat says
    /// is wrong.
    fn start_relayed(&mut self, now: Time, term: u64, start: Time, beat: &Beat) {
        let latest = beat
            .since_start
            .map(|since| now.shifted(since.saturating_neg()));
        let plausible = term <= beat.term && latest.is_some_and(|latest| start <= latest);
        if plausible || planted(Bug::StartBelieved) {
            self.record_start(term, start);
        }
    }

    /// Whether a relayed beat is of a certified coordinator of an earlier term, which signed it.
    fn is_genuine(&self, beat: &Beat) -> bool {
        let certified = self.is_certified(beat.term, &beat.coordinator, &beat.certificate);
        let signed = |b: &Beat| {
            self.keys
                .is_signed(&b.statement(), &b.coordinator.peer, &b.signature)
        };
        beat.test == self.test && (certified && signed(beat) || planted(Bug::RelayedUnchecked))
    }

    /// Keeps a beat for the next coordinator.
    fn keep_beat(&mut self, beat: Arc<Beat>) {
        self.replicate(&beat);
        let newness = |b: &Beat| (b.term, b.number);
        if self.kept_beat.as_deref().map(newness) < Some(newness(&beat)) {
            self.kept_beat = Some(beat);
        }
    }

    /// A beat arrived. Its coordinator is authenticated and certified.
    pub(super) fn on_beat(&mut self, now: Time, beat: &Beat, fx: &mut Effects) -> Option<Change> {
        let (term, coordinator) = (beat.term, &beat.coordinator);
        let lower = term < self.seen_term && !planted(Bug::LowerTermFollowed);
        if lower || !self.is_elector(coordinator) || !self.is_new_beat(term, beat.number) {
            return None;
        }
        // An elector relays only what others can check.
        if self.rank.is_some() && !self.is_genuine(beat) {
            return None;
        }
        self.newest_beat = self.newest_beat.max((term, beat.number));
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
        self.keep_beat(Arc::new(beat.relayed()));
        let new_leader = self.leader.as_ref() != Some(&(term, coordinator.clone()));
        self.leader = Some((term, coordinator.clone()));
        if self.rank.is_some() {
            if !planted(Bug::NoPromiseByBeat) {
                self.promise(term, coordinator, now);
            }
            self.wait_for_promise();
            fx.send_election(TestMessage::BeatAck {
                test: self.test,
                term,
                coordinator: coordinator.clone(),
                elector: self.me.clone(),
                number: beat.number,
            });
        }
        lost.or_else(|| {
            new_leader.then(|| Change::Leader {
                term,
                node: coordinator.clone(),
            })
        })
    }

    pub(super) fn on_ack(&mut self, now: Time, acked: u64, elector: &NodeId, number: u64) {
        let expired = !self.has_authority(now) && !planted(Bug::BeatsWithoutAuthority);
        if expired || !self.is_elector(elector) {
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
        self.count_acks(now);
    }

    pub(super) fn on_resign(&mut self, now: Time, term: u64, node: &NodeId) {
        let claiming =
            matches!(&self.stage, Stage::Claiming { term: claimed, .. } if *claimed == term);
        let wait = self.timings.rank_delay;
        if claiming && self.is_elector(node) && self.forced.allow(now, node, wait) {
            // A rival has votes of this term, so a majority in it may be impossible.
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
            .is_some_and(|p| (p.term == term || planted(Bug::ResignFreesAll)) && p.to == *node)
        {
            self.promise = None;
            self.wait_from(now);
        }
    }
}
