//! Drives the protocol core without a network: three nodes elect a coordinator, split a test, and
//! replace the coordinator after it dies.
//!
//!     cargo run --example protocol_core
//!
//! The core is sans-IO: `handle(now, input)` returns outputs, and `next_wake()` is the time of the
//! next `Tick`. The runtime connects it to real clocks and sockets, the simulator to simulated
//! ones, this example to a queue in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use vajra_core::protocol::announcement::Submission;
use vajra_core::protocol::messages::TaskDescription;
use vajra_core::protocol::rendezvous::Seed;
use vajra_core::protocol::spec::{Balance, LocalNode, OnLost, TestSpec, Timings};
use vajra_core::protocol::{
    EngineHeld, EngineOrder, Incarnation, Input, Keys, Node, NodeId, Output, Peer, Signature,
    Statement, Time,
};

fn main() {
    let mut swarm = Swarm::new(3);
    swarm.run_for(Duration::from_millis(500));
    println!("-- submit a test on n0");
    let submission = Submission {
        name: "example".into(),
        plan: b"{}".as_slice().into(),
        unix_ms: 0,
        nonce: Seed([7; 16]),
    };
    let announcement = swarm.nodes[0].announcement(swarm.now, &submission);
    swarm.input(0, Input::Submit(announcement, submission.plan));
    swarm.run_for(Duration::from_secs(3));
    if let Some(coordinator) = swarm.coordinator {
        println!("-- n{coordinator} dies");
        swarm.alive[coordinator] = false;
        swarm.run_for(Duration::from_secs(6));
    }
}

/// A hash of signer and statement in place of a signature. Real nodes sign with Ed25519.
#[derive(Debug)]
struct ExampleKeys(Peer);

impl ExampleKeys {
    fn signature(peer: &Peer, statement: &Statement) -> Signature {
        let hash = statement.clone().field(peer.as_bytes()).sha256().0;
        Signature(std::array::from_fn(|i| hash[i % hash.len()]))
    }
}

impl Keys for ExampleKeys {
    fn sign(&self, statement: &Statement) -> Signature {
        ExampleKeys::signature(&self.0, statement)
    }

    fn is_signed(&self, statement: &Statement, by: &Peer, signature: &Signature) -> bool {
        ExampleKeys::signature(by, statement) == *signature
    }
}

/// Nodes connected by a network without delay.
struct Swarm {
    now: Time,
    nodes: Vec<Node>,
    alive: Vec<bool>,
    coordinator: Option<usize>,
}

impl Swarm {
    fn new(count: usize) -> Swarm {
        let now = Time(1_000_000);
        let node = |i: usize| {
            let local = LocalNode {
                node: NodeId {
                    peer: Peer::new(&[i as u8]),
                    incarnation: Incarnation(1),
                },
                name: format!("n{i}"),
                version: "0".into(),
                capacity: 100,
                task_types: vec!["SLEEP".into()],
                labels: BTreeMap::new(),
                environment: String::new(),
            };
            let keys = ExampleKeys(local.node.peer.clone());
            Node::new(local, Arc::new(keys), Timings::lan(), now)
        };
        Swarm {
            now,
            nodes: (0..count).map(node).collect(),
            alive: vec![true; count],
            coordinator: None,
        }
    }

    /// Wakes the nodes in the order of their timers.
    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let alive = (0..self.nodes.len()).filter(|i| self.alive[*i]);
            let next = alive.map(|i| (self.nodes[i].next_wake(), i)).min();
            match next.filter(|(wake, _)| *wake <= end) {
                Some((wake, i)) => {
                    self.now = self.now.max(wake);
                    self.input(i, Input::Tick);
                }
                None => break,
            }
        }
        self.now = end;
    }

    /// Hands an input to a node, and everything that follows from it to the other nodes.
    fn input(&mut self, node: usize, input: Input) {
        let mut queue = VecDeque::from([(node, input)]);
        while let Some((i, input)) = queue.pop_front() {
            if !self.alive[i] {
                continue;
            }
            // The reply to a request goes back to its sender.
            let asker = match &input {
                Input::Request { from, .. } => self.index(from),
                _ => None,
            };
            for output in self.nodes[i].handle(self.now, input) {
                self.output(i, asker, output, &mut queue);
            }
        }
    }

    fn output(
        &mut self,
        i: usize,
        asker: Option<usize>,
        output: Output,
        queue: &mut VecDeque<(usize, Input)>,
    ) {
        let me = self.nodes[i].local().node.peer.clone();
        match output {
            Output::Publish(message) => {
                for j in (0..self.nodes.len()).filter(|j| *j != i) {
                    let (author, message) = (me.clone(), message.clone());
                    queue.push_back((j, Input::Gossip { author, message }));
                }
            }
            Output::Send(to, request) => {
                if let Some(j) = self.index(&to) {
                    queue.push_back((j, Input::Request { from: me, request }));
                }
            }
            Output::Reply(reply) => {
                if let Some(j) = asker {
                    queue.push_back((j, Input::Reply { from: me, reply }));
                }
            }
            // A real driver parses the plan here.
            Output::Inspect { test, .. } => {
                let spec = Ok(spec());
                let unable = None;
                queue.push_back((i, Input::Inspected { test, spec, unable }));
            }
            Output::Engine(test, EngineOrder::Share { change, slots, .. }) => {
                println!("{:>7.3} s  n{i} runs the slots {slots:?}", self.seconds());
                // A real engine reports when its threads act on the change.
                let held = EngineHeld {
                    change,
                    ..EngineHeld::default()
                };
                queue.push_back((i, Input::Held(test, held)));
            }
            Output::Event(_, event) => {
                if event.kind.as_str() == "elected" {
                    self.coordinator = Some(i);
                }
                println!(
                    "{:>7.3} s  n{i} {}: {}",
                    self.seconds(),
                    event.kind,
                    event.text
                );
            }
            _ => {}
        }
    }

    fn index(&self, peer: &Peer) -> Option<usize> {
        self.nodes.iter().position(|n| n.local().node.peer == *peer)
    }

    fn seconds(&self) -> f64 {
        self.now.0 as f64 / 1e9
    }
}

/// What the protocol needs to know of a plan: 1,000 arrivals per second for a minute.
fn spec() -> TestSpec {
    let length = Duration::from_secs(60);
    TestSpec {
        length,
        end: length,
        setup: None,
        teardown: None,
        grace: Duration::from_secs(1),
        min_workers: 2,
        balance: Balance::Equal,
        on_lost: OnLost::Reassign,
        users: None,
        requests: None,
        labels: BTreeMap::new(),
        task: TaskDescription {
            task_type: "SLEEP".into(),
            target_rate_milli: 1_000_000,
            duration: length,
            ..TaskDescription::default()
        },
    }
}
