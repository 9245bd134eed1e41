//! Routes the commands of the node's users. A caller may be gone when its answer is sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, oneshot};
use tokio::time::Instant;

use super::tasks::TaskDone;
use super::{Driver, FAREWELL, Leaving};
use crate::handle::{Command, CommandError, LoadRequest};
use crate::load_commands::{LoadReply, Rejection};
use crate::preflight::Local;
use crate::queries::live_peers;
use crate::results::Lookup;
use crate::starts::{Next, PendingStart};
use crate::time::unix_ms;
use vajra_core::protocol::announcement::Submission;
use vajra_core::protocol::messages::{Request, StopOrder};
use vajra_core::protocol::rendezvous::Seed;
use vajra_core::protocol::{Input, Peer, TestId};
use vajra_plan::Plan;
use vajra_results::preflight::PreflightReport;
use vajra_results::{Progress, SwarmLinks, TestResult, Timeline, Update};

type Answer<T> = oneshot::Sender<Result<T, CommandError>>;

impl Driver {
    pub(super) fn command(&mut self, command: Command) {
        let (now, caller) = (self.now(), &self.swarm.caller);
        match self.results.look_up(command, &self.core, now, caller) {
            Lookup::Execute(command) => self.execute(command),
            Lookup::Fetch(fetch) => {
                self.tasks.spawn(fetch, |f| Some(TaskDone::Fetched(f)));
            }
            Lookup::Nothing => {}
        }
    }

    pub(super) fn execute(&mut self, command: Command) {
        match command {
            Command::Start(plan, options, reply) => {
                if self.leaving.is_some() {
                    let _ = reply.send(Err(CommandError::Gone));
                    return;
                }
                self.start(PendingStart::new(plan, &options, reply));
            }
            Command::Stop(test, graceful, reply) => {
                let _ = reply.send(self.stop(test, graceful));
            }
            Command::ChangeLoad(test, request, reply) => self.change_load(test, request, reply),
            Command::Nodes(reply) => {
                let _ = reply.send(self.view().nodes());
            }
            Command::Tests(reply) => {
                let _ = reply.send(self.view().tests());
            }
            Command::Status(test, reply) => self.status(test, reply),
            Command::Watch(test, reply) => self.watch(test, reply),
            Command::SwarmEvents(limit, reply) => {
                let _ = reply.send(self.view().swarm_events(limit));
            }
            Command::SwarmLinks(reply) => self.swarm_links(reply),
            Command::Timeline(test, points, histograms, reply) => {
                self.timeline(test, (points, histograms), reply);
            }
            Command::Observe(reply) => {
                let (net, threads) = (self.swarm.net.as_ref(), self.engine.host.threads);
                let _ = reply.send(Box::new(self.view().observe(net, threads)));
            }
            Command::Drain(peer, reply) => {
                let _ = reply.send(self.drain(peer));
            }
            Command::Preflight(plan, reply) => self.preflight(plan, reply),
            Command::Leave(reply) => self.leave(reply),
            Command::Blobs(reply) => {
                let _ = reply.send(self.data.blobs().clone());
            }
        }
    }

    // ---- starting and stopping tests ----

    fn start(&mut self, start: PendingStart) {
        if !start.has_data() {
            self.starts.add(start);
            return;
        }
        let read = start.read_data(&self.data, &self.engine.host.context);
        self.tasks.spawn(read, |s| s.map(TaskDone::StartReady));
    }

    /// Continues the starts that have enough nodes.
    pub(super) fn start_ready(&mut self) {
        let now = self.now();
        for next in self.starts.ready(&self.core, now) {
            match next {
                Next::Distribute(start) => {
                    let distributed = start.distribute(&self.core, now, &self.data);
                    self.tasks
                        .spawn(distributed, |s| s.map(TaskDone::StartReady));
                }
                Next::Start(start) => self.submit(start),
            }
        }
    }

    fn submit(&mut self, start: PendingStart) {
        let submission = Submission {
            name: start.plan.name.clone().unwrap_or_default(),
            plan: start.plan.to_bytes().into(),
            unix_ms: unix_ms(),
            nonce: Seed(uuid::Uuid::now_v7().into_bytes()),
        };
        let announcement = self.core.announcement(self.now(), &submission);
        let test = announcement.test;
        if let Some(data) = start.data {
            self.data.keep(test, data);
        }
        self.input(Input::Submit(announcement, submission.plan));
        let answer = match self.core.tests().contains_key(&test) {
            true => Ok(test),
            false => {
                self.data.release(test);
                Err(CommandError::Refused(
                    "too many tests are running on this node; stop one first".into(),
                ))
            }
        };
        let _ = start.reply.send(answer);
    }

    fn stop(&mut self, test: TestId, graceful: bool) -> Result<(), CommandError> {
        let Some(t) = self.core.tests().get(&test) else {
            return match self.results.has_ended(test) {
                true => Ok(()),
                false => Err(CommandError::unknown_test(test)),
            };
        };
        let grace = t.spec().filter(|_| graceful).map(|spec| spec.grace);
        let order = StopOrder {
            graceful,
            timeout: grace.unwrap_or(Duration::ZERO),
        };
        self.input(Input::StopTest(test, order));
        Ok(())
    }

    fn change_load(&mut self, test: TestId, request: LoadRequest, reply: LoadReply) {
        let now = self.now();
        let checked = match self.core.tests().get(&test) {
            Some(t) => {
                let checked = self
                    .load_commands
                    .check(&self.core, now, &self.plans, t, request);
                checked.map_err(|e| CommandError::Refused(e.to_string()))
            }
            None if self.results.has_ended(test) => {
                Err(CommandError::Refused(Rejection::Ended.to_string()))
            }
            None => Err(CommandError::unknown_test(test)),
        };
        match checked {
            Ok(command) => {
                let id = self.load_commands.add(test, command, reply);
                self.input(Input::LoadCommand(test, id, command));
            }
            Err(e) => drop(reply.send(Err(e))),
        }
    }

    // ---- queries ----

    fn status(&self, test: TestId, reply: Answer<Arc<TestResult>>) {
        if let Some(result) = self.results.current(test) {
            let _ = reply.send(Ok(result.clone()));
            return;
        }
        let unknown = match self.core.tests().contains_key(&test) {
            true => CommandError::NotFound(format!(
                "the plan of test {test} has not arrived at this node yet; retry"
            )),
            false => CommandError::unknown_test(test),
        };
        let store = self.results.store().clone();
        let input = self.view().result_input(test);
        // Reading a file or merging many histograms may block.
        tokio::task::spawn_blocking(move || {
            let build = || input.map(|input| Arc::new(input.build()));
            let result = store.get(test).or_else(build);
            let _ = reply.send(result.ok_or(unknown));
        });
    }

    fn watch(&mut self, test: TestId, reply: Answer<broadcast::Receiver<Arc<Update>>>) {
        let ended = self.results.current(test).cloned();
        if ended.is_none() && self.core.tests().contains_key(&test) {
            let _ = reply.send(Ok(self.timelines.watch(test)));
            return;
        }
        let store = self.results.store().clone();
        tokio::task::spawn_blocking(move || {
            let last = |result: Arc<TestResult>| {
                let (sender, receiver) = broadcast::channel(1);
                // Cannot fail: the receiver exists.
                let _ = sender.send(Arc::new(Update::Progress(Progress::of_ended(&result))));
                receiver
            };
            let result = ended.or_else(|| store.get(test));
            let unknown = || CommandError::unknown_test(test);
            let _ = reply.send(result.map(last).ok_or_else(unknown));
        });
    }

    fn timeline(&self, test: TestId, options: (usize, bool), reply: Answer<Timeline>) {
        let state = self.core.tests().get(&test).map(|t| t.state());
        let store = self.results.store();
        let read = self.timelines.read(test, state, options, store);
        tokio::task::spawn_blocking(move || {
            if !reply.is_closed() {
                let _ = reply.send(read());
            }
        });
    }

    fn swarm_links(&self, reply: oneshot::Sender<SwarmLinks>) {
        let own = &self.core.local().node.peer;
        let live = live_peers(&self.core, self.now());
        let (net, caller) = (self.swarm.net.clone(), self.swarm.caller.clone());
        let links = self.peers.links().of_swarm(own, live, net, caller);
        tokio::spawn(async move {
            let _ = reply.send(links.await);
        });
    }

    fn preflight(&mut self, plan: Arc<Plan>, reply: oneshot::Sender<PreflightReport>) {
        let now = self.now();
        let local = Local::of(&self.core, now, &self.engine.host);
        let calls = &mut self.swarm.calls;
        let query = self.preflights.query(plan, local, &self.core, now, calls);
        tokio::spawn(async move {
            let _ = reply.send(query.await);
        });
    }

    // ---- the node ----

    fn drain(&mut self, peer: Option<Peer>) -> Result<(), CommandError> {
        match peer {
            Some(peer) if peer != self.core.local().node.peer => {
                if self.core.members().get(&peer).is_none() {
                    return Err(CommandError::NotFound("no such node in the swarm".into()));
                }
                self.swarm.calls.send(peer, &Request::Drain);
            }
            _ => self.input(Input::Drain),
        }
        Ok(())
    }

    fn leave(&mut self, reply: oneshot::Sender<()>) {
        if let Some(leaving) = &mut self.leaving {
            leaving.replies.push(reply);
            return;
        }
        self.input(Input::Leave(StopOrder {
            graceful: false,
            timeout: Duration::ZERO,
        }));
        let farewell = match self.swarm.net {
            Some(_) => FAREWELL,
            None => Duration::ZERO,
        };
        self.leaving = Some(Leaving {
            at: Instant::now() + farewell,
            replies: vec![reply],
        });
    }
}
