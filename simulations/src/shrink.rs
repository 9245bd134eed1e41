//! Shrinks a failing run: removes faults, nodes and time while the same invariant is violated.

use std::time::Duration;

use vajra_core::protocol::planted::Bug;

use crate::fault::Timed;
use crate::run::run;
use crate::scenario::Scenario;
use crate::trace::Trace;

/// Most runs per scenario.
const MOST_RUNS: usize = 600;

/// A shrunk scenario.
#[derive(Debug)]
pub struct Shrunk {
    /// The scenario.
    pub scenario: Scenario,
    /// Its violation.
    pub violation: crate::violation::Violation,
    /// Number of runs.
    pub runs: usize,
}

/// All reduction steps of a scenario, the most effective first.
fn reductions(scenario: &Scenario) -> Vec<Scenario> {
    let mut candidates = Vec::new();
    let faults = &scenario.faults.0;
    for i in 0..faults.len() {
        let mut less = scenario.clone();
        less.faults.0.remove(i);
        less.fit_length();
        candidates.push(less);
    }
    for removed in (0..scenario.machines.len()).rev() {
        let second = scenario.second.as_ref().map(|s| s.submitter);
        let submits = scenario.submitter == removed || second == Some(removed);
        if scenario.machines.len() < 2 || submits {
            continue;
        }
        let mut less = scenario.clone();
        less.machines.remove(removed);
        less.submitter -= usize::from(less.submitter > removed);
        if let Some(second) = &mut less.second {
            second.submitter -= usize::from(second.submitter > removed);
        }
        less.faults.0 = faults
            .iter()
            .filter_map(|t| {
                let fault = t.fault.without(removed)?;
                Some(Timed { at: t.at, fault })
            })
            .collect();
        less.fit_length();
        candidates.push(less);
    }
    if scenario.second.is_some() {
        let mut less = scenario.clone();
        less.second = None;
        less.fit_length();
        candidates.push(less);
    }
    if scenario.wire {
        let mut less = scenario.clone();
        less.wire = false;
        candidates.push(less);
    }
    for (i, machine) in scenario.machines.iter().enumerate() {
        if !machine.able() || machine.inspection.is_some() {
            let mut less = scenario.clone();
            less.machines[i].unable = None;
            less.machines[i].cannot_parse = false;
            less.machines[i].inspection = None;
            candidates.push(less);
        }
    }
    for (i, timed) in faults.iter().enumerate() {
        let half = timed.fault.duration() / 2;
        if half > Duration::from_millis(20) {
            let mut less = scenario.clone();
            less.faults.0[i].fault = timed.fault.with_duration(half);
            less.fit_length();
            candidates.push(less);
        }
    }
    candidates
}

/// Shrinks a failing scenario; `None` if it does not fail.
pub fn shrink(scenario: Scenario, bug: Option<Bug>) -> Option<Shrunk> {
    let first = run(scenario.clone(), Trace::default(), bug).violation?;
    let mut shrunk = Shrunk {
        scenario,
        violation: first,
        runs: 1,
    };
    loop {
        let mut smaller = None;
        for candidate in reductions(&shrunk.scenario) {
            if shrunk.runs >= MOST_RUNS {
                return Some(shrunk);
            }
            shrunk.runs += 1;
            let violation = run(candidate.clone(), Trace::default(), bug).violation;
            if let Some(v) = violation.filter(|v| v.invariant == shrunk.violation.invariant) {
                smaller = Some((candidate, v));
                break;
            }
        }
        match smaller {
            Some((scenario, violation)) => {
                shrunk.scenario = scenario;
                shrunk.violation = violation;
            }
            None => return Some(shrunk),
        }
    }
}
