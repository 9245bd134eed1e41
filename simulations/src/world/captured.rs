//! A captured node: besides its normal messages it sends forged ones. It knows all messages that others
//! sent, and signs with its own key only. Whatever it sends may change nothing on other nodes.

use vajra_core::Interval;
use vajra_core::metrics::{Counters, Piece, Snapshot, StepCounters};
use vajra_core::protocol::allocation::{AllocationEntry, AllocationName};
use vajra_core::protocol::beat::Beat;
use vajra_core::protocol::log::{EntryKind, LogEntry};
use vajra_core::protocol::messages::{
    Assign, EndReason, Ended, Order, RosterEntry, TaskDescription, TestMessage, TestState,
};
use vajra_core::protocol::stop::SignedStop;
use vajra_core::protocol::{Digest, Incarnation, Keys, Peer, RemoteTime, Signature};

use super::*;
use crate::keys::SimulatedKeys;

/// Time between two forged messages.
const PACE: std::ops::Range<Duration> = Duration::from_millis(20)..Duration::from_millis(400);
/// A duration of seven days.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

impl World {
    /// Whether a node is captured now.
    pub(super) fn is_captured(&self, i: usize) -> bool {
        let mut faults = self.scenario.faults.0.iter();
        self.captured.any
            && faults.any(|t| {
                matches!(t.fault, Fault::Captured { node, .. } if node == i) && t.active(self.now)
            })
    }

    /// A captured node sends a forged message, and later another one.
    pub(super) fn forge(&mut self, i: usize) {
        if !self.is_captured(i) {
            return;
        }
        let next = self.now + self.captured.rng.time(PACE);
        self.push(next, Scheduled::Forges(i));
        if self.machines[i].state != State::Up {
            return;
        }
        self.coverage.saw("forged messages");
        match self.captured.rng.index(7) {
            0 => self.forge_beat(i),
            1 => self.repeat(i),
            2 => self.forge_end(i),
            3 => self.forge_announcement(i),
            4 => self.forge_snapshot(i),
            5 => self.forge_order(i),
            _ => self.forge_stop(i),
        }
    }

    /// The newest beat, if it is of another node. What a captured coordinator says is another matter:
    /// it has the right to say it.
    fn beat_of_another(&self, i: usize) -> Option<Arc<Beat>> {
        let newest = self.captured.newest_beat.clone();
        newest.filter(|beat| beat.coordinator.peer != peer(i))
    }

    fn own(&self, i: usize) -> (NodeId, SimulatedKeys) {
        (
            self.machines[i].node.local().node.clone(),
            SimulatedKeys(peer(i)),
        )
    }

    /// A beat of this node, which no majority elected, in the place of the newest one.
    fn forge_beat(&mut self, i: usize) {
        let (me, keys) = self.own(i);
        let Some(known) = self.beat_of_another(i) else {
            return;
        };
        let rng = &mut self.captured.rng;
        let mut beat = Beat {
            term: known.term + [0, 1, 3, 1_000][rng.index(4)],
            coordinator: me,
            number: known.number + rng.within(0..1_000),
            ..(*known).clone()
        };
        alter(&mut beat, rng);
        beat.signature = keys.sign(&beat.statement());
        self.inject(i, peer(i), Gossip::Test(TestMessage::Beat(Arc::new(beat))));
    }

    /// An older message of any author again.
    fn repeat(&mut self, i: usize) {
        if self.captured.kept.is_empty() {
            return;
        }
        let at = self.captured.rng.index(self.captured.kept.len());
        let (author, message) = self.captured.kept[at].clone();
        self.inject(i, author, (*message).clone());
    }

    /// An end of the test by this node.
    fn forge_end(&mut self, i: usize) {
        let (me, keys) = self.own(i);
        let Some(beat) = self.beat_of_another(i) else {
            return;
        };
        let rng = &mut self.captured.rng;
        let invented = RosterEntry {
            worker: NodeId {
                peer: me.peer.clone(),
                incarnation: Incarnation(1_000),
            },
            name: "invented".into(),
            last_snapshot: Some(1),
            is_final: true,
            lost_at: None,
        };
        let mut ended = Ended {
            test: beat.test,
            term: beat.term + [0, 1, 7][rng.index(3)],
            coordinator: me,
            reason: match rng.index(3) {
                0 => EndReason::Completed,
                1 => EndReason::Stopped,
                _ => EndReason::Failed("forged".into()),
            },
            roster: vec![invented],
            events: Vec::new(),
            log: Vec::new(),
            unused_numbers: None,
            certificate: beat.certificate.clone(),
            signature: Signature([0; 64]),
        };
        ended.sign(&keys);
        self.inject(i, peer(i), Gossip::Test(TestMessage::Ended(ended)));
    }

    /// The announcement of a test, with other electors or another submitter.
    fn forge_announcement(&mut self, i: usize) {
        let (me, keys) = self.own(i);
        let id = self.tests[0].id;
        let Some(test) = self.machines[i].test(id) else {
            return;
        };
        let mut announcement = test.announcement().clone();
        announcement.electorate = vec![me.clone()];
        if self.captured.rng.chance(500) {
            announcement.submitter = me;
            announcement.seal(&keys);
            announcement.test = id;
        }
        let author = announcement.submitter.peer.clone();
        // The name of another author proves nothing: the transport does not let it through.
        if author == peer(i) {
            self.inject(
                i,
                author,
                Gossip::Test(TestMessage::Announced(announcement)),
            );
        } else {
            let reply = Reply::Announcement(Some(announcement));
            self.answer_unasked(i, reply);
        }
    }

    /// Measurements of a worker that does not exist.
    fn forge_snapshot(&mut self, i: usize) {
        let (mut worker, keys) = self.own(i);
        worker.incarnation.0 += 1_000;
        let counters = Counters {
            planned: 1 << 40,
            sent: 1 << 40,
            ok: 1 << 40,
            ..Counters::default()
        };
        let step = StepCounters {
            name: "step".into(),
            counters,
        };
        let mut snapshot = Snapshot {
            test: self.tests[0].id,
            worker,
            number: 1 + self.captured.rng.within(0..100),
            is_final: self.captured.rng.chance(300),
            pieces_total: 1,
            elapsed: Duration::from_secs(1),
            slots: WHOLE,
            start_error: None,
            engine_cpu: Duration::ZERO,
            engine_threads: 1,
            pieces: vec![Piece::Counters(vec![step])],
            signature: Signature([0; 64]),
        };
        snapshot.sign(&keys);
        if self.captured.rng.chance(500) {
            self.inject(i, peer(i), Gossip::Snapshot(snapshot));
        } else {
            self.demand(i, Request::Metrics(snapshot));
        }
    }

    /// An order to a worker to carry the whole load.
    fn forge_order(&mut self, i: usize) {
        let Some(beat) = self.beat_of_another(i) else {
            return;
        };
        let rng = &mut self.captured.rng;
        let number = 1_000 + rng.within(0..1_000);
        let allocation = AllocationName {
            number,
            digest: Digest([1; 32]),
        };
        let order = Order {
            number,
            share: Slots::whole(),
            floor: Duration::ZERO,
            start: None,
        };
        let registration = rng.within(1..4);
        for to in (0..self.machines.len()).filter(|to| *to != i) {
            let assign = Assign {
                test: beat.test,
                term: beat.term,
                incarnation: Incarnation(self.machines[to].incarnation),
                registration,
                digest: Digest::of(&self.tests[0].bytes),
                order: order.clone(),
                allocation,
                list: None,
                description: TaskDescription::default(),
                sent: RemoteTime(0),
            };
            self.demand_of(i, to, Request::Assign(assign));
        }
    }

    /// A request of somebody else to stop the test.
    fn forge_stop(&mut self, i: usize) {
        let Some(beat) = self.beat_of_another(i) else {
            return;
        };
        let stop = forged_stop(beat.test, self.tests[0].electorate.first(), &self.own(i).1);
        let Some(stop) = stop else {
            return;
        };
        let (test, term) = (beat.test, beat.term);
        self.demand(i, Request::Stop { test, term, stop });
    }

    /// What a captured node makes of its own request.
    pub(super) fn corrupt_request(&mut self, i: usize, request: Request) -> Request {
        if !self.is_captured(i) || self.captured.rng.chance(500) {
            return request;
        }
        let (_, keys) = self.own(i);
        let someone = self.tests[0].electorate.first();
        let rng = &mut self.captured.rng;
        match request {
            Request::Election(TestMessage::Vote {
                test,
                term,
                candidate,
                elector,
                sending,
                stop,
                mut start,
                beat,
                signature,
            }) => {
                if let Some(start) = &mut start {
                    start.since -= [0, 3_000_000_000][rng.index(2)];
                }
                let altered = beat.map(|beat| {
                    let mut beat = (*beat).clone();
                    beat.number += 1_000;
                    alter(&mut beat, rng);
                    Arc::new(beat)
                });
                Request::Election(TestMessage::Vote {
                    test,
                    term,
                    candidate,
                    elector,
                    sending,
                    stop: stop.or_else(|| forged_stop(test, someone, &keys)),
                    start,
                    beat: altered,
                    signature,
                })
            }
            Request::Heartbeat(mut hb) => {
                hb.stop = forged_stop(hb.test, someone, &keys);
                Request::Heartbeat(hb)
            }
            other => other,
        }
    }

    /// What a captured node makes of its own reply.
    pub(super) fn corrupt_reply(&mut self, i: usize, reply: Reply) -> Reply {
        if !self.is_captured(i) {
            return reply;
        }
        let (me, _) = self.own(i);
        match reply {
            Reply::Announcement(Some(mut a)) => {
                a.electorate = vec![me];
                Reply::Announcement(Some(a))
            }
            Reply::Snapshots {
                test,
                mut snapshots,
                more,
            } => {
                for s in snapshots.iter_mut().filter(|s| s.worker.peer != me.peer) {
                    s.number += 1_000;
                    for piece in &mut s.pieces {
                        if let Piece::Counters(steps) = piece {
                            steps.iter_mut().for_each(|s| s.counters.sent += 1 << 40);
                        }
                    }
                }
                Reply::Snapshots {
                    test,
                    snapshots,
                    more,
                }
            }
            Reply::End(Some(mut ended)) => {
                ended.term += 1;
                ended.reason = EndReason::Failed("forged".into());
                Reply::End(Some(ended))
            }
            Reply::Allocation {
                test,
                list: Some(list),
                certificate,
            } => {
                let mut list = (*list).clone();
                list.number += 1_000;
                let worker = NodeId {
                    peer: me.peer,
                    incarnation: Incarnation(me.incarnation.0 + 1_000),
                };
                let slots = Slots::EMPTY;
                list.entries.push(AllocationEntry { worker, slots });
                Reply::Allocation {
                    test,
                    list: Some(Arc::new(list)),
                    certificate,
                }
            }
            other => other,
        }
    }

    /// Gossips a message with this author, who signed it at some time.
    fn inject(&mut self, i: usize, author: Peer, message: Gossip) {
        let messages = match self.scenario.wire {
            true => wire_form::gossip(message).unwrap_or_default(),
            false => vec![message],
        };
        for message in messages {
            let message = Arc::new(message);
            for j in (0..self.machines.len()).filter(|j| *j != i && peer(*j) != author) {
                let event = Event::Gossip {
                    author: author.clone(),
                    message: message.clone(),
                };
                self.gossip(i, j, event);
            }
        }
    }

    /// Sends a request to all others.
    fn demand(&mut self, i: usize, request: Request) {
        for to in (0..self.machines.len()).filter(|to| *to != i) {
            self.demand_of(i, to, request.clone());
        }
    }

    fn demand_of(&mut self, i: usize, to: usize, request: Request) {
        let event = Event::Request {
            from: i,
            incarnation: self.machines[i].incarnation,
            request: Arc::new(request),
        };
        self.send(i, to, event);
    }

    /// Sends a reply as if others had asked.
    fn answer_unasked(&mut self, i: usize, reply: Reply) {
        let reply = Arc::new(reply);
        for to in (0..self.machines.len()).filter(|to| *to != i) {
            let event = Event::Reply {
                from: i,
                incarnation: self.machines[to].incarnation,
                reply: reply.clone(),
            };
            self.send(i, to, event);
        }
    }
}

/// Changes what a beat says.
fn alter(beat: &mut Beat, rng: &mut Rng) {
    match rng.index(6) {
        0 => beat.share_lease = WEEK,
        1 => {
            beat.share_lease = Duration::ZERO;
            beat.leased_until = Duration::ZERO;
        }
        2 => {
            let mut log = beat.log.to_vec();
            log.push(LogEntry {
                id: 99,
                at: Duration::from_secs(1),
                max_delay: Duration::ZERO,
                kind: EntryKind::LoadChanged(LoadCommand::Load {
                    level_milli: 50_000_000,
                }),
            });
            beat.committed = log.len() as u32;
            beat.log = log.into();
        }
        3 => beat.state = TestState::Ended,
        4 => {
            let everything = vajra_core::Numbers::union_of([Interval {
                from: 0,
                to: 1_000_000,
            }]);
            beat.free = beat.free.is_some().then(|| Arc::new(everything));
        }
        _ => beat.since_start = beat.since_start.map(|since| since - 5_000_000_000),
    }
}

/// A request to stop the test in the name of another node.
fn forged_stop(test: TestId, by: Option<&NodeId>, keys: &SimulatedKeys) -> Option<SignedStop> {
    let order = StopOrder {
        graceful: false,
        timeout: Duration::ZERO,
    };
    let by = by.filter(|by| by.peer != keys.0)?;
    Some(SignedStop::new(test, order, by, keys))
}
