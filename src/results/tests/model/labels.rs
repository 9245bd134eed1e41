//! The metrics of a label are those of its steps.

use vajra_fixtures::labelled::*;
use vajra_results::check;

#[test]
fn a_label_merges_its_steps_over_all_scenarios_and_workers() {
    let result = labelled();
    let names: Vec<&str> = result.labels.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["api", "slow"]);
    let api = &result.labels[0];
    assert_eq!((api.totals.sent, api.totals.failed), (200, 4));
    let times = api.response_time_ms.as_ref().unwrap();
    assert_eq!(times.count, 200);
    // 185 of 200 took 10 ms: in the merged histogram, the others start at the 93rd percentile.
    assert!((times.p90 - 10.0).abs() < 0.02, "{}", times.p90);
    assert!((times.p95 - 400.0).abs() < 0.5, "{}", times.p95);
    assert_eq!(result.labels[1].totals, result.scenarios[1].totals);
}

#[test]
fn a_threshold_can_apply_to_a_label() {
    let result = labelled();
    for (text, expected) in [
        ("response_time.p90[label:api] < 11ms", Ok(())),
        (
            "error_rate[label:api] < 1%",
            Err("2.00 %, not error_rate[label:api] < 1%"),
        ),
        // No step or scenario has this name.
        (
            "error_rate[api] < 1%",
            Err("nothing was measured, so not error_rate[api] < 1%"),
        ),
    ] {
        let checked = check(&text.parse().unwrap(), &result).map_err(|e| e.to_string());
        assert_eq!(checked, expected.map_err(String::from), "{text}");
    }
}
