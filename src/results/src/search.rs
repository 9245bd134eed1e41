//! The search for the highest rate at which thresholds hold: steps of twice the rate until
//! one fails, then the middle between what held and what failed.

use serde::{Deserialize, Serialize};

use super::result::TestResult;
use super::threshold::check;
use vajra_plan::Threshold;

/// The search ends when what held and what failed are this close together, as a part of
/// what held.
const CLOSE: f64 = 0.05;

/// Most tests of a search.
const MOST: usize = 40;

/// A rate that was tried.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Tried {
    /// The test's id.
    pub test_id: String,
    /// Requests a second asked for.
    pub rate: f64,
    /// Requests a second sent.
    pub achieved: f64,
    /// Of response time, in milliseconds.
    pub p50_ms: Option<f64>,
    /// Of response time, in milliseconds.
    pub p99_ms: Option<f64>,
    /// Of lag, in milliseconds.
    pub lag_p99_ms: Option<f64>,
    /// Requests that failed.
    pub failed: u64,
    /// As in the result.
    pub verdict: Option<String>,
    /// All thresholds held, and the result is not `invalid`.
    pub held: bool,
    /// Why not: each threshold that was not kept, and what makes the result `invalid`.
    pub reasons: Vec<String>,
}

impl Tried {
    /// What a test at `rate` says.
    pub fn of(rate: f64, result: &TestResult, thresholds: &[Threshold]) -> Tried {
        let broken = thresholds.iter().filter_map(|t| check(t, result).err());
        let mut reasons: Vec<String> = broken.collect();
        if result.verdict.as_deref() == Some("invalid") {
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
            verdict: result.verdict.clone(),
            held: reasons.is_empty(),
            reasons,
        }
    }
}

/// A search, as far as it has come.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Search {
    /// The thresholds, as they were written.
    pub thresholds: Vec<String>,
    /// Highest rate at which all held; null if there is none.
    pub max_rate: Option<f64>,
    /// Lowest rate at which one did not; null if there is none.
    pub failed_rate: Option<f64>,
    /// The tests, in order.
    pub tried: Vec<Tried>,
    #[serde(skip)]
    first: f64,
    #[serde(skip)]
    limit: f64,
}

impl Search {
    /// From a rate to begin with, up to a limit.
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

    /// The rate to try next; none when the search is over.
    pub fn next(&self) -> Option<f64> {
        if self.tried.len() >= MOST {
            return None;
        }
        let next = match (self.max_rate, self.failed_rate) {
            (None, None) => self.first,
            (Some(held), None) if held >= self.limit => return None,
            (Some(held), None) => (held * 2.0).min(self.limit),
            (held, Some(failed)) => {
                let held = held.unwrap_or_default();
                if failed - held <= held * CLOSE || failed <= 1.0 {
                    return None;
                }
                (held + failed) / 2.0
            }
        };
        Some(round(next).min(self.limit))
    }

    /// A rate was tried.
    pub fn add(&mut self, tried: Tried) {
        let bound = match tried.held {
            true => &mut self.max_rate,
            false => &mut self.failed_rate,
        };
        *bound = Some(tried.rate);
        self.tried.push(tried);
    }
}

/// To three digits: a rate that people can repeat.
fn round(rate: f64) -> f64 {
    let unit = 10f64.powf(rate.log10().floor() - 2.0);
    (rate / unit).round() * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(rate: f64, held: bool) -> Tried {
        Tried {
            test_id: String::new(),
            rate,
            achieved: rate,
            p50_ms: None,
            p99_ms: None,
            lag_p99_ms: None,
            failed: 0,
            verdict: None,
            held,
            reasons: Vec::new(),
        }
    }

    /// Searches a target that holds up to a rate.
    fn search(first: f64, limit: f64, capacity: f64) -> Search {
        let mut search = Search::new(first, limit, &[]);
        while let Some(rate) = search.next() {
            search.add(tried(rate, rate <= capacity));
        }
        search
    }

    #[test]
    fn it_doubles_then_halves_to_within_a_twentieth() {
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
            let (held, failed) = (
                found.max_rate.unwrap_or(0.0),
                found.failed_rate.unwrap_or(0.0),
            );
            assert!(
                held <= capacity && capacity < failed,
                "{capacity}: {held} {failed}"
            );
            assert!(
                failed - held <= held * 0.05 + 1e-9,
                "{capacity}: {held} {failed}"
            );
        }
    }

    #[test]
    fn it_ends_at_its_limit_and_at_nothing() {
        let found = search(1_000.0, 5_000.0, f64::MAX);
        assert_eq!((found.max_rate, found.failed_rate), (Some(5_000.0), None));
        let found = search(1_000.0, 5_000.0, 0.0);
        assert_eq!(found.max_rate, None);
        assert!(found.failed_rate <= Some(1.0), "{found:?}");
        let below = search(1_000.0, 5_000.0, 120.0);
        assert!(
            below.max_rate > Some(113.0),
            "it goes down as well: {below:?}"
        );
    }
}
