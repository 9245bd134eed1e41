//! A result as JUnit XML, as CI systems read it: a test case for the run itself and one for
//! each threshold.

use super::result::TestResult;
use super::threshold::shown;
use crate::plan::Threshold;

/// One `<testsuites>` document.
pub fn junit(result: &TestResult) -> String {
    let name = result.name.as_deref().unwrap_or("load test");
    let mut cases = vec![run(result)];
    cases.extend(result.thresholds.iter().map(|judged| {
        let parsed: Result<Threshold, _> = judged.threshold.parse();
        let was = match (parsed, judged.value) {
            (Ok(threshold), Some(value)) => format!("was {}", shown(&threshold, value)),
            _ => "nothing was measured".to_owned(),
        };
        (judged.threshold.clone(), (!judged.held).then_some(was))
    }));
    let failures = cases
        .iter()
        .filter(|(_, failure)| failure.is_some())
        .count();
    let (count, seconds) = (cases.len(), result.duration_s);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites tests=\"{count}\" failures=\"{failures}\">\n  \
         <testsuite name=\"{}\" tests=\"{count}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\" \
         time=\"{seconds}\" timestamp=\"{}\">\n",
        escaped(name),
        escaped(result.started_at.as_deref().unwrap_or_default()),
    );
    for (case, failure) in cases {
        let case = escaped(&case);
        let head = format!("    <testcase classname=\"vajra\" name=\"{case}\"");
        out.push_str(&match failure {
            None => format!("{head}/>\n"),
            Some(why) => format!(
                "{head}>\n      <failure message=\"{}\"/>\n    </testcase>\n",
                escaped(&why)
            ),
        });
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

/// The run itself: it came to its end, and the generator was not at its limit.
fn run(result: &TestResult) -> (String, Option<String>) {
    let ended = result.end.as_deref() == Some("completed");
    let bad = !ended || result.verdict.as_deref() == Some("invalid");
    let mut why = vec![result.end.clone().unwrap_or_default()];
    why.extend(result.reasons.iter().cloned());
    ("run".to_owned(), bad.then(|| why.join("; ")))
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
    use crate::report::Judged;

    #[test]
    fn each_threshold_is_a_case_and_broken_ones_have_failed() {
        let kept = include_str!("tests/empty_result.json");
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
        let xml = junit(&result);
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
}
