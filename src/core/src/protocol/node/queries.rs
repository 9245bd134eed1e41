//! Requests of other nodes, and replies to this node's requests.

use super::*;
use crate::metrics::Snapshot;

impl Node {
    pub(super) fn request(
        &mut self,
        now: Time,
        from: &Peer,
        request: &Request,
        fx: &mut Effects,
    ) -> Reply {
        let test = match request {
            Request::FetchPlan(digest) => {
                let plan = self
                    .tests
                    .values()
                    .find(|t| t.announcement().digest == *digest)
                    .and_then(|t| t.plan().cloned());
                return Reply::Plan(plan);
            }
            Request::FetchAnnouncement(test) => {
                let live = self.tests.get(test).filter(|t| t.ended().is_none());
                return Reply::Announcement(live.map(|t| t.announcement().clone()));
            }
            Request::FetchEnd(test) => {
                let end = self.tests.get(test).and_then(TestRun::signed_end);
                return Reply::End(end.cloned());
            }
            Request::Election(message) => {
                let to_me = message.receiver() == Some(&self.local.node);
                if !to_me || message.author().peer != *from {
                    return Reply::Refused("the message is not for this node".into());
                }
                self.test_message(now, message.clone(), fx);
                return Reply::Noted;
            }
            Request::Drain => {
                self.drain();
                return Reply::Drained;
            }
            Request::Preflight(_) | Request::Clock => {
                return Reply::Refused("the driver answers this request".into());
            }
            Request::FetchSnapshots { test, after } => {
                return self.snapshots(*test, after.as_ref());
            }
            Request::FetchBlob { .. } | Request::TakeData(_) => {
                return Reply::Refused("this node has no data".into());
            }
            Request::FetchRecord { .. } => {
                return Reply::Refused("this node stores no records".into());
            }
            Request::Register(r) => r.test,
            Request::Heartbeat(h) => h.test,
            Request::Assign(a) => a.test,
            Request::Stop { test, .. } => *test,
            Request::Metrics(s) => s.test,
            Request::FetchAllocation { test, .. } => *test,
        };
        match self.tests.get_mut(&test) {
            Some(t) => t.request(now, from, request, fx),
            None => Reply::Refused("this node does not know the test".into()),
        }
    }

    pub(super) fn snapshots(&self, test: TestId, after: Option<&NodeId>) -> Reply {
        let mut snapshots = Vec::new();
        let mut more = false;
        if let Some(t) = self.tests.get(&test) {
            let mut rest = t
                .merge()
                .workers()
                .keys()
                .filter(|w| after.is_none_or(|a| *w > a))
                .filter_map(|w| t.merge().snapshot(test, w));
            snapshots.extend(rest.by_ref().take(SNAPSHOTS_PER_REPLY));
            more = rest.next().is_some();
        }
        Reply::Snapshots {
            test,
            snapshots,
            more,
        }
    }

    pub(super) fn reply(&mut self, now: Time, from: &Peer, reply: Reply, fx: &mut Effects) {
        match reply {
            Reply::Plan(Some(plan)) => {
                for t in self.tests.values_mut() {
                    t.offer_plan(now, &plan, fx);
                }
            }
            Reply::Announcement(Some(announcement)) => {
                if !self.tests.contains_key(&announcement.test) {
                    self.announced(now, announcement, fx);
                }
            }
            Reply::Snapshots {
                test,
                snapshots,
                more,
            } => {
                let Some(t) = self.tests.get_mut(&test) else {
                    return;
                };
                let last = snapshots.last().map(|s| s.worker.clone());
                let keys = &*self.keys;
                let signed = |s: &&Snapshot| s.is_signed(keys) || planted(Bug::RelayedUnsigned);
                for s in snapshots.iter().filter(|s| s.test == test).filter(signed) {
                    t.snapshot(now, s, fx);
                }
                if more && last.is_some() {
                    let request = Request::FetchSnapshots { test, after: last };
                    fx.send(&self.local.node, from, request);
                }
            }
            Reply::End(Some(ended)) => {
                if let Some(t) = self.tests.get_mut(&ended.test) {
                    t.relayed_end(now, &ended, fx);
                }
            }
            Reply::Plan(None) | Reply::Announcement(None) | Reply::End(None) => {}
            reply => {
                let test = match &reply {
                    Reply::Register(r) => r.test,
                    Reply::Heartbeat(r) => r.test,
                    Reply::Allocation { test, .. } => *test,
                    Reply::Metrics { test, .. } => *test,
                    _ => return,
                };
                if let Some(t) = self.tests.get_mut(&test) {
                    t.reply(now, from, &reply, fx);
                }
            }
        }
    }
}
