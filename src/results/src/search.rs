//! The search for the highest rate at which all thresholds pass: the rate is doubled until a
//! threshold fails, then the interval between the passed and the failed rate is halved.

use serde::{Deserialize, Serialize};

use super::kinds::Verdict;
use super::result::TestResult;
use super::threshold::check;
use vajra_plan::Threshold;

/// The search ends when the passed and the failed rate differ by at most this share of the passed
/// rate.
const PRECISION: f64 = 0.05;

/// Most tests of a search.
const MAX_TESTS: usize = 40;

/// A tested rate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Tried {
    /// Test id.
    pub test_id: String,
    /// Planned requests per second.
    pub rate: f64,
    /// Requests sent per second.
    pub achieved: f64,
    /// Median response time, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 99th percentile of the response time, in milliseconds.
    pub p99_ms: Option<f64>,
    /// 99th percentile of the lag, in milliseconds.
    pub lag_p99_ms: Option<f64>,
    /// Requests that failed.
    pub failed: u64,
    /// As in the result.
    pub verdict: Option<Verdict>,
    /// Whether all thresholds passed and the result is not `invalid`.
    pub passed: bool,
    /// Reasons if it did not pass: each failed threshold, and the reasons of an `invalid` result.
    pub reasons: Vec<String>,
}

impl Tried {
    /// The outcome of a test at `rate`.
    pub fn of(rate: f64, result: &TestResult, thresholds: &[Threshold]) -> Tried {
        let failed = thresholds.iter().filter_map(|t| check(t, result).err());
        let mut reasons: Vec<String> = failed.map(|e| e.to_string()).collect();
        if result.verdict == Some(Verdict::Invalid) {
            reasons.extend(result.reasons.iter().cloned());
        }
        Tried {
            test_id: result.test_id.clone(),
            rate,
            achieved: result.rate.achieved,
            p50_ms: result.response_time_ms.as_ref().map(|s| s.p50),
            p99_ms: result.response_time_ms.as_ref().map(|s| s.p99),
            lag_p99_ms: result.lag_ms.as_ref().map(|s| s.p99),
            failed: result.totals.failed,
            verdict: result.verdict,
            passed: reasons.is_empty(),
            reasons,
        }
    }
}

/// A rate search and its tests until now.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Search {
    /// The thresholds, as written on the command line.
    pub thresholds: Vec<String>,
    /// Highest rate that passed; null without one.
    pub max_rate: Option<f64>,
    /// Lowest rate that failed; null without one.
    pub failed_rate: Option<f64>,
    /// The tests, in the order in which they ran.
    pub tried: Vec<Tried>,
    #[serde(skip)]
    first: f64,
    #[serde(skip)]
    limit: f64,
}

impl Search {
    /// A search that starts at the rate `first` and never exceeds `limit`.
    pub fn new(first: f64, limit: f64, thresholds: &[Threshold]) -> Search {
        Search {
            thresholds: thresholds.iter().map(Threshold::to_string).collect(),
            max_rate: None,
            failed_rate: None,
            tried: Vec::new(),
            first,
            limit,
        }
    }

    /// The next rate to test; none when the search is over.
    pub fn next(&self) -> Option<f64> {
        if self.tried.len() >= MAX_TESTS {
            return None;
        }
        let next = match (self.max_rate, self.failed_rate) {
            (None, None) => self.first,
            (Some(passed), None) if passed >= self.limit => return None,
            (Some(passed), None) => (passed * 2.0).min(self.limit),
            (passed, Some(failed)) => {
                let passed = passed.unwrap_or_default();
                if failed - passed <= passed * PRECISION || failed <= 1.0 {
                    return None;
                }
                (passed + failed) / 2.0
            }
        };
        Some(round(next).min(self.limit))
    }

    /// Adds the outcome of a test.
    pub fn add(&mut self, tried: Tried) {
        let bound = match tried.passed {
            true => &mut self.max_rate,
            false => &mut self.failed_rate,
        };
        *bound = Some(tried.rate);
        self.tried.push(tried);
    }
}

/// Rounds to three significant digits, so that the rate is easy to repeat.
fn round(rate: f64) -> f64 {
    let unit = 10f64.powf(rate.log10().floor() - 2.0);
    (rate / unit).round() * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(rate: f64, passed: bool) -> Tried {
        Tried {
            test_id: String::new(),
            rate,
            achieved: rate,
            p50_ms: None,
            p99_ms: None,
            lag_p99_ms: None,
            failed: 0,
            verdict: None,
            passed,
            reasons: Vec::new(),
        }
    }

    /// Searches a target with a given capacity.
    fn search(first: f64, limit: f64, capacity: f64) -> Search {
        let mut search = Search::new(first, limit, &[]);
        while let Some(rate) = search.next() {
            search.add(tried(rate, rate <= capacity));
        }
        search
    }

    #[test]
    fn the_rate_is_doubled_then_the_interval_is_halved() {
        let rates: Vec<f64> = search(100.0, 1e6, 730.0)
            .tried
            .iter()
            .map(|t| t.rate)
            .collect();
        assert_eq!(
            rates,
            [100.0, 200.0, 400.0, 800.0, 600.0, 700.0, 750.0, 725.0]
        );
        for capacity in [100.0, 101.0, 999.0, 12_345.0, 640_000.0] {
            let found = search(100.0, 1e6, capacity);
            let (passed, failed) = (
                found.max_rate.unwrap_or(0.0),
                found.failed_rate.unwrap_or(0.0),
            );
            assert!(
                passed <= capacity && capacity < failed,
                "{capacity}: {passed} {failed}"
            );
            assert!(
                failed - passed <= passed * 0.05 + 1e-9,
                "{capacity}: {passed} {failed}"
            );
        }
    }

    #[test]
    fn the_search_ends_at_its_limit_and_at_one_per_second() {
        let found = search(1_000.0, 5_000.0, f64::MAX);
        assert_eq!((found.max_rate, found.failed_rate), (Some(5_000.0), None));
        let found = search(1_000.0, 5_000.0, 0.0);
        assert_eq!(found.max_rate, None);
        assert!(found.failed_rate <= Some(1.0), "{found:?}");
        let below = search(1_000.0, 5_000.0, 120.0);
        assert!(
            below.max_rate > Some(113.0),
            "the rate can fall below the first one: {below:?}"
        );
    }
}
