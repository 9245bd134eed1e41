//! A result as JUnit XML, as CI systems read it: a test case for the run itself and one for
//! each threshold; of a suite, a test suite for each plan.

use super::text::comparison;
use vajra_plan::Threshold;
use vajra_results::compare::{Compared, Comparison};
use vajra_results::result::TestResult;
use vajra_results::shown;
use vajra_results::suite::{PlanResult, SuiteResult};

/// One `<testsuites>` document. Of a comparison with a limit, each number that counts is a test
/// case, too.
pub fn junit(result: &TestResult, compared: Option<&Comparison>) -> String {
    let name = result.name.as_deref().unwrap_or("load test");
    let mut suite = TestSuite::of(name, result);
    suite.cases.extend(compared.into_iter().flat_map(against));
    document(&[suite])
}

/// Whether the test is no worse than its baseline.
fn against(of: &Comparison) -> Vec<Case> {
    let Some(limit) = of.limit else {
        return Vec::new();
    };
    let worse: Vec<&str> = of.failures().map(|m| m.metric.as_str()).collect();
    let counting = of.metrics.iter().filter(|m| m.counts);
    let percent = comparison::percent(limit);
    let case = |m: &Compared| Case {
        name: format!("{} is not worse by more than {percent}", m.metric),
        came: match worse.contains(&m.metric.as_str()) {
            true => Came::Badly(comparison::line(m)),
            false => Came::Well,
        },
    };
    counting.map(case).collect()
}

/// One `<testsuites>` document with a test suite for each plan.
pub fn junit_of_suite(suite: &SuiteResult) -> String {
    let each = suite.plans.iter().map(|plan| {
        let mut of = match &plan.result {
            Some(result) => TestSuite::of(&plan.name, result),
            None => TestSuite::of_nothing(plan),
        };
        // What the result itself does not show: it ended, and yet this process lost it.
        if let (Some(why), Some(run)) = (&plan.why, of.cases.first_mut())
            && run.came == Came::Well
        {
            run.came = Came::Badly(why.clone());
        }
        of
    });
    document(&each.collect::<Vec<_>>())
}

/// A test case.
struct Case {
    name: String,
    came: Came,
}

/// How a test case came out.
#[derive(PartialEq)]
enum Came {
    Well,
    Badly(String),
    Skipped(String),
}

/// A plan's test cases.
struct TestSuite<'a> {
    name: &'a str,
    cases: Vec<Case>,
    seconds: f64,
    started: &'a str,
}

impl<'a> TestSuite<'a> {
    fn of(name: &'a str, result: &'a TestResult) -> TestSuite<'a> {
        let mut cases = vec![run(result)];
        cases.extend(result.thresholds.iter().map(|judged| {
            let parsed: Result<Threshold, _> = judged.threshold.parse();
            let was = || match (parsed, judged.value) {
                (Ok(threshold), Some(value)) => format!("was {}", shown(&threshold, value)),
                _ => "nothing was measured".to_owned(),
            };
            Case {
                name: judged.threshold.clone(),
                came: match judged.held {
                    true => Came::Well,
                    false => Came::Badly(was()),
                },
            }
        }));
        TestSuite {
            name,
            cases,
            seconds: result.duration_s,
            started: result.started_at.as_deref().unwrap_or_default(),
        }
    }

    /// Of a plan without a result.
    fn of_nothing(plan: &PlanResult) -> TestSuite<'_> {
        let why = plan.why.clone().unwrap_or_default();
        let came = match plan.outcome.as_str() {
            "not_started" => Came::Skipped(why),
            _ => Came::Badly(why),
        };
        let name = "run".to_owned();
        TestSuite {
            name: &plan.name,
            cases: vec![Case { name, came }],
            seconds: 0.0,
            started: "",
        }
    }

    fn counts(&self) -> [usize; 3] {
        let count = |is: fn(&Came) -> bool| self.cases.iter().filter(|c| is(&c.came)).count();
        let failed = count(|came| matches!(came, Came::Badly(_)));
        let skipped = count(|came| matches!(came, Came::Skipped(_)));
        [self.cases.len(), failed, skipped]
    }
}

fn document(suites: &[TestSuite]) -> String {
    let all = suites.iter().map(TestSuite::counts);
    let [count, failures, _] = all.fold([0; 3], |sum, n| std::array::from_fn(|i| sum[i] + n[i]));
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites tests=\"{count}\" failures=\"{failures}\">\n"
    );
    for suite in suites {
        let [count, failures, skipped] = suite.counts();
        out.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{count}\" failures=\"{failures}\" errors=\"0\" \
             skipped=\"{skipped}\" time=\"{}\" timestamp=\"{}\">\n",
            escaped(suite.name),
            suite.seconds,
            escaped(suite.started),
        ));
        for case in &suite.cases {
            let name = escaped(&case.name);
            let head = format!("    <testcase classname=\"vajra\" name=\"{name}\"");
            let (tag, why) = match &case.came {
                Came::Well => {
                    out.push_str(&format!("{head}/>\n"));
                    continue;
                }
                Came::Badly(why) => ("failure", why),
                Came::Skipped(why) => ("skipped", why),
            };
            out.push_str(&format!(
                "{head}>\n      <{tag} message=\"{}\"/>\n    </testcase>\n",
                escaped(why)
            ));
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// The run itself: it came to its end, and the generator was not at its limit.
fn run(result: &TestResult) -> Case {
    let ended = result.end.as_deref() == Some("completed");
    let bad = !ended || result.verdict.as_deref() == Some("invalid");
    let unended = || format!("the test has not ended: it is {}", result.state);
    let mut why = vec![result.end.clone().unwrap_or_else(unended)];
    why.extend(result.reasons.iter().cloned());
    Case {
        name: "run".to_owned(),
        came: match bad {
            true => Came::Badly(why.join("; ")),
            false => Came::Well,
        },
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML has no way to write the others.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use vajra_fixtures::results as fixture;
    use vajra_results::Judged;
    use vajra_results::compare::compare;
    use vajra_results::result_file::Recorded;

    #[test]
    fn each_threshold_is_a_case_and_broken_ones_have_failed() {
        let kept = vajra_fixtures::EMPTY_RESULT;
        let mut result: TestResult = serde_json::from_str(kept).unwrap();
        result.name = Some("a \"b\" & <c>".into());
        (result.end, result.verdict) = (Some("completed".into()), Some("valid".into()));
        result.reasons.clear();
        let judged = |threshold: &str, held, value| Judged {
            threshold: threshold.into(),
            held,
            value,
        };
        result.thresholds = vec![
            judged("error_rate < 1%", false, Some(0.05)),
            judged("rate > 5/s", true, Some(6.0)),
            judged("lag.p99 < 1ms", false, None),
        ];
        let xml = junit(&result, None);
        assert!(
            xml.contains("<testsuites tests=\"4\" failures=\"2\">"),
            "{xml}"
        );
        assert!(
            xml.contains("name=\"a &quot;b&quot; &amp; &lt;c&gt;\""),
            "{xml}"
        );
        assert!(
            xml.contains("<testcase classname=\"vajra\" name=\"run\"/>"),
            "{xml}"
        );
        assert!(xml.contains("name=\"rate &gt; 5/s\"/>"), "{xml}");
        assert!(xml.contains("<failure message=\"was 5.00 %\"/>"), "{xml}");
        assert!(
            xml.contains("<failure message=\"nothing was measured\"/>"),
            "{xml}"
        );
    }

    #[test]
    fn a_number_that_is_worse_than_allowed_is_a_case_that_failed() {
        let run = |slower| {
            let (result, timeline) = fixture::run(fixture::Shape {
                slower,
                ..fixture::Shape::default()
            });
            Recorded {
                timeline: Some(timeline),
                ..Recorded::of(result)
            }
        };
        let (base, slow) = (run(1.0), run(1.3));
        let compared = |of: &Recorded, limit| Comparison {
            limit,
            ..compare(&base, of)
        };
        let xml = |of: &Recorded, limit| junit(&of.result, Some(&compared(of, limit)));
        let p99 = "name=\"response_time.p99 is not worse by more than 10 %\"";
        let worse = xml(&slow, Some(0.1));
        let failed = format!("{p99}>\n      <failure message=\"response_time.p99 is ");
        assert!(worse.contains(&failed), "{worse}");
        let same = xml(&base, Some(0.1));
        assert!(same.contains(&format!("{p99}/>")), "{same}");
        assert!(
            !same.contains("is not worse by more than 10 %\">"),
            "{same}"
        );
        assert!(!xml(&slow, None).contains("worse"));
    }

    #[test]
    fn a_suite_has_a_test_suite_for_each_plan() {
        let kept = vajra_fixtures::EMPTY_RESULT;
        let mut result: TestResult = serde_json::from_str(kept).unwrap();
        (result.end, result.verdict) = (Some("completed".into()), Some("valid".into()));
        let plan = |name: &str, outcome: &str, why: Option<&str>, result| PlanResult {
            name: name.into(),
            outcome: outcome.into(),
            why: why.map(String::from),
            result,
        };
        let xml = junit_of_suite(&SuiteResult {
            schema: 1,
            suite: None,
            mode: "sequential".into(),
            outcome: "could_not_run".into(),
            plans: vec![
                plan("a", "passed", None, Some(Box::new(result))),
                plan("b", "could_not_run", Some("no <node>"), None),
                plan("c", "not_started", Some("b could not run"), None),
            ],
        });
        for part in [
            "<testsuites tests=\"3\" failures=\"1\">",
            "<testsuite name=\"a\" tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"0\"",
            "<failure message=\"no &lt;node&gt;\"/>",
            "<testsuite name=\"c\" tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"1\"",
            "<skipped message=\"b could not run\"/>",
        ] {
            assert!(xml.contains(part), "{part}: {xml}");
        }
    }
}
