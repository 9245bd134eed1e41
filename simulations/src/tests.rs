//! Tests of the simulator, and the part of its sweep that every change must pass.
#![allow(clippy::unwrap_used)]

use vajra_core::protocol::planted::Bug;

use crate::mutants::{Caught, hunt};
use crate::run::run;
use crate::scenario::{Faults, Scenario};
use crate::shrink::shrink;
use crate::sweep::{Until, sweep};
use crate::trace::Trace;

#[test]
fn without_faults_three_to_fifty_nodes_elect_register_run_and_end() {
    for nodes in [3, 4, 5, 7, 10, 20, 50] {
        let scenario = Scenario::from_seed(nodes as u64, Some(nodes), Faults::None);
        let outcome = run(scenario, Trace::default(), None);
        assert_eq!(outcome.violation, None, "{nodes} nodes");
        assert_eq!(outcome.coverage.count("elections"), 1, "{nodes} nodes");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let hash = |seed| {
        run(
            Scenario::from_seed(seed, None, Faults::All),
            Trace::default(),
            None,
        )
        .hash
    };
    assert_eq!(hash(11), hash(11));
    assert_ne!(hash(11), hash(12));
}

/// Every run that once violated an invariant, kept as a scenario with its description.
#[test]
fn scenarios_that_once_failed_pass() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
    let mut seen = 0;
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        let scenario = Scenario::from_toml(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let story = scenario.story.clone();
        assert!(story.is_some(), "{} has no description", path.display());
        let outcome = run(scenario, Trace::default(), None);
        assert_eq!(outcome.violation, None, "{}: {story:?}", path.display());
        seen += 1;
    }
    assert!(seen > 0);
}

/// Without a limit of the start this run elected more than a hundred coordinators.
#[test]
fn a_test_that_does_not_start_ends_after_a_minute_of_elections() {
    let text = include_str!("../scenarios/never-started.toml");
    let scenario = Scenario::from_toml(text).unwrap();
    let outcome = run(scenario, Trace::default(), None);
    assert_eq!(outcome.violation, None);
    let elections = outcome.coverage.count("elections");
    assert!((5..50).contains(&elections), "{elections}");
}

#[test]
fn no_invariant_is_violated_in_a_sweep_with_every_situation() {
    let swept = sweep(0..2_000, None, 2, None, Until::Done);
    assert_eq!(swept.failed, []);
    assert_eq!(swept.coverage.missing(), Vec::<&str>::new());
}

/// The whole table takes minutes (`simulate mutants`); these bugs show that a sweep detects them.
#[test]
fn a_sweep_detects_planted_bugs() {
    for bug in [
        Bug::AuthorityForever,
        Bug::NewestOrderCounts,
        Bug::UnreportedAtOnce,
        Bug::SnapshotsSummed,
    ] {
        let caught = hunt(bug, 0..500, 2);
        assert!(matches!(caught, Caught::Sweep { .. }), "{}", bug.key());
    }
}

#[test]
fn a_shrunk_run_violates_the_same_invariant() {
    let bug = Some(Bug::UnreportedAtOnce);
    let swept = sweep(0..500, None, 2, bug, Until::FirstFailure);
    let (seed, violation) = swept.failed[0].clone();
    let whole = Scenario::from_seed(seed, None, Faults::All);
    let shrunk = shrink(whole.clone(), bug).unwrap();
    assert_eq!(shrunk.violation.invariant, violation.invariant);
    let size = |s: &Scenario| s.faults.0.len() + s.machines.len();
    assert!(size(&shrunk.scenario) <= size(&whole));
    let again = run(shrunk.scenario, Trace::default(), bug);
    assert_eq!(again.violation, Some(shrunk.violation));
}
