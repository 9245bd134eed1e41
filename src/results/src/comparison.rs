//! The comparison of two results. `docs/result.md` describes every field.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::kinds::Verdict;

/// Least increase of the error rate that counts as a regression, as a share of all requests. A
/// relative limit alone cannot be applied if the baseline has no errors.
pub const MIN_ERROR_INCREASE: f64 = 0.001;

/// A test compared with a baseline.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Comparison {
    /// Version of the format: 1.
    pub schema: u32,
    /// The baseline.
    pub baseline: Side,
    /// The test.
    pub test: Side,
    /// Parts in which the plans differ: `task`, `load` or `target`.
    pub plan_differs: Vec<String>,
    /// Noise of the two tests.
    pub noise: Noise,
    /// Conditions that limit the comparison.
    pub warnings: Vec<String>,
    /// Limit of `--fail-on-regression`, as a share of the baseline; absent without that option.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// The compared metrics.
    pub metrics: Vec<Compared>,
}

/// One of the two tests.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Side {
    /// Test id.
    pub test_id: String,
    /// Name of the plan.
    pub name: Option<String>,
    /// Start of the profile, RFC 3339, UTC.
    pub started_at: Option<String>,
    /// As in the result.
    pub verdict: Option<Verdict>,
}

/// Whether and how noise was judged.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Noise {
    /// Whether noise was judged.
    pub judged: bool,
    /// Reason why it was not.
    pub why: Option<String>,
    /// Method; null if noise was not judged.
    pub method: Option<NoiseMethod>,
    /// Number of intervals of the baseline and of the test.
    pub intervals: [usize; 2],
    /// Confidence level of the interval `low` to `high`: 0.99.
    pub confidence: f64,
}

/// How the resamples of the two tests are drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoiseMethod {
    /// Equal loads: the same intervals of both tests.
    Paired,
    /// Each test independently.
    Independent,
}

/// The unit of a metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub enum Unit {
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Per second.
    #[serde(rename = "per_s")]
    PerSecond,
    /// A share from 0 to 1.
    #[serde(rename = "share")]
    Share,
}

/// A metric of the two tests.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Compared {
    /// Name of the metric, as in thresholds: `response_time.p99`, `rate`, `error_rate`, …
    pub metric: String,
    /// Unit of its values.
    pub unit: Unit,
    /// Whether `--fail-on-regression` considers it.
    pub counts: bool,
    /// Value of the baseline; null if nothing was measured.
    pub baseline: Option<f64>,
    /// Value of the test; null if nothing was measured.
    pub test: Option<f64>,
    /// Test minus baseline.
    pub difference: Option<f64>,
    /// The difference as a share of the baseline; null if that is 0.
    pub change: Option<f64>,
    /// Lower bound of the true difference, with the confidence of `noise`; null if it was not
    /// judged.
    pub low: Option<f64>,
    /// Upper bound of the true difference.
    pub high: Option<f64>,
    /// Whether zero lies between `low` and `high`.
    pub within_noise: Option<bool>,
    /// Meaning of the difference; null if there is none, or nothing to compare.
    #[serde(default)]
    pub judgement: Option<Judgement>,
}

/// The meaning of a difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Judgement {
    /// Worse; by more than noise, if noise was judged.
    Worse,
    /// Better; by more than noise, if noise was judged.
    Better,
    /// Within noise: not more than each test varies by itself.
    Noise,
    /// Noise was judged, but there are too few values of this metric.
    #[serde(rename = "not judged")]
    NotJudged,
}

impl Judgement {
    /// The text in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Judgement::Worse => "worse",
            Judgement::Better => "better",
            Judgement::Noise => "noise",
            Judgement::NotJudged => "not judged",
        }
    }
}

impl Compared {
    /// The share of the baseline by which the test is worse: negative if it is better, infinite if
    /// the baseline is 0. None if there is nothing to compare.
    pub fn worse_by(&self) -> Option<f64> {
        let (was, difference) = (self.baseline?, self.difference?);
        let worse = match self.unit {
            Unit::PerSecond => -difference,
            Unit::Milliseconds | Unit::Share => difference,
        };
        match worse {
            0.0 => Some(0.0),
            worse => Some(worse / was),
        }
    }

    /// The meaning of the difference; `judged` is whether noise was judged.
    pub(super) fn judge(&self, judged: bool) -> Option<Judgement> {
        let worse = match self.worse_by()? {
            0.0 => return None,
            by => by > 0.0,
        };
        Some(match self.within_noise {
            Some(true) => Judgement::Noise,
            None if judged => Judgement::NotJudged,
            _ if worse => Judgement::Worse,
            _ => Judgement::Better,
        })
    }

    /// Whether it is worse by more than `limit` (a share: 0.1 is 10 %), regardless of noise.
    fn beyond(&self, limit: f64) -> bool {
        let enough =
            self.metric != "error_rate" || self.difference.is_some_and(|d| d >= MIN_ERROR_INCREASE);
        enough && self.worse_by().is_some_and(|by| by > limit)
    }
}

impl Comparison {
    /// The metrics that are worse by more than `limit` (a share: 0.1 is 10 %), and by more than
    /// noise, if noise was judged.
    pub fn regressions(&self, limit: f64) -> impl Iterator<Item = &Compared> {
        let judged = self.noise.judged;
        let counting = self.metrics.iter().filter(|m| m.counts);
        counting.filter(move |m| m.beyond(limit) && (!judged || m.within_noise == Some(false)))
    }

    /// The regressions at [`Comparison::limit`]; none without a limit.
    pub fn failures(&self) -> impl Iterator<Item = &Compared> {
        let limit = self.limit.into_iter();
        limit.flat_map(|limit| self.regressions(limit))
    }

    /// The metrics that are worse by more than `limit` but do not count: they are within noise, or
    /// there were too few requests to judge.
    pub fn excused(&self, limit: f64) -> impl Iterator<Item = &Compared> {
        let judged = self.noise.judged;
        let counting = self.metrics.iter().filter(|m| m.counts);
        counting.filter(move |m| m.beyond(limit) && judged && m.within_noise != Some(false))
    }
}
