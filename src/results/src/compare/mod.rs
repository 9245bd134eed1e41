//! Compares two results: percentiles, rate and errors, and whether a difference is more than noise
//! (`noise`).

mod noise;

use super::kinds::{EndKind, Verdict};
use super::result::TestResult;
use super::result_file::ResultFile;
use super::threshold::measured;
use crate::units;
use noise::NotJudged;
use vajra_plan::{Metric, Point};

pub use super::comparison::*;
pub use noise::CONFIDENCE;

/// Lag above this share of the response time limits the comparison, and causes a warning.
const MAX_LAG: f64 = 0.2;

/// The compared metrics: name, metric, whether it can be a regression, unit.
const METRICS: [(&str, Metric, bool, Unit); 11] = [
    (
        "response_time.mean",
        Metric::Response(Point::Mean),
        true,
        Unit::Milliseconds,
    ),
    (
        "response_time.p50",
        Metric::Response(Point::P50),
        true,
        Unit::Milliseconds,
    ),
    (
        "response_time.p75",
        Metric::Response(Point::P75),
        false,
        Unit::Milliseconds,
    ),
    (
        "response_time.p90",
        Metric::Response(Point::P90),
        true,
        Unit::Milliseconds,
    ),
    (
        "response_time.p95",
        Metric::Response(Point::P95),
        false,
        Unit::Milliseconds,
    ),
    (
        "response_time.p99",
        Metric::Response(Point::P99),
        true,
        Unit::Milliseconds,
    ),
    (
        "response_time.p99.9",
        Metric::Response(Point::P999),
        false,
        Unit::Milliseconds,
    ),
    (
        "response_time.max",
        Metric::Response(Point::Max),
        false,
        Unit::Milliseconds,
    ),
    ("rate", Metric::Rate, true, Unit::PerSecond),
    ("error_rate", Metric::ErrorRate, true, Unit::Share),
    ("dropped", Metric::Dropped, false, Unit::Share),
];

/// Compares a test with a baseline. Takes some tenths of a second if both have timelines.
pub fn compare(baseline: &ResultFile, test: &ResultFile) -> Comparison {
    let (old, new) = (&baseline.result, &test.result);
    let plan_differs = differs(old, new);
    let alike = plan_differs.is_empty() && old.changes.is_empty() && new.changes.is_empty();
    let judged = match (&baseline.timeline, &test.timeline) {
        (Some(a), Some(b)) => noise::judge(a, b, alike),
        (None, Some(_)) => Err(NotJudged::NoTimeline("the baseline has")),
        (Some(_), None) => Err(NotJudged::NoTimeline("the test has")),
        (None, None) => Err(NotJudged::NoTimeline("the baseline and the test have")),
    };
    let metrics = METRICS.map(|(name, metric, counts, unit)| {
        let found = judged.as_ref().ok().and_then(|noise| noise.of(metric));
        let (before, now) = (measured(metric, None, old), measured(metric, None, new));
        let difference = before.zip(now).map(|(before, now)| now - before);
        let mut compared = Compared {
            metric: name.to_owned(),
            unit,
            counts,
            baseline: before,
            test: now,
            difference,
            change: before
                .zip(difference)
                .filter(|(before, _)| *before > 0.0)
                .map(|(before, d)| d / before),
            low: found.map(|(low, _)| low),
            high: found.map(|(_, high)| high),
            within_noise: found.map(|(low, high)| low <= 0.0 && high >= 0.0),
            judgement: None,
        };
        compared.judgement = compared.judge(judged.is_ok());
        compared
    });
    Comparison {
        limit: None,
        schema: 1,
        baseline: side(old),
        test: side(new),
        warnings: warnings(old, new, &plan_differs),
        plan_differs,
        noise: match &judged {
            Ok(noise) => Noise {
                judged: true,
                why: None,
                method: Some(noise.method),
                intervals: noise.intervals,
                confidence: CONFIDENCE,
            },
            Err(why) => Noise {
                judged: false,
                why: Some(why.to_string()),
                method: None,
                intervals: [0, 0],
                confidence: CONFIDENCE,
            },
        },
        metrics: metrics.into(),
    }
}

fn side(result: &TestResult) -> Side {
    Side {
        test_id: result.test_id.clone(),
        name: result.name.clone(),
        started_at: result.started_at.clone(),
        verdict: result.verdict,
    }
}

/// The parts in which two plans differ. Names, tags and thresholds may differ.
fn differs(old: &TestResult, new: &TestResult) -> Vec<String> {
    if old.plan.is_null() || new.plan.is_null() {
        // A result of an older version has no plan.
        let pairs = [
            ("load", old.load != new.load),
            ("target", old.target != new.target),
        ];
        return named(pairs);
    }
    named(["task", "load"].map(|key| (key, old.plan.get(key) != new.plan.get(key))))
}

fn named<const N: usize>(pairs: [(&str, bool); N]) -> Vec<String> {
    let differing = pairs.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(key, _)| key.to_owned()).collect()
}

fn warnings(old: &TestResult, new: &TestResult, plan_differs: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    if !plan_differs.is_empty() {
        found.push(format!(
            "the plans differ ({}): a difference can come from the load instead of the target",
            plan_differs.join(", ")
        ));
    }
    for (name, result) in [("the baseline", old), ("the test", new)] {
        if let Some((lag, p99)) = late(result) {
            found.push(format!(
                "in {name} the generator was late: lag p99 is {}, response time p99 {}; a difference \
                 can come from the generator",
                units::time(lag),
                units::time(p99)
            ));
        }
        match result.verdict {
            None => found.push(format!("{name} has not ended: its values are preliminary")),
            Some(Verdict::Valid) if result.end == Some(EndKind::Stopped) => {
                found.push(format!("{name} was stopped before its end"));
            }
            Some(Verdict::Valid) => {}
            Some(verdict) => found.push(format!(
                "{name} is {verdict}: its values do not depend on the target alone"
            )),
        }
    }
    found
}

/// The 99th percentiles of lag and response time, in milliseconds, if the lag is too high.
fn late(result: &TestResult) -> Option<(f64, f64)> {
    let (lag, p99) = (
        result.lag_ms.as_ref()?.p99,
        result.response_time_ms.as_ref()?.p99,
    );
    (lag > MAX_LAG * p99).then_some((lag, p99))
}
