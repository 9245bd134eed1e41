//! Thresholds, the conditions on a result: `response_time.p99 < 250ms`, `error_rate[buy/log in] < 1%`,
//! `response_time.p95[label:api] < 100ms`, `rate > 990/s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text_schema::schema_of_text;
use super::units::{self, UnitError, parse_count, parse_duration};

/// Metrics as they are written.
const METRICS: &str = "response_time, service_time or lag with .p50 .p75 .p90 .p95 .p99 .p99.9 \
                       .max or .mean; error_rate; dropped; checks; rate";

/// A metric of a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Metric {
    /// Response time.
    Response(Point),
    /// Service time.
    Service(Point),
    /// Lag.
    Lag(Point),
    /// Ratio of failed to sent requests.
    ErrorRate,
    /// Ratio of planned arrivals that were not sent.
    Dropped,
    /// Ratio of passed checks.
    Checks,
    /// Requests sent per second.
    Rate,
}

/// A metric of the whole result or of a part: `response_time.p99[buy/log in]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Measure {
    /// The metric.
    pub metric: Metric,
    /// The part of the result; none for the whole.
    pub scope: Option<Scope>,
}

/// Why a threshold or a metric is rejected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ThresholdError {
    /// No comparison.
    #[error("{0:?} has no < or >; write one such as \"response_time.p99 < 250ms\"")]
    NoOperator(String),
    /// An opening bracket without a closing one.
    #[error("{0:?} has a [ without its ]")]
    OpenBracket(String),
    /// An unknown metric.
    #[error("{0:?} is not a metric; available: {METRICS}")]
    Metric(String),
    /// A bound that is not a quantity of the metric.
    #[error("{metric}: {error}")]
    Bound {
        /// The metric.
        metric: String,
        /// What is wrong with the bound.
        error: UnitError,
    },
    /// A bound that is not a ratio.
    #[error("{metric}: {text:?} is not a ratio; write one such as 1% or 0.01")]
    Ratio {
        /// The metric.
        metric: String,
        /// The bound.
        text: String,
    },
}

impl FromStr for Measure {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Measure, ThresholdError> {
        let text = text.trim();
        let (name, scope) = match text.split_once('[') {
            None => (text, None),
            Some((name, scope)) => match scope.strip_suffix(']') {
                Some(scope) => (name.trim(), Some(Scope::of(scope.trim()))),
                None => return Err(ThresholdError::OpenBracket(text.to_owned())),
            },
        };
        let metric = metric(name).ok_or_else(|| ThresholdError::Metric(name.to_owned()))?;
        Ok(Measure { metric, scope })
    }
}

/// A point of a distribution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Point {
    /// Median.
    P50,
    /// 75th percentile.
    P75,
    /// 90th percentile.
    P90,
    /// 95th percentile.
    P95,
    /// 99th percentile.
    P99,
    /// 99.9th percentile.
    P999,
    /// Largest.
    Max,
    /// Mean.
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

/// A part of what a test measures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// A step (`scenario/step`) or scenario.
    Part(String),
    /// All steps with this label.
    Label(String),
}

impl Scope {
    fn of(text: &str) -> Scope {
        match text.strip_prefix("label:") {
            Some(label) => Scope::Label(label.trim().to_owned()),
            None => Scope::Part(text.to_owned()),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Part(name) => f.write_str(name),
            Scope::Label(label) => write!(f, "label:{label}"),
        }
    }
}

/// A bound on a metric of a result.
#[derive(Clone, PartialEq, Debug)]
pub struct Threshold {
    /// The text as it was written, with single spaces.
    text: String,
    /// The part of the result; none for the whole.
    pub scope: Option<Scope>,
    /// The metric that is compared.
    pub metric: Metric,
    below: bool,
    or_equal: bool,
    /// Milliseconds, a ratio from 0 to 1, or a rate per second.
    bound: f64,
    /// Whether the test ends as soon as the threshold fails.
    pub abort: bool,
    /// Time after the start before which the test is not ended.
    pub abort_after: Duration,
}

impl Threshold {
    /// Upper bound of the value, if it has one; in the unit of [`Threshold::passes`].
    pub fn most(&self) -> Option<f64> {
        self.below.then_some(self.bound)
    }

    /// Whether a value passes: milliseconds, a ratio from 0 to 1, or a rate per second.
    pub fn passes(&self, value: f64) -> bool {
        (self.or_equal && value == self.bound)
            || match self.below {
                true => value < self.bound,
                false => value > self.bound,
            }
    }
}

/// A threshold that can end the test.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AbortingThreshold")]
struct Full {
    /// Condition, as in the short form.
    #[serde(rename = "is")]
    #[schemars(with = "ThresholdText")]
    text: String,
    /// Whether the test ends on all nodes as soon as the threshold fails.
    #[serde(default)]
    abort: bool,
    /// Time after the start before which the test is not ended.
    #[serde(default, with = "units::as_text")]
    #[schemars(with = "units::Time")]
    abort_after: Duration,
}

/// The schema of thresholds in the short form.
struct ThresholdText;

schema_of_text!(ThresholdText, "ThresholdText", {
    "title": "threshold",
    "description": format!(
        "`METRIC < BOUND`, also with `<=`, `>`, `>=`. Metrics: {METRICS}. `METRIC[SCENARIO]`, \
         `METRIC[SCENARIO/STEP]` and `METRIC[label:LABEL]` refer to a part of the test. Bounds are \
         durations, shares (`1%`, `0.01`), or requests per second for `rate`."
    ),
    "type": "string",
    "pattern": format!(
        r"^\s*((response_time|service_time|lag)\.({})|error_rate|dropped|checks|rate)\s*(\[[^\]<>]*\]\s*)?[<>]=*\s*\S",
        POINTS.map(|(name, _)| name.replace('.', r"\.")).join("|")
    ),
    "examples": ["response_time.p99 < 250ms", "error_rate[buy/log in] < 1%", "rate > 990/s"],
});

impl JsonSchema for Threshold {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Threshold".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let short = generator.subschema_for::<ThresholdText>();
        let full = generator.subschema_for::<Full>();
        schemars::json_schema!({ "anyOf": [short, full] })
    }
}

impl Serialize for Threshold {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.abort {
            false => s.serialize_str(&self.text),
            true => Full {
                text: self.text.clone(),
                abort: true,
                abort_after: self.abort_after,
            }
            .serialize(s),
        }
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Threshold, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Threshold;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "text such as \"response_time.p99 < 250ms\", or a table with is, abort and \
                     abort_after",
                )
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Threshold, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<Threshold, A::Error> {
                let full = Full::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                let threshold: Threshold = full.text.parse().map_err(A::Error::custom)?;
                Ok(Threshold {
                    abort: full.abort,
                    abort_after: full.abort_after,
                    ..threshold
                })
            }
        }
        d.deserialize_any(Visitor)
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Threshold, ThresholdError> {
        let at = text
            .find(['<', '>'])
            .ok_or_else(|| ThresholdError::NoOperator(text.to_owned()))?;
        let (subject, rest) = (text[..at].trim(), &text[at..]);
        let Measure { metric, scope } = subject.parse()?;
        let below = rest.starts_with('<');
        let rest = &rest[1..];
        let or_equal = rest.starts_with('=');
        let value = rest.trim_start_matches('=').trim();
        let name = subject.split('[').next().unwrap_or_default().trim();
        let wrong = |error: UnitError| ThresholdError::Bound {
            metric: name.to_owned(),
            error,
        };
        let bound = match metric {
            Metric::Response(_) | Metric::Service(_) | Metric::Lag(_) => {
                parse_duration(value).map_err(wrong)?.as_secs_f64() * 1e3
            }
            Metric::ErrorRate | Metric::Dropped | Metric::Checks => {
                ratio(value).ok_or_else(|| ThresholdError::Ratio {
                    metric: name.to_owned(),
                    text: value.to_owned(),
                })?
            }
            Metric::Rate => parse_count(value.trim_end_matches("/s")).map_err(wrong)?,
        };
        let operator = match (below, or_equal) {
            (true, false) => "<",
            (true, true) => "<=",
            (false, false) => ">",
            (false, true) => ">=",
        };
        Ok(Threshold {
            text: format!("{subject} {operator} {value}"),
            scope,
            metric,
            below,
            or_equal,
            bound,
            abort: false,
            abort_after: Duration::ZERO,
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
            "checks" => Some(Metric::Checks),
            "rate" => Some(Metric::Rate),
            _ => None,
        },
    }
}

/// `1%` or `0.01`.
fn ratio(text: &str) -> Option<f64> {
    let (number, whole) = match text.strip_suffix('%') {
        Some(number) => (number.trim(), 100.0),
        None => (text, 1.0),
    };
    let number = number.parse::<f64>().ok()?;
    (0.0..=whole).contains(&number).then_some(number / whole)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_survives_its_text_form() {
        for json in [
            r#""response_time.p99[buy/log in] < 250ms""#,
            r#"{"is":"error_rate < 1%","abort":true,"abort_after":"10s"}"#,
        ] {
            let threshold: Threshold = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&threshold).unwrap(), json);
        }
        let scoped: Threshold = "checks [ buy ] >= 99%".parse().unwrap();
        let buy = Scope::Part("buy".into());
        assert_eq!((scoped.scope, scoped.metric), (Some(buy), Metric::Checks));
        let scoped: Threshold = "checks[label: api ] >= 99%".parse().unwrap();
        assert_eq!(scoped.scope, Some(Scope::Label("api".into())));
        assert!(scoped.passes(0.99) && !scoped.passes(0.98));
    }

    #[test]
    fn malformed_thresholds_are_rejected() {
        for (text, expected) in [
            ("p99 250ms", "no < or >"),
            (
                "latency < 1s",
                "\"latency\" is not a metric; available: response_time",
            ),
            ("response_time.p98 < 1s", "is not a metric"),
            ("response_time.p99 < 250", "response_time.p99: "),
            ("error_rate < 101%", "is not a ratio"),
            ("rate > fast", "rate: "),
            ("rate[buy > 3", "without its ]"),
        ] {
            let message = text.parse::<Threshold>().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
