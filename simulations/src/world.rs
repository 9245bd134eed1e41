//! The world: hosts, the queue of events, and what each event does.

mod hosts;
mod trouble;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vajra_node::protocol::messages::{Gossip, Reply, Request, StopOrder, TaskDescription};
use vajra_node::protocol::metrics::{Counters, Piece, StepCounters, TimeKind};
use vajra_node::protocol::spec::{Balance, Myself, OnLost, Submission, TestSpec, Timings};
use vajra_node::protocol::test::Test;
use vajra_node::protocol::{
    Incarnation, Input, Measurement, Node, NodeId, Output, Peer, TestId, Verdict,
};

use crate::checks::{Broken, Checks};
use crate::clock::{Clock, MS, SECOND, TrueTime};
use crate::engine::Engine;
use crate::faults::{Fault, FaultPlan, HEALED, LENGTH, SUBMITTED};
use crate::links::{Cuts, Weather};
use crate::rng::Rng;

/// How long in-flight requests may take.
pub const GRACE: Duration = Duration::from_secs(1);
/// The one test of the world.
pub const TEST: TestId = TestId([7; 16]);

/// A machine, and the node on it.
#[derive(Debug)]
pub struct Host {
    /// Its clock.
    pub clock: Clock,
    /// The node's protocol; none while it is down.
    pub node: Option<Node>,
    /// Its engine.
    pub engine: Engine,
    /// It does nothing until then.
    pub paused_until: TrueTime,
    /// Its node has been in more than one life.
    pub restarted: bool,
    /// It left politely.
    pub left: bool,
    incarnation: u64,
    wake: TrueTime,
}

impl Host {
    /// The test, if the node is up and knows it.
    pub fn test(&self) -> Option<&Test> {
        self.node.as_ref()?.tests().get(&TEST)
    }

    /// The slots that its engine sends at this moment.
    pub fn sending(&self, now: TrueTime) -> u32 {
        let acts = self.node.is_some() && now >= self.paused_until;
        if acts {
            self.engine.sending(now, &self.clock)
        } else {
            0
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Start(usize),
    Wake(usize),
    Submit,
    Deliver {
        to: usize,
        from: usize,
        parcel: Box<Parcel>,
    },
    Measure(usize, u64),
    Fault(Fault),
    Mend,
    Calm,
}

#[derive(Clone, Debug)]
enum Parcel {
    Gossip(Gossip),
    Request(Request),
    Reply(Reply),
}

/// What a run came to.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// An invariant that broke, and when.
    pub broken: Option<Broken>,
    /// The same for the same seed, to the last event.
    pub trace_hash: u64,
    /// What occurred.
    pub coverage: Coverage,
    /// Events handled.
    pub events: u64,
}

/// Situations that occurred in a run or a sweep.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Coverage {
    /// Coordinators elected in a first term.
    pub elections: u64,
    /// Coordinators elected in a later one.
    pub take_overs: u64,
    /// Share orders after the start.
    pub rebalances: u64,
    /// Workers declared lost.
    pub losses: u64,
    /// Partitions that healed.
    pub partitions: u64,
    /// Pauses.
    pub pauses: u64,
    /// Restarts.
    pub restarts: u64,
    /// Late joiners that got a share.
    pub joins: u64,
    /// Tests that ended by a stop.
    pub stops: u64,
}

impl Coverage {
    /// Adds another run's.
    pub fn add(&mut self, o: &Coverage) {
        self.elections += o.elections;
        self.take_overs += o.take_overs;
        self.rebalances += o.rebalances;
        self.losses += o.losses;
        self.partitions += o.partitions;
        self.pauses += o.pauses;
        self.restarts += o.restarts;
        self.joins += o.joins;
        self.stops += o.stops;
    }

    /// Each situation's name and count.
    pub fn rows(&self) -> [(&'static str, u64); 9] {
        [
            ("elections", self.elections),
            ("take-overs", self.take_overs),
            ("rebalances", self.rebalances),
            ("workers lost", self.losses),
            ("partitions healed", self.partitions),
            ("pauses", self.pauses),
            ("restarts", self.restarts),
            ("late joiners", self.joins),
            ("stops", self.stops),
        ]
    }
}

/// A world, and everything in it.
pub struct World {
    /// True time.
    pub now: TrueTime,
    /// The machines.
    pub hosts: Vec<Host>,
    /// Who hears whom.
    pub cuts: Cuts,
    weather: Weather,
    rng: Rng,
    queue: BTreeMap<(TrueTime, u64), Event>,
    sequence: u64,
    /// The node on which the test was started.
    pub submitter: usize,
    /// A stop was asked for.
    pub stop_asked: bool,
    /// An engine was told something that none can obey.
    pub nonsense: Option<String>,
    hash: u64,
    coverage: Coverage,
    trace: bool,
}

/// Runs a plan to its end, or to the first broken invariant.
pub fn run(plan: &FaultPlan, seed: u64, trace: bool) -> Outcome {
    let mut world = World::new(plan, seed, trace);
    let mut checks = Checks::default();
    let end = HEALED + LENGTH + 12 * SECOND;
    let mut events = 0;
    let mut broken = None;
    while let Some(((at, _), event)) = world.queue.pop_first() {
        if at > end {
            break;
        }
        world.now = at;
        world.handle(event);
        events += 1;
        broken = checks.after_event(&world);
        if broken.is_some() {
            break;
        }
    }
    if broken.is_none() {
        world.now = end;
        broken = checks.at_the_end(&world);
    }
    Outcome {
        broken,
        trace_hash: world.hash,
        coverage: world.coverage,
        events,
    }
}

impl World {
    fn new(plan: &FaultPlan, seed: u64, trace: bool) -> World {
        let mut rng = Rng::new(seed ^ 0x000c_10c4);
        let hosts = (0..plan.nodes).map(|_| Host {
            clock: Clock {
                origin: rng.between(1, 1_000_000) * SECOND,
                drift_ppm: rng.between(0, 20_000) as i64 - 10_000,
            },
            node: None,
            engine: Engine::new(LENGTH),
            paused_until: 0,
            restarted: false,
            left: false,
            incarnation: 0,
            wake: TrueTime::MAX,
        });
        let mut world = World {
            now: 0,
            hosts: hosts.collect(),
            cuts: Cuts::none(plan.nodes),
            weather: Weather::CALM,
            rng,
            queue: BTreeMap::new(),
            sequence: 0,
            submitter: plan.submitter,
            stop_asked: false,
            nonsense: None,
            hash: 0xcbf2_9ce4_8422_2325,
            coverage: Coverage::default(),
            trace,
        };
        for i in 0..plan.nodes {
            let late = plan.late.iter().find(|(n, _)| *n == i);
            let at = late.map_or(world.rng.between(0, 200) * MS, |(_, at)| *at);
            world.push(at, Event::Start(i));
        }
        world.push(SUBMITTED, Event::Submit);
        for (at, fault) in &plan.faults {
            world.push(*at, Event::Fault(fault.clone()));
        }
        world.push(HEALED, Event::Mend);
        world
    }

    fn push(&mut self, at: TrueTime, event: Event) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), event);
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>9.3} s  {}", self.now as f64 / SECOND as f64, what());
        }
    }

    /// FNV-1a over everything that is sent and when.
    fn mix(&mut self, what: u64) {
        for byte in what.to_le_bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Start(i) => self.start(i),
            Event::Wake(i) => {
                if self.hosts[i].wake <= self.now {
                    self.hosts[i].wake = TrueTime::MAX;
                    self.input_or_wait(i, Event::Wake(i), Input::Tick);
                }
            }
            Event::Submit => {
                let plan: Arc<[u8]> = Arc::from(&b"plan"[..]);
                let submission = Submission {
                    test: TEST,
                    name: "sim".into(),
                    plan,
                    unix_ms: 0,
                };
                self.input(self.submitter, Input::Submit(submission));
            }
            Event::Deliver { to, from, parcel } => self.deliver(to, from, parcel),
            Event::Measure(i, incarnation) => self.measure(i, incarnation),
            Event::Fault(fault) => self.fault(fault),
            Event::Mend => self.mend(),
            Event::Calm => {
                self.cuts.heal();
                self.weather = Weather::CALM;
            }
        }
    }

    fn name(i: usize) -> Peer {
        Peer::new(&(i as u32).to_be_bytes())
    }

    fn index(peer: &Peer) -> usize {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(peer.as_bytes());
        u32::from_be_bytes(bytes) as usize
    }
}

fn measurement(sent: u64, elapsed: Duration, is_final: bool) -> Measurement {
    let counters = Counters {
        sent,
        ok: sent,
        ..Counters::default()
    };
    let mut pieces = vec![Piece::Counters(vec![StepCounters {
        name: "sim".into(),
        counters,
    }])];
    // The protocol never looks into a histogram; the count stands for one.
    let data: Arc<[u8]> = Arc::from(&sent.to_be_bytes()[..]);
    pieces.extend(TimeKind::ALL.map(|kind| Piece::Histogram {
        step: 0,
        kind,
        data: data.clone(),
    }));
    Measurement {
        is_final,
        elapsed,
        engine_cpu: Duration::ZERO,
        engine_threads: 1,
        pieces,
    }
}

fn spec() -> TestSpec {
    TestSpec {
        length: Duration::from_nanos(LENGTH),
        grace: GRACE,
        min_workers: 1,
        balance: Balance::Capacity,
        on_lost: OnLost::Reassign,
        labels: BTreeMap::new(),
        task: TaskDescription {
            task_type: "SLEEP".into(),
            target_rate_milli: crate::engine::RATE * 1000,
            duration: Duration::from_nanos(LENGTH),
            ..TaskDescription::default()
        },
    }
}
