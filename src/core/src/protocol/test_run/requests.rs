//! Metrics, requests and replies of one test.

use super::*;

impl TestRun {
    /// This node's engine measured.
    pub fn measured(&mut self, now: Time, m: Measurement, nodes: usize, fx: &mut Effects) {
        let Some(worker) = &mut self.worker else {
            return;
        };
        worker.set_overloaded(m.overloaded);
        if planted(Bug::FinalOnly) && !m.is_final {
            return;
        }
        self.own.snapshots += 1;
        let snapshot = Snapshot {
            test: self.announcement.test,
            worker: self.local.node.clone(),
            number: self.own.snapshots,
            is_final: m.is_final,
            pieces_total: m.pieces.len() as u32,
            elapsed: m.elapsed,
            slots: worker.share(now).count(),
            start_error: worker.start_error(),
            engine_cpu: m.engine_cpu,
            engine_threads: m.engine_threads,
            pieces: m.pieces,
        };
        let mut gossip = snapshot.clone();
        if !gossip.is_final {
            let interval = self.timings.metrics_interval(nodes);
            gossip.pieces = self.own.allowance.choose(&snapshot.pieces, nodes, interval);
        }
        fx.outputs.push(Output::Publish(Gossip::Snapshot(gossip)));
        worker.measured(now, snapshot.clone(), fx);
        self.snapshot(now, &snapshot, fx);
    }

    /// This node's engine acts on a changed share, has finished removed users, or needs numbers.
    pub fn engine_held(&mut self, now: Time, held: EngineHeld, fx: &mut Effects) {
        if let Some(worker) = &mut self.worker {
            worker.engine_held(now, held, fx);
        }
    }

    /// Merges a snapshot, or pieces of one. Returns whether anything was new.
    pub fn snapshot(&mut self, now: Time, snapshot: &Snapshot, fx: &mut Effects) -> bool {
        let changed = self.merge.take(snapshot);
        if changed
            && let Some(coordinator) = &mut self.coordinator
            && self.merge.has(&snapshot.worker, snapshot.number)
        {
            coordinator.snapshot_received(&snapshot.worker, snapshot.number, snapshot.is_final);
        }
        if changed {
            self.amend_end(now, snapshot);
            self.check_complete(now, fx);
        }
        changed
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
        let authority = authority && self.end.ended.is_none();
        let coordinator = self.coordinator.as_mut().filter(|_| authority);
        match request {
            Request::Register(r) if r.node.peer == *from => match coordinator {
                Some(c) => {
                    let reply = c.register(now, r, fx);
                    // A snapshot that arrived before the registration is not reported again.
                    if let Some(m) = self.merge.workers().get(&r.node)
                        && m.is_complete()
                    {
                        c.snapshot_received(&r.node, m.number, m.is_final);
                    }
                    Reply::Register(reply)
                }
                None => not_coordinator(),
            },
            Request::Heartbeat(hb) if hb.node.peer == *from => coordinator
                .and_then(|c| c.heartbeat(now, hb, fx))
                .map_or_else(not_coordinator, Reply::Heartbeat),
            Request::Assign(a) => match &mut self.worker {
                Some(w) if w.follows(from) && self.end.ended.is_none() => {
                    Reply::Assign(w.assigned(now, a, fx))
                }
                _ => Reply::Refused("this node follows another coordinator".into()),
            },
            Request::FetchAllocation { test, digest } => {
                let coordinator = self.coordinator.as_ref();
                let list = coordinator.and_then(|c| c.allocations().find(*digest));
                Reply::Allocation {
                    test: *test,
                    list: list.cloned(),
                }
            }
            Request::Stop { order, .. } => {
                self.receive_stop(now, *order, fx);
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
            _ => Reply::Refused("the request names another node than its sender".into()),
        }
    }

    /// Handles a reply of `from`.
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
            _ if self.end.ended.is_some() => {}
            Reply::Register(r) => worker.registered(now, r, fx),
            Reply::Allocation { list, .. } => worker.allocation_arrived(now, list.as_ref(), fx),
            Reply::Heartbeat(r) => {
                worker.heartbeat_answered(now, r, fx);
                self.commit(&r.log, fx);
            }
            _ => {}
        }
    }
}
