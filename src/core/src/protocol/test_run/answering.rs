//! Metrics, requests and replies of one test.

use super::*;

impl TestRun {
    /// This node's engine measured.
    pub fn measured(&mut self, now: Time, m: Measurement, nodes: usize, fx: &mut Effects) {
        let Some(worker) = &mut self.worker else {
            return;
        };
        worker.set_overloaded(m.overloaded);
        self.snapshots += 1;
        let snapshot = Snapshot {
            test: self.announcement.test,
            worker: self.myself.node.clone(),
            number: self.snapshots,
            is_final: m.is_final,
            pieces_total: m.pieces.len() as u32,
            elapsed: m.elapsed,
            slots: worker.share(now),
            start_error: worker.start_error(),
            engine_cpu: m.engine_cpu,
            engine_threads: m.engine_threads,
            pieces: m.pieces,
        };
        let mut gossip = snapshot.clone();
        if !gossip.is_final {
            let interval = self.timings.metrics_interval(nodes);
            gossip.pieces = self.allowance.choose(&snapshot.pieces, nodes, interval);
        }
        fx.outputs.push(Output::Publish(Gossip::Snapshot(gossip)));
        worker.measured(now, snapshot.clone(), fx);
        self.snapshot(now, &snapshot, fx);
    }

    /// A snapshot, or pieces of one, arrived. Says whether anything was new.
    pub fn snapshot(&mut self, now: Time, snapshot: &Snapshot, fx: &mut Effects) -> bool {
        let news = self.merge.take(snapshot);
        if news
            && let Some(coordinator) = &mut self.coordinator
            && self.merge.has(&snapshot.worker, snapshot.number)
        {
            coordinator.snapshot_received(&snapshot.worker, snapshot.number, snapshot.is_final);
        }
        if news {
            self.amend_end(now, snapshot);
            self.check_complete(now, fx);
        }
        news
    }

    /// Answers a request of `from` about this test.
    pub fn request(
        &mut self,
        now: Time,
        from: &Peer,
        request: &Request,
        fx: &mut Effects,
    ) -> Reply {
        let authority = self.election.has_authority(now) || planted(Bug::AnswersWithoutAuthority);
        let authority = authority && self.ended.is_none();
        let office = self.coordinator.as_mut().filter(|_| authority);
        match request {
            Request::Register(r) if r.node.peer == *from => match office {
                Some(c) => {
                    let reply = c.register(now, r, fx);
                    // What came in before the registration will not be news again.
                    if let Some(m) = self.merge.workers().get(&r.node)
                        && m.whole()
                    {
                        c.snapshot_received(&r.node, m.number, m.is_final);
                    }
                    Reply::Register(reply)
                }
                None => not_coordinator(),
            },
            Request::Heartbeat(hb) if hb.node.peer == *from => office
                .and_then(|c| c.heartbeat(now, hb, fx))
                .map_or_else(not_coordinator, Reply::Heartbeat),
            Request::Assign(a) => match &mut self.worker {
                Some(w) if w.follows(from) && self.ended.is_none() => {
                    Reply::Assign(w.assigned(now, a, fx))
                }
                _ => Reply::Refused("this node does not follow you".into()),
            },
            Request::Stop { order, .. } => {
                self.hear_stop(now, *order, fx);
                Reply::Stop {
                    stopped: true,
                    message: String::new(),
                    interrupted: 0,
                }
            }
            Request::Metrics(s) if s.worker.peer == *from => {
                self.snapshot(now, s, fx);
                Reply::Metrics {
                    test: s.test,
                    number: s.number,
                    received: self.merge.has(&s.worker, s.number),
                }
            }
            _ => Reply::Refused("a request in another node's name".into()),
        }
    }

    /// An answer arrived from `from`.
    pub fn reply(&mut self, now: Time, from: &Peer, reply: &Reply, fx: &mut Effects) {
        let Some(worker) = self.worker.as_mut().filter(|w| w.follows(from)) else {
            return;
        };
        match reply {
            Reply::Metrics {
                number,
                received: true,
                ..
            } => worker.delivered(*number),
            _ if self.ended.is_some() => {}
            Reply::Register(r) => worker.registered(now, r, fx),
            Reply::Heartbeat(r) => {
                worker.heartbeat_answered(now, r, fx);
                self.settle(&r.decisions, fx);
            }
            _ => {}
        }
    }
}
