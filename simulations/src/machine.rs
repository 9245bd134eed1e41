//! A machine: a process that runs the protocol, its engine, its clock, and its inbox while it is
//! paused.

use std::collections::BTreeMap;
use std::time::Duration;

use vajra_core::protocol::spec::{LocalNode, Timings};
use vajra_core::protocol::test_run::TestRun;
use vajra_core::protocol::{Incarnation, Node, NodeId, Peer, TestId, Time};

use crate::engine::Engine;
use crate::event::Event;
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
    /// Node and incarnation.
    pub node: NodeId,
    /// Requests that its engine sent.
    pub sent: u64,
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
    /// Engine, once it was prepared.
    pub engine: Option<Engine>,
    /// Events that wait while the process is paused.
    pub inbox: Vec<Event>,
    /// Sender of the request being handled, and its incarnation.
    pub requester: Option<(usize, u64)>,
    /// Time of the next wake-up.
    pub wakes: Duration,
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
    Node::new(local_node, timings, now)
}

impl Machine {
    /// A machine whose process has not been started.
    pub fn new(index: usize, spec: MachineSpec, timings: Timings) -> Machine {
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
            engine: None,
            inbox: Vec::new(),
            requester: None,
            wakes: Duration::MAX,
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
    }

    /// Ends its process.
    pub fn end(&mut self, now: Duration) {
        let local = self.local(now);
        if let Some(mut engine) = self.engine.take() {
            if self.state == State::Up {
                engine.count_until(local);
            }
            self.past.push(Past {
                node: self.node.local().node.clone(),
                sent: engine.sent(),
            });
        }
        self.inbox.clear();
        self.requester = None;
        self.state = State::Down;
    }

    /// Local time.
    pub fn local(&self, now: Duration) -> Time {
        self.spec.clock.local(now)
    }

    /// Slots that its engine acts on now.
    pub fn sending(&self, now: Duration) -> u32 {
        match (&self.engine, self.state) {
            (Some(engine), State::Up) => engine.sending(self.local(now)),
            _ => 0,
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
