//! Samples for the charts, in bounded number.
//!
//! There are two sources for the same time: progress, once per second with few values, and the
//! intervals of the timeline, with more. After the first interval, progress is ignored.

use vajra_core::protocol::messages::TestState;
use vajra_results::{Point, Progress};

/// Maximum number of samples: more than a terminal has dots in a row. At the limit, neighbours are
/// merged.
pub const MAX_SAMPLES: usize = 1_200;

/// An interval of the test. Response times are in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Sample {
    /// Start of the interval, in seconds after the start of the test.
    pub from_s: f64,
    /// End of the interval, likewise.
    pub to_s: f64,
    /// Planned arrivals per second; 0 in the closed model.
    pub planned: f64,
    /// Planned users.
    pub users: u32,
    /// Requests sent per second.
    pub rate: f64,
    /// Requests failed per second.
    pub failed: f64,
    /// Median of the response times.
    pub p50: Option<f64>,
    /// 90th percentile; only from the timeline.
    pub p90: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// Maximum; only from the timeline.
    pub max: Option<f64>,
    /// 99th percentile of the lag.
    pub lag_p99: Option<f64>,
}

impl Sample {
    fn length(&self) -> f64 {
        self.to_s - self.from_s
    }

    /// Merges two neighbours. Rates are averaged over time; percentiles cannot be merged, so the worse
    /// one is used.
    fn merge(&self, next: &Sample) -> Sample {
        let (a, b) = (self.length(), next.length());
        let mean = |x: f64, y: f64| match a + b > 0.0 {
            true => (x * a + y * b) / (a + b),
            false => y,
        };
        let worse = |x: Option<f64>, y: Option<f64>| x.into_iter().chain(y).reduce(f64::max);
        Sample {
            from_s: self.from_s,
            to_s: next.to_s,
            planned: mean(self.planned, next.planned),
            users: self.users.max(next.users),
            rate: mean(self.rate, next.rate),
            failed: mean(self.failed, next.failed),
            p50: worse(self.p50, next.p50),
            p90: worse(self.p90, next.p90),
            p99: worse(self.p99, next.p99),
            max: worse(self.max, next.max),
            lag_p99: worse(self.lag_p99, next.lag_p99),
        }
    }

    fn of(p: &Point) -> Sample {
        let times = p.response_time_ms.as_ref();
        let length = (p.to_s - p.from_s).max(f64::MIN_POSITIVE);
        Sample {
            from_s: p.from_s,
            to_s: p.to_s,
            planned: p.planned,
            users: p.users,
            rate: p.rate,
            failed: p.failed as f64 / length,
            p50: times.map(|t| t.p50),
            p90: times.map(|t| t.p90),
            p99: times.map(|t| t.p99),
            max: times.map(|t| t.max),
            lag_p99: p.lag_p99_ms,
        }
    }
}

/// The samples, oldest first.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct History {
    samples: Vec<Sample>,
    from_timeline: bool,
    failed_total: u64,
}

impl History {
    /// The samples, oldest first.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The newest.
    pub fn last(&self) -> Option<&Sample> {
        self.samples.last()
    }

    /// Samples that end at `from_s` or later.
    pub fn since(&self, from_s: f64) -> &[Sample] {
        let first = self.samples.partition_point(|s| s.to_s < from_s);
        &self.samples[first..]
    }

    /// Adds a progress report, as a sample since the previous one.
    pub fn progress(&mut self, p: &Progress) {
        let failed = p.failed.saturating_sub(self.failed_total);
        self.failed_total = p.failed;
        // The last report is about the whole test.
        if self.from_timeline || p.state == TestState::Ended || p.elapsed_s <= 0.0 {
            return;
        }
        let from_s = self.last().map_or(0.0, |s| s.to_s);
        let length = p.elapsed_s - from_s;
        if length <= 0.0 {
            return;
        }
        self.push(Sample {
            from_s,
            to_s: p.elapsed_s,
            planned: p.planned,
            users: p.users,
            rate: p.rate,
            failed: failed as f64 / length,
            p50: p.p50_ms,
            p99: p.p99_ms,
            lag_p99: p.lag_p99_ms,
            ..Sample::default()
        });
    }

    /// Adds an interval of the timeline, unless it is known.
    pub fn point(&mut self, p: &Point) {
        let sample = Sample::of(p);
        if !self.from_timeline {
            self.from_timeline = true;
            // Replaces samples of progress for the same time.
            self.samples.retain(|s| s.to_s <= sample.from_s);
        }
        if self.last().is_none_or(|last| sample.to_s > last.to_s) {
            self.push(sample);
        }
    }

    /// Replaces all samples by the intervals of a timeline.
    pub fn replace<'a>(&mut self, points: impl IntoIterator<Item = &'a Point>) {
        let mut points = points.into_iter().peekable();
        if points.peek().is_some() {
            self.samples.clear();
            points.for_each(|p| self.point(p));
        }
    }

    fn push(&mut self, sample: Sample) {
        if self.samples.len() >= MAX_SAMPLES {
            let pairs = self.samples.chunks(2).map(|pair| match pair {
                [a, b] => a.merge(b),
                rest => rest[0],
            });
            self.samples = pairs.collect();
        }
        self.samples.push(sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::fakes::{point, progress};

    #[test]
    fn a_long_test_is_reduced_to_the_maximum_number_of_samples() {
        let mut history = History::default();
        for second in 1..=10_000 {
            history.progress(&progress(f64::from(second), 100.0));
        }
        let samples = history.samples();
        assert!(samples.len() <= MAX_SAMPLES, "{}", samples.len());
        assert_eq!(samples[0].from_s, 0.0);
        assert_eq!(history.last().map(|s| s.to_s), Some(10_000.0));
        assert!(samples.is_sorted_by(|a, b| a.to_s <= b.from_s));
        assert!(samples.iter().all(|s| (s.rate - 100.0).abs() < 1e-9));
    }

    #[test]
    fn merging_averages_rates_and_keeps_the_worse_percentile() {
        let one = |from_s, to_s, rate, p99| Sample {
            from_s,
            to_s,
            rate,
            p99,
            ..Sample::default()
        };
        let both = one(0.0, 1.0, 100.0, Some(5.0)).merge(&one(1.0, 4.0, 20.0, None));
        assert_eq!(
            (both.from_s, both.to_s, both.rate, both.p99),
            (0.0, 4.0, 40.0, Some(5.0))
        );
    }

    #[test]
    fn intervals_replace_progress_for_the_same_time() {
        let mut history = History::default();
        history.progress(&progress(1.0, 10.0));
        history.progress(&progress(2.5, 10.0));
        history.point(&point(1.0, 2.0, 11.0));
        history.progress(&progress(3.0, 10.0));
        history.point(&point(2.0, 3.0, 12.0));
        history.point(&point(2.0, 3.0, 12.0));
        let rates: Vec<f64> = history.samples().iter().map(|s| s.rate).collect();
        assert_eq!(rates, [10.0, 11.0, 12.0]);
    }

    #[test]
    fn the_last_progress_report_is_not_a_sample() {
        let mut history = History::default();
        let mut ended = progress(9.0, 10.0);
        ended.state = TestState::Ended;
        history.progress(&ended);
        history.progress(&progress(-1.0, 0.0));
        assert!(history.samples().is_empty());
    }
}
