//! Metrics, requests and replies of one test.

use super::super::certificate::Certificate;
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
        let mut snapshot = Snapshot {
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
            signature: Signature([0; SIGNATURE_LEN]),
        };
        snapshot.sign(&*self.keys);
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

    /// Answers a request of `from` about this test.
    pub fn request(
        &mut self,
        now: Time,
        from: &Peer,
        request: &Request,
        fx: &mut Effects,
    ) -> Reply {
        let reply = self.answer(now, from, request, fx);
        self.see_own_list(now, fx);
        reply
    }

    fn answer(&mut self, now: Time, from: &Peer, request: &Request, fx: &mut Effects) -> Reply {
        let known_stop = match request {
            Request::Register(r) => r.stop.as_ref(),
            Request::Heartbeat(hb) => hb.stop.as_ref(),
            _ => None,
        };
        if let Some(stop) = known_stop {
            self.receive_stop(now, stop, fx);
        }
        let authority = self.election.has_authority(now) || planted(Bug::AnswersWithoutAuthority);
        let authority = authority && self.end.ended.is_none();
        let coordinator = self.coordinator.as_mut().filter(|_| authority);
        match request {
            Request::Register(r) if r.node.peer == *from => match coordinator {
                Some(c) => {
                    let reply = c.register(now, r, fx);
                    // A snapshot that arrived before the registration is not reported again.
                    self.report_snapshot(&r.node);
                    Reply::Register(reply)
                }
                None => not_coordinator(),
            },
            Request::Heartbeat(hb) if hb.node.peer == *from => coordinator
                .and_then(|c| c.heartbeat(now, hb, fx))
                .map_or_else(not_coordinator, Reply::Heartbeat),
            Request::Assign(a) => match &mut self.worker {
                Some(w) if w.follows(from) && self.end.ended.is_none() => {
                    let reply = w.assigned(now, a, fx);
                    if let Some(list) = &a.list {
                        self.list_arrived(now, list, &Certificate::default(), fx);
                    }
                    Reply::Assign(reply)
                }
                _ => Reply::Refused("this node follows another coordinator".into()),
            },
            Request::FetchAllocation { digest, .. } => self.list(*digest),
            Request::Stop { stop, .. } => {
                let leads = |(_, node): &(u64, NodeId)| node.peer == *from;
                if !self.election.leader().is_some_and(leads) {
                    return Reply::Refused("this node follows another coordinator".into());
                }
                self.receive_stop(now, stop, fx);
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
                    received: self.has_snapshot(&s.worker, s.number),
                }
            }
            _ => Reply::Refused("the request names another node than its sender".into()),
        }
    }

    /// Handles a reply of `from`.
    pub fn reply(&mut self, now: Time, from: &Peer, reply: &Reply, fx: &mut Effects) {
        if let Reply::Allocation {
            list: Some(list),
            certificate,
            ..
        } = reply
        {
            self.list_arrived(now, list, certificate, fx);
        }
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
                if let Some(stop) = &r.stop {
                    self.receive_stop(now, stop, fx);
                }
                self.commit(&r.log, fx);
            }
            _ => {}
        }
    }
}
