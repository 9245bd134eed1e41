//! One machine: a process that runs the protocol, its engine, its clock, and what waits for
//! it while it stands still.

use std::collections::BTreeMap;
use std::time::Duration;

use vajra_core::protocol::spec::{LocalNode, Timings};
use vajra_core::protocol::test_run::TestRun;
use vajra_core::protocol::{Incarnation, Node, NodeId, Peer, TestId, Time};

use crate::engine::Engine;
use crate::scenario::MachineSpec;
use crate::world::Event;

/// What a process is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Not started, or not any more.
    Down,
    /// Running.
    Up,
    /// Standing still; what comes in waits.
    Paused,
}

/// What is known of a worker's life after it ended.
#[derive(Clone, Debug)]
pub struct Past {
    /// Who it was.
    pub node: NodeId,
    /// What its engine had truly sent.
    pub sent: u64,
}

/// One machine.
#[derive(Debug)]
pub struct Machine {
    /// Its place in the world.
    pub index: usize,
    /// What it is like.
    pub spec: MachineSpec,
    /// What its process is doing.
    pub state: State,
    /// How often it has been started.
    pub life: u64,
    /// Since when it stands still.
    pub paused_at: Duration,
    /// It was told to take no new share.
    pub draining: bool,
    /// It was told to leave.
    pub leaving: bool,
    /// The protocol.
    pub node: Node,
    /// The engine, once it was told to prepare.
    pub engine: Option<Engine>,
    /// What waits while the process stands still.
    pub inbox: Vec<Event>,
    /// Sender of the request being handled, and its life.
    pub requester: Option<(usize, u64)>,
    /// When it wakes next.
    pub wakes: Duration,
    /// Earlier lives.
    pub past: Vec<Past>,
}

/// A machine's peer name.
pub fn peer(index: usize) -> Peer {
    Peer::new(&(index as u32).to_be_bytes())
}

/// The machine of this peer name.
pub fn index(peer: &Peer) -> Option<usize> {
    let bytes: [u8; 4] = peer.as_bytes().try_into().ok()?;
    usize::try_from(u32::from_be_bytes(bytes)).ok()
}

fn process(index: usize, life: u64, spec: &MachineSpec, timings: Timings, now: Time) -> Node {
    let myself = LocalNode {
        node: NodeId {
            peer: peer(index),
            incarnation: Incarnation(life),
        },
        name: format!("n{index}"),
        version: "simulated".into(),
        capacity: spec.capacity,
        task_types: vec!["SLEEP".into()],
        labels: BTreeMap::new(),
        environment: String::new(),
    };
    Node::new(myself, timings, now)
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
            life: 0,
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

    /// Its process is started, as a new incarnation.
    pub fn start(&mut self, now: Duration) {
        self.life += 1;
        let timings = self.node.timings().clone();
        let local = self.local(now);
        self.node = process(self.index, self.life, &self.spec, timings, local);
        self.state = State::Up;
        self.leaving = false;
        self.draining = false;
        self.wakes = Duration::MAX;
    }

    /// Its process ends.
    pub fn end(&mut self, now: Duration) {
        let local = self.local(now);
        if let Some(mut engine) = self.engine.take() {
            if self.state == State::Up {
                engine.settle(local);
            }
            self.past.push(Past {
                node: self.node.myself().node.clone(),
                sent: engine.sent(),
            });
        }
        self.inbox.clear();
        self.requester = None;
        self.state = State::Down;
    }

    /// What its clock shows.
    pub fn local(&self, now: Duration) -> Time {
        self.spec.clock.local(now)
    }

    /// Slots that its engine acts on right now.
    pub fn sending(&self, now: Duration) -> u32 {
        match (&self.engine, self.state) {
            (Some(engine), State::Up) => engine.sending(self.local(now)),
            _ => 0,
        }
    }

    /// The test as its process knows it.
    pub fn test(&self, id: TestId) -> Option<&TestRun> {
        self.node
            .tests()
            .get(&id)
            .filter(|_| self.state != State::Down)
    }

    /// It coordinates and has authority, by its own clock.
    pub fn has_authority(&self, id: TestId, now: Duration) -> bool {
        self.test(id)
            .is_some_and(|t| t.election().has_authority(self.local(now)))
    }
}
