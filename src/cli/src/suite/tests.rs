#![allow(clippy::unwrap_used)]
//! Values that the plans of a suite receive and pass on.

use super::inputs::passed_on;
use super::*;
use vajra_plan::{Scalar, Task};
use vajra_results::TestResult;

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
    let empty = vajra_fixtures::EMPTY_RESULT;
    let mut result: TestResult = serde_json::from_str(empty).unwrap();
    (result.totals.sent, result.duration_s) = (50, 2.0);
    let token = Scalar::Text("t7".into());
    result.values = Values::from([
        ("token".into(), token),
        ("other".into(), Scalar::Integer(1)),
    ]);
    result
}

fn inputs(passed: Values) -> Inputs<'static> {
    Inputs {
        passed,
        options: Values::new(),
        target: None,
        thresholds: &[],
    }
}

#[test]
fn setup_values_and_measurements_become_vars_of_later_plans() {
    let suite = suite();
    let passed = passed_on(&suite.plans[0], &result());
    // Without response times there is no p99, so the constant of the plan is used.
    let expected = Values::from([
        ("token".to_owned(), Scalar::Text("t7".into())),
        ("peak".to_owned(), Scalar::Float(25.0)),
    ]);
    assert_eq!(passed, expected);
    let plan = inputs(passed).plan(&suite.plans[1]).unwrap();
    let Task::Scenarios(scenarios) = plan.task else {
        panic!()
    };
    assert_eq!(scenarios.vars["token"], expected["token"]);
    assert_eq!(scenarios.vars["peak"], expected["peak"]);
    assert_eq!(scenarios.vars["p99_ms"], Scalar::Integer(5));
}

#[test]
fn a_plan_without_the_values_that_it_needs_cannot_run() {
    let error = inputs(Values::new()).plan(&suite().plans[1]).unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with("the earlier plans did not provide peak, token: scenario"),
        "{error}"
    );
}

#[test]
fn var_options_override_values_passed_on() {
    let mut inputs = inputs(passed_on(&suite().plans[0], &result()));
    inputs.options = Values::from([("peak".to_owned(), Scalar::Integer(9))]);
    let plan = inputs.plan(&suite().plans[1]).unwrap();
    let Task::Scenarios(scenarios) = plan.task else {
        panic!()
    };
    assert_eq!(scenarios.vars["peak"], Scalar::Integer(9));
}
