//! The driver of a node: one loop on one thread, without locks. It routes events of the network,
//! commands and results of tasks to the protocol and the subjects, and executes the protocol's
//! outputs.
//!
//! | module | contents |
//! |---|---|
//! | `commands` | commands of the node's users |
//! | `network` | events of the network |
//! | `outputs` | outputs of the protocol |
//! | `tasks` | background tasks, and the routing of their results |

mod commands;
mod network;
mod outputs;
mod tasks;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::tasks::{TaskDone, Tasks};
use crate::config::NodeName;
use crate::data_files::DataFiles;
use crate::data_files::blobs::Blobs;
use crate::engine::{EngineHost, EngineRun};
use crate::handle::Command;
use crate::hooks::Hooks;
use crate::load_commands::LoadCommands;
use crate::names::Renaming;
use crate::peers::calls::{Call, Caller, Calls};
use crate::peers::{Peers, read_clock};
use crate::plans::Plans;
use crate::preflight::Preflights;
use crate::queries::{live_peers, newest_term};
use crate::results::Results;
use crate::results::store::Store;
use crate::starts::Starts;
use crate::status::View;
use crate::thresholds::Thresholds;
use crate::time::{NodeClock, unix_ms};
use crate::timeline::{Timelines, catch_up, progress, replace_stored, report_delay, sample};
use vajra_core::protocol::messages::{Request, StopOrder};
use vajra_core::protocol::{Input, Node, Peer, TestId, Time};
use vajra_network::{DataDir, NetworkEvent, NetworkHandle};
use vajra_results::Update;

/// Longest sleep of the loop. The lease clock continues while the machine is suspended and tokio's
/// does not, so this bounds how late a resumed node notices.
const MAX_SLEEP: Duration = Duration::from_millis(250);
/// Time for the last messages of a leaving node.
const FAREWELL: Duration = Duration::from_millis(300);
/// Time after the end of a test at which an incomplete result is saved.
const SAVE_INCOMPLETE_AFTER: Duration = Duration::from_secs(10);

/// The parts of a driver.
pub struct Parts {
    /// The protocol.
    pub core: Node,
    /// The network; none without a swarm.
    pub net: Option<NetworkHandle>,
    /// Events of the network.
    pub events: mpsc::Receiver<NetworkEvent>,
    /// Commands of the node's users.
    pub commands: mpsc::Receiver<Command>,
    /// The load engine.
    pub engine: EngineHost,
    /// Stored results.
    pub store: Store,
    /// Data files.
    pub blobs: Blobs,
    /// The configured name.
    pub name: NodeName,
    /// Addresses at which this node can be dialled.
    pub addresses: Vec<String>,
    /// Whether bootstrap addresses were given.
    pub has_bootstrap: bool,
    /// Keeps the data directory locked.
    pub dir: Option<DataDir>,
}

/// The channels that the loop reads.
struct Inbox {
    events: mpsc::Receiver<NetworkEvent>,
    commands: mpsc::Receiver<Command>,
    /// Requests of background tasks to other nodes.
    calls: mpsc::Receiver<Call>,
    done: mpsc::Receiver<TaskDone>,
}

/// Access to the swarm.
struct Swarm {
    /// None without a swarm.
    net: Option<NetworkHandle>,
    calls: Calls,
    /// Sends requests from background tasks.
    caller: Caller,
    /// Addresses at which this node can be dialled.
    addresses: Vec<String>,
}

/// The load engine and its runs.
struct Engine {
    host: EngineHost,
    runs: HashMap<TestId, EngineRun>,
    /// The last report of each run that has ended.
    ended: HashMap<TestId, vajra_core::protocol::EngineHeld>,
}

/// The callers to answer when the node has left, and when that is.
struct Leaving {
    at: Instant,
    replies: Vec<oneshot::Sender<()>>,
}

/// The driver of a node.
pub struct Driver {
    core: Node,
    clock: NodeClock,
    renaming: Renaming,
    inbox: Inbox,
    tasks: Tasks,
    swarm: Swarm,
    engine: Engine,
    // ---- subjects ----
    plans: Plans,
    data: DataFiles,
    hooks: Hooks,
    starts: Starts,
    load_commands: LoadCommands,
    preflights: Preflights,
    timelines: Timelines,
    results: Results,
    thresholds: Thresholds,
    peers: Peers,
    // ---- timing ----
    next_second: Instant,
    /// When a measurement or sample is due.
    next_sample: Time,
    leaving: Option<Leaving>,
    _dir: Option<DataDir>,
}

impl Driver {
    /// A driver that does not run yet.
    pub fn new(parts: Parts) -> Driver {
        let (tasks, done) = Tasks::new();
        let (caller, calls) = Caller::new();
        Driver {
            core: parts.core,
            clock: NodeClock::new(parts.engine.clock),
            renaming: Renaming::new(parts.name),
            inbox: Inbox {
                events: parts.events,
                commands: parts.commands,
                calls,
                done,
            },
            tasks,
            swarm: Swarm {
                calls: Calls::new(parts.net.clone()),
                net: parts.net,
                caller: caller.clone(),
                addresses: parts.addresses,
            },
            plans: Plans::new(parts.engine.max_pause),
            engine: Engine {
                host: parts.engine,
                runs: HashMap::new(),
                ended: HashMap::new(),
            },
            data: DataFiles::new(parts.blobs, caller),
            hooks: Hooks::default(),
            starts: Starts::default(),
            load_commands: LoadCommands::default(),
            preflights: Preflights::default(),
            timelines: Timelines::default(),
            results: Results::new(parts.store),
            thresholds: Thresholds::default(),
            peers: Peers::new(parts.has_bootstrap),
            next_second: Instant::now(),
            next_sample: Time(0),
            leaving: None,
            _dir: parts.dir,
        }
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    fn view(&self) -> View<'_> {
        View {
            core: &self.core,
            clock: &self.clock,
            plans: &self.plans,
            results: &self.results,
            timelines: &self.timelines,
            peers: &self.peers,
            addresses: &self.swarm.addresses,
        }
    }

    /// Runs until the node has left.
    pub async fn run(mut self) {
        self.core.set_wall_clock(self.clock.now(), unix_ms());
        self.input(Input::Addresses(self.swarm.addresses.clone()));
        loop {
            let left = self.leaving.as_ref();
            if left.is_some_and(|leaving| Instant::now() >= leaving.at) {
                break;
            }
            let sleep = self.sleep();
            tokio::select! {
                biased;
                event = self.inbox.events.recv() => match event {
                    Some(event) => self.network_event(event),
                    None => {
                        tracing::error!("the network has ended");
                        break;
                    }
                },
                Some(done) = self.inbox.done.recv() => self.task_done(done),
                Some(call) = self.inbox.calls.recv() => self.swarm.calls.call(call),
                Some(command) = self.inbox.commands.recv() => self.command(command),
                () = tokio::time::sleep(sleep) => {}
            }
            if self.core.next_wake() <= self.now() {
                self.input(Input::Tick);
            }
            self.measure_and_sample();
            if Instant::now() >= self.next_second {
                self.every_second();
            }
            self.start_ready();
            self.load_commands.answer(&self.core, self.clock.now());
            self.hooks.update_authority(&self.core);
        }
        if let Some(net) = &self.swarm.net {
            net.shutdown().await;
        }
        for reply in self.leaving.take().into_iter().flat_map(|l| l.replies) {
            // The caller may be gone.
            let _ = reply.send(());
        }
    }

    /// Time until something is due.
    fn sleep(&self) -> Duration {
        let now = self.now();
        let until_wake = self.core.next_wake().since(now);
        let until_second = self.next_second.saturating_duration_since(Instant::now());
        let until_sample = self.next_sample.since(now);
        until_wake
            .min(until_second)
            .min(until_sample)
            .min(MAX_SLEEP)
    }

    fn every_second(&mut self) {
        self.next_second = Instant::now() + Duration::from_secs(1);
        let now = self.now();
        self.core.set_wall_clock(now, unix_ms());
        self.check_thresholds();
        let tests = self.core.tests().values();
        let overdue = tests.filter(|t| {
            let ended = t.ended_at();
            ended.is_some_and(|at| now.since(at) > SAVE_INCOMPLETE_AFTER)
                && !self.results.is_saved(t.id())
        });
        let overdue: Vec<TestId> = overdue.map(|t| t.id()).collect();
        for id in overdue {
            self.save(id);
        }
        let tests = self.core.tests();
        self.plans.retain(tests);
        self.data.retain(tests);
        self.hooks.retain(tests);
        self.timelines.retain(tests);
        self.results.retain(tests);
        self.thresholds.retain(tests);
        self.engine.runs.retain(|id, _| tests.contains_key(id));
        self.engine.ended.retain(|id, _| tests.contains_key(id));
        self.report_waiting();
        self.check_peers(now);
        self.check_name();
    }

    /// The state of the other nodes: their presence, their results and one of their clocks.
    fn check_peers(&mut self, now: Time) {
        let live: BTreeSet<Peer> = live_peers(&self.core, now).into_iter().collect();
        let list = self
            .results
            .request_list(&live, self.peers.all_connected(), &self.swarm.caller);
        if let Some(list) = list {
            self.tasks
                .spawn(list, |list| list.map(TaskDone::ListReceived));
        }
        if let Some(peer) = self.peers.every_second(&self.core, now, &live) {
            let reply = self.swarm.calls.ask(&peer, Request::Clock);
            let reading = read_clock(peer, reply);
            self.tasks.spawn(reading, |r| r.map(TaskDone::ClockRead));
        }
    }

    /// Takes another name if the default one is in use by another node. The name stays while this
    /// node works for a test, so that the test's nodes have the same names everywhere.
    fn check_name(&mut self) {
        let mut tests = self.core.tests().values();
        if tests.any(|t| t.ended().is_none() && t.worker().is_some()) {
            return;
        }
        let now = self.now();
        if let Some(name) = self.renaming.new_name(&self.core, now) {
            let old = self.core.local().name.clone();
            tracing::info!(
                name,
                "another node has the name {old}; using {name} instead"
            );
            self.input(Input::Rename(name));
        }
    }

    /// Judges the thresholds with `abort` of the tests coordinated by this node, in the background.
    fn check_thresholds(&mut self) {
        let now = self.now();
        let tests = self.core.tests().values();
        let running = tests.filter(|t| t.coordinator().is_some() && t.ended().is_none());
        let started: Vec<_> = running.filter_map(|t| Some((t.id(), t.start()?))).collect();
        for (test, start) in started {
            let Some(plan) = self.plans.get(test).cloned() else {
                continue;
            };
            let due = self.thresholds.due(test, &plan, now.since(start));
            if !due.is_empty()
                && let Some(input) = self.view().result_input(test)
            {
                let work = self.thresholds.judge(test, due, input);
                self.tasks.spawn_blocking(work, TaskDone::Judged);
            }
        }
    }

    /// A test coordinated by this node has failed a threshold with `abort`.
    fn abort(&mut self, test: TestId, why: String) {
        let spec = self.core.tests().get(&test).and_then(|t| t.spec());
        let order = StopOrder {
            graceful: true,
            timeout: spec.map_or(Duration::ZERO, |s| s.grace),
        };
        self.input(Input::AbortTest(test, order, why));
    }

    // ---- timelines and results ----

    /// Starts the measurements and samples that are due.
    fn measure_and_sample(&mut self) {
        let due = self.timelines.due(&self.core, self.clock.now());
        self.next_sample = due.next;
        let delay = report_delay(&self.core);
        for test in due.measurements {
            if let Some(run) = self.engine.runs.get_mut(&test) {
                let measurement = run.measure(false, delay);
                self.spawn_measurement(test, measurement);
            }
        }
        for (test, before, at) in due.samples {
            if let Some(sample) = sample(&self.core, &self.plans, test, before, at) {
                let work = self.timelines.add_sample(test, sample);
                self.tasks.spawn_blocking(work, TaskDone::Sampled);
            }
        }
    }

    /// A progress update for the watchers of tests that have not started, or have ended and wait
    /// for the last reports: there are no samples of them.
    fn report_waiting(&mut self) {
        let now = self.now();
        for test in self.timelines.watched() {
            let t = self.core.tests().get(&test);
            let waits = t.is_some_and(|t| match t.start() {
                Some(start) => now < start || t.ended().is_some(),
                None => true,
            });
            if waits && let Some(p) = progress(&self.core, &self.plans, now, test, None) {
                self.timelines.publish(test, Update::Progress(p));
            }
        }
    }

    /// Builds and stores the result of a test, with its timeline.
    fn save(&mut self, test: TestId) {
        let Some(input) = self.view().result_input(test) else {
            return;
        };
        let last = input.workers.iter().map(|w| w.metrics.elapsed).max();
        let before = self.timelines.last_sample(test);
        let last = last.and_then(|at| sample(&self.core, &self.plans, test, before, at));
        let timeline = self.timelines.finish(test, last);
        let term = newest_term(&self.core, test);
        if let Some(work) = self.results.save(test, input, timeline, term) {
            self.tasks.spawn_blocking(work, TaskDone::Saved);
        }
    }

    // ---- results of tasks ----

    fn task_done(&mut self, done: TaskDone) {
        match done {
            TaskDone::Measured(test, m) => self.input(Input::Measured(test, m)),
            TaskDone::HeldChanged(test) => self.held_changed(test),
            TaskDone::LoadFinished(test) => self.load_finished(test),
            TaskDone::Inspected(inspected) => self.inspected(inspected),
            TaskDone::DataReady(test, spec, data) => self.data_ready(test, spec, data),
            TaskDone::HookRan(run) => {
                let outcome = run.outcome.map_err(|e| e.to_string().into());
                self.input(Input::HookFinished(run.test, run.hook, outcome));
            }
            TaskDone::StartReady(start) => self.starts.add(start),
            TaskDone::Sampled(sampled) => {
                let interval = self.core.metrics_interval();
                let test = sampled.test;
                let is_late = self.timelines.sampled(&sampled, interval);
                if let Some(point) = sampled.point
                    && self.timelines.is_watched(test)
                {
                    let now = self.now();
                    let progress = progress(&self.core, &self.plans, now, test, Some(&point));
                    if let Some(progress) = progress {
                        self.timelines.publish(test, Update::Progress(progress));
                    }
                    self.timelines.publish(test, Update::Point(Box::new(point)));
                }
                if is_late {
                    let recording = self.timelines.recording(test);
                    let (now, caller) = (self.now(), self.swarm.caller.clone());
                    let search = catch_up(&self.core, now, test, recording, caller);
                    self.tasks.spawn(search, |b| Some(TaskDone::CaughtUp(b)));
                }
            }
            TaskDone::Saved(saved) => {
                let (test, result) = (saved.test, saved.result.clone());
                let is_again = self.results.saved(saved);
                let store = self.results.store().clone();
                let begins_s = self.timelines.saved(test, &result, store.is_on_disk());
                self.data.release(test);
                if let Some(begins_s) = begins_s {
                    let store = (store, newest_term(&self.core, test));
                    let (now, caller) = (self.now(), self.swarm.caller.clone());
                    let test = (test, result, begins_s);
                    let search = replace_stored(&self.core, now, test, store, caller);
                    self.tasks
                        .spawn(search, |test| test.map(TaskDone::TimelineReplaced));
                }
                if is_again {
                    self.save(test);
                }
            }
            TaskDone::ListReceived(list) => self.results.list_received(list),
            TaskDone::Fetched(fetched) => {
                for command in self.results.fetched(fetched) {
                    self.execute(command);
                }
            }
            TaskDone::CaughtUp(beginning) => self.timelines.caught_up(beginning),
            TaskDone::TimelineReplaced(test) => self.timelines.replaced(test),
            TaskDone::Judged(judged) => {
                if let Some((test, why)) = self.thresholds.judged(judged) {
                    self.abort(test, why);
                }
            }
            TaskDone::ClockRead(reading) => self.peers.clock_read(reading),
        }
    }
}
