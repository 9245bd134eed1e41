//! Think time: the pause of a virtual user between a response and its next request.
//!
//! Random pauses depend only on the user and on the number of its pauses before, so that they are the
//! same in every run and on every node.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ranges::{OutOfRange, duration};
use super::text_schema::schema_of_text;
use super::units::{DURATION_PATTERN, UnitError, parse_duration, show_duration};
use vajra_core::splitmix::{hash, unit};

/// Longest pause, configured or random.
const LONGEST: Duration = Duration::from_secs(3600);

const HINT: &str = "write a duration such as \"2s\", a uniform range \"1s..3s\", \"exponential 2s\" or \
                    \"normal 2s 500ms\" (mean and standard deviation)";

/// A user's pause between a response and its next request. Written as text:
///
/// | text | pause |
/// |---|---|
/// | `2s` | constant |
/// | `1s..3s` | uniformly distributed |
/// | `exponential 2s` | exponentially distributed with this mean, like independent visitors |
/// | `normal 2s 500ms` | normally distributed with this mean and standard deviation; 0 where negative |
///
/// All durations and all random pauses are at most 1 h.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ThinkTime {
    /// Constant.
    Constant(Duration),
    /// Uniformly distributed between two durations.
    Uniform(Duration, Duration),
    /// Exponentially distributed with this mean.
    Exponential(Duration),
    /// Normally distributed with this mean and standard deviation.
    Normal(Duration, Duration),
}

schema_of_text!(ThinkTime, "ThinkTime", {
    "title": "think time",
    "description": "`2s`: constant. `1s..3s`: uniformly distributed. `exponential 2s`: exponentially distributed \
                    with this mean, like the pauses of independent visitors. `normal 2s 500ms`: normally \
                    distributed with this mean and standard deviation.",
    "type": "string",
    "pattern": format!(
        r"^\s*({DURATION_PATTERN}(\.\.\s*{DURATION_PATTERN})?|exponential\s+{DURATION_PATTERN}|normal\s+{DURATION_PATTERN}\s*{DURATION_PATTERN})$"
    ),
    "examples": ["2s", "1s..3s", "exponential 2s", "normal 2s 500ms"],
});

impl ThinkTime {
    /// No pause.
    pub const NONE: ThinkTime = ThinkTime::Constant(Duration::ZERO);

    /// Whether there is no pause.
    pub fn is_none(&self) -> bool {
        *self == ThinkTime::NONE
    }

    /// Pause number `n` of a user, in nanoseconds.
    pub fn draw_ns(&self, user: u32, n: u32) -> u64 {
        let place = u64::from(user) << 32 | u64::from(n);
        let seconds = match *self {
            ThinkTime::Constant(time) => return ns(time),
            ThinkTime::Uniform(from, to) => {
                let spread = to.as_secs_f64() - from.as_secs_f64();
                from.as_secs_f64() + spread * unit(hash(place, 0))
            }
            ThinkTime::Exponential(mean) => -mean.as_secs_f64() * (1.0 - unit(hash(place, 0))).ln(),
            ThinkTime::Normal(mean, deviation) => {
                let radius = (-2.0 * (1.0 - unit(hash(place, 0))).ln()).sqrt();
                let angle = std::f64::consts::TAU * unit(hash(place, 1));
                mean.as_secs_f64() + deviation.as_secs_f64() * radius * angle.cos()
            }
        };
        (seconds.clamp(0.0, LONGEST.as_secs_f64()) * 1e9) as u64
    }

    /// Mean pause.
    pub fn mean(&self) -> Duration {
        match *self {
            ThinkTime::Constant(time)
            | ThinkTime::Exponential(time)
            | ThinkTime::Normal(time, _) => time,
            ThinkTime::Uniform(from, to) => (from + to) / 2,
        }
    }

    fn times(&self) -> [Duration; 2] {
        match *self {
            ThinkTime::Constant(time) | ThinkTime::Exponential(time) => [time, time],
            ThinkTime::Uniform(from, to) => [from, to],
            ThinkTime::Normal(mean, deviation) => [mean, deviation],
        }
    }

    /// Checks the range and the order of the durations.
    ///
    /// # Errors
    /// One is above 1 h, or a range ends before it starts.
    pub fn validate(&self) -> Result<(), ThinkTimeError> {
        for time in self.times() {
            duration(time, Duration::ZERO, LONGEST).map_err(ThinkTimeError::TooLong)?;
        }
        match self {
            ThinkTime::Uniform(from, to) if from > to => Err(ThinkTimeError::Order(*self)),
            _ => Ok(()),
        }
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Why a think time is rejected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ThinkTimeError {
    /// A malformed duration.
    #[error("{0}; {HINT}")]
    Duration(UnitError),
    /// None of the forms.
    #[error("{0:?} is not a think time: {HINT}")]
    Form(String),
    /// A duration above 1 h.
    #[error(transparent)]
    TooLong(OutOfRange),
    /// A range that ends before it starts.
    #[error("{0} starts above its end; write the shorter duration first")]
    Order(ThinkTime),
}

impl FromStr for ThinkTime {
    type Err = ThinkTimeError;

    fn from_str(text: &str) -> Result<ThinkTime, ThinkTimeError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let time = |text: &str| parse_duration(text).map_err(ThinkTimeError::Duration);
        match words[..] {
            ["exponential", mean] => Ok(ThinkTime::Exponential(time(mean)?)),
            ["normal", mean, deviation] => Ok(ThinkTime::Normal(time(mean)?, time(deviation)?)),
            _ if text.contains("..") => {
                let (from, to) = text.split_once("..").unwrap_or_default();
                Ok(ThinkTime::Uniform(time(from)?, time(to)?))
            }
            ["exponential" | "normal", ..] => Err(ThinkTimeError::Form(text.to_owned())),
            _ => time(text).map(ThinkTime::Constant),
        }
    }
}

impl fmt::Display for ThinkTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.times().map(show_duration);
        match self {
            ThinkTime::Constant(_) => write!(f, "{a}"),
            ThinkTime::Uniform(..) => write!(f, "{a}..{b}"),
            ThinkTime::Exponential(_) => write!(f, "exponential {a}"),
            ThinkTime::Normal(..) => write!(f, "normal {a} {b}"),
        }
    }
}

impl Serialize for ThinkTime {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ThinkTime {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<ThinkTime, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ThinkTime;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a think time: {HINT}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ThinkTime, E> {
                text.parse().map_err(E::custom)
            }
        }
        d.deserialize_any(Visitor)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn drawn(text: &str) -> Vec<f64> {
        let think: ThinkTime = text.parse().unwrap();
        (0..100)
            .flat_map(|user| (0..1000).map(move |n| think.draw_ns(user, n) as f64 / 1e9))
            .collect()
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        (mean, (variance / values.len() as f64).sqrt())
    }

    fn near(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 0.02 * expected
    }

    #[test]
    fn pauses_have_the_configured_distribution() {
        assert_eq!(moments(&drawn("2s")), (2.0, 0.0));
        let (mean, deviation) = moments(&drawn("1s..3s"));
        assert!(
            near(mean, 2.0) && near(deviation, 2.0 / 12f64.sqrt()),
            "{mean} {deviation}"
        );
        let (mean, deviation) = moments(&drawn("exponential 2s"));
        assert!(
            near(mean, 2.0) && near(deviation, 2.0),
            "{mean} {deviation}"
        );
        let (mean, deviation) = moments(&drawn("normal 2s 500ms"));
        assert!(
            near(mean, 2.0) && near(deviation, 0.5),
            "{mean} {deviation}"
        );
        let below = drawn("exponential 2s").iter().filter(|v| **v < 2.0).count();
        assert!(near(below as f64 / 1e5, 1.0 - (-1f64).exp()));
        assert!(drawn("1s..3s").iter().all(|v| (1.0..3.0).contains(v)));
    }

    #[test]
    fn a_think_time_survives_its_text_form() {
        for text in ["0s", "1m30s", "1s..3s", "exponential 2s", "normal 2s 500ms"] {
            assert_eq!(text.parse::<ThinkTime>().unwrap().to_string(), text);
        }
        assert_eq!(
            "1s .. 3s".parse(),
            Ok::<_, ThinkTimeError>(ThinkTime::Uniform(
                Duration::from_secs(1),
                Duration::from_secs(3)
            ))
        );
    }

    #[test]
    fn malformed_think_times_are_rejected_with_examples() {
        for bad in [
            "2",
            "",
            "exponential",
            "normal 2s",
            "1s..",
            "sometimes 1s",
            "-1s",
        ] {
            let refused = bad.parse::<ThinkTime>().unwrap_err().to_string();
            assert!(refused.contains("exponential 2s"), "{bad}: {refused}");
        }
        for bad in ["2h", "3s..1s", "1s..2h"] {
            assert!(
                bad.parse::<ThinkTime>().unwrap().validate().is_err(),
                "{bad}"
            );
        }
    }
}
