//! A machine: a process that runs the protocol, its engine, its clock, and its inbox while it is
//! paused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vajra_core::Slots;
use vajra_core::protocol::spec::{LocalNode, Timings};
use vajra_core::protocol::test_run::TestRun;
use vajra_core::protocol::{Incarnation, Node, NodeId, Peer, TestId, Time};

use crate::engine::{Act, Engine};
use crate::event::Event;
use crate::keys::SimulatedKeys;
use crate::scenario::MachineSpec;

/// State of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Not running.
    Down,
    /// Running.
    Up,
    /// Paused; inputs wait.
    Paused,
}

/// A worker whose process has ended.
#[derive(Clone, Debug)]
pub struct Past {
    /// Index of the test.
    pub of: usize,
    /// Node and incarnation.
    pub node: NodeId,
    /// True time of the end.
    pub at: Duration,
    /// Whether it left politely.
    pub left: bool,
    /// Requests that its engine sent.
    pub sent: u64,
    /// Its measurements: true time, and requests sent until then.
    pub measured: Vec<(Duration, u64)>,
}

/// A load engine of a machine.
#[derive(Debug)]
pub struct EngineSlot {
    /// The engine.
    pub engine: Engine,
    /// True time of its next wake-up.
    pub wakes: Duration,
    /// Its measurements: true time, and requests sent until then.
    pub measured: Vec<(Duration, u64)>,
}

/// A machine.
#[derive(Debug)]
pub struct Machine {
    /// Index in the world.
    pub index: usize,
    /// Properties.
    pub spec: MachineSpec,
    /// State of its process.
    pub state: State,
    /// Incarnation: number of starts.
    pub incarnation: u64,
    /// Start of the current pause.
    pub paused_at: Duration,
    /// Whether it takes no new share.
    pub draining: bool,
    /// Whether it is leaving.
    pub leaving: bool,
    /// Protocol.
    pub node: Node,
    /// Engine of each test, once it was prepared.
    pub engines: Vec<Option<EngineSlot>>,
    /// Events that wait while the process is paused.
    pub inbox: Vec<Event>,
    /// Events that wait for the next run of a starved control thread.
    pub stalled: Vec<Event>,
    /// True time of that run.
    pub turn: Duration,
    /// Sender of the request being handled, and its incarnation.
    pub requester: Option<(usize, u64)>,
    /// Time of the next wake-up.
    pub wakes: Duration,
    /// Time at which that was due.
    pub wake_due: Duration,
    /// Earlier incarnations.
    pub past: Vec<Past>,
}

/// Peer of a machine.
pub fn peer(index: usize) -> Peer {
    Peer::new(&(index as u32).to_be_bytes())
}

/// Machine of a peer.
pub fn index(peer: &Peer) -> Option<usize> {
    let bytes: [u8; 4] = peer.as_bytes().try_into().ok()?;
    usize::try_from(u32::from_be_bytes(bytes)).ok()
}

fn process(
    index: usize,
    incarnation: u64,
    spec: &MachineSpec,
    timings: Timings,
    now: Time,
) -> Node {
    let local_node = LocalNode {
        node: NodeId {
            peer: peer(index),
            incarnation: Incarnation(incarnation),
        },
        name: format!("n{index}"),
        version: "simulated".into(),
        capacity: spec.capacity,
        task_types: vec!["SLEEP".into()],
        labels: BTreeMap::new(),
        environment: String::new(),
    };
    let keys = Arc::new(SimulatedKeys(peer(index)));
    Node::new(local_node, keys, timings, now)
}

impl Machine {
    /// A machine whose process has not been started.
    pub fn new(index: usize, spec: MachineSpec, timings: Timings, tests: usize) -> Machine {
        let now = spec.clock.local(Duration::ZERO);
        Machine {
            node: process(index, 0, &spec, timings, now),
            index,
            spec,
            state: State::Down,
            incarnation: 0,
            paused_at: Duration::ZERO,
            draining: false,
            leaving: false,
            engines: (0..tests).map(|_| None).collect(),
            inbox: Vec::new(),
            stalled: Vec::new(),
            turn: Duration::ZERO,
            requester: None,
            wakes: Duration::MAX,
            wake_due: Duration::MAX,
            past: Vec::new(),
        }
    }

    /// Starts its process as a new incarnation.
    pub fn start(&mut self, now: Duration) {
        self.incarnation += 1;
        let timings = self.node.timings().clone();
        let local = self.local(now);
        self.node = process(self.index, self.incarnation, &self.spec, timings, local);
        self.state = State::Up;
        self.leaving = false;
        self.draining = false;
        self.wakes = Duration::MAX;
        self.wake_due = Duration::MAX;
    }

    /// Its engine of a test.
    pub fn engine(&self, of: usize) -> Option<&Engine> {
        Some(&self.engines.get(of)?.as_ref()?.engine)
    }

    /// Ends its process. Returns what its engines did until then.
    pub fn end(&mut self, now: Duration) -> Vec<(usize, Vec<Act>)> {
        let local = self.local(now);
        let up = self.state == State::Up;
        let mut acts = Vec::new();
        for of in 0..self.engines.len() {
            let Some(mut slot) = self.engines[of].take() else {
                continue;
            };
            match up {
                true => slot.engine.advance(local),
                false => slot.engine.skip_to(local),
            }
            slot.engine.abort(local);
            acts.push((of, slot.engine.take_acts()));
            self.past.push(Past {
                of,
                node: self.node.local().node.clone(),
                at: now,
                left: self.leaving,
                sent: slot.engine.sent(),
                measured: slot.measured,
            });
        }
        self.inbox.clear();
        self.stalled.clear();
        self.turn = Duration::ZERO;
        self.requester = None;
        self.state = State::Down;
        acts
    }

    /// Local time.
    pub fn local(&self, now: Duration) -> Time {
        self.spec.clock.local(now)
    }

    /// Share that its engine of a test acts on now.
    pub fn sending(&self, of: usize, now: Duration) -> &Slots {
        static NONE: Slots = Slots::EMPTY;
        match (self.engine(of), self.state) {
            (Some(engine), State::Up) => engine.sending(self.local(now)),
            _ => &NONE,
        }
    }

    /// All slots that its engine of a test may act on now.
    pub fn acting(&self, of: usize, now: Duration) -> Slots {
        match (self.engine(of), self.state) {
            (Some(engine), State::Up | State::Paused) => engine.acting(self.local(now)),
            _ => Slots::EMPTY,
        }
    }

    /// The test on this machine.
    pub fn test(&self, id: TestId) -> Option<&TestRun> {
        self.node
            .tests()
            .get(&id)
            .filter(|_| self.state != State::Down)
    }

    /// Whether it is the coordinator with authority, by its own clock.
    pub fn has_authority(&self, id: TestId, now: Duration) -> bool {
        self.test(id)
            .is_some_and(|t| t.election().has_authority(self.local(now)))
    }
}
