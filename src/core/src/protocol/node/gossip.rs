//! Handling of gossip.

use super::test_age::MAX_TEST;
use super::*;

impl Node {
    pub(super) fn gossip(
        &mut self,
        now: Time,
        author: &Peer,
        message: Gossip,
        fx: &mut Effects,
    ) -> Acceptance {
        let claimed_author = match &message {
            Gossip::Advert(a) => &a.node.peer,
            Gossip::Test(m) => &m.author().peer,
            Gossip::Snapshot(s) => &s.worker.peer,
        };
        if claimed_author != author {
            return Acceptance::Reject;
        }
        if *author == self.local.node.peer {
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

    pub(super) fn advert(
        &mut self,
        now: Time,
        advert: Arc<Advert>,
        fx: &mut Effects,
    ) -> Acceptance {
        let arrived = advert.clone();
        let (peer, tests) = (advert.node.peer.clone(), &advert.tests);
        let change = self.members.advert(now, arrived);
        match change {
            AdvertChange::Stale => return Acceptance::Ignore,
            AdvertChange::Joined => {
                self.advertise_soon(now);
                for t in self.tests.values_mut() {
                    t.node_rejoined(now, &peer, fx);
                }
            }
            AdvertChange::Left | AdvertChange::Updated => {}
        }
        for known in tests {
            match self.tests.get_mut(&known.test) {
                Some(t) if t.ended().is_some() => t.repeat_end_soon(now),
                Some(_) => {}
                None => self.request_announcement(now, &peer, known.test, fx),
            }
        }
        Acceptance::Accept
    }

    /// Requests the announcement of a test that an advert of this peer mentioned.
    pub(super) fn request_announcement(
        &mut self,
        now: Time,
        peer: &Peer,
        test: TestId,
        fx: &mut Effects,
    ) {
        let full = self.live_tests() >= MAX_LIVE_TESTS;
        if full || self.forgotten.contains(&test) || !self.unknown.ask(now, test, peer) {
            return;
        }
        fx.send(&self.local.node, peer, Request::FetchAnnouncement(test));
    }

    /// Repeats requests that were not answered, to other nodes that advertise the test if there are
    /// any.
    pub(super) fn request_announcements(&mut self, now: Time, fx: &mut Effects) {
        let full = self.live_tests() >= MAX_LIVE_TESTS;
        for test in self.unknown.due(now) {
            let advertises = |a: &Advert| a.tests.iter().any(|t| t.test == test);
            let live = self.members.live(now).filter(|k| advertises(&k.advert));
            let peers = live.map(|k| &k.advert.node.peer);
            match self.unknown.next_peer(test, peers).cloned() {
                Some(peer) if !full => self.request_announcement(now, &peer, test, fx),
                _ => self.unknown.forget(test),
            }
        }
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

    /// An announcement arrived, from its author or relayed by another node.
    pub(super) fn announced(
        &mut self,
        now: Time,
        announcement: Announcement,
        fx: &mut Effects,
    ) -> Acceptance {
        let authentic =
            announcement.is_authentic(&*self.keys) || planted(Bug::AnnouncementUnchecked);
        if !authentic {
            return Acceptance::Reject;
        }
        if !self.may_be_running(now, &announcement, MAX_TEST) {
            return Acceptance::Ignore;
        }
        self.add_test(now, announcement, Origin::Announced, fx)
    }

    pub(super) fn add_test(
        &mut self,
        now: Time,
        announcement: Announcement,
        origin: Origin,
        fx: &mut Effects,
    ) -> Acceptance {
        let id = announcement.test;
        if self.forgotten.contains(&id) || self.live_tests() >= MAX_LIVE_TESTS || self.leaving {
            return Acceptance::Ignore;
        }
        self.unknown.forget(id);
        self.forget_ended();
        let context = TestContext {
            local: self.local.clone(),
            keys: self.keys.clone(),
            timings: self.timings.clone(),
        };
        let mut test = TestRun::new(announcement, origin, context, now, fx);
        if self.draining {
            test.drain();
        }
        self.tests.insert(id, test);
        Acceptance::Accept
    }

    pub(super) fn forget_ended(&mut self) {
        let ended = self.tests.values().filter(|t| t.ended().is_some());
        // An id contains a time that its submitter chose, so the order is that of the ends here.
        let mut ended: Vec<_> = ended.map(|t| (t.ended_at(), t.id())).collect();
        ended.sort();
        let surplus = ended.len().saturating_sub(MAX_ENDED_TESTS);
        for (_, id) in ended.into_iter().take(surplus) {
            self.tests.remove(&id);
            self.forgotten.push_back(id);
        }
        let surplus = self.forgotten.len().saturating_sub(MAX_FORGOTTEN);
        self.forgotten.drain(..surplus);
    }
}
