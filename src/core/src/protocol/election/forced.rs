//! What single electors force upon others: a coordinator steps down, a candidate withdraws or polls
//! again. An elector that forces it again and again has to wait, twice as long each time, so that it
//! cannot keep a test without a coordinator.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Bug, NodeId, Time, planted};

/// Doublings of the wait.
const MAX_DOUBLINGS: u32 = 8;

/// What each elector has forced.
#[derive(Debug, Default)]
pub(super) struct Forced {
    electors: BTreeMap<NodeId, BackOff>,
}

#[derive(Debug)]
struct BackOff {
    wait: Duration,
    until: Time,
}

impl Forced {
    /// Whether an elector may force a step now; counts it. The first one is free, and the wait
    /// before the next is `first_wait`. An elector that forced nothing for another wait starts
    /// again.
    pub(super) fn allow(&mut self, now: Time, elector: &NodeId, first_wait: Duration) -> bool {
        if planted(Bug::NoBackOff) {
            return true;
        }
        let known = self.electors.get(elector);
        if known.is_some_and(|b| now < b.until) {
            return false;
        }
        let longest = first_wait * 2u32.pow(MAX_DOUBLINGS);
        let wait = match known {
            Some(b) if now < b.until + b.wait => (b.wait * 2).min(longest),
            _ => first_wait,
        };
        let until = now + wait;
        self.electors
            .insert(elector.clone(), BackOff { wait, until });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fakes::node;
    use super::*;

    #[test]
    fn each_step_that_an_elector_forces_doubles_the_wait_before_its_next() {
        let mut forced = Forced::default();
        let wait = Duration::from_millis(200);
        let at = |ms: u64| Time::ZERO + Duration::from_millis(ms);
        let allowed: Vec<u64> = (0..4_000)
            .filter(|ms| forced.allow(at(*ms), &node(1), wait))
            .collect();
        assert_eq!(allowed, [0, 200, 600, 1_400, 3_000]);
        assert!(forced.allow(at(4_000), &node(2), wait), "another elector");
        assert!(forced.allow(at(60_000), &node(1), wait));
        assert!(!forced.allow(at(60_199), &node(1), wait));
        assert!(
            forced.allow(at(60_200), &node(1), wait),
            "after a quiet time it starts again"
        );
    }
}
