//! The world: machines, a network, and time that jumps to the next event.
//!
//! The world does not decide about load or coordinators. It passes inputs to
//! [`vajra_core::protocol::Node`] and executes the outputs, delayed, duplicated or lost according
//! to the scenario's faults.

mod captured;
mod faults;
mod load;
mod overheard;
mod processes;
mod test;

use std::sync::Arc;
use std::time::Duration;

use overheard::Captured;
pub use test::TestWorld;
use vajra_core::protocol::announcement::Submission;
use vajra_core::protocol::error::{HookError, PlanRejection};
use vajra_core::protocol::event_kind::EventKind;
use vajra_core::protocol::log::LoadCommand;
use vajra_core::protocol::messages::{Gossip, Reply, Request, StopOrder};
use vajra_core::protocol::planted::{Bug, planted};
use vajra_core::protocol::rendezvous::Seed;
use vajra_core::protocol::spec::SLOTS;
use vajra_core::protocol::{Acceptance, EngineOrder, Input, NodeId, Output, TestId};
use vajra_core::{Hook, Slots};

use crate::coverage::Coverage;
use crate::engine::{APPLIES_WITHIN, Act, Engine, EngineSpec};
use crate::event::Event;
use crate::fault::{Fault, Ways};
use crate::machine::{EngineSlot, Machine, State, index, peer};
use crate::meter::Meter;
use crate::network::Network;
use crate::queue::Queue;
use crate::rng::Rng;
use crate::scenario::{OnLoss, SUBMITTED, Scenario, Setting};
use crate::trace::Trace;
use crate::violation::Violation;
use crate::wire_form;

/// Random number of the submission of each test.
const NONCES: [Seed; 2] = [Seed([7; 16]), Seed([8; 16])];
/// Unix time at the start of the world, in milliseconds.
const UNIX_MS: u64 = 1_800_000_000_000;
/// Time that a world runs on after the test is over everywhere, in which the end is repeated.
const SETTLING: Duration = Duration::from_secs(3);
/// Time-out of every stop.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(1);
/// Limit of events; more mean that a node wakes up without need.
const MAX_EVENTS: u64 = 20_000_000;
/// Most delay of a wake-up.
const JITTER: Duration = Duration::from_millis(1);
/// Longest inspection of a plan.
const INSPECTION: Duration = Duration::from_millis(20);
/// Longest time of the last requests in flight.
const IN_FLIGHT: Duration = Duration::from_millis(60);
/// Time until a leaving process ends.
const LEAVING: Duration = Duration::from_millis(700);

#[derive(Clone, Debug)]
enum Scheduled {
    To(usize, Event),
    Submit(usize),
    FaultStarts(usize),
    FaultEnds(usize),
    Leaves(usize, u64),
    Forges(usize),
}

/// The subject of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// No event is left before the end.
    End,
    /// An event of one machine.
    Machine(usize),
    /// An event of the world, such as a network fault.
    World,
}

/// All machines, their network, and the state of the run.
#[derive(Debug)]
pub struct World {
    /// True time since the start of the world.
    pub now: Duration,
    /// Scenario of the run.
    pub scenario: Scenario,
    /// All machines.
    pub machines: Vec<Machine>,
    /// All tests.
    pub tests: Vec<TestWorld>,
    /// Situations that occurred.
    pub coverage: Coverage,
    /// Number of events.
    pub events: u64,
    /// Traffic, if measured.
    pub meter: Meter,
    network: Network,
    queue: Queue<Scheduled>,
    rng: Rng,
    trace: Trace,
    over_since: Option<Duration>,
    broken: Option<(&'static str, String)>,
    captured: Captured,
}

impl World {
    /// World of a scenario before the first event.
    pub fn new(scenario: Scenario, trace: Trace) -> World {
        let timings = scenario.timings();
        let machines = scenario.machines.iter().enumerate();
        let tests: Vec<TestWorld> = scenario
            .tests()
            .zip(NONCES)
            .map(|(plan, nonce)| TestWorld::new(nonce, plan.clone()))
            .collect();
        let mut world = World {
            now: Duration::ZERO,
            machines: machines
                .map(|(i, spec)| Machine::new(i, spec.clone(), timings.clone(), tests.len()))
                .collect(),
            tests,
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
            over_since: None,
            broken: None,
            captured: Captured::new(&scenario),
            scenario,
        };
        if world.scenario.setting == Setting::Wan {
            world.coverage.saw("wide-area swarms");
        }
        let plan = world.scenario.faults.clone();
        for (i, timed) in plan.0.iter().enumerate() {
            world.push(timed.at, Scheduled::FaultStarts(i));
            world.push(timed.over(), Scheduled::FaultEnds(i));
        }
        for i in 0..world.machines.len() {
            if plan.joins_at(i).is_none() {
                world.start(i);
            }
        }
        world.push(SUBMITTED, Scheduled::Submit(0));
        if let Some(second) = &world.scenario.second {
            let at = SUBMITTED + second.after;
            world.push(at, Scheduled::Submit(1));
            world.coverage.saw("second tests");
        }
        world
    }

    /// Hash of all events.
    pub fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }

    /// End of the last fault: healing starts.
    pub fn healed_at(&self) -> Duration {
        let healed = self.scenario.faults.healed_at();
        healed.unwrap_or_default().max(SUBMITTED)
    }

    /// Electors of a test that still run in their original incarnation and are not leaving.
    pub fn electors_alive(&self, of: usize) -> usize {
        let alive = |n: &&NodeId| {
            self.machines
                .iter()
                .any(|m| m.state == State::Up && !m.leaving && m.node.local().node == **n)
        };
        self.tests[of].electorate.iter().filter(alive).count()
    }

    /// Whether a majority of the electorate of a test can still elect.
    pub fn majority_alive(&self, of: usize) -> bool {
        self.electors_alive(of) > self.tests[of].electorate.len() / 2
    }

    /// Whether a majority of the electorate of a test can still elect, and is never captured.
    pub fn honest_majority_alive(&self, of: usize) -> bool {
        let mut captured = self.scenario.faults.0.iter().filter_map(|t| match t.fault {
            Fault::Captured { node, .. } => Some(peer(node)),
            _ => None,
        });
        let electorate = &self.tests[of].electorate;
        let lost = captured.any(|peer| electorate.iter().any(|n| n.peer == peer));
        self.electors_alive(of) > electorate.len() / 2 + usize::from(lost)
    }

    /// Machines whose process runs.
    pub fn running(&self) -> impl Iterator<Item = &Machine> {
        self.machines.iter().filter(|m| m.state == State::Up)
    }

    /// Number of slots that all engines of a test send for now.
    pub fn sending(&self, of: usize) -> u32 {
        let sending = self.machines.iter().map(|m| m.sending(of, self.now));
        sending.map(Slots::count).sum()
    }

    /// Index of a test.
    pub fn index_of(&self, test: TestId) -> usize {
        let found = self.tests.iter().position(|t| t.id == test);
        found.unwrap_or_default()
    }

    /// Handles the next event before `end`.
    ///
    /// # Errors
    /// If the event shows that an invariant is violated.
    pub fn step(&mut self, end: Duration) -> Result<Step, Violation> {
        let Some((at, scheduled)) = self.queue.pop() else {
            return Ok(Step::End);
        };
        if at > end || self.over_since.is_some_and(|over| at > over + SETTLING) {
            return Ok(Step::End);
        }
        self.now = self.now.max(at);
        self.over_since = self.all_over().then(|| self.over_since.unwrap_or(self.now));
        self.events += 1;
        let machine = self.handle(scheduled);
        if self.events > MAX_EVENTS * (1 + self.machines.len() as u64 / 50) {
            return Err(self.violation("bounded events", "events without end".into()));
        }
        if let Some((invariant, text)) = self.broken.take() {
            return Err(self.violation(invariant, text));
        }
        Ok(machine.map_or(Step::World, Step::Machine))
    }

    /// Records how much the engines did.
    pub fn record_acts_done(&mut self) {
        for of in 0..self.tests.len() {
            let acts = &self.tests[of].acts;
            let (arrivals, numbers) = acts.count();
            let iterations: usize = acts.users.iter().map(Vec::len).sum();
            self.coverage.saw_often("arrivals", arrivals as u64);
            self.coverage.saw_often("request numbers", numbers as u64);
            self.coverage.saw_often("iterations", iterations as u64);
        }
    }

    /// Records whether an elector has received a share lease longer than the basic one.
    pub fn record_stretched_leases(&mut self) {
        let basic = self.scenario.timings().share_lease;
        let mut tests = self.running().filter_map(|m| m.test(self.tests[0].id));
        let stretched = tests.any(|t| t.election().replicated().share_lease > basic);
        drop(tests);
        if stretched {
            self.coverage.saw("stretched leases");
        }
    }

    /// A violation of an invariant now.
    pub fn violation(&self, invariant: &'static str, description: String) -> Violation {
        Violation {
            invariant,
            at: self.now,
            description,
        }
    }

    /// Whether every running process knows the end of the test and has the complete result.
    fn all_over(&self) -> bool {
        self.now > self.healed_at()
            && self.tests.iter().all(|of| {
                self.machines.iter().all(|m| {
                    m.test(of.id)
                        .is_none_or(|t| t.ended().is_some() && t.complete())
                }) && of.started.is_some()
            })
    }

    /// True Unix time in milliseconds.
    fn unix_ms(&self) -> u64 {
        UNIX_MS + self.now.as_millis() as u64
    }

    fn push(&mut self, at: Duration, scheduled: Scheduled) {
        self.queue.push(at, scheduled);
    }

    /// Handles an event. Returns the machine that it affected.
    fn handle(&mut self, scheduled: Scheduled) -> Option<usize> {
        match scheduled {
            Scheduled::To(i, event) => {
                self.event(i, event);
                Some(i)
            }
            Scheduled::Submit(of) => self.submit(of),
            Scheduled::FaultStarts(index) => self.fault_starts(index),
            Scheduled::FaultEnds(index) => self.fault_ends(index),
            Scheduled::Forges(i) => {
                self.forge(i);
                None
            }
            Scheduled::Leaves(i, incarnation) => {
                if self.machines[i].incarnation == incarnation {
                    self.end(i);
                }
                Some(i)
            }
        }
    }

    fn submit(&mut self, of: usize) -> Option<usize> {
        let second = self.scenario.second.as_ref().filter(|_| of > 0);
        let submitter = second.map_or(self.scenario.submitter, |s| s.submitter);
        let order = std::iter::once(submitter).chain(0..self.machines.len());
        let i = order.into_iter().find(|i| {
            let machine = &self.machines[*i];
            machine.state == State::Up && !machine.leaving && !machine.spec.cannot_parse
        })?;
        let submission = Submission {
            name: "simulated".into(),
            plan: self.tests[of].bytes.clone(),
            unix_ms: self.unix_ms(),
            nonce: self.tests[of].nonce,
        };
        let machine = &self.machines[i];
        let announcement = machine
            .node
            .announcement(machine.local(self.now), &submission);
        let test = &mut self.tests[of];
        test.submitted = Some(self.now);
        test.id = announcement.test;
        test.electorate = announcement.electorate.clone();
        self.input(i, Input::Submit(announcement, submission.plan));
        Some(i)
    }
}

/// Slots of the whole load.
pub const WHOLE: u32 = SLOTS;
