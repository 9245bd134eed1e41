//! Two results held against each other: percentile by percentile, rate, errors; and whether a
//! difference is more than noise (`noise`).

mod noise;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::result::TestResult;
use super::result_file::Recorded;
use super::threshold::measured;
use crate::units;
use vajra_plan::{Metric, Point};

pub use noise::CONFIDENCE;

/// An error rate has risen only if it did so by at least this share of all requests: one error
/// among thousands, where there was none, is no multiple of anything.
pub const LEAST_ERRORS: f64 = 0.001;

/// Lag that is more than this part of the response time makes a comparison doubtful.
const MUCH_LAG: f64 = 0.2;

/// Two results, compared. `docs/result.md` describes every field.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Comparison {
    /// Version of this shape: 1.
    pub schema: u32,
    /// What is compared with.
    pub baseline: Side,
    /// What is compared.
    pub test: Side,
    /// Where the plans differ: `task`, `load`, or `target`; empty if they ask for the same.
    pub plan_differs: Vec<String>,
    /// How noise was judged.
    pub noise: Noise,
    /// What is to be known before the numbers are believed.
    pub warnings: Vec<String>,
    /// By how much of the baseline something may be worse (`--fail-on-regression`), if that was
    /// asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// The numbers.
    pub metrics: Vec<Compared>,
}

/// Whose result it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Side {
    /// The test's id.
    pub test_id: String,
    /// Its name.
    pub name: Option<String>,
    /// Start of its profile.
    pub started_at: Option<String>,
    /// As in the result.
    pub verdict: Option<String>,
}

/// How noise was judged.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Noise {
    /// It was.
    pub judged: bool,
    /// Why not.
    pub why: Option<String>,
    /// `paired`: equal loads, resampled together; `independent`: each by itself. Null if it
    /// was not judged.
    pub method: Option<String>,
    /// Intervals of the baseline and of the test.
    pub intervals: [usize; 2],
    /// Of the interval `low` to `high`: 0.99.
    pub confidence: f64,
}

/// A metric of both.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Compared {
    /// As thresholds name it: `response_time.p99`, `rate`, `error_rate`, …
    pub metric: String,
    /// `ms`, `per_s` or `share`.
    pub unit: String,
    /// It is one of those that `--fail-on-regression` looks at.
    pub counts: bool,
    /// Of the baseline; null if nothing was measured.
    pub baseline: Option<f64>,
    /// Of the test.
    pub test: Option<f64>,
    /// Test minus baseline.
    pub difference: Option<f64>,
    /// The same as a share of the baseline; null if that is 0.
    pub change: Option<f64>,
    /// The difference is at least so much, with the confidence of `noise`; null if it could
    /// not be judged.
    pub low: Option<f64>,
    /// And at most so much.
    pub high: Option<f64>,
    /// Zero lies between `low` and `high`.
    pub within_noise: Option<bool>,
    /// What comes of all that; null if there is no difference, or nothing to compare.
    #[serde(default)]
    pub judgement: Option<Judgement>,
}

/// What a difference means, in the words of every text and page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Judgement {
    /// Worse: by more than noise, if that was judged.
    Worse,
    /// Better, likewise.
    Better,
    /// Not more than what the tests vary by themselves.
    Noise,
    /// Noise was judged, but of this there is too little to tell.
    #[serde(rename = "not judged")]
    NotJudged,
}

impl Judgement {
    /// The word, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Judgement::Worse => "worse",
            Judgement::Better => "better",
            Judgement::Noise => "noise",
            Judgement::NotJudged => "not judged",
        }
    }
}

/// What is compared, in this order; whether it counts as a regression; its unit.
const METRICS: [(&str, Metric, bool, &str); 11] = [
    (
        "response_time.mean",
        Metric::Response(Point::Mean),
        true,
        "ms",
    ),
    (
        "response_time.p50",
        Metric::Response(Point::P50),
        true,
        "ms",
    ),
    (
        "response_time.p75",
        Metric::Response(Point::P75),
        false,
        "ms",
    ),
    (
        "response_time.p90",
        Metric::Response(Point::P90),
        true,
        "ms",
    ),
    (
        "response_time.p95",
        Metric::Response(Point::P95),
        false,
        "ms",
    ),
    (
        "response_time.p99",
        Metric::Response(Point::P99),
        true,
        "ms",
    ),
    (
        "response_time.p99.9",
        Metric::Response(Point::P999),
        false,
        "ms",
    ),
    (
        "response_time.max",
        Metric::Response(Point::Max),
        false,
        "ms",
    ),
    ("rate", Metric::Rate, true, "per_s"),
    ("error_rate", Metric::ErrorRate, true, "share"),
    ("dropped", Metric::Dropped, false, "share"),
];

/// Holds a test against a baseline. Takes some tenths of a second where both have timelines.
pub fn compare(baseline: &Recorded, test: &Recorded) -> Comparison {
    let (old, new) = (&baseline.result, &test.result);
    let plan_differs = differs(old, new);
    let alike = plan_differs.is_empty() && old.changes.is_empty() && new.changes.is_empty();
    let judged = match (&baseline.timeline, &test.timeline) {
        (Some(a), Some(b)) => noise::judge(a, b, alike),
        (None, Some(_)) => Err(without("the baseline has")),
        (Some(_), None) => Err(without("the test has")),
        (None, None) => Err(without("the baseline and the test have")),
    };
    let metrics = METRICS.map(|(name, metric, counts, unit)| {
        let found = judged.as_ref().ok().and_then(|noise| noise.of(metric));
        let (was, is) = (measured(metric, None, old), measured(metric, None, new));
        let difference = was.zip(is).map(|(was, is)| is - was);
        let mut compared = Compared {
            metric: name.to_owned(),
            unit: unit.to_owned(),
            counts,
            baseline: was,
            test: is,
            difference,
            change: was
                .zip(difference)
                .filter(|(was, _)| *was > 0.0)
                .map(|(was, d)| d / was),
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
                method: Some(noise.method.to_owned()),
                intervals: noise.intervals,
                confidence: CONFIDENCE,
            },
            Err(why) => Noise {
                judged: false,
                why: Some(why.clone()),
                method: None,
                intervals: [0, 0],
                confidence: CONFIDENCE,
            },
        },
        metrics: metrics.into(),
    }
}

fn without(who: &str) -> String {
    format!("{who} no timeline with histograms; a file has one if it was written with --timeline")
}

fn side(result: &TestResult) -> Side {
    Side {
        test_id: result.test_id.clone(),
        name: result.name.clone(),
        started_at: result.started_at.clone(),
        verdict: result.verdict.clone(),
    }
}

/// Where two plans ask for something else. Names, tags and thresholds may differ.
fn differs(old: &TestResult, new: &TestResult) -> Vec<String> {
    if old.plan.is_null() || new.plan.is_null() {
        // A result of an older version: what it says itself.
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
            "the plans differ ({}): a difference may be the load's, not the target's",
            plan_differs.join(", ")
        ));
    }
    for (who, result) in [("the baseline", old), ("the test", new)] {
        if let Some((lag, p99)) = late(result) {
            found.push(format!(
                "in {who} the generator was late itself: lag p99 is {}, response time p99 {}; a \
                 difference may be its own",
                units::time(lag),
                units::time(p99)
            ));
        }
        match result.verdict.as_deref() {
            None => found.push(format!("{who} has not ended: its numbers are those so far")),
            Some("valid") if result.end.as_deref() == Some("stopped") => {
                found.push(format!("{who} was stopped before its end"));
            }
            Some("valid") => {}
            Some(verdict) => found.push(format!(
                "{who} is {verdict}: what it measured is not all the target's doing"
            )),
        }
    }
    found
}

/// The 99th percentiles of lag and response time, in milliseconds, where the one is too much
/// of the other.
fn late(result: &TestResult) -> Option<(f64, f64)> {
    let (lag, p99) = (
        result.lag_ms.as_ref()?.p99,
        result.response_time_ms.as_ref()?.p99,
    );
    (lag > MUCH_LAG * p99).then_some((lag, p99))
}

impl Compared {
    /// By which share of the baseline the test is worse; below 0 if it is better, infinite if
    /// something is there that was not. None if there is nothing to compare.
    pub fn worse_by(&self) -> Option<f64> {
        let (was, difference) = (self.baseline?, self.difference?);
        let worse = match self.unit.as_str() {
            "per_s" => -difference,
            _ => difference,
        };
        match worse {
            0.0 => Some(0.0),
            worse => Some(worse / was),
        }
    }

    /// What the difference means; `judged` if noise was.
    fn judge(&self, judged: bool) -> Option<Judgement> {
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

    /// Whether it is worse than `limit` (a share: 0.1 is 10 %) allows, noise aside.
    fn beyond(&self, limit: f64) -> bool {
        let enough =
            self.metric != "error_rate" || self.difference.is_some_and(|d| d >= LEAST_ERRORS);
        enough && self.worse_by().is_some_and(|by| by > limit)
    }
}

impl Comparison {
    /// What got worse: beyond `limit` (a share: 0.1 is 10 %), and, where noise was judged, by
    /// more than noise.
    pub fn regressions(&self, limit: f64) -> impl Iterator<Item = &Compared> {
        let judged = self.noise.judged;
        let counting = self.metrics.iter().filter(|m| m.counts);
        counting.filter(move |m| m.beyond(limit) && (!judged || m.within_noise == Some(false)))
    }

    /// What is worse than was asked for; nothing if nothing was.
    pub fn failures(&self) -> impl Iterator<Item = &Compared> {
        let asked = self.limit.into_iter();
        asked.flat_map(|limit| self.regressions(limit))
    }

    /// What is beyond `limit` and does not count: it is within noise, or there were too few
    /// requests to tell.
    pub fn excused(&self, limit: f64) -> impl Iterator<Item = &Compared> {
        let judged = self.noise.judged;
        let counting = self.metrics.iter().filter(|m| m.counts);
        counting.filter(move |m| m.beyond(limit) && judged && m.within_noise != Some(false))
    }
}
