//! What callers want.

use super::*;

impl Driver {
    pub(super) fn command(&mut self, command: Command) {
        if let Some(command) = self.bring_first(command) {
            self.obey(command);
        }
    }

    pub(super) fn obey(&mut self, command: Command) {
        match command {
            Command::Start(plan, options, reply) => self.start(plan, options, reply),
            Command::Stop(test, graceful, reply) => {
                let answer = self.stop(test, graceful);
                // Whoever asked may be gone; so below.
                let _ = reply.send(answer);
            }
            Command::LoadCommand(test, how, reply) => self.steer(test, how, reply),
            Command::Nodes(reply) => {
                let _ = reply.send(self.nodes());
            }
            Command::Tests(reply) => {
                let _ = reply.send(self.list_tests());
            }
            Command::Status(test, reply) => self.status(test, reply),
            Command::Watch(test, reply) => self.watch(test, reply),
            Command::SwarmEvents(limit, reply) => {
                let _ = reply.send(self.swarm_events(limit));
            }
            Command::SwarmLinks(reply) => self.swarm_links(reply),
            Command::Timeline(test, points, histograms, reply) => {
                self.timeline(test, points, histograms, reply);
            }
            Command::Observe(reply) => {
                let _ = reply.send(Box::new(self.observe()));
            }
            Command::Drain(peer, reply) => {
                let _ = reply.send(self.drain(peer));
            }
            Command::Preflight(plan, reply) => self.preflight(plan, reply),
            Command::Leave(reply) => self.leave(reply),
            Command::Blobs(reply) => {
                let _ = reply.send(self.data.blobs.clone());
            }
        }
    }

    pub(super) fn start(
        &mut self,
        plan: Arc<Plan>,
        options: StartOptions,
        reply: oneshot::Sender<Result<TestId, CommandError>>,
    ) {
        if self.leaving.is_some() {
            let _ = reply.send(Err(CommandError::Gone));
            return;
        }
        let start = WaitingStart {
            plan,
            nodes: options.wait_for,
            reply,
            data: None,
            spread: false,
        };
        let has_data = start.plan.task.data().next().is_some();
        match has_data {
            true => self.check_data(start),
            false => self.waiting.push(start),
        }
    }

    /// Starts what was waiting for nodes that are here now.
    pub(super) fn start_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let here = 1 + self.core.members().live(self.now()).count();
        self.waiting.retain(|w| !w.reply.is_closed());
        let ready = self.waiting.extract_if(.., |w| here >= w.nodes as usize);
        for mut w in ready.collect::<Vec<_>>() {
            if w.data.is_some() && !w.spread && here > 1 {
                self.spread_data(w);
                continue;
            }
            let id = TestId(uuid::Uuid::now_v7().into_bytes());
            self.served(id).data = w.data.take();
            self.input(Input::Submit(Submission {
                test: id,
                name: w.plan.name.clone().unwrap_or_default(),
                plan: w.plan.to_bytes().into(),
                unix_ms: unix_ms(),
            }));
            let taken = self.core.tests().contains_key(&id);
            let answer = taken.then_some(id).ok_or_else(|| {
                CommandError::Refused(
                    "too many tests are running on this node; stop one first".into(),
                )
            });
            let _ = w.reply.send(answer);
        }
    }

    pub(super) fn stop(&mut self, test: TestId, graceful: bool) -> Result<(), CommandError> {
        let known = self.core.tests().get(&test);
        let Some(t) = known else {
            if self.old.contains_key(&test) || self.history.others.knows(test) {
                return Ok(());
            }
            return Err(CommandError::NotFound(format!("no test {test} here")));
        };
        let timeout = t.spec().map_or(Duration::ZERO, |s| s.grace);
        let order = StopOrder {
            graceful,
            timeout: if graceful { timeout } else { Duration::ZERO },
        };
        self.input(Input::StopTest(test, order));
        Ok(())
    }

    pub(super) fn drain(&mut self, peer: Option<Peer>) -> Result<(), CommandError> {
        match peer {
            Some(peer) if peer != self.core.local().node.peer => {
                if self.core.members().get(&peer).is_none() {
                    return Err(CommandError::NotFound("no such node in the swarm".into()));
                }
                self.send(peer, &Request::Drain);
            }
            _ => self.input(Input::Drain),
        }
        Ok(())
    }

    pub(super) fn leave(&mut self, reply: oneshot::Sender<()>) {
        if let Some((_, waiting)) = &mut self.leaving {
            waiting.push(reply);
            return;
        }
        self.input(Input::Leave(StopOrder {
            graceful: false,
            timeout: Duration::ZERO,
        }));
        let patience = if self.net.is_some() {
            FAREWELL
        } else {
            Duration::ZERO
        };
        self.leaving = Some((Instant::now() + patience, vec![reply]));
    }
}
