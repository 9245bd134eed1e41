//! What comes in by gossip.

use super::*;

impl Node {
    pub(super) fn gossip(
        &mut self,
        now: Time,
        author: &Peer,
        message: Gossip,
        fx: &mut Effects,
    ) -> Acceptance {
        let said_by = match &message {
            Gossip::Advert(a) => &a.node.peer,
            Gossip::Test(m) => &m.author().peer,
            Gossip::Snapshot(s) => &s.worker.peer,
        };
        if said_by != author {
            return Acceptance::Reject;
        }
        if *author == self.myself.node.peer {
            return Acceptance::Ignore;
        }
        match message {
            Gossip::Advert(advert) => self.advert(now, advert, fx),
            Gossip::Test(message) => self.test_message(now, message, fx),
            Gossip::Snapshot(snapshot) => {
                let test = self.tests.get_mut(&snapshot.test);
                if test.is_some_and(|t| t.snapshot(now, &snapshot, fx)) {
                    Acceptance::Accept
                } else {
                    Acceptance::Ignore
                }
            }
        }
    }

    pub(super) fn advert(&mut self, now: Time, advert: Advert, fx: &mut Effects) -> Acceptance {
        let (peer, tests) = (advert.node.peer.clone(), advert.tests.clone());
        let news = self.members.heard(now, advert);
        match news {
            News::Stale => return Acceptance::Ignore,
            News::Joined => {
                self.greet(now);
                for t in self.tests.values_mut() {
                    t.somebody_returned(&peer, fx);
                }
            }
            News::Left | News::Updated => {}
        }
        for known in tests {
            match self.tests.get_mut(&known.test) {
                Some(t) if t.ended().is_some() => t.somebody_missed_the_end(now),
                Some(_) => {}
                None => self.ask_about(now, &peer, known.test, fx),
            }
        }
        Acceptance::Accept
    }

    pub(super) fn ask_about(&mut self, now: Time, peer: &Peer, test: TestId, fx: &mut Effects) {
        self.asked.retain(|_, at| now.since(*at) < ASK_AGAIN);
        let full = self.live_tests() >= MAX_LIVE_TESTS || self.asked.len() >= MAX_LIVE_TESTS;
        if full || self.forgotten.contains(&test) || self.asked.contains_key(&test) {
            return;
        }
        self.asked.insert(test, now);
        fx.send(&self.myself.node, peer, Request::FetchAnnouncement(test));
    }

    pub(super) fn test_message(
        &mut self,
        now: Time,
        message: TestMessage,
        fx: &mut Effects,
    ) -> Acceptance {
        if let TestMessage::Announced(announcement) = &message
            && !self.tests.contains_key(&announcement.test)
        {
            return self.announced(now, announcement.clone(), fx);
        }
        match self.tests.get_mut(&message.test()) {
            Some(t) if t.ended().is_none() || matches!(message, TestMessage::Ended(_)) => {
                t.message(now, &message, fx);
                Acceptance::Accept
            }
            _ => Acceptance::Ignore,
        }
    }

    pub(super) fn live_tests(&self) -> usize {
        self.tests.values().filter(|t| t.ended().is_none()).count()
    }

    pub(super) fn announced(
        &mut self,
        now: Time,
        announcement: Announcement,
        fx: &mut Effects,
    ) -> Acceptance {
        let id = announcement.test;
        if self.forgotten.contains(&id) || self.live_tests() >= MAX_LIVE_TESTS || self.leaving {
            return Acceptance::Ignore;
        }
        self.forget_ended();
        let mut test = TestRun::new(
            announcement,
            self.myself.clone(),
            self.timings.clone(),
            now,
            fx,
        );
        if self.draining {
            test.drain();
        }
        self.tests.insert(id, test);
        Acceptance::Accept
    }

    pub(super) fn forget_ended(&mut self) {
        let ended = self.tests.values().filter(|t| t.ended().is_some());
        let mut ids: Vec<TestId> = ended.map(TestRun::id).collect();
        ids.sort();
        let surplus = ids.len().saturating_sub(MAX_ENDED_TESTS);
        for id in ids.into_iter().take(surplus) {
            self.tests.remove(&id);
            self.forgotten.insert(id);
        }
        while self.forgotten.len() > MAX_ENDED_TESTS * 32 {
            self.forgotten.pop_first();
        }
    }
}
