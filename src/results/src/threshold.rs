//! Evaluates thresholds against a result.

use super::result::{Stats, StepResult, TestResult, ThresholdResult, Totals};
use crate::units;
use vajra_plan::{Metric, Point, Scope, Threshold};

fn at(point: Point, stats: &Stats) -> f64 {
    match point {
        Point::P50 => stats.p50,
        Point::P75 => stats.p75,
        Point::P90 => stats.p90,
        Point::P95 => stats.p95,
        Point::P99 => stats.p99,
        Point::P999 => stats.p999,
        Point::Max => stats.max,
        Point::Mean => stats.mean,
    }
}

/// The part of a result that a threshold applies to: the whole, a scenario, a step, or a label.
struct Measured<'a> {
    totals: &'a Totals,
    response: &'a Option<Stats>,
    service: &'a Option<Stats>,
    lag: &'a Option<Stats>,
}

impl<'a> Measured<'a> {
    fn of_step(step: &'a StepResult) -> Measured<'a> {
        Measured {
            totals: &step.totals,
            response: &step.response_time_ms,
            service: &step.service_time_ms,
            lag: &step.lag_ms,
        }
    }

    fn of(result: &'a TestResult, scope: Option<&Scope>) -> Option<Measured<'a>> {
        let found = |name: &String, mut among: std::slice::Iter<'a, StepResult>| {
            among.find(|s| s.name == *name).map(Measured::of_step)
        };
        match scope {
            None => Some(Measured {
                totals: &result.totals,
                response: &result.response_time_ms,
                service: &result.service_time_ms,
                lag: &result.lag_ms,
            }),
            Some(Scope::Part(name)) => {
                found(name, result.steps.iter()).or_else(|| found(name, result.scenarios.iter()))
            }
            Some(Scope::Label(label)) => found(label, result.labels.iter()),
        }
    }
}

/// The value of a metric: milliseconds, a share from 0 to 1, or requests per second; none if
/// nothing was measured.
pub fn measured(metric: Metric, scope: Option<&Scope>, result: &TestResult) -> Option<f64> {
    let m = Measured::of(result, scope)?;
    let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    let times = |stats: &Option<Stats>, point| stats.as_ref().map(|s| at(point, s));
    let t = m.totals;
    match metric {
        Metric::Response(point) => times(m.response, point),
        Metric::Service(point) => times(m.service, point),
        Metric::Lag(point) => times(m.lag, point),
        Metric::ErrorRate => share(t.failed, t.sent),
        Metric::Dropped => share(t.dropped, t.planned),
        Metric::Checks => share(t.checks_passed, t.checks_passed + t.checks_failed),
        Metric::Rate if result.duration_s > 0.0 => Some(t.sent as f64 / result.duration_s),
        Metric::Rate => None,
    }
}

/// Evaluates a threshold.
pub(super) fn evaluate(threshold: &Threshold, result: &TestResult) -> ThresholdResult {
    let value = measured(threshold.metric, threshold.scope.as_ref(), result);
    ThresholdResult {
        threshold: threshold.to_string(),
        passed: value.is_some_and(|v| threshold.passes(v)),
        value,
    }
}

/// A threshold that a result does not pass.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ThresholdFailed {
    /// The value is beyond the threshold.
    #[error("{value}, not {threshold}")]
    Beyond {
        /// The measured value with its unit.
        value: String,
        /// The threshold as written in the plan.
        threshold: String,
    },
    /// There is no value.
    #[error("nothing was measured, so not {0}")]
    NotMeasured(String),
}

/// Checks a threshold against a result.
///
/// # Errors
/// The threshold failed.
pub fn check(threshold: &Threshold, result: &TestResult) -> Result<(), ThresholdFailed> {
    let evaluated = evaluate(threshold, result);
    match (evaluated.passed, evaluated.value) {
        (true, _) => Ok(()),
        (false, Some(value)) => Err(ThresholdFailed::Beyond {
            value: format_value(threshold, value),
            threshold: evaluated.threshold,
        }),
        (false, None) => Err(ThresholdFailed::NotMeasured(evaluated.threshold)),
    }
}

/// A value in the threshold's unit.
pub fn format_value(threshold: &Threshold, value: f64) -> String {
    match threshold.metric {
        Metric::Response(_) | Metric::Service(_) | Metric::Lag(_) => units::time(value),
        Metric::ErrorRate | Metric::Dropped | Metric::Checks => format!("{:.2} %", value * 100.0),
        Metric::Rate => format!("{value:.1}/s"),
    }
}

/// The measured value of an evaluated threshold, in its unit.
pub fn format_measured(result: &ThresholdResult) -> String {
    let parsed: Result<Threshold, _> = result.threshold.parse();
    match (parsed, result.value) {
        (Ok(threshold), Some(value)) => format_value(&threshold, value),
        _ => "nothing measured".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn result() -> TestResult {
        let mut result: TestResult = serde_json::from_str(vajra_fixtures::EMPTY_RESULT).unwrap();
        (result.totals.sent, result.totals.failed) = (200, 2);
        (result.totals.planned, result.duration_s) = (250, 0.2);
        result.response_time_ms = Some(Stats {
            count: 200,
            min: 1.0,
            mean: 2.0,
            stdev: 1.0,
            p50: 2.0,
            p75: 3.0,
            p90: 4.0,
            p95: 5.0,
            p99: 250.0,
            p999: 300.0,
            max: 400.0,
        });
        result
    }

    #[test]
    fn thresholds_are_compared_in_their_unit() {
        for (text, expected) in [
            ("response_time.p99<=250ms", Ok(())),
            (
                "response_time.p99 < 250ms",
                Err("250.00 ms, not response_time.p99 < 250ms"),
            ),
            (
                "response_time.p99.9<200ms",
                Err("300.00 ms, not response_time.p99.9 < 200ms"),
            ),
            ("response_time.max > 399ms", Ok(())),
            ("error_rate < 1%", Err("1.00 %, not error_rate < 1%")),
            ("error_rate<=0.01", Ok(())),
            ("dropped < 5%", Ok(())),
            ("rate > 999/s", Ok(())),
            ("rate > 1k/s", Err("1000.0/s, not rate > 1k/s")),
            (
                "lag.p99 < 1ms",
                Err("nothing was measured, so not lag.p99 < 1ms"),
            ),
        ] {
            let checked = check(&text.parse().unwrap(), &result()).map_err(|e| e.to_string());
            assert_eq!(checked, expected.map_err(String::from), "{text}");
        }
    }
}
