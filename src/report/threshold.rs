//! What a good result is: `response_time.p99 < 250ms`, `error_rate < 1%`, `rate > 990/s`.

use std::fmt;
use std::str::FromStr;

use super::result::{Stats, TestResult};
use super::text::units;
use crate::plan::{parse_count, parse_duration};

/// What is compared, as it is written.
const METRICS: &str = "response_time, service_time or lag with .p50 .p75 .p90 .p95 .p99 .p99.9 \
                       .max or .mean; error_rate; dropped; rate";

/// A number of a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Metric {
    Response(Point),
    Service(Point),
    Lag(Point),
    /// Of the requests sent, the share that failed.
    ErrorRate,
    /// Of the arrivals planned, the share that was not sent.
    Dropped,
    /// Requests sent a second.
    Rate,
}

/// A point of a distribution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Point {
    P50,
    P75,
    P90,
    P95,
    P99,
    P999,
    Max,
    Mean,
}

const POINTS: [(&str, Point); 8] = [
    ("p50", Point::P50),
    ("p75", Point::P75),
    ("p90", Point::P90),
    ("p95", Point::P95),
    ("p99", Point::P99),
    ("p99.9", Point::P999),
    ("max", Point::Max),
    ("mean", Point::Mean),
];

impl Point {
    fn of(self, stats: &Stats) -> f64 {
        match self {
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
}

/// A bound on a number of a result.
#[derive(Clone, PartialEq, Debug)]
pub struct Threshold {
    /// As it was written, with single spaces.
    text: String,
    metric: Metric,
    below: bool,
    or_equal: bool,
    /// Milliseconds, a share from 0 to 1, or a second⁻¹.
    bound: f64,
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Threshold, String> {
        let at = text.find(['<', '>']).ok_or_else(|| {
            format!("{text:?} has no < or >; write one such as \"response_time.p99 < 250ms\"")
        })?;
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let below = rest.starts_with('<');
        let rest = &rest[1..];
        let or_equal = rest.starts_with('=');
        let value = rest.trim_start_matches('=').trim();
        let metric =
            metric(name).ok_or_else(|| format!("{name:?} is no metric; there are: {METRICS}"))?;
        let bound = match metric {
            Metric::Response(_) | Metric::Service(_) | Metric::Lag(_) => {
                parse_duration(value).map(|d| d.as_secs_f64() * 1e3)
            }
            Metric::ErrorRate | Metric::Dropped => share(value),
            Metric::Rate => parse_count(value.trim_end_matches("/s")),
        };
        let operator = match (below, or_equal) {
            (true, false) => "<",
            (true, true) => "<=",
            (false, false) => ">",
            (false, true) => ">=",
        };
        Ok(Threshold {
            text: format!("{name} {operator} {value}"),
            metric,
            below,
            or_equal,
            bound: bound.map_err(|e| format!("{name}: {e}"))?,
        })
    }
}

fn metric(name: &str) -> Option<Metric> {
    let (family, point) = name.split_once('.').unwrap_or((name, ""));
    let point = POINTS.iter().find(|(n, _)| *n == point).map(|(_, p)| *p);
    match family {
        "response_time" => point.map(Metric::Response),
        "service_time" => point.map(Metric::Service),
        "lag" => point.map(Metric::Lag),
        _ => match name {
            "error_rate" => Some(Metric::ErrorRate),
            "dropped" => Some(Metric::Dropped),
            "rate" => Some(Metric::Rate),
            _ => None,
        },
    }
}

/// `1%` or `0.01`.
fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = match text.strip_suffix('%') {
        Some(number) => (number.trim(), 100.0),
        None => (text, 1.0),
    };
    match number.parse::<f64>() {
        Ok(n) if (0.0..=whole).contains(&n) => Ok(n / whole),
        _ => Err(format!(
            "{text:?} is no share; write one such as 1% or 0.01"
        )),
    }
}

impl Threshold {
    /// Whether a result keeps it; if not, what it was instead.
    ///
    /// # Errors
    /// One line for people.
    pub fn check(&self, result: &TestResult) -> Result<(), String> {
        let t = &result.totals;
        let times = |stats: &Option<Stats>, point: Point| stats.as_ref().map(|s| point.of(s));
        let is = match self.metric {
            Metric::Response(point) => times(&result.response_time_ms, point),
            Metric::Service(point) => times(&result.service_time_ms, point),
            Metric::Lag(point) => times(&result.lag_ms, point),
            Metric::ErrorRate => Some(t.failed as f64 / t.sent.max(1) as f64),
            Metric::Dropped => Some(t.dropped as f64 / t.planned.max(1) as f64),
            Metric::Rate => Some(result.rate.achieved),
        };
        let Some(is) = is else {
            return Err(format!("nothing was measured, so not {self}"));
        };
        let holds = (self.or_equal && is == self.bound)
            || match self.below {
                true => is < self.bound,
                false => is > self.bound,
            };
        if holds {
            return Ok(());
        }
        let shown = match self.metric {
            Metric::Response(_) | Metric::Service(_) | Metric::Lag(_) => units::time(is),
            Metric::ErrorRate | Metric::Dropped => format!("{:.2} %", is * 100.0),
            Metric::Rate => format!("{is:.1}/s"),
        };
        Err(format!("{shown}, not {self}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn result() -> TestResult {
        let kept = include_str!("tests/empty_result.json");
        let mut result: TestResult = serde_json::from_str(kept).unwrap();
        (result.totals.sent, result.totals.failed) = (200, 2);
        (result.totals.planned, result.rate.achieved) = (250, 990.0);
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
    fn results_are_held_against_what_is_written() {
        for (text, told) in [
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
            ("rate > 989/s", Ok(())),
            ("rate >= 1k/s", Err("990.0/s, not rate >= 1k/s")),
            (
                "lag.p99 < 1ms",
                Err("nothing was measured, so not lag.p99 < 1ms"),
            ),
        ] {
            let checked = text.parse::<Threshold>().unwrap().check(&result());
            assert_eq!(checked, told.map_err(String::from), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (text, told) in [
            ("p99 250ms", "no < or >"),
            (
                "latency < 1s",
                "\"latency\" is no metric; there are: response_time",
            ),
            ("response_time.p98 < 1s", "is no metric"),
            ("response_time.p99 < 250", "response_time.p99: "),
            ("error_rate < 101%", "is no share"),
            ("rate > fast", "rate: "),
        ] {
            let message = text.parse::<Threshold>().unwrap_err();
            assert!(message.contains(told), "{message}");
        }
    }
}
