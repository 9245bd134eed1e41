//! Situations that occurred in a run or a sweep. A sweep without a take-over shows nothing about
//! take-overs.

use std::collections::BTreeMap;
use std::fmt;

/// Counts of situations by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Coverage(BTreeMap<&'static str, u64>);

/// Situations that must occur in a sweep.
pub const SITUATIONS: &[&str] = &[
    "elections",
    "take-overs",
    "coordinators killed",
    "coordinators cut off",
    "rebalances",
    "partitions healed",
    "one-way partitions",
    "links cut",
    "pauses",
    "crashes",
    "restarts",
    "joins",
    "late joiners",
    "leaves",
    "drains",
    "stops",
    "workers lost",
    "workers rejoined",
    "shares kept",
    "shares of overloaded workers reduced",
    "refusals",
    "stretched leases",
    "wide-area swarms",
    "shares held",
    "tests ended by a loss",
    "loads scaled",
    "loads paused",
    "arrivals",
    "request numbers",
    "iterations",
    "reboots",
    "starved control threads",
    "slow data",
    "plans that a node cannot parse",
    "second tests",
    "setups",
    "teardowns",
];

impl Coverage {
    /// Situations that never occurred.
    pub fn missing(&self) -> Vec<&'static str> {
        let never = SITUATIONS.iter().copied();
        never.filter(|s| self.count(s) == 0).collect()
    }

    /// A situation occurred.
    pub fn saw(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    /// A situation occurred this many times.
    pub fn saw_often(&mut self, what: &'static str, times: u64) {
        if times > 0 {
            *self.0.entry(what).or_default() += times;
        }
    }

    /// Number of occurrences.
    pub fn count(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Coverage) {
        for (what, n) in &other.0 {
            *self.0.entry(what).or_default() += n;
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (what, n)) in self.0.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{what} {n}")?;
        }
        Ok(())
    }
}
