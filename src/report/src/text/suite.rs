//! The table at the end of a suite.

use super::layout::{Align::*, MARGIN, fit, table, wrap};
use vajra_results::suite::{PlanResult, SuiteResult};
use vajra_results::{PlanOutcome, Verdict, units};

/// Width of a plan's name, in columns.
const NAME: usize = 24;

/// Shown if nothing was measured.
const NOTHING: &str = "–";

/// The line above a plan's own summary.
pub fn plan_title(name: &str) -> String {
    format!("\n{MARGIN}── plan {} ──\n", fit(name, 60))
}

/// A line for each plan, and the number of passed plans.
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
    let plans = suite.plans.iter();
    let passed = plans.filter(|p| p.outcome == PlanOutcome::Passed).count();
    let title = match &suite.suite {
        Some(name) => format!("suite {}: ", fit(name, 60)),
        None => "suite: ".to_owned(),
    };
    let passed = format!("{passed} of {} plans passed", suite.plans.len());
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
    let outcome = plan.outcome.as_str().replace('_', " ");
    let name = fit(&plan.name, NAME);
    let Some(r) = &plan.result else {
        let [rate, p50, p99, errors, thresholds] = std::array::from_fn(|_| nothing());
        return [name, outcome, rate, p50, p99, errors, thresholds];
    };
    let times = r.response_time_ms.as_ref();
    // The outcome may pass although the verdict is not `valid`.
    let outcome = match r.verdict {
        Some(Verdict::Valid) | None => outcome,
        Some(verdict) => format!("{outcome} ({verdict})"),
    };
    let passed = r.thresholds.iter().filter(|t| t.passed).count();
    [
        name,
        fit(&outcome, 28),
        format!("{}/s", units::brief(r.rate.achieved)),
        times.map_or_else(nothing, |t| units::time(t.p50)),
        times.map_or_else(nothing, |t| units::time(t.p99)),
        units::count(r.totals.failed),
        match r.thresholds.len() {
            0 => nothing(),
            all => format!("{passed} of {all}"),
        },
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::text::WIDTH;
    use unicode_width::UnicodeWidthStr as _;
    use vajra_results::{SuiteMode, TestResult, ThresholdResult};

    fn plan(name: &str, outcome: PlanOutcome, result: Option<TestResult>) -> PlanResult {
        PlanResult {
            name: name.into(),
            outcome,
            why: result.is_none().then(|| "no node is able".to_owned()),
            result: result.map(Box::new),
        }
    }

    #[test]
    fn each_plan_has_a_line_and_reasons_follow() {
        let mut result: TestResult = serde_json::from_str(vajra_fixtures::EMPTY_RESULT).unwrap();
        result.verdict = Some(Verdict::Degraded);
        result.rate.achieved = 99.5;
        result.totals.failed = 1200;
        let threshold = |passed| ThresholdResult {
            threshold: "rate > 1/s".into(),
            passed,
            value: None,
        };
        result.thresholds = vec![threshold(true), threshold(false)];
        let all = SuiteResult {
            schema: 1,
            suite: Some("nightly".into()),
            mode: SuiteMode::Sequential,
            outcome: PlanOutcome::CouldNotRun,
            plans: vec![
                plan("warm", PlanOutcome::ThresholdsFailed, Some(result)),
                plan(&"x".repeat(80), PlanOutcome::CouldNotRun, None),
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
        let widest = shown.lines().map(|l| l.width()).max();
        assert!(widest <= Some(WIDTH), "{widest:?}\n{shown}");
    }
}
