//! The world: machines, a network, and time that jumps to the next event.
//!
//! The world decides nothing about load or leadership. It hands inputs to
//! [`vajra_core::protocol::Node`] and carries out what comes back, late, twice or not at all,
//! as the scenario's fault plan says; after every event the checkers look at it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vajra_core::Hook;
use vajra_core::protocol::decisions::LoadCommand;
use vajra_core::protocol::messages::{Gossip, Reply, Request, StopOrder};
use vajra_core::protocol::planted::{Bug, planted};
use vajra_core::protocol::spec::{SLOTS, Submission};
use vajra_core::protocol::{Acceptance, EngineOrder, Input, NodeId, Output, Peer, TestId};

use crate::check::{Checker, Violation};
use crate::coverage::Coverage;
use crate::engine::Engine;
use crate::fault::{Fault, Ways};
use crate::machine::{Machine, State, index, peer};
use crate::network::Network;
use crate::queue::Queue;
use crate::rng::Rng;
use crate::scale::Meter;
use crate::scenario::{OnLoss, RATE, SUBMITTED, Scenario, Setting};
use crate::trace::Trace;

/// The test of every run.
pub const TEST: TestId = TestId([7; 16]);
/// A world in which everything is over is watched for so long: the end is repeated.
const SETTLING: Duration = Duration::from_secs(3);
/// The time-out of every stop.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(1);
/// More events than this mean that some node wakes again and again without need.
const MAX_EVENTS: u64 = 20_000_000;
/// A node that is due wakes within this.
const JITTER: Duration = Duration::from_millis(1);
/// How long the inspection of a plan takes at most.
const INSPECTION: Duration = Duration::from_millis(20);
/// How long the last requests in flight take at most.
const IN_FLIGHT: Duration = Duration::from_millis(60);
/// How long a leaving process takes to end.
const LEAVING: Duration = Duration::from_millis(700);

/// Something for a process.
#[derive(Clone, Debug)]
pub enum Event {
    /// A gossip message arrived.
    Gossip {
        /// Who wrote it.
        author: Peer,
        /// What.
        message: Arc<Gossip>,
    },
    /// A request arrived.
    Request {
        /// From which machine.
        from: usize,
        /// In which life of it.
        life: u64,
        /// What.
        request: Arc<Request>,
    },
    /// A reply arrived, for this life.
    Reply {
        /// From which machine.
        from: usize,
        /// For which life.
        life: u64,
        /// What.
        reply: Arc<Reply>,
    },
    /// A connection came or went.
    Connection {
        /// To which machine.
        with: usize,
        /// It came.
        there: bool,
    },
    /// It is time to wake, if this is still when.
    Wake {
        /// When.
        due: Duration,
    },
    /// A plan has been inspected.
    Inspected {
        /// In which life.
        life: u64,
    },
    /// A second has passed for the engine of this life.
    Second {
        /// Which life.
        life: u64,
    },
    /// Setup or teardown has been run.
    Ran {
        /// In which life.
        life: u64,
        /// Which.
        once: Hook,
    },
    /// The engine's load may be over, and nothing in flight any more.
    LoadOver {
        /// Which life.
        life: u64,
    },
}

#[derive(Clone, Debug)]
enum Happening {
    To(usize, Event),
    Submit,
    FaultBegins(usize),
    FaultEnds(usize),
    Leaves(usize, u64),
}

/// Everything there is.
#[derive(Debug)]
pub struct World {
    /// True time since the beginning.
    pub now: Duration,
    /// What the run consists of.
    pub scenario: Scenario,
    /// The machines.
    pub machines: Vec<Machine>,
    /// The electorate, once the test was submitted.
    pub electorate: Vec<NodeId>,
    /// When the profile first began on any machine, in true time.
    pub started: Option<Duration>,
    /// When it last did: if nobody within reach knows a start, a later coordinator chooses
    /// another one.
    pub started_last: Option<Duration>,
    /// When somebody first ordered a stop, in true time, and where.
    pub stopped: Option<(Duration, usize, u64)>,
    /// How often setup and teardown were begun.
    pub ran: BTreeMap<Hook, u32>,
    /// What has been seen.
    pub coverage: Coverage,
    /// Events handled.
    pub events: u64,
    /// Counts messages and bytes, if somebody asks.
    pub meter: Meter,
    network: Network,
    queue: Queue<Happening>,
    rng: Rng,
    trace: Trace,
    plan: Arc<[u8]>,
    over_since: Option<Duration>,
    blamed: Option<String>,
}

impl World {
    /// The world of a scenario, before anything happened.
    pub fn new(scenario: Scenario, trace: Trace) -> World {
        let timings = scenario.timings();
        let machines = scenario.machines.iter().enumerate();
        let mut world = World {
            now: Duration::ZERO,
            machines: machines
                .map(|(i, spec)| Machine::new(i, spec.clone(), timings.clone()))
                .collect(),
            electorate: Vec::new(),
            started: None,
            started_last: None,
            stopped: None,
            ran: BTreeMap::new(),
            coverage: Coverage::default(),
            events: 0,
            meter: Meter::default(),
            network: Network::new(
                Rng::new(scenario.seed, "network"),
                &scenario.faults,
                scenario.setting,
            ),
            queue: Queue::default(),
            rng: Rng::new(scenario.seed, "machines"),
            trace,
            plan: vec![b'p'; scenario.plan.bytes].into(),
            over_since: None,
            blamed: None,
            scenario,
        };
        if world.scenario.setting == Setting::Wan {
            world.coverage.saw("wide-area swarms");
        }
        let plan = world.scenario.faults.clone();
        for (i, timed) in plan.0.iter().enumerate() {
            world.push(timed.at, Happening::FaultBegins(i));
            world.push(timed.over(), Happening::FaultEnds(i));
        }
        for i in 0..world.machines.len() {
            if plan.joins_at(i).is_none() {
                world.start(i);
            }
        }
        world.push(SUBMITTED, Happening::Submit);
        world
    }

    /// The hash of everything that happened.
    pub fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }

    /// When the last fault is over: healing begins.
    pub fn healed_at(&self) -> Duration {
        let healed = self.scenario.faults.healed_at();
        healed.unwrap_or_default().max(SUBMITTED)
    }

    /// Electors that run in the life in which they were elected to vote, and stay.
    pub fn electors_alive(&self) -> usize {
        let alive = |n: &&NodeId| {
            self.machines
                .iter()
                .any(|m| m.state == State::Up && !m.leaving && m.node.myself().node == **n)
        };
        self.electorate.iter().filter(alive).count()
    }

    /// A majority of the electorate can still elect.
    pub fn majority_alive(&self) -> bool {
        self.electors_alive() > self.electorate.len() / 2
    }

    /// The machines whose process runs.
    pub fn running(&self) -> impl Iterator<Item = &Machine> {
        self.machines.iter().filter(|m| m.state == State::Up)
    }

    /// Slots that engines act on right now, all together.
    pub fn sending(&self) -> u32 {
        self.machines.iter().map(|m| m.sending(self.now)).sum()
    }

    /// Runs until `end`, or until everything is over.
    ///
    /// # Errors
    /// The first invariant that broke.
    pub fn run(
        &mut self,
        end: Duration,
        checkers: &mut [Box<dyn Checker>],
    ) -> Result<(), Violation> {
        let mut all: Vec<&mut dyn Checker> = Vec::new();
        for checker in checkers {
            all.push(checker.as_mut());
        }
        self.run_until(end, &mut all)?;
        if self.stretched() {
            self.coverage.saw("stretched leases");
        }
        for checker in all {
            if let Err(what) = checker.at_end(self) {
                return Err(self.violation(checker.name(), what));
            }
        }
        Ok(())
    }

    /// Runs until `end`, or until everything is over, and does not look back.
    ///
    /// # Errors
    /// The first invariant that broke.
    pub fn run_until(
        &mut self,
        end: Duration,
        checkers: &mut [&mut dyn Checker],
    ) -> Result<(), Violation> {
        while let Some((at, what)) = self.queue.pop() {
            if at > end || self.over_since.is_some_and(|over| at > over + SETTLING) {
                break;
            }
            self.now = self.now.max(at);
            self.over_since = self.all_over().then(|| self.over_since.unwrap_or(self.now));
            self.events += 1;
            let touched = self.happen(what);
            if self.events > MAX_EVENTS * (1 + self.machines.len() as u64 / 50) {
                return Err(self.violation("quiet", "events without end".into()));
            }
            if let Some(what) = self.blamed.take() {
                return Err(self.violation("honest messages are not rejected", what));
            }
            let Some(touched) = touched else { continue };
            for checker in checkers.iter_mut() {
                if let Err(what) = checker.after(self, touched) {
                    return Err(self.violation(checker.name(), what));
                }
            }
        }
        Ok(())
    }

    /// Some elector heard of a share lease longer than the basic one.
    fn stretched(&self) -> bool {
        let basic = self.scenario.timings().share_lease;
        let mut tests = self.running().filter_map(|m| m.test(TEST));
        tests.any(|t| t.election().heard().share_lease > basic)
    }

    fn violation(&self, invariant: &'static str, what: String) -> Violation {
        Violation {
            invariant,
            at: self.now,
            what,
        }
    }

    /// Every running process knows the end of the test and has the whole result.
    fn all_over(&self) -> bool {
        self.now > self.healed_at()
            && self.machines.iter().all(|m| {
                m.test(TEST)
                    .is_none_or(|t| t.ended().is_some() && t.complete())
            })
            && self.started.is_some()
    }

    fn push(&mut self, at: Duration, what: Happening) {
        self.queue.push(at, what);
    }

    /// Lets something happen; says which machine it happened to.
    fn happen(&mut self, what: Happening) -> Option<usize> {
        match what {
            Happening::To(i, event) => {
                self.event(i, event);
                Some(i)
            }
            Happening::Submit => self.submit(),
            Happening::FaultBegins(index) => self.fault_begins(index),
            Happening::FaultEnds(index) => self.fault_ends(index),
            Happening::Leaves(i, life) => {
                if self.machines[i].life == life {
                    self.end(i);
                }
                Some(i)
            }
        }
    }

    fn submit(&mut self) -> Option<usize> {
        let wanted = self.scenario.submitter;
        let order = std::iter::once(wanted).chain(0..self.machines.len());
        let i = order
            .into_iter()
            .find(|i| self.machines[*i].state == State::Up && !self.machines[*i].leaving)?;
        let submission = Submission {
            test: TEST,
            name: "simulated".into(),
            plan: self.plan.clone(),
            unix_ms: 0,
        };
        self.input(i, Input::Submit(submission));
        let test = self.machines[i].test(TEST)?;
        self.electorate = test.announcement().electorate.clone();
        Some(i)
    }

    // ---- faults ----

    fn fault_begins(&mut self, index: usize) -> Option<usize> {
        let timed = self.scenario.faults.0[index].clone();
        self.trace
            .note(&[1, index as u64], || format!("--- {timed}"));
        self.network.begin(index, &timed.fault);
        let cut_off = |side: &[usize]| {
            let inside = |i: usize| side.contains(&i);
            let office =
                (0..self.machines.len()).find(|i| self.machines[*i].has_authority(TEST, self.now));
            office.is_some_and(|i| {
                let with = self
                    .machines
                    .iter()
                    .filter(|m| inside(m.index) == inside(i));
                with.count() * 2 <= self.machines.len()
            })
        };
        match &timed.fault {
            Fault::Partition { side, ways, .. } => {
                if cut_off(side) {
                    self.coverage.saw("coordinators cut off");
                }
                if *ways != Ways::Both {
                    self.coverage.saw("one-way partitions");
                }
            }
            Fault::Link { .. } => self.coverage.saw("links cut"),
            _ => {}
        }
        match timed.fault {
            Fault::Crash { node, .. } if self.machines[node].state != State::Down => {
                self.coverage.saw("crashes");
                if self.machines[node].has_authority(TEST, self.now) {
                    self.coverage.saw("coordinators killed");
                }
                self.end(node);
                Some(node)
            }
            Fault::Pause { node, .. } if self.machines[node].state == State::Up => {
                self.coverage.saw("pauses");
                let local = self.machines[node].local(self.now);
                let machine = &mut self.machines[node];
                machine.state = State::Paused;
                machine.paused_at = self.now;
                if let Some(engine) = &mut machine.engine {
                    engine.settle(local);
                }
                Some(node)
            }
            Fault::Join { node } => {
                self.coverage.saw("joins");
                self.start(node);
                Some(node)
            }
            Fault::Leave { node } if self.machines[node].state == State::Up => {
                self.coverage.saw("leaves");
                self.machines[node].leaving = true;
                let order = StopOrder {
                    graceful: true,
                    timeout: Duration::from_millis(200),
                };
                self.input(node, Input::Leave(order));
                let life = self.machines[node].life;
                self.push(self.now + LEAVING, Happening::Leaves(node, life));
                Some(node)
            }
            Fault::Drain { node } if self.machines[node].state == State::Up => {
                self.coverage.saw("drains");
                self.machines[node].draining = true;
                self.input(node, Input::Drain);
                Some(node)
            }
            Fault::Overload { node, .. } => {
                self.overload(node, true);
                None
            }
            Fault::Scale { node, percent } if self.machines[node].test(TEST).is_some() => {
                let level_milli = RATE * 10 * u64::from(percent);
                self.steer(node, index, LoadCommand::Load { level_milli })
            }
            Fault::Hold { node, .. } if self.machines[node].test(TEST).is_some() => {
                self.steer(node, index, LoadCommand::Pause)
            }
            Fault::Stop { node, graceful } if self.machines[node].test(TEST).is_some() => {
                self.coverage.saw("stops");
                let life = self.machines[node].life;
                self.stopped.get_or_insert((self.now, node, life));
                let order = StopOrder {
                    graceful,
                    timeout: STOP_TIMEOUT,
                };
                self.input(node, Input::StopTest(TEST, order));
                Some(node)
            }
            _ => None,
        }
    }

    fn fault_ends(&mut self, index: usize) -> Option<usize> {
        let timed = self.scenario.faults.0[index].clone();
        self.network.end(index);
        match timed.fault {
            Fault::Crash {
                node,
                restart_after: Some(_),
            } if self.machines[node].state == State::Down => {
                self.coverage.saw("restarts");
                self.start(node);
                Some(node)
            }
            Fault::Pause { node, .. } => {
                let paused_still = self.active_pause(node, index);
                (!paused_still && self.machines[node].state == State::Paused)
                    .then(|| self.resume(node))
            }
            Fault::Partition { .. } => {
                self.coverage.saw("partitions healed");
                None
            }
            Fault::Overload { node, .. } => {
                self.overload(node, false);
                None
            }
            Fault::Hold { node, .. } if self.machines[node].test(TEST).is_some() => {
                self.steer(node, usize::MAX / 2 - index, LoadCommand::Resume)
            }
            _ => None,
        }
    }

    /// Somebody asks for a change of the load, unless the node tells them that it makes no sense.
    fn steer(&mut self, i: usize, id: usize, steer: LoadCommand) -> Option<usize> {
        let machine = &self.machines[i];
        let local = machine.local(self.now);
        let refused = machine.test(TEST).and_then(|t| t.refuses(local, steer));
        if machine.state != State::Up || refused.is_some() {
            return None;
        }
        self.input(i, Input::LoadCommand(TEST, 1 + id as u64, steer));
        Some(i)
    }

    fn overload(&mut self, i: usize, overloaded: bool) {
        if let Some(engine) = &mut self.machines[i].engine {
            engine.overloaded = overloaded;
        }
    }

    fn active_pause(&self, who: usize, except: usize) -> bool {
        let now = self.now;
        let mut others = self.scenario.faults.0.iter().enumerate();
        others.any(|(i, t)| {
            i != except
                && matches!(t.fault, Fault::Pause { node, .. } if node == who)
                && t.at <= now
                && now < t.over()
        })
    }

    fn resume(&mut self, i: usize) -> usize {
        if planted(Bug::ClockStops) {
            let stood = self.now - self.machines[i].paused_at;
            self.machines[i].spec.clock.stop(stood);
        }
        let local = self.machines[i].local(self.now);
        let machine = &mut self.machines[i];
        machine.state = State::Up;
        if let Some(engine) = &mut machine.engine {
            engine.woke(local);
        }
        let mut waiting = std::mem::take(&mut machine.inbox);
        machine.wakes = self.now;
        let due = self.now;
        if self.rng.chance(500) {
            waiting.insert(0, Event::Wake { due });
        } else {
            waiting.push(Event::Wake { due });
        }
        // The process works through what has piled up, while its engine goes on at once.
        let mut at = self.now;
        for event in waiting {
            at += self.rng.time(Duration::ZERO..Duration::from_micros(100));
            self.push(at, Happening::To(i, event));
        }
        i
    }

    fn start(&mut self, i: usize) {
        if self.machines[i].state != State::Down {
            return;
        }
        let now = self.now;
        self.machines[i].start(now);
        self.connections(i, true);
        self.reschedule(i);
    }

    fn end(&mut self, i: usize) {
        let now = self.now;
        self.machines[i].end(now);
        if self.rng.chance(700) {
            self.connections(i, false);
        }
    }

    fn connections(&mut self, i: usize, there: bool) {
        for j in 0..self.machines.len() {
            if j == i || self.machines[j].state == State::Down || self.network.cut(i, j) {
                continue;
            }
            let at = self.now
                + self
                    .rng
                    .time(Duration::from_millis(1)..Duration::from_millis(30));
            self.push(at, Happening::To(j, Event::Connection { with: i, there }));
            if there {
                self.push(at, Happening::To(i, Event::Connection { with: j, there }));
            }
        }
    }

    // ---- processes ----

    fn event(&mut self, i: usize, event: Event) {
        let machine = &mut self.machines[i];
        match machine.state {
            State::Down => return,
            State::Paused => {
                if !matches!(event, Event::Wake { .. }) {
                    machine.inbox.push(event);
                }
                return;
            }
            State::Up => {}
        }
        let life = machine.life;
        match event {
            Event::Gossip { author, message } => self.input(
                i,
                Input::Gossip {
                    author,
                    message: Gossip::clone(&message),
                },
            ),
            Event::Request {
                from,
                life,
                request,
            } => {
                self.machines[i].requester = Some((from, life));
                self.input(
                    i,
                    Input::Request {
                        from: peer(from),
                        request: Request::clone(&request),
                    },
                );
            }
            Event::Reply {
                from,
                life: to,
                reply,
            } if to == life => self.input(
                i,
                Input::Reply {
                    from: peer(from),
                    reply: Reply::clone(&reply),
                },
            ),
            Event::Connection { with, there: true } => {
                self.input(i, Input::Connected(peer(with)));
            }
            Event::Connection { with, there: false } => {
                self.input(i, Input::Disconnected(peer(with)));
            }
            Event::Wake { due } if due == machine.wakes => self.input(i, Input::Tick),
            Event::Inspected { life: of } if of == life => {
                let (spec, unable) = (self.scenario.spec(), machine.spec.unable.clone());
                self.input(
                    i,
                    Input::Inspected {
                        test: TEST,
                        spec: Ok(spec),
                        unable,
                    },
                );
            }
            Event::Second { life: of } if of == life => self.every_second(i),
            Event::LoadOver { life: of } if of == life => self.load_over(i),
            Event::Ran { life: of, once } if of == life => {
                let how = match self.rng.chance(950) {
                    true => Ok(Arc::from(&b"values"[..])),
                    false => Err("status 503".to_owned()),
                };
                self.input(i, Input::Ran(TEST, once, how));
            }
            _ => {}
        }
    }

    fn input(&mut self, i: usize, input: Input) {
        let now = self.now;
        let machine = &mut self.machines[i];
        let local = machine.local(now);
        self.trace.note(&[now.as_nanos() as u64, i as u64], || {
            format!("{:10.6} n{i} <- {input:?}", now.as_secs_f64())
        });
        let outputs = machine.node.handle(local, input);
        for output in outputs {
            self.output(i, output);
        }
        self.reschedule(i);
    }

    fn reschedule(&mut self, i: usize) {
        let machine = &self.machines[i];
        let Some(due) = machine.spec.clock.truth(machine.node.next_wake()) else {
            return;
        };
        if machine.wakes <= due && machine.wakes > self.now {
            return;
        }
        let due = due.max(self.now) + self.rng.time(Duration::from_micros(1)..JITTER);
        let due = due + self.network.slowness(due, i);
        self.machines[i].wakes = due;
        self.push(due, Happening::To(i, Event::Wake { due }));
    }

    fn output(&mut self, i: usize, output: Output) {
        let now = self.now;
        let life = self.machines[i].life;
        if !matches!(output, Output::Acceptance(..) | Output::Reply(..)) {
            self.trace.note(&[tag(&output)], || {
                format!("{:10.6} n{i}    -> {output:?}", now.as_secs_f64())
            });
        }
        match output {
            Output::Publish(message) => {
                self.meter.gossip(now, &message, self.machines.len() - 1);
                let message = Arc::new(message);
                let author = peer(i);
                for j in (0..self.machines.len()).filter(|j| *j != i) {
                    let event = Event::Gossip {
                        author: author.clone(),
                        message: message.clone(),
                    };
                    self.gossip(i, j, event);
                }
            }
            Output::Send(to, request) => {
                let found = index(&to).filter(|j| *j < self.machines.len());
                if let Some(j) = found {
                    self.meter.request(now, &request);
                    let request = Arc::new(request);
                    let event = Event::Request {
                        from: i,
                        life,
                        request,
                    };
                    self.send(i, j, event);
                }
            }
            Output::Reply(reply) => {
                if let Some((to, life)) = self.machines[i].requester.take() {
                    self.meter.reply(now, &reply);
                    let reply = Arc::new(reply);
                    let event = Event::Reply {
                        from: i,
                        life,
                        reply,
                    };
                    self.send(i, to, event);
                }
            }
            Output::Acceptance(Acceptance::Reject) => {
                self.blamed = Some(format!("n{i} rejected a message that nobody forged"));
            }
            Output::Inspect { .. } => {
                let at = now + self.rng.time(Duration::from_millis(1)..INSPECTION);
                self.push(at, Happening::To(i, Event::Inspected { life }));
            }
            Output::RunOnce(_, once) => {
                *self.ran.entry(once).or_default() += 1;
                self.coverage.saw(match once {
                    Hook::Setup => "setups",
                    Hook::Teardown => "teardowns",
                });
                let most = Duration::from_millis(if self.rng.chance(950) { 800 } else { 4_000 });
                let at = now + self.rng.time(Duration::from_millis(1)..most);
                self.push(at, Happening::To(i, Event::Ran { life, once }));
            }
            Output::Engine(_, order) => self.order(i, &order),
            Output::Event(_, event) => self.saw(&event.kind, &event.text),
            Output::Acceptance(..)
            | Output::Led(..)
            | Output::Ended(_)
            | Output::Completed(_)
            | Output::Log(_) => {}
        }
    }

    fn saw(&mut self, kind: &str, text: &str) {
        match kind {
            "elected" => {
                self.coverage.saw("elections");
                if !text.ends_with("term 1") {
                    self.coverage.saw("take-overs");
                }
            }
            "rebalanced" => self.coverage.saw("rebalances"),
            "relieved" => self.coverage.saw("overloaded workers relieved"),
            "registered" if text.contains("carries on") => {
                self.coverage.saw("shares carried on");
            }
            "ended" if text.contains("was lost") => self.coverage.saw("ended by a loss"),
            "lost" => {
                self.coverage.saw("workers lost");
                if self.scenario.plan.on_lost_worker == OnLoss::Hold {
                    self.coverage.saw("held shares");
                }
            }
            "scaled" => self.coverage.saw("loads scaled"),
            "paused" => self.coverage.saw("loads paused"),
            "joined" => self.coverage.saw("late joiners"),
            "returned" => self.coverage.saw("workers returned"),
            "refused" => self.coverage.saw("refusals"),
            _ => {}
        }
    }

    /// Straight to its destination, or around a cut over somebody who can be reached.
    fn gossip(&mut self, from: usize, to: usize, event: Event) {
        if !self.network.cut(from, to) {
            return self.send(from, to, event);
        }
        let relay = self.machines.iter().find(|m| {
            m.state == State::Up
                && !self.network.cut(from, m.index)
                && !self.network.cut(m.index, to)
        });
        let Some(relay) = relay.map(|m| m.index) else {
            return;
        };
        for there in self.network.arrivals(self.now, from, relay) {
            for at in self.network.arrivals(there, relay, to) {
                let at = at + self.network.slowness(at, to);
                self.push(at, Happening::To(to, event.clone()));
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, event: Event) {
        for at in self.network.arrivals(self.now, from, to) {
            let at = at + self.network.slowness(at, to);
            self.push(at, Happening::To(to, event.clone()));
        }
    }

    // ---- engines ----

    fn order(&mut self, i: usize, order: &EngineOrder) {
        let now = self.now;
        let local = self.machines[i].local(now);
        let life = self.machines[i].life;
        let length = self.scenario.plan.length;
        let max_pause = self.scenario.timings().max_pause;
        let overloaded =
            self.scenario.faults.0.iter().any(|t| {
                t.active(now) && matches!(t.fault, Fault::Overload { node, .. } if node == i)
            });
        if *order == EngineOrder::Prepare {
            let first = now + self.rng.time(Duration::ZERO..Duration::from_secs(1));
            self.push(first, Happening::To(i, Event::Second { life }));
        }
        let machine = &mut self.machines[i];
        let engine = machine
            .engine
            .get_or_insert_with(|| Engine::new(RATE, length, max_pause, 100 + i as u64));
        engine.overloaded = overloaded;
        engine.order(local, order);
        let clock = machine.spec.clock;
        let drained = match order {
            EngineOrder::Start(start) => {
                let begins = clock.truth(*start).unwrap_or(now);
                self.started = Some(self.started.map_or(begins, |s| s.min(begins)));
                self.started_last = self.started_last.max(Some(begins));
                engine.ends().and_then(|end| clock.truth(end))
            }
            EngineOrder::LogEntry(_) => engine.ends().and_then(|end| clock.truth(end)),
            EngineOrder::Stop(stop) if stop.graceful => Some(now),
            EngineOrder::Stop(_) => Some(now + Duration::from_millis(1)),
            _ => None,
        };
        if let Some(at) = drained {
            let at = at.max(now) + self.rng.time(Duration::from_millis(1)..IN_FLIGHT);
            self.push(at, Happening::To(i, Event::LoadOver { life }));
        }
    }

    fn every_second(&mut self, i: usize) {
        let machine = &mut self.machines[i];
        let (local, life) = (machine.local(self.now), machine.life);
        let over = machine.test(TEST).is_none_or(|t| t.ended().is_some());
        let Some(engine) = &mut machine.engine else {
            return;
        };
        if over || engine.finished() {
            return;
        }
        let measurement = engine.measure(local, false);
        let interval = machine.node.metrics_interval();
        self.push(
            self.now + interval,
            Happening::To(i, Event::Second { life }),
        );
        self.input(i, Input::Measured(TEST, measurement));
    }

    fn load_over(&mut self, i: usize) {
        let machine = &mut self.machines[i];
        let local = machine.local(self.now);
        let Some(engine) = &mut machine.engine else {
            return;
        };
        let over = engine.stopped().is_some() || engine.ends().is_some_and(|end| local >= end);
        if engine.finished() || !over {
            return;
        }
        let measurement = engine.measure(local, true);
        self.input(i, Input::Measured(TEST, measurement));
    }
}

/// Never more than this at once.
pub const WHOLE: u32 = SLOTS;

fn tag(output: &Output) -> u64 {
    match output {
        Output::Publish(Gossip::Advert(_)) => 10,
        Output::Publish(Gossip::Test(_)) => 11,
        Output::Publish(Gossip::Snapshot(_)) => 12,
        Output::Send(..) => 13,
        Output::Reply(..) => 14,
        Output::Acceptance(..) => 15,
        Output::Inspect { .. } => 16,
        Output::Engine(_, EngineOrder::Share { slots, .. }) => 1_000 + u64::from(*slots),
        Output::Engine(_, EngineOrder::Lease(until)) => until.0,
        Output::Engine(..) => 17,
        Output::Event(..) => 18,
        Output::Ended(_) => 19,
        Output::Completed(_) => 20,
        Output::Log(_) => 21,
        Output::RunOnce(..) => 22,
        Output::Led(..) => 23,
    }
}
