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

/// Seeds that once broke an invariant, and why.
const STORIES: [(u64, &str); 9] = [
    (
        3,
        "a stop asked for in a minority was forgotten when the minority gave up",
    ),
    (
        64,
        "a node that slept took the start from beats that had waited for it",
    ),
    (
        70,
        "a test that failed ended with other snapshots on other nodes",
    ),
    (
        2_407,
        "a final snapshot was not delivered any more after giving up",
    ),
    (
        4_748,
        "a worker unknown to the last term was missing in the final roster",
    ),
    (
        5_509,
        "the end came before the last snapshot of a worker without a share",
    ),
    (
        8_723,
        "a claim was repeated in a term whose votes were split for good",
    ),
    (
        15_816,
        "a final snapshot that came before the registration was not counted",
    ),
    (
        19_711,
        "the coordinator died after the end, which a node had missed",
    ),
];

#[test]
fn seeds_that_once_failed_hold() {
    for (seed, story) in STORIES {
        let outcome = run(
            Scenario::from_seed(seed, None, Faults::All),
            Trace::default(),
        );
        assert_eq!(outcome.violation, None, "seed {seed}: {story}");
    }
}

#[test]
fn invariants_hold_over_a_sweep_that_has_seen_every_situation() {
    let swept = sweep(0..2_000, None, 2);
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
