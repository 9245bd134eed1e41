//! A result never contains the literal credentials of its plan.

use std::sync::Arc;
use std::time::Duration;

use vajra_fixtures::measured::*;
use vajra_plan::{HttpTask, Load, Plan, REDACTED, Task};
use vajra_results::RedactedPlan;

#[test]
fn the_plan_of_a_result_is_redacted() {
    let mut task = HttpTask::get("https://user:geheim@shop/?token=geheim");
    task.headers = vec![
        ("authorization".into(), "Bearer geheim".into()),
        ("x-api-key".into(), "env:KEY".into()),
    ];
    task.body = "{\"password\": \"geheim\"}".into();
    let load = Load::open(100.0, Duration::from_secs(10));
    let mut input = input(good());
    input.plan = Arc::new(Plan::new(Task::Http(task), load));
    let result = input.build();
    let text = serde_json::to_string(&result).unwrap();
    assert!(!text.contains("geheim"), "{text}");
    let headers = &result.plan["task"]["headers"];
    assert_eq!(headers[0][1], REDACTED);
    assert_eq!(headers[1][1], "env:KEY");
    // A plan that was redacted before gives the same result.
    input.redacted = Some(Arc::new(RedactedPlan::of(&input.plan)));
    assert_eq!(input.build(), result);
    // The plan that runs is unchanged.
    let Task::Http(task) = &input.plan.task else {
        panic!("{:?}", input.plan)
    };
    assert_eq!(task.headers[0].1, "Bearer geheim");
}
