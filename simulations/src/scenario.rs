//! What a run consists of, as a value. A seed expands into one, or a TOML file says it;
//! nothing else is random but the streams that the world draws latencies and jitter from.

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

/// Arrivals a second of every simulated test.
pub const RATE: u64 = 1_000;

/// When the test is submitted: the nodes have seen each other's adverts by then.
pub const SUBMITTED: Duration = Duration::from_secs(3);

/// The longest that a setup or a teardown may take.
pub const ONCE: Duration = Duration::from_secs(2);

/// Which faults a run suffers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Faults {
    /// None: perfect machines with drifting clocks.
    None,
    /// All kinds.
    All,
}

/// The protocol's clockwork, and a network that suits it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Setting {
    /// Round trips of a few milliseconds.
    #[default]
    Lan,
    /// Round trips of up to 400 ms.
    Wan,
}

/// What happens to the share of a lost worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnLoss {
    /// Others take it.
    #[default]
    Reassign,
    /// It keeps it.
    Hold,
    /// The test ends.
    Fail,
}

/// A machine.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineSpec {
    /// Its clock.
    #[serde(flatten)]
    pub clock: Clock,
    /// How many tasks it can run at once.
    pub capacity: u32,
    /// Why it will carry no load, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unable: Option<String>,
}

/// The test.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Length of the profile.
    #[serde(with = "seconds")]
    pub length: Duration,
    /// How long in-flight requests may take after its end.
    #[serde(with = "seconds")]
    pub grace: Duration,
    /// The load is split equally, and not by capacity.
    #[serde(default)]
    pub equal: bool,
    /// What happens to the share of a lost worker.
    #[serde(default)]
    pub on_lost_worker: OnLoss,
    /// It has a setup.
    #[serde(default)]
    pub setup: bool,
    /// It has a teardown.
    #[serde(default)]
    pub teardown: bool,
    /// Length in bytes; a long plan is fetched.
    pub bytes: usize,
}

/// A whole run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is about, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub story: Option<String>,
    /// The seed of the streams.
    pub seed: u64,
    /// Network and clockwork.
    #[serde(default)]
    pub setting: Setting,
    /// Most heartbeats a second that a coordinator answers: few of them stretch the leases of
    /// a small swarm as those of a large one are.
    pub heartbeats_a_second: u32,
    /// Where the test is submitted, by the machine's place in the list.
    pub submitter: usize,
    /// The test.
    pub plan: Plan,
    /// The machines.
    #[serde(rename = "machine")]
    pub machines: Vec<MachineSpec>,
    /// What goes wrong.
    #[serde(rename = "fault", default)]
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
        let mut kind = Rng::new(seed, "setting");
        let setting = match faults {
            Faults::All if kind.chance(100) => Setting::Wan,
            _ => Setting::Lan,
        };
        let heartbeats_a_second = match faults {
            Faults::All if kind.chance(150) => 5 + kind.within(0..10) as u32,
            _ => Timings::lan().heartbeats_a_second,
        };
        let mut scenario = Scenario {
            story: None,
            seed,
            setting,
            heartbeats_a_second,
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
            },
            submitter: 0,
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
        scenario.fit_length();
        scenario
    }

    /// Makes the plan as long as it must be to see the swarm recover from the last fault.
    pub fn fit_length(&mut self) {
        let healed = self.faults.healed_at().unwrap_or_default().max(SUBMITTED);
        let lease = self.timings().share_lease(self.machines.len());
        let room = lease * 4 + Duration::from_secs(2);
        let setup = if self.plan.setup {
            ONCE
        } else {
            Duration::ZERO
        };
        let room = room + setup;
        self.plan.length = (healed - SUBMITTED + room).max(Duration::from_secs(6));
    }

    /// The protocol's clockwork.
    pub fn timings(&self) -> Timings {
        let timings = match self.setting {
            Setting::Lan => Timings::lan(),
            Setting::Wan => Timings::wan(),
        };
        Timings {
            max_pause: timings.share_lease,
            heartbeats_a_second: self.heartbeats_a_second,
            ..timings
        }
    }

    /// The test, as the protocol knows it.
    pub fn spec(&self) -> TestSpec {
        TestSpec {
            length: self.plan.length,
            end: self.plan.length,
            setup: self.plan.setup.then_some(ONCE),
            teardown: self.plan.teardown.then_some(ONCE),
            grace: self.plan.grace,
            min_workers: 1,
            balance: match self.plan.equal {
                true => Balance::Equal,
                false => Balance::Capacity,
            },
            on_lost: match self.plan.on_lost_worker {
                OnLoss::Reassign => OnLost::Reassign,
                OnLoss::Hold => OnLost::Hold,
                OnLoss::Fail => OnLost::Fail,
            },
            labels: BTreeMap::new(),
            task: TaskDescription {
                task_type: "SLEEP".into(),
                target_rate_milli: RATE * 1_000,
                duration: self.plan.length,
                ..TaskDescription::default()
            },
        }
    }

    /// Reads one from TOML.
    ///
    /// # Errors
    /// When it is none, or names machines that it does not have.
    pub fn from_toml(text: &str) -> anyhow::Result<Scenario> {
        let scenario: Scenario = toml::from_str(text)?;
        let count = scenario.machines.len();
        ensure!(count > 0, "a scenario needs at least one [[machine]]");
        ensure!(
            scenario.submitter < count,
            "submitter = {} of {count} machines; they are counted from 0",
            scenario.submitter
        );
        for machine in &scenario.machines {
            let drift = machine.clock.drift_ppm;
            ensure!(
                drift.abs() <= MAX_DRIFT_PPM,
                "drift_ppm = {drift}: the protocol promises to bear up to {MAX_DRIFT_PPM}"
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

    /// Writes it as TOML.
    ///
    /// # Errors
    /// Never, for a scenario that came from a seed or a file.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        toml::to_string(self).context("writing a scenario")
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
