//! The world: machines, a network, and time that jumps to the next event.
//!
//! The world does not decide about load or coordinators. It passes inputs to
//! [`vajra_core::protocol::Node`] and executes the outputs, delayed, duplicated or lost according
//! to the scenario's faults.

mod faults;
mod load;
mod processes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vajra_core::Hook;
use vajra_core::protocol::error::HookError;
use vajra_core::protocol::event_kind::EventKind;
use vajra_core::protocol::log::LoadCommand;
use vajra_core::protocol::messages::{Gossip, Reply, Request, StopOrder};
use vajra_core::protocol::planted::{Bug, planted};
use vajra_core::protocol::spec::{SLOTS, Submission};
use vajra_core::protocol::{Acceptance, EngineOrder, Input, NodeId, Output, TestId};

use crate::coverage::Coverage;
use crate::engine::Engine;
use crate::event::Event;
use crate::fault::{Fault, Ways};
use crate::machine::{Machine, State, index, peer};
use crate::meter::Meter;
use crate::network::Network;
use crate::queue::Queue;
use crate::rng::Rng;
use crate::scenario::{OnLoss, RATE, SUBMITTED, Scenario, Setting};
use crate::trace::Trace;
use crate::violation::Violation;

/// The test of every run.
pub const TEST: TestId = TestId([7; 16]);
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
    Submit,
    FaultStarts(usize),
    FaultEnds(usize),
    Leaves(usize, u64),
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
    /// Electorate, once the test was submitted.
    pub electorate: Vec<NodeId>,
    /// True time of the first start of the profile on any machine.
    pub started: Option<Duration>,
    /// True time of the last start. A later coordinator chooses another start if no reachable node
    /// knows one.
    pub started_last: Option<Duration>,
    /// True time, machine and incarnation of the first stop request.
    pub stopped: Option<(Duration, usize, u64)>,
    /// Number of starts of each hook.
    pub ran: BTreeMap<Hook, u32>,
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
    plan: Arc<[u8]>,
    over_since: Option<Duration>,
    rejected: Option<String>,
}

impl World {
    /// World of a scenario before the first event.
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
            rejected: None,
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
        world.push(SUBMITTED, Scheduled::Submit);
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

    /// Electors that still run in their original incarnation and are not leaving.
    pub fn electors_alive(&self) -> usize {
        let alive = |n: &&NodeId| {
            self.machines
                .iter()
                .any(|m| m.state == State::Up && !m.leaving && m.node.local().node == **n)
        };
        self.electorate.iter().filter(alive).count()
    }

    /// Whether a majority of the electorate can still elect.
    pub fn majority_alive(&self) -> bool {
        self.electors_alive() > self.electorate.len() / 2
    }

    /// Machines whose process runs.
    pub fn running(&self) -> impl Iterator<Item = &Machine> {
        self.machines.iter().filter(|m| m.state == State::Up)
    }

    /// Slots that all engines act on now.
    pub fn sending(&self) -> u32 {
        self.machines.iter().map(|m| m.sending(self.now)).sum()
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
        if let Some(text) = self.rejected.take() {
            return Err(self.violation("valid messages are not rejected", text));
        }
        Ok(machine.map_or(Step::World, Step::Machine))
    }

    /// Records whether an elector has received a share lease longer than the basic one.
    pub fn record_stretched_leases(&mut self) {
        let basic = self.scenario.timings().share_lease;
        let mut tests = self.running().filter_map(|m| m.test(TEST));
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
            && self.machines.iter().all(|m| {
                m.test(TEST)
                    .is_none_or(|t| t.ended().is_some() && t.complete())
            })
            && self.started.is_some()
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
            Scheduled::Submit => self.submit(),
            Scheduled::FaultStarts(index) => self.fault_starts(index),
            Scheduled::FaultEnds(index) => self.fault_ends(index),
            Scheduled::Leaves(i, incarnation) => {
                if self.machines[i].incarnation == incarnation {
                    self.end(i);
                }
                Some(i)
            }
        }
    }

    fn submit(&mut self) -> Option<usize> {
        let submitter = self.scenario.submitter;
        let order = std::iter::once(submitter).chain(0..self.machines.len());
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
}

/// Slots of the whole load.
pub const WHOLE: u32 = SLOTS;
