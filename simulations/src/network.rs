//! The network between the machines: loss, duplication, delay and partitions.
//!
//! Gossip travels from its author to every other machine independently; around a cut it is relayed
//! by a third machine. Order is not preserved.

use std::time::Duration;

use crate::fault::{Fault, FaultPlan, Ways};
use crate::rng::Rng;
use crate::scenario::Setting;

const LEAST: Duration = Duration::from_micros(20);
const USUAL: Duration = Duration::from_millis(3);
const RARE: Duration = Duration::from_millis(40);
/// Factor of these latencies across continents.
const WIDE: u32 = 30;
/// Messages with a latency of up to [`RARE`], per thousand.
const RARELY: u32 = 10;

/// The network.
#[derive(Debug)]
pub struct Network {
    rng: Rng,
    /// Active faults, with their index in the plan.
    active: Vec<(usize, Fault)>,
    /// Time at which all delayed messages arrive at the latest.
    healed_at: Duration,
    setting: Setting,
}

impl Network {
    /// A network with the faults of this plan.
    pub fn new(rng: Rng, plan: &FaultPlan, setting: Setting) -> Network {
        Network {
            rng,
            active: Vec::new(),
            healed_at: plan.healed_at().unwrap_or_default(),
            setting,
        }
    }

    /// A fault of the plan starts.
    pub fn start(&mut self, index: usize, fault: &Fault) {
        self.active.push((index, fault.clone()));
    }

    /// A fault of the plan ends.
    pub fn end(&mut self, index: usize) {
        self.active.retain(|(i, _)| *i != index);
    }

    /// Whether the link from one machine to another is cut.
    pub fn cut(&self, from: usize, to: usize) -> bool {
        self.active.iter().any(|(_, fault)| match fault {
            Fault::Partition { side, ways, .. } => {
                let (out, into) = (side.contains(&from), side.contains(&to));
                match ways {
                    Ways::Both => out != into,
                    Ways::Out => out && !into,
                    Ways::In => !out && into,
                }
            }
            Fault::Link { a, b, .. } => (*a, *b) == (from, to) || (*b, *a) == (from, to),
            _ => false,
        })
    }

    /// Arrival times of a message sent at `now`: none, one or two.
    pub fn arrivals(
        &mut self,
        now: Duration,
        from: usize,
        to: usize,
    ) -> impl Iterator<Item = Duration> + use<> {
        let copies = self.copies(now, from, to);
        copies.into_iter().flatten()
    }

    fn copies(&mut self, now: Duration, from: usize, to: usize) -> [Option<Duration>; 2] {
        if self.cut(from, to) {
            return [None; 2];
        }
        let mut doubled_now = false;
        let mut lateness = Duration::ZERO;
        for (_, fault) in &self.active {
            if let Fault::Weather {
                loss,
                doubled,
                late,
                by,
                ..
            } = fault
            {
                if self.rng.chance(*loss) {
                    return [None; 2];
                }
                doubled_now |= self.rng.chance(*doubled);
                if self.rng.chance(*late) {
                    lateness = lateness.max(self.rng.time(Duration::ZERO..*by));
                }
            }
        }
        let first = self.arrival(now, lateness);
        let second = doubled_now.then(|| self.arrival(now, lateness));
        [Some(first), second]
    }

    fn arrival(&mut self, now: Duration, lateness: Duration) -> Duration {
        let longest = if self.rng.chance(RARELY) { RARE } else { USUAL };
        let wide = match self.setting {
            Setting::Wan => WIDE,
            Setting::Lan => 1,
        };
        let usual = now + self.rng.time(LEAST * wide..longest * wide);
        let late = usual + lateness;
        match now < self.healed_at {
            true => late.min(self.healed_at.max(usual)),
            false => usual,
        }
    }

    /// Longest time between two runs of a machine's control thread, if it is starved.
    pub fn stall(&self, machine: usize) -> Option<Duration> {
        let stalls = self.active.iter().filter_map(|(_, fault)| match fault {
            Fault::Stall { nodes, by, .. } if nodes.contains(&machine) => Some(*by),
            _ => None,
        });
        stalls.max()
    }

    /// Delay of a slow machine; zero after healing.
    pub fn slowness(&mut self, due: Duration, machine: usize) -> Duration {
        let mut most = Duration::ZERO;
        for (_, fault) in &self.active {
            if let Fault::Slow { node, by, .. } = fault
                && *node == machine
            {
                most = most.max(*by);
            }
        }
        let drawn = if most.is_zero() {
            most
        } else {
            self.rng.time(Duration::ZERO..most)
        };
        drawn.min(self.healed_at.saturating_sub(due))
    }
}
