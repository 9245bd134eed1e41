//! What a good result is: `response_time.p99 < 250ms`, `error_rate[buy/log in] < 1%`,
//! `response_time.p95[label:api] < 100ms`, `rate > 990/s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Task;
use super::schema::schema_of_text;
use super::suggest::near;
use super::units::{self, parse_count, parse_duration};

/// What is compared, as it is written.
const METRICS: &str = "response_time, service_time or lag with .p50 .p75 .p90 .p95 .p99 .p99.9 \
                       .max or .mean; error_rate; dropped; checks; rate";

/// A number of a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Metric {
    /// Response time.
    Response(Point),
    /// Service time.
    Service(Point),
    /// Lag.
    Lag(Point),
    /// Of the requests sent, the share that failed.
    ErrorRate,
    /// Of the arrivals planned, the share that was not sent.
    Dropped,
    /// Of the checks made, the share that held.
    Checks,
    /// Requests sent a second.
    Rate,
}

/// A number of a result, of all of it or of a part: `response_time.p99[buy/log in]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Measure {
    /// Which number.
    pub metric: Metric,
    /// Only a part of what is measured.
    pub scope: Option<Scope>,
}

impl FromStr for Measure {
    type Err = String;

    fn from_str(text: &str) -> Result<Measure, String> {
        let text = text.trim();
        let (name, scope) = match text.split_once('[') {
            None => (text, None),
            Some((name, scope)) => match scope.strip_suffix(']') {
                Some(scope) => (name.trim(), Some(Scope::of(scope.trim()))),
                None => return Err(format!("{text:?} has a [ without its ]")),
            },
        };
        let metric =
            metric(name).ok_or_else(|| format!("{name:?} is no metric; there are: {METRICS}"))?;
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
    /// This step (`scenario/step`) or scenario.
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

/// A bound on a number of a result.
#[derive(Clone, PartialEq, Debug)]
pub struct Threshold {
    /// As it was written, with single spaces.
    text: String,
    /// Only a part of what is measured.
    pub scope: Option<Scope>,
    /// What is compared.
    pub metric: Metric,
    below: bool,
    or_equal: bool,
    /// Milliseconds, a share from 0 to 1, or a second⁻¹.
    bound: f64,
    /// End the test as soon as it is broken.
    pub abort: bool,
    /// But not before so long after the start.
    pub abort_after: Duration,
}

impl Threshold {
    /// The most that the value may be, if that is what it says: as in [`Threshold::holds`].
    pub fn most(&self) -> Option<f64> {
        self.below.then_some(self.bound)
    }

    /// What it is about is there in a plan with this task.
    ///
    /// # Errors
    /// One line that says what there is.
    pub fn check_scope(&self, task: &Task) -> Result<(), String> {
        let Some(scope) = &self.scope else {
            return Ok(());
        };
        let Task::Scenarios(scenarios) = task else {
            return Err(format!(
                "\"{self}\" is about [{scope}], and the plan has no scenarios; leave the brackets out"
            ));
        };
        let names = scenarios.scenarios.iter().map(|s| s.name.clone());
        let labels = scenarios.labels().into_iter().map(str::to_owned);
        let there: [(&str, Vec<String>); 3] = [
            ("scenarios", names.collect()),
            ("steps", scenarios.step_names().collect()),
            (
                "labels",
                labels
                    .map(|label| Scope::Label(label).to_string())
                    .collect(),
            ),
        ];
        let written = scope.to_string();
        let all = || there.iter().flat_map(|(_, names)| names);
        if all().any(|name| *name == written) {
            return Ok(());
        }
        let meant = near(&written, all().map(String::as_str));
        let meant = meant.map(|meant| format!(" (did you mean [{meant}]?)"));
        let there = there.iter().filter(|(_, names)| !names.is_empty());
        let there: Vec<String> = there
            .map(|(what, names)| format!("{what} {}", names.join(", ")))
            .collect();
        Err(format!(
            "\"{self}\" is about [{written}], which is no scenario, step or label of the plan{}; there \
             are: {}",
            meant.unwrap_or_default(),
            there.join("; ")
        ))
    }

    /// Whether a value keeps it: milliseconds, a share from 0 to 1, or a second⁻¹.
    pub fn holds(&self, value: f64) -> bool {
        (self.or_equal && value == self.bound)
            || match self.below {
                true => value < self.bound,
                false => value > self.bound,
            }
    }
}

/// A threshold that may end the test.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AbortingThreshold")]
struct Full {
    /// What must hold, as in the short form.
    #[serde(rename = "is")]
    #[schemars(with = "ThresholdText")]
    text: String,
    /// End the test on all nodes as soon as it does not hold.
    #[serde(default)]
    abort: bool,
    /// But not before so long after the start.
    #[serde(default, with = "units::as_text")]
    #[schemars(with = "units::Time")]
    abort_after: Duration,
}

/// Thresholds in short, as a schema describes them.
struct ThresholdText;

schema_of_text!(ThresholdText, "ThresholdText", {
    "title": "threshold",
    "description": format!(
        "`METRIC < BOUND`, also with `<=`, `>`, `>=`. Metrics: {METRICS}. `METRIC[SCENARIO]`, \
         `METRIC[SCENARIO/STEP]` and `METRIC[label:LABEL]` are about a part. Bounds are durations, shares \
         (`1%`, `0.01`), or for `rate` requests a second."
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
                    "text such as \"response_time.p99 < 250ms\", or a table of is, abort and \
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
    type Err = String;

    fn from_str(text: &str) -> Result<Threshold, String> {
        let at = text.find(['<', '>']).ok_or_else(|| {
            format!("{text:?} has no < or >; write one such as \"response_time.p99 < 250ms\"")
        })?;
        let (subject, rest) = (text[..at].trim(), &text[at..]);
        let Measure { metric, scope } = subject.parse()?;
        let below = rest.starts_with('<');
        let rest = &rest[1..];
        let or_equal = rest.starts_with('=');
        let value = rest.trim_start_matches('=').trim();
        let name = subject.split('[').next().unwrap_or_default().trim();
        let bound = match metric {
            Metric::Response(_) | Metric::Service(_) | Metric::Lag(_) => {
                parse_duration(value).map(|d| d.as_secs_f64() * 1e3)
            }
            Metric::ErrorRate | Metric::Dropped | Metric::Checks => share(value),
            Metric::Rate => parse_count(value.trim_end_matches("/s")),
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
            bound: bound.map_err(|e| format!("{name}: {e}"))?,
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_reads_back_as_itself() {
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
        assert!(scoped.holds(0.99) && !scoped.holds(0.98));
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
            ("rate[buy > 3", "without its ]"),
        ] {
            let message = text.parse::<Threshold>().unwrap_err();
            assert!(message.contains(told), "{message}");
        }
    }
}
