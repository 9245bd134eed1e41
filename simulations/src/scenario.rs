//! A run as a value, from a seed or a TOML file. Apart from it, only the streams from which the
//! world draws latencies and jitter are random, and they depend on the seed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use vajra_core::protocol::messages::TaskDescription;
use vajra_core::protocol::spec::{Balance, OnLost, TestSpec, Timings};

use crate::clock::{Clock, MAX_DRIFT_PPM};
use crate::fault::{FaultPlan, Timed};
use crate::rng::Rng;
use crate::seconds;

/// Time of the submission: the nodes have received each other's adverts by then.
pub const SUBMITTED: Duration = Duration::from_secs(3);

/// Time limit of a setup or teardown.
pub const ONCE: Duration = Duration::from_secs(2);

/// Faults of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Faults {
    /// No faults: perfect machines with drifting clocks.
    None,
    /// All kinds of faults.
    All,
}

/// Timing profile of the protocol, and a matching network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Setting {
    /// Round trips of a few milliseconds.
    #[default]
    Lan,
    /// Round trips of up to 400 ms.
    Wan,
}

/// Handling of a lost worker's share.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnLoss {
    /// It is reassigned.
    #[default]
    Reassign,
    /// The worker keeps it.
    Hold,
    /// The test ends.
    Fail,
}

/// The load of a simulated plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "lowercase", deny_unknown_fields)]
pub enum Load {
    /// Open model.
    Open {
        /// Arrivals per second.
        rate: u32,
    },
    /// Closed model.
    Closed {
        /// Virtual users.
        users: u32,
        /// Shortest response time.
        #[serde(with = "seconds")]
        quickest: Duration,
        /// Longest response time.
        #[serde(with = "seconds")]
        slowest: Duration,
        /// Number of requests after which the test ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requests: Option<u64>,
    },
}

impl Default for Load {
    fn default() -> Load {
        Load::Open { rate: 100 }
    }
}

impl Load {
    /// A random load.
    fn random(rng: &mut Rng) -> Load {
        if rng.chance(550) {
            return Load::Open {
                rate: [20, 50, 100, 200][rng.index(4)],
            };
        }
        let slowest = rng.time(Duration::from_millis(100)..Duration::from_secs(4));
        Load::Closed {
            users: rng.within(1..41) as u32,
            quickest: rng.time(slowest / 10..slowest),
            slowest,
            requests: rng.chance(400).then(|| rng.within(50..2_000)),
        }
    }

    /// The full load that scaling refers to, in thousandths of arrivals per second or of users.
    pub fn full_milli(self) -> u64 {
        1_000
            * match self {
                Load::Open { rate } => u64::from(rate),
                Load::Closed { users, .. } => u64::from(users),
            }
    }

    /// Users of the closed model.
    pub fn users(self) -> Option<u32> {
        match self {
            Load::Open { .. } => None,
            Load::Closed { users, .. } => Some(users),
        }
    }

    /// Number of requests after which the test ends, if it is limited.
    pub fn requests(self) -> Option<u64> {
        match self {
            Load::Open { .. } => None,
            Load::Closed { requests, .. } => requests,
        }
    }
}

/// A machine.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineSpec {
    /// Clock.
    #[serde(flatten)]
    pub clock: Clock,
    /// Number of tasks that it can run at once.
    pub capacity: u32,
    /// Reason why it cannot take a share, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unable: Option<String>,
    /// Whether it cannot parse the plan: another version.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cannot_parse: bool,
    /// Time that it takes to inspect a plan and to fetch its data, if that is long.
    #[serde(
        default,
        with = "seconds::maybe",
        skip_serializing_if = "Option::is_none"
    )]
    pub inspection: Option<Duration>,
}

impl MachineSpec {
    /// Whether it can take part once it has its data.
    pub fn able(&self) -> bool {
        self.unable.is_none() && !self.cannot_parse
    }
}

/// The test.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Length of the profile.
    #[serde(with = "seconds")]
    pub length: Duration,
    /// Time limit of in-flight requests after the end.
    #[serde(with = "seconds")]
    pub grace: Duration,
    /// Whether the load is split equally instead of by capacity.
    #[serde(default)]
    pub equal: bool,
    /// Handling of a lost worker's share.
    #[serde(default)]
    pub on_lost_worker: OnLoss,
    /// Whether it has a setup.
    #[serde(default)]
    pub setup: bool,
    /// Whether it has a teardown.
    #[serde(default)]
    pub teardown: bool,
    /// Length in bytes; nodes fetch a long plan.
    pub bytes: usize,
    /// Load.
    #[serde(default)]
    pub load: Load,
}

impl Plan {
    /// The plan as seen by the protocol.
    pub fn spec(&self) -> TestSpec {
        TestSpec {
            length: self.length,
            end: self.length,
            setup: self.setup.then_some(ONCE),
            teardown: self.teardown.then_some(ONCE),
            grace: self.grace,
            min_workers: 1,
            balance: match self.equal {
                true => Balance::Equal,
                false => Balance::Capacity,
            },
            on_lost: match self.on_lost_worker {
                OnLoss::Reassign => OnLost::Reassign,
                OnLoss::Hold => OnLost::Hold,
                OnLoss::Fail => OnLost::Fail,
            },
            users: self.load.users(),
            requests: self.load.requests(),
            labels: BTreeMap::new(),
            task: TaskDescription {
                task_type: "SLEEP".into(),
                target_rate_milli: match self.load {
                    Load::Open { .. } => self.load.full_milli(),
                    Load::Closed { .. } => 0,
                },
                duration: self.length,
                max_concurrency: self.load.users().unwrap_or_default(),
                ..TaskDescription::default()
            },
        }
    }
}

/// A second test, at the same time as the first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Second {
    /// Time from the submission of the first test to its own.
    #[serde(with = "seconds")]
    pub after: Duration,
    /// Index of the machine on which it is submitted.
    pub submitter: usize,
    /// The test.
    pub plan: Plan,
}

/// A run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub story: Option<String>,
    /// Seed of the streams.
    pub seed: u64,
    /// Network and timing profile.
    #[serde(default)]
    pub setting: Setting,
    /// Most heartbeats per second that a coordinator answers. A low limit stretches the leases of a
    /// small swarm like those of a large one.
    pub heartbeats_per_second: u32,
    /// Index of the machine on which the test is submitted.
    pub submitter: usize,
    /// Whether all messages pass through their wire form.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wire: bool,
    /// The test.
    pub plan: Plan,
    /// A second test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<Second>,
    /// The machines.
    #[serde(rename = "machine")]
    pub machines: Vec<MachineSpec>,
    /// Faults.
    #[serde(rename = "fault", default)]
    pub faults: FaultPlan,
}

impl Scenario {
    /// The run of a seed, optionally with this number of nodes.
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
                    origin: rng.within(1_000_000_000..1_000_000_000_000_000) as i64,
                    drift_ppm: match rng.within(0..3) {
                        0 => -MAX_DRIFT_PPM,
                        1 => MAX_DRIFT_PPM,
                        _ => rng.within(0..2 * MAX_DRIFT_PPM as u64 + 1) as i64 - MAX_DRIFT_PPM,
                    },
                },
                capacity: 1 + rng.within(0..200) as u32,
                unable: (i > 0 && faults == Faults::All && rng.chance(30))
                    .then(|| "its policy does not allow the target".to_owned()),
                cannot_parse: false,
                inspection: None,
            })
            .collect();
        let mut kind = Rng::new(seed, "setting");
        let setting = match faults {
            Faults::All if kind.chance(100) => Setting::Wan,
            _ => Setting::Lan,
        };
        let heartbeats_per_second = match faults {
            Faults::All if kind.chance(150) => 5 + kind.within(0..10) as u32,
            _ => Timings::lan().heartbeats_per_second,
        };
        let mut scenario = Scenario {
            story: None,
            seed,
            setting,
            heartbeats_per_second,
            machines,
            plan: Plan {
                length: Duration::ZERO,
                grace: Duration::ZERO,
                equal: false,
                on_lost_worker: match rng.within(0..100) {
                    0..=11 => OnLoss::Hold,
                    12..=16 => OnLoss::Fail,
                    _ => OnLoss::Reassign,
                },
                setup: false,
                teardown: false,
                bytes: 100,
                load: Load::default(),
            },
            second: None,
            submitter: 0,
            wire: false,
            faults: FaultPlan::default(),
        };
        scenario.plan.grace = rng.time(Duration::ZERO..Duration::from_secs(3));
        scenario.plan.equal = rng.index(2) == 1;
        if rng.chance(200) {
            scenario.plan.bytes = 20_000;
        }
        scenario.submitter = if rng.chance(500) { 0 } else { rng.index(nodes) };
        if faults == Faults::All && nodes > 1 {
            let mut stream = Rng::new(seed, "faults");
            let from = SUBMITTED - Duration::from_millis(300);
            let until = match setting {
                Setting::Lan => Duration::from_secs(17),
                Setting::Wan => Duration::from_secs(40),
            };
            scenario.faults = FaultPlan::random(&mut stream, nodes, from, until);
        }
        let mut stream = Rng::new(seed, "setup");
        scenario.plan.setup = stream.chance(200);
        scenario.plan.teardown = stream.chance(200);
        scenario.plan.load = Load::random(&mut Rng::new(seed, "load"));
        if faults == Faults::All && nodes > 1 {
            scenario.add_machine_faults(seed);
        }
        scenario.fit_length();
        scenario
    }

    /// Nodes without the plan's data, faults of machines, a second test.
    fn add_machine_faults(&mut self, seed: u64) {
        let mut rng = Rng::new(seed, "nodes");
        let nodes = self.machines.len();
        for (i, machine) in self.machines.iter_mut().enumerate() {
            machine.cannot_parse = i > 0 && rng.chance(25);
            if i > 0 && rng.chance(40) {
                let longest = Duration::from_secs([1, 10, 60, 180][rng.index(4)]);
                machine.inspection = Some(rng.time(Duration::ZERO..longest));
            }
        }
        let from = SUBMITTED - Duration::from_millis(300);
        let until = Duration::from_secs(17);
        let faults = FaultPlan::of_machines(&mut rng, nodes, from, until);
        self.faults.0.extend(faults);
        let rng_of_captured = &mut Rng::new(seed, "capture");
        let captured = FaultPlan::capture(rng_of_captured, nodes, from, until);
        self.faults.0.extend(captured);
        self.faults.0.sort_by_key(|t| t.at);
        self.wire = seed.is_multiple_of(8);
        if rng.chance(150) {
            self.second = Some(Second {
                after: rng.time(Duration::ZERO..Duration::from_secs(6)),
                submitter: rng.index(nodes),
                plan: Plan {
                    load: Load::random(&mut rng),
                    ..self.plan.clone()
                },
            });
        }
    }

    /// Extends the plan so that the swarm can recover from the last fault.
    pub fn fit_length(&mut self) {
        let healed = self.faults.healed_at().unwrap_or_default().max(SUBMITTED);
        let lease = self.timings().share_lease(self.machines.len());
        let recovery = lease * 4 + Duration::from_secs(2);
        let setup = if self.plan.setup {
            ONCE
        } else {
            Duration::ZERO
        };
        let recovery = recovery + setup;
        let drains = self.tests().filter(|p| p.load.users().is_some());
        let drains = drains.map(|p| p.grace).max().unwrap_or_default();
        let recovery = recovery + drains;
        self.plan.length = (healed - SUBMITTED + recovery).max(Duration::from_secs(6));
        if let Some(second) = &mut self.second {
            second.plan.length = self.plan.length;
        }
    }

    /// The plans of all tests.
    pub fn tests(&self) -> impl Iterator<Item = &Plan> {
        let second = self.second.iter().map(|s| &s.plan);
        std::iter::once(&self.plan).chain(second)
    }

    /// Time that a node without a start waits for a coordinator, from the inspection of its plan.
    pub fn start_timeout(&self) -> Duration {
        let timings = self.timings();
        let lease = timings.share_lease(self.machines.len());
        let silence = timings.registration_window + timings.share_lease * 8;
        let hooks = self.tests().map(|p| p.spec().hook_limit()).max();
        silence.max(timings.start_limit + lease * 2) + hooks.unwrap_or_default()
    }

    /// Longest inspection of the plan on any machine.
    pub fn longest_inspection(&self) -> Duration {
        let all = self.machines.iter().filter_map(|m| m.inspection);
        all.max().unwrap_or_default()
    }

    /// Timing profile.
    pub fn timings(&self) -> Timings {
        let timings = match self.setting {
            Setting::Lan => Timings::lan(),
            Setting::Wan => Timings::wan(),
        };
        Timings {
            max_pause: timings.share_lease,
            start_limit: timings.start_limit / 3,
            heartbeats_per_second: self.heartbeats_per_second,
            ..timings
        }
    }

    /// The plan of a test as seen by the protocol.
    pub fn spec(&self, of: usize) -> TestSpec {
        self.tests().nth(of).unwrap_or(&self.plan).spec()
    }

    /// Parses a scenario.
    ///
    /// # Errors
    /// If it is not a valid scenario, or names machines that it does not have.
    pub fn from_toml(text: &str) -> anyhow::Result<Scenario> {
        let scenario: Scenario = toml::from_str(text)?;
        let count = scenario.machines.len();
        ensure!(count > 0, "a scenario needs at least one [[machine]]");
        ensure!(
            scenario.submitter < count,
            "submitter = {} of {count} machines; they are counted from 0",
            scenario.submitter
        );
        if let Some(second) = &scenario.second {
            ensure!(
                second.submitter < count,
                "second.submitter = {} of {count} machines; they are counted from 0",
                second.submitter
            );
        }
        for machine in &scenario.machines {
            let drift = machine.clock.drift_ppm;
            ensure!(
                drift.abs() <= MAX_DRIFT_PPM,
                "drift_ppm = {drift}: the protocol tolerates up to {MAX_DRIFT_PPM}"
            );
        }
        for Timed { fault, .. } in &scenario.faults.0 {
            let stranger = fault.nodes().into_iter().find(|n| *n >= count);
            if let Some(n) = stranger {
                anyhow::bail!("{fault:?} names machine {n} of {count}; they are counted from 0");
            }
        }
        Ok(scenario)
    }

    /// Formats the scenario as TOML.
    ///
    /// # Errors
    /// Never for a scenario from a seed or a file.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        toml::to_string(self).context("formatting a scenario")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_survives_its_file() {
        for seed in 0..200 {
            let scenario = Scenario::from_seed(seed, None, Faults::All);
            let text = scenario.to_toml().expect("TOML");
            assert_eq!(
                Scenario::from_toml(&text).expect("a scenario"),
                scenario,
                "{text}"
            );
        }
    }

    #[test]
    fn a_file_that_names_a_machine_that_is_not_there_is_refused() {
        let mut scenario = Scenario::from_seed(1, Some(3), Faults::None);
        scenario.submitter = 3;
        let text = scenario.to_toml().expect("TOML");
        let why = Scenario::from_toml(&text).expect_err("no machine 3");
        assert!(why.to_string().contains("submitter = 3"), "{why}");
    }
}
