//! What a run consists of, as a value. A seed expands into one; nothing else is random but
//! the streams that the world draws latencies and jitter from.

use std::collections::BTreeMap;
use std::time::Duration;

use vajra_node::protocol::messages::TaskDescription;
use vajra_node::protocol::spec::{Balance, OnLost, TestSpec, Timings};

use crate::clock::{Clock, MAX_DRIFT_PPM};
use crate::fault::FaultPlan;
use crate::rng::Rng;

/// Arrivals a second of every simulated test.
pub const RATE: u64 = 1_000;

/// When the test is submitted: the nodes have seen each other's adverts by then.
pub const SUBMITTED: Duration = Duration::from_secs(3);

/// Which faults a run suffers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Faults {
    /// None: perfect machines with drifting clocks.
    None,
    /// All kinds.
    All,
}

/// A machine.
#[derive(Clone, Debug)]
pub struct MachineSpec {
    /// Its clock.
    pub clock: Clock,
    /// How many tasks it can run at once.
    pub capacity: u32,
    /// Why it will carry no load, if so.
    pub unable: Option<String>,
}

/// A whole run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed of the streams.
    pub seed: u64,
    /// The protocol's clockwork.
    pub timings: Timings,
    /// The machines.
    pub machines: Vec<MachineSpec>,
    /// The test.
    pub spec: TestSpec,
    /// Length of the plan in bytes; a long one is fetched.
    pub plan_len: usize,
    /// Where the test is submitted.
    pub submitter: usize,
    /// What goes wrong.
    pub faults: FaultPlan,
}

impl Scenario {
    /// The run that a seed stands for, with so many nodes if that is asked for.
    pub fn from_seed(seed: u64, nodes: Option<usize>, faults: Faults) -> Scenario {
        let mut rng = Rng::new(seed, "scenario");
        let drawn = match rng.within(0..10) {
            0 => 2,
            1..=4 => 3,
            5..=7 => 5,
            8 => 4 + rng.index(6),
            _ => 7,
        };
        let nodes = nodes.unwrap_or(drawn).max(1);
        let machines: Vec<MachineSpec> = (0..nodes)
            .map(|i| MachineSpec {
                clock: Clock {
                    origin: rng.within(1_000_000_000..1_000_000_000_000_000),
                    drift_ppm: match rng.within(0..3) {
                        0 => -MAX_DRIFT_PPM,
                        1 => MAX_DRIFT_PPM,
                        _ => rng.within(0..2 * MAX_DRIFT_PPM as u64 + 1) as i64 - MAX_DRIFT_PPM,
                    },
                },
                capacity: 1 + rng.within(0..200) as u32,
                unable: (i > 0 && faults == Faults::All && rng.chance(30))
                    .then(|| "its policy does not allow the target".to_owned()),
            })
            .collect();
        let faults = match faults {
            Faults::All if nodes > 1 => {
                let mut stream = Rng::new(seed, "faults");
                let from = SUBMITTED - Duration::from_millis(300);
                FaultPlan::random(&mut stream, nodes, from, Duration::from_secs(17))
            }
            _ => FaultPlan::default(),
        };
        let healed = faults.healed_at().unwrap_or(Duration::ZERO).max(SUBMITTED);
        let timings = Timings::lan();
        let room = timings.share_lease * 4 + Duration::from_secs(2);
        let length = (healed - SUBMITTED + room).max(Duration::from_secs(6));
        let on_lost = match rng.within(0..100) {
            0..=11 => OnLost::Hold,
            12..=16 => OnLost::Fail,
            _ => OnLost::Reassign,
        };
        Scenario {
            seed,
            machines,
            spec: TestSpec {
                length,
                grace: rng.time(Duration::ZERO..Duration::from_secs(3)),
                min_workers: 1,
                balance: [Balance::Capacity, Balance::Equal][rng.index(2)],
                on_lost,
                labels: BTreeMap::new(),
                task: TaskDescription {
                    task_type: "SLEEP".into(),
                    target_rate_milli: RATE * 1_000,
                    duration: length,
                    ..TaskDescription::default()
                },
            },
            plan_len: if rng.chance(200) { 20_000 } else { 100 },
            submitter: if rng.chance(500) { 0 } else { rng.index(nodes) },
            faults,
            timings,
        }
    }
}
