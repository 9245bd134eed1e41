//! What the charts are drawn from: the test so far in a bounded number of samples.
//!
//! Two sources tell of the same time: progress, a line a second with few numbers, and the
//! intervals of the timeline, which have more. From the first interval on progress is no
//! longer taken.

use vajra_core::protocol::messages::TestState;
use vajra_results::{Point, Progress};

/// Most samples: more than any terminal has dots across. When they are full, neighbours
/// become one.
pub const MAX_SAMPLES: usize = 1_200;

/// A stretch of the test. Times of the response in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Sample {
    /// Its beginning, in seconds after the start.
    pub from_s: f64,
    /// Its end.
    pub to_s: f64,
    /// Arrivals a second that the plan asked for; 0 where it asks for none.
    pub asked: f64,
    /// Users that the plan asked for.
    pub users: u32,
    /// Requests sent a second.
    pub rate: f64,
    /// Requests failed a second.
    pub failed: f64,
    /// Median of the response times.
    pub p50: Option<f64>,
    /// 90th percentile; only of the timeline.
    pub p90: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// Largest; only of the timeline.
    pub max: Option<f64>,
    /// 99th percentile of the lag.
    pub lag_p99: Option<f64>,
}

impl Sample {
    fn length(&self) -> f64 {
        self.to_s - self.from_s
    }

    /// Two neighbours as one. Rates are their mean over the time; of percentiles, which can't
    /// be added, the worse one is shown.
    fn with(&self, next: &Sample) -> Sample {
        let (a, b) = (self.length(), next.length());
        let mean = |x: f64, y: f64| match a + b > 0.0 {
            true => (x * a + y * b) / (a + b),
            false => y,
        };
        let worse = |x: Option<f64>, y: Option<f64>| x.into_iter().chain(y).reduce(f64::max);
        Sample {
            from_s: self.from_s,
            to_s: next.to_s,
            asked: mean(self.asked, next.asked),
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
            asked: p.planned,
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
    failed_so_far: u64,
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

    /// Samples that reach into the time from `from_s` on.
    pub fn since(&self, from_s: f64) -> &[Sample] {
        let first = self.samples.partition_point(|s| s.to_s < from_s);
        &self.samples[first..]
    }

    /// A line of progress: the stretch since the one before.
    pub fn progress(&mut self, p: &Progress) {
        let failed = p.failed.saturating_sub(self.failed_so_far);
        self.failed_so_far = p.failed;
        // The last line tells of the whole test.
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
            asked: p.planned,
            users: p.users,
            rate: p.rate,
            failed: failed as f64 / length,
            p50: p.p50_ms,
            p99: p.p99_ms,
            lag_p99: p.lag_p99_ms,
            ..Sample::default()
        });
    }

    /// An interval of the timeline. One that is known is passed over.
    pub fn point(&mut self, p: &Point) {
        let sample = Sample::of(p);
        if !self.from_timeline {
            self.from_timeline = true;
            // What progress told of the same time is told better now.
            self.samples.retain(|s| s.to_s <= sample.from_s);
        }
        if self.last().is_none_or(|last| sample.to_s > last.to_s) {
            self.push(sample);
        }
    }

    /// All intervals so far, in place of what is known.
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
                [a, b] => a.with(b),
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
    fn a_long_test_stays_within_the_samples_and_keeps_its_whole_length() {
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
    fn two_neighbours_become_one_by_the_mean_of_rates_and_the_worse_percentile() {
        let one = |from_s, to_s, rate, p99| Sample {
            from_s,
            to_s,
            rate,
            p99,
            ..Sample::default()
        };
        let both = one(0.0, 1.0, 100.0, Some(5.0)).with(&one(1.0, 4.0, 20.0, None));
        assert_eq!(
            (both.from_s, both.to_s, both.rate, both.p99),
            (0.0, 4.0, 40.0, Some(5.0))
        );
    }

    #[test]
    fn intervals_take_the_place_of_progress_for_the_same_time() {
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
    fn the_last_line_of_progress_is_of_the_whole_test_and_no_sample() {
        let mut history = History::default();
        let mut ended = progress(9.0, 10.0);
        ended.state = TestState::Ended;
        history.progress(&ended);
        history.progress(&progress(-1.0, 0.0));
        assert!(history.samples().is_empty());
    }
}
