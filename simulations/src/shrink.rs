//! Making a failing run small: faults, nodes and time are taken away for as long as the same
//! invariant still breaks. What is left is what it takes.

use std::time::Duration;

use vajra_core::protocol::planted::Bug;

use crate::fault::Timed;
use crate::run::run;
use crate::scenario::Scenario;
use crate::trace::Trace;

/// Runs spent on one scenario at most.
const MOST_RUNS: usize = 600;

/// A scenario that breaks `invariant`, made smaller.
#[derive(Debug)]
pub struct Shrunk {
    /// What is left.
    pub scenario: Scenario,
    /// How it breaks.
    pub violation: crate::check::Violation,
    /// Runs that it took.
    pub runs: usize,
}

/// Every way to make a scenario a little smaller, the most effective first.
fn smaller(scenario: &Scenario) -> Vec<Scenario> {
    let mut candidates = Vec::new();
    let faults = &scenario.faults.0;
    for i in 0..faults.len() {
        let mut less = scenario.clone();
        less.faults.0.remove(i);
        less.fit_length();
        candidates.push(less);
    }
    for gone in (0..scenario.machines.len()).rev() {
        if scenario.machines.len() < 2 || scenario.submitter == gone {
            continue;
        }
        let mut less = scenario.clone();
        less.machines.remove(gone);
        less.submitter -= usize::from(less.submitter > gone);
        less.faults.0 = faults
            .iter()
            .filter_map(|t| {
                let fault = t.fault.without(gone)?;
                Some(Timed { at: t.at, fault })
            })
            .collect();
        less.fit_length();
        candidates.push(less);
    }
    for (i, timed) in faults.iter().enumerate() {
        let half = timed.fault.lasts() / 2;
        if half > Duration::from_millis(20) {
            let mut less = scenario.clone();
            less.faults.0[i].fault = timed.fault.lasting(half);
            less.fit_length();
            candidates.push(less);
        }
    }
    candidates
}

/// Shrinks a scenario that breaks an invariant; `None` if it breaks none.
pub fn shrink(scenario: Scenario, bug: Option<Bug>) -> Option<Shrunk> {
    let first = run(scenario.clone(), Trace::default(), bug).violation?;
    let mut shrunk = Shrunk {
        scenario,
        violation: first,
        runs: 1,
    };
    loop {
        let mut better = None;
        for candidate in smaller(&shrunk.scenario) {
            if shrunk.runs >= MOST_RUNS {
                return Some(shrunk);
            }
            shrunk.runs += 1;
            let violation = run(candidate.clone(), Trace::default(), bug).violation;
            if let Some(v) = violation.filter(|v| v.invariant == shrunk.violation.invariant) {
                better = Some((candidate, v));
                break;
            }
        }
        match better {
            Some((scenario, violation)) => {
                shrunk.scenario = scenario;
                shrunk.violation = violation;
            }
            None => return Some(shrunk),
        }
    }
}
