//! The simulator's own tests, and the part of its sweep that every change must pass.
#![allow(clippy::unwrap_used)]

use crate::run::run;
use crate::scenario::{Faults, Scenario};
use crate::sweep::sweep;
use crate::trace::Trace;

#[test]
fn without_faults_three_to_fifty_nodes_elect_register_run_and_end() {
    for nodes in [3, 4, 5, 7, 10, 20, 50] {
        let scenario = Scenario::from_seed(nodes as u64, Some(nodes), Faults::None);
        let outcome = run(scenario, Trace::default());
        assert_eq!(outcome.violation, None, "{nodes} nodes");
        assert_eq!(outcome.coverage.count("elections"), 1, "{nodes} nodes");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_another() {
    let hash = |seed| {
        run(
            Scenario::from_seed(seed, None, Faults::All),
            Trace::default(),
        )
        .hash
    };
    assert_eq!(hash(11), hash(11));
    assert_ne!(hash(11), hash(12));
}

#[test]
fn invariants_hold_over_a_sweep_that_has_seen_every_situation() {
    let swept = sweep(0..300, None, 2);
    assert_eq!(swept.failed, []);
    for situation in [
        "elections",
        "take-overs",
        "rebalances",
        "partitions healed",
        "pauses",
        "crashes",
        "restarts",
        "joins",
        "leaves",
        "stops",
        "late joiners",
        "workers lost",
        "coordinators killed",
    ] {
        assert!(swept.coverage.count(situation) > 0, "no {situation}");
    }
}
