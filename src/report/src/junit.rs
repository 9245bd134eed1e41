//! A result as JUnit XML for CI systems: a test case for the run itself and one for each threshold;
//! for a suite, a test suite for each plan.

use std::time::Duration;

use chrono::DateTime;
use quick_junit::{
    NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite, XmlString,
};

use super::text::comparison;
use vajra_results::compare::{Compared, Comparison};
use vajra_results::suite::{PlanResult, SuiteResult};
use vajra_results::{
    EndKind, PlanOutcome, TestResult, ThresholdResult, Verdict, format_measured, state_name,
};

/// A document with one test suite. Each metric that counts in a comparison with a limit is a test
/// case, too.
///
/// # Errors
/// [`SerializeError`]; writing to memory causes none.
pub fn junit(result: &TestResult, compared: Option<&Comparison>) -> Result<String, SerializeError> {
    let name = result.name.as_deref().unwrap_or("load test");
    let mut suite = suite_of(name, result, None);
    suite.add_test_cases(compared.into_iter().flat_map(regressions));
    document([suite])
}

/// A document with a test suite for each plan.
///
/// # Errors
/// [`SerializeError`]; writing to memory causes none.
pub fn junit_of_suite(suite: &SuiteResult) -> Result<String, SerializeError> {
    document(suite.plans.iter().map(|plan| match &plan.result {
        Some(result) => suite_of(&plan.name, result, plan.why.as_deref()),
        None => suite_without_result(plan),
    }))
}

fn document(suites: impl IntoIterator<Item = TestSuite>) -> Result<String, SerializeError> {
    Report::unnamed().add_test_suites(suites).to_string()
}

/// The test suite of a result. `why` is a failure that the result itself does not contain: the test
/// ended, but this process could not fetch its result.
fn suite_of(name: &str, result: &TestResult, why: Option<&str>) -> TestSuite {
    let mut suite = TestSuite::new(name);
    suite.set_time(Duration::try_from_secs_f64(result.duration_s).unwrap_or_default());
    let started = result.started_at.as_deref();
    if let Some(at) = started.and_then(|at| DateTime::parse_from_rfc3339(at).ok()) {
        suite.set_timestamp(at);
    }
    let failure = run_failure(result).or(why.map(str::to_owned));
    suite.add_test_case(case("run", failure));
    suite.add_test_cases(result.thresholds.iter().map(threshold));
    suite
}

fn suite_without_result(plan: &PlanResult) -> TestSuite {
    let why = plan.why.clone().unwrap_or_default();
    let case = match plan.outcome {
        PlanOutcome::NotStarted => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(XmlString::new(why));
            test_case("run", status)
        }
        _ => case("run", Some(why)),
    };
    let mut suite = TestSuite::new(plan.name.as_str());
    suite.set_time(Duration::ZERO).add_test_case(case);
    suite
}

/// Why the run failed: it was not completed, or its verdict is `invalid`.
fn run_failure(result: &TestResult) -> Option<String> {
    if result.end == Some(EndKind::Completed) && result.verdict != Some(Verdict::Invalid) {
        return None;
    }
    let mut why = vec![match result.end {
        Some(end) => end.to_string(),
        None => format!("the test has not ended: it is {}", state_name(result.state)),
    }];
    why.extend(result.reasons.iter().cloned());
    Some(why.join("; "))
}

fn threshold(result: &ThresholdResult) -> TestCase {
    let failure = || match result.value {
        Some(_) => format!("was {}", format_measured(result)),
        None => "nothing was measured".to_owned(),
    };
    case(&result.threshold, (!result.passed).then(failure))
}

/// A test case for each metric that counts as a regression.
fn regressions(of: &Comparison) -> Vec<TestCase> {
    let Some(limit) = of.limit else {
        return Vec::new();
    };
    let worse: Vec<&str> = of.failures().map(|m| m.metric.as_str()).collect();
    let counting = of.metrics.iter().filter(|m| m.counts);
    let percent = comparison::percent(limit);
    let each = |m: &Compared| {
        let name = format!("{} is not worse by more than {percent}", m.metric);
        let failed = worse.contains(&m.metric.as_str());
        case(&name, failed.then(|| comparison::line(m)))
    };
    counting.map(each).collect()
}

/// A test case that passed, or failed with a message.
fn case(name: &str, failure: Option<String>) -> TestCase {
    let status = match failure {
        None => TestCaseStatus::success(),
        Some(message) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(XmlString::new(message));
            status
        }
    };
    test_case(name, status)
}

fn test_case(name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname("vajra");
    case
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use vajra_fixtures::results as fixture;
    use vajra_results::SuiteMode;
    use vajra_results::compare::compare;
    use vajra_results::result_file::ResultFile;

    #[test]
    fn each_threshold_is_a_test_case() {
        let mut result: TestResult = serde_json::from_str(vajra_fixtures::EMPTY_RESULT).unwrap();
        result.name = Some("a \"b\" & <c>".into());
        (result.end, result.verdict) = (Some(EndKind::Completed), Some(Verdict::Valid));
        result.reasons.clear();
        let threshold = |threshold: &str, passed, value| ThresholdResult {
            threshold: threshold.into(),
            passed,
            value,
        };
        result.thresholds = vec![
            threshold("error_rate < 1%", false, Some(0.05)),
            threshold("rate > 5/s", true, Some(6.0)),
            threshold("lag.p99 < 1ms", false, None),
        ];
        result.started_at = Some("2026-01-02T03:04:05.678Z".into());
        result.duration_s = 1.5;
        let xml = junit(&result, None).unwrap();
        assert!(
            xml.contains("<testsuites tests=\"4\" skipped=\"0\" failures=\"2\" errors=\"0\">"),
            "{xml}"
        );
        assert!(
            xml.contains("name=\"a &quot;b&quot; &amp; &lt;c&gt;\""),
            "{xml}"
        );
        assert!(
            xml.contains("<testcase name=\"run\" classname=\"vajra\"/>"),
            "{xml}"
        );
        assert!(
            xml.contains("name=\"rate &gt; 5/s\" classname=\"vajra\"/>"),
            "{xml}"
        );
        assert!(xml.contains("<failure message=\"was 5.00 %\"/>"), "{xml}");
        assert!(
            xml.contains("<failure message=\"nothing was measured\"/>"),
            "{xml}"
        );
        assert!(
            xml.contains("timestamp=\"2026-01-02T03:04:05.678+00:00\" time=\"1.500\""),
            "{xml}"
        );
    }

    #[test]
    fn a_regression_is_a_failed_test_case() {
        let run = |slower| {
            let (result, timeline) = fixture::run(fixture::Shape {
                slower,
                ..fixture::Shape::default()
            });
            ResultFile {
                timeline: Some(timeline),
                ..ResultFile::of(result)
            }
        };
        let (base, slow) = (run(1.0), run(1.3));
        let compared = |of: &ResultFile, limit| Comparison {
            limit,
            ..compare(&base, of)
        };
        let xml = |of: &ResultFile, limit| junit(&of.result, Some(&compared(of, limit))).unwrap();
        let p99 = "name=\"response_time.p99 is not worse by more than 10 %\" classname=\"vajra\"";
        let worse = xml(&slow, Some(0.1));
        let failed = format!("{p99}>\n            <failure message=\"response_time.p99 is ");
        assert!(worse.contains(&failed), "{worse}");
        let same = xml(&base, Some(0.1));
        assert!(same.contains(&format!("{p99}/>")), "{same}");
        assert!(
            !same.contains("is not worse by more than 10 %\" classname=\"vajra\">"),
            "{same}"
        );
        assert!(!xml(&slow, None).contains("worse"));
    }

    #[test]
    fn a_suite_has_a_test_suite_for_each_plan() {
        let mut result: TestResult = serde_json::from_str(vajra_fixtures::EMPTY_RESULT).unwrap();
        (result.end, result.verdict) = (Some(EndKind::Completed), Some(Verdict::Valid));
        let plan = |name: &str, outcome, why: Option<&str>, result| PlanResult {
            name: name.into(),
            outcome,
            why: why.map(String::from),
            result,
        };
        let xml = junit_of_suite(&SuiteResult {
            schema: 1,
            suite: None,
            mode: SuiteMode::Sequential,
            outcome: PlanOutcome::CouldNotRun,
            plans: vec![
                plan("a", PlanOutcome::Passed, None, Some(Box::new(result))),
                plan("b", PlanOutcome::CouldNotRun, Some("no <node>"), None),
                plan("c", PlanOutcome::NotStarted, Some("b could not run"), None),
            ],
        })
        .unwrap();
        for part in [
            "<testsuites tests=\"3\" skipped=\"1\" failures=\"1\" errors=\"0\">",
            "<testsuite name=\"a\" tests=\"1\" skipped=\"0\" errors=\"0\" failures=\"0\"",
            "<failure message=\"no &lt;node&gt;\"/>",
            "<testsuite name=\"c\" tests=\"1\" skipped=\"1\" errors=\"0\" failures=\"0\"",
            "<skipped message=\"b could not run\"/>",
        ] {
            assert!(xml.contains(part), "{part}: {xml}");
        }
    }
}
