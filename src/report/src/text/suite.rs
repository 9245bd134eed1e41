//! The table at the end of a suite.

use super::layout::{Align::*, MARGIN, fit, table, wrap};
use vajra_results::suite::{PlanResult, SuiteResult};
use vajra_results::units;

/// Most characters of a plan's name.
const NAME: usize = 24;

/// Stands where nothing was measured.
const NOTHING: &str = "–";

/// The line above a plan's own summary.
pub fn plan_title(name: &str) -> String {
    format!("\n{MARGIN}── plan {} ──\n", fit(name, 60))
}

/// A line for each plan, and what the whole comes to.
pub fn suite(suite: &SuiteResult) -> String {
    let rows: Vec<[String; 7]> = suite.plans.iter().map(row).collect();
    let head = [
        ("plan", Left),
        ("outcome", Left),
        ("rate", Right),
        ("p50", Right),
        ("p99", Right),
        ("errors", Right),
        ("thresholds", Right),
    ];
    let whole = |outcome: &str| suite.plans.iter().filter(|p| p.outcome == outcome).count();
    let title = match &suite.suite {
        Some(name) => format!("suite {}: ", fit(name, 60)),
        None => "suite: ".to_owned(),
    };
    let passed = format!("{} of {} plans passed", whole("passed"), suite.plans.len());
    let why = suite.plans.iter().filter_map(|plan| {
        let why = plan.why.as_ref()?;
        Some(wrap(
            &format!("{MARGIN}  - {}: ", fit(&plan.name, NAME)),
            why,
        ))
    });
    let why: String = why.collect();
    format!(
        "\n{}\n{}{why}",
        table(head, &rows),
        wrap(&format!("{MARGIN}{title}"), &passed)
    )
}

fn row(plan: &PlanResult) -> [String; 7] {
    let nothing = || NOTHING.to_owned();
    let outcome = plan.outcome.replace('_', " ");
    let name = fit(&plan.name, NAME);
    let Some(r) = &plan.result else {
        let [rate, p50, p99, errors, thresholds] = std::array::from_fn(|_| nothing());
        return [name, outcome, rate, p50, p99, errors, thresholds];
    };
    let times = r.response_time_ms.as_ref();
    // The verdict of the generator itself, where it takes from the outcome's worth.
    let outcome = match r.verdict.as_deref() {
        Some("valid") | None => outcome,
        Some(verdict) => format!("{outcome} ({verdict})"),
    };
    let held = r.thresholds.iter().filter(|t| t.held).count();
    [
        name,
        fit(&outcome, 28),
        format!("{}/s", units::brief(r.rate.achieved)),
        times.map_or_else(nothing, |t| units::time(t.p50)),
        times.map_or_else(nothing, |t| units::time(t.p99)),
        units::count(r.totals.failed),
        match r.thresholds.len() {
            0 => nothing(),
            all => format!("{held} of {all}"),
        },
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod unit_tests {
    use super::*;
    use crate::text::WIDTH;
    use vajra_results::{Judged, TestResult};

    fn plan(name: &str, outcome: &str, result: Option<TestResult>) -> PlanResult {
        PlanResult {
            name: name.into(),
            outcome: outcome.into(),
            why: result.is_none().then(|| "no node is able".to_owned()),
            result: result.map(Box::new),
        }
    }

    #[test]
    fn each_plan_has_a_line_and_what_went_wrong_is_told_below() {
        let kept = vajra_fixtures::EMPTY_RESULT;
        let mut result: TestResult = serde_json::from_str(kept).unwrap();
        result.verdict = Some("degraded".into());
        result.rate.achieved = 99.5;
        result.totals.failed = 1200;
        let judged = |held| Judged {
            threshold: "rate > 1/s".into(),
            held,
            value: None,
        };
        result.thresholds = vec![judged(true), judged(false)];
        let all = SuiteResult {
            schema: 1,
            suite: Some("nightly".into()),
            mode: "sequential".into(),
            outcome: "could_not_run".into(),
            plans: vec![
                plan("warm", "thresholds_failed", Some(result)),
                plan(&"x".repeat(80), "could_not_run", None),
            ],
        };
        let shown = suite(&all);
        assert!(
            shown.contains("  warm                      thresholds failed (degraded)  99.5/s    –    –   1,200      1 of 2\n"),
            "{shown}"
        );
        assert!(
            shown.contains("  suite nightly: 0 of 2 plans passed\n"),
            "{shown}"
        );
        assert!(shown.contains("…: no node is able\n"), "{shown}");
        let widest = shown.lines().map(|l| l.chars().count()).max();
        assert!(widest <= Some(WIDTH), "{widest:?}\n{shown}");
    }
}
