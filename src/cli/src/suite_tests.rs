#![allow(clippy::unwrap_used)]
//! What plans of a suite get, and what they pass on.

use super::*;
use vajra_plan::Task;

const SUITE: &str = r#"
[suite]
[[plan]]
name = "log in"
pass = { token = "setup.token", peak = "rate", p99_ms = "response_time.p99" }
http = { base_url = "http://127.0.0.1:1" }
load = { rate = 1, duration = "1s" }
[[plan.setup]]
url = "/"
extract = { token = "$.t" }
[[plan.scenario]]
[[plan.scenario.step]]
url = "/"
[[plan]]
name = "use"
http = { base_url = "http://127.0.0.1:1" }
load = { rate = 1, duration = "1s" }
vars = { p99_ms = 5 }
[[plan.scenario]]
[[plan.scenario.step]]
url = "/{{ vars.token }}/{{ vars.peak }}/{{ vars.p99_ms }}"
"#;

fn suite() -> Suite {
    let read = |_: &str| Err(vajra_plan::FileError("no such file".to_owned()));
    parse_suite(SUITE, &read, &Values::new()).unwrap()
}

fn result() -> TestResult {
    let kept = vajra_fixtures::EMPTY_RESULT;
    let mut result: TestResult = serde_json::from_str(kept).unwrap();
    (result.totals.sent, result.duration_s) = (50, 2.0);
    let token = Scalar::Text("t7".into());
    result.values = Values::from([
        ("token".into(), token),
        ("other".into(), Scalar::Integer(1)),
    ]);
    result
}

fn given(passed: Values) -> Given<'static> {
    Given {
        passed,
        typed: Values::new(),
        target: None,
        thresholds: &[],
    }
}

#[test]
fn what_the_setup_found_and_what_was_measured_become_vars_of_later_plans() {
    let suite = suite();
    let passed = passed_on(&suite.plans[0], &result());
    // Nothing was timed: the p99 is not there, and the plan's own constant stays.
    let expected = Values::from([
        ("token".to_owned(), Scalar::Text("t7".into())),
        ("peak".to_owned(), Scalar::Float(25.0)),
    ]);
    assert_eq!(passed, expected);
    let plan = given(passed).plan(&suite.plans[1]).unwrap();
    let Task::Scenarios(scenarios) = plan.task else {
        panic!()
    };
    assert_eq!(scenarios.vars["token"], expected["token"]);
    assert_eq!(scenarios.vars["peak"], expected["peak"]);
    assert_eq!(scenarios.vars["p99_ms"], Scalar::Integer(5));
}

#[test]
fn a_plan_that_needs_what_was_not_passed_on_can_t_run() {
    let told = given(Values::new()).plan(&suite().plans[1]).unwrap_err();
    assert!(
        told.starts_with("the plans before it did not pass on peak, token: scenario"),
        "{told}"
    );
}

#[test]
fn what_was_typed_is_replaced_by_nothing() {
    let mut given = given(passed_on(&suite().plans[0], &result()));
    given.typed = Values::from([("peak".to_owned(), Scalar::Integer(9))]);
    let plan = given.plan(&suite().plans[1]).unwrap();
    let Task::Scenarios(scenarios) = plan.task else {
        panic!()
    };
    assert_eq!(scenarios.vars["peak"], Scalar::Integer(9));
}
