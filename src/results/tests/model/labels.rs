//! What was measured of a label is what was measured of its steps.

use vajra_fixtures::labelled::*;
use vajra_results::check;

#[test]
fn a_label_has_its_steps_of_all_scenarios_and_workers_together() {
    let result = labelled();
    let names: Vec<&str> = result.labels.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["api", "slow"]);
    let api = &result.labels[0];
    assert_eq!((api.totals.sent, api.totals.failed), (200, 4));
    let times = api.response_time_ms.as_ref().unwrap();
    assert_eq!(times.count, 200);
    // 185 of 200 took 10 ms: merged, the rest shows from the 93rd percentile on.
    assert!((times.p90 - 10.0).abs() < 0.02, "{}", times.p90);
    assert!((times.p95 - 400.0).abs() < 0.5, "{}", times.p95);
    assert_eq!(result.labels[1].totals, result.scenarios[1].totals);
}

#[test]
fn a_threshold_may_be_about_a_label() {
    let result = labelled();
    for (text, told) in [
        ("response_time.p90[label:api] < 11ms", Ok(())),
        (
            "error_rate[label:api] < 1%",
            Err("2.00 %, not error_rate[label:api] < 1%"),
        ),
        // A step or scenario of that name there is not.
        (
            "error_rate[api] < 1%",
            Err("nothing was measured, so not error_rate[api] < 1%"),
        ),
    ] {
        let checked = check(&text.parse().unwrap(), &result);
        assert_eq!(checked, told.map_err(String::from), "{text}");
    }
}
