//! Judges whether a difference between two tests is more than each of them varies by itself.
//!
//! The method is a circular block bootstrap (Politis and Romano 1992): a test is divided into
//! intervals of equal length, and new tests are drawn from them with replacement, in blocks of
//! neighbours, so that slow periods stay together. The difference is computed for each pair of
//! resamples, percentiles from merged histograms. The middle 99 % of the differences are the
//! confidence interval of the true one. If it contains zero, the difference may be noise.
//!
//! Two tests of the same load are drawn *together*: the same intervals of both, so that effects of
//! the profile (a ramp, a spike) cancel out. Otherwise each is drawn independently, and a profile
//! that varies widens the interval.
//!
//! Differences between runs that do not occur within a run (a warm cache, another host) cannot be
//! detected. The random seed is fixed: the same files give the same answer.

use std::collections::BTreeMap;
use vajra_core::splitmix::SplitMix64;

use crate::comparison::NoiseMethod;
use crate::merge::decode;
use crate::timeline::{Point as Interval, Timeline};
use vajra_plan::{Metric, Point};

/// Share of the differences between `low` and `high`. With six metrics that count, about one in
/// twenty comparisons of equal targets has a metric that differs significantly.
pub const CONFIDENCE: f64 = 0.99;
/// Number of resamples: five lie beyond each end of the interval.
const RESAMPLES: usize = 1000;
/// Most intervals; more are merged. Keeps a comparison below a second.
const MAX_INTERVALS: usize = 120;
/// Fewest intervals from which the variation of a test can be estimated.
const MIN_INTERVALS: usize = 10;
/// Fewest response times above a percentile in each test. With fewer, its value is uncertain.
const MIN_ABOVE: f64 = 10.0;
/// Largest difference in length of tests that are drawn together, as a share.
const SAME_LENGTH: f64 = 0.05;
/// Seed of the draws.
const SEED: u64 = 0x5661_6a72_6121;

/// The judged metrics, in the order of the differences.
const JUDGED: [Metric; 10] = [
    Metric::Response(Point::Mean),
    Metric::Response(Point::P50),
    Metric::Response(Point::P75),
    Metric::Response(Point::P90),
    Metric::Response(Point::P95),
    Metric::Response(Point::P99),
    Metric::Response(Point::P999),
    Metric::Rate,
    Metric::ErrorRate,
    Metric::Dropped,
];
/// The percentiles, which are second to seventh in [`JUDGED`].
const QUANTILES: [f64; 6] = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999];

/// The confidence intervals of the differences.
#[derive(Debug)]
pub(super) struct Judged {
    pub method: NoiseMethod,
    pub intervals: [usize; 2],
    /// The interval of each of [`JUDGED`]; none if there are too few values.
    bounds: [Option<(f64, f64)>; JUDGED.len()],
}

impl Judged {
    /// The confidence interval of the difference of a metric.
    pub fn of(&self, metric: Metric) -> Option<(f64, f64)> {
        let at = JUDGED.iter().position(|judged| *judged == metric)?;
        self.bounds[at]
    }
}

/// The reason why noise was not judged.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum NotJudged {
    /// One or both tests have no timeline.
    #[error("{0} no timeline with histograms; a file has one if it was written with --timeline")]
    NoTimeline(&'static str),
    /// A timeline has no histograms.
    #[error("a timeline has no histograms: write the file with --json FILE --timeline")]
    NoHistograms,
    /// A histogram is damaged.
    #[error("a histogram of a timeline cannot be decoded")]
    Damaged,
    /// The tests are too short.
    #[error(
        "the tests have {0} and {1} intervals, fewer than the required {MIN_INTERVALS}: run longer \
         tests"
    )]
    TooShort(usize, usize),
}

/// Judges two tests; `alike` is whether they have the same task and load.
pub(super) fn judge(old: &Timeline, new: &Timeline, alike: bool) -> Result<Judged, NotJudged> {
    let (old_s, new_s) = (length(old), length(new));
    let longest = old_s.max(new_s);
    let paired = alike && (old_s - new_s).abs() <= SAME_LENGTH * longest;
    let fewest = old.points.len().min(new.points.len()).min(MAX_INTERVALS);
    let (a, b) = match paired {
        true => (cut(old, fewest, longest)?, cut(new, fewest, longest)?),
        false => (
            cut(old, old.points.len().min(MAX_INTERVALS), old_s)?,
            cut(new, new.points.len().min(MAX_INTERVALS), new_s)?,
        ),
    };
    let intervals = [&a, &b].map(|bins| bins.iter().filter(|bin| bin.seconds > 0.0).count());
    if intervals.iter().any(|n| *n < MIN_INTERVALS) {
        return Err(NotJudged::TooShort(intervals[0], intervals[1]));
    }
    let (a, b) = (Run::of(a), Run::of(b));
    let mut sampler = Sampler(SplitMix64::new(SEED));
    let mut differences: [Vec<f64>; JUDGED.len()] =
        std::array::from_fn(|_| Vec::with_capacity(RESAMPLES));
    for _ in 0..RESAMPLES {
        let drawn = sampler.draw(a.bins.len());
        let before = a.measured(&drawn);
        let now = match paired {
            true => b.measured(&drawn),
            false => b.measured(&sampler.draw(b.bins.len())),
        };
        for (i, of) in differences.iter_mut().enumerate() {
            if let (Some(before), Some(now)) = (before[i], now[i]) {
                of.push(now - before);
            }
        }
    }
    let known = |i: usize| match i {
        1..=6 => [&a, &b]
            .iter()
            .all(|run| run.responses as f64 * (1.0 - QUANTILES[i - 1]) >= MIN_ABOVE),
        _ => true,
    };
    let mut bounds = [None; JUDGED.len()];
    for (i, of) in differences.iter_mut().enumerate() {
        // A metric that half of the resamples lack is too uncertain.
        if known(i) && of.len() * 2 > RESAMPLES {
            of.sort_by(f64::total_cmp);
            let tail = (of.len() as f64 * (1.0 - CONFIDENCE) / 2.0) as usize;
            bounds[i] = Some((of[tail], of[of.len() - 1 - tail]));
        }
    }
    Ok(Judged {
        method: match paired {
            true => NoiseMethod::Paired,
            false => NoiseMethod::Independent,
        },
        intervals,
        bounds,
    })
}

fn length(timeline: &Timeline) -> f64 {
    timeline.points.last().map_or(0.0, |p| p.to_s)
}

/// An interval of equal length.
#[derive(Clone, Default)]
struct Bin {
    seconds: f64,
    sent: u64,
    failed: u64,
    dropped: u64,
    /// Response times in microseconds, with their counts.
    times: BTreeMap<u64, u64>,
}

/// Divides a timeline into `count` intervals of equal length; some may be empty.
fn cut(timeline: &Timeline, count: usize, length_s: f64) -> Result<Vec<Bin>, NotJudged> {
    let mut bins = vec![Bin::default(); count];
    for point in &timeline.points {
        let middle = (point.from_s + point.to_s) / 2.0;
        let at = (middle / length_s * count as f64) as usize;
        let Some(bin) = bins.get_mut(at) else {
            continue;
        };
        bin.seconds += point.to_s - point.from_s;
        bin.sent += point.sent;
        bin.failed += point.failed;
        bin.dropped += point.dropped;
        for (us, count) in times(point)? {
            *bin.times.entry(us).or_default() += count;
        }
    }
    Ok(bins)
}

fn times(point: &Interval) -> Result<Vec<(u64, u64)>, NotJudged> {
    let Some(text) = &point.histogram else {
        return match point.response_time_ms {
            None => Ok(Vec::new()),
            Some(_) => Err(NotJudged::NoHistograms),
        };
    };
    let histogram = decode(text).ok_or(NotJudged::Damaged)?;
    let recorded = histogram.iter_recorded();
    Ok(recorded
        .map(|v| (v.value_iterated_to(), v.count_since_last_iteration()))
        .collect())
}

/// A test prepared for resampling.
struct Run {
    bins: Vec<Bin>,
    /// The response times of each bin: index in `values`, and count.
    counts: Vec<Vec<(usize, u64)>>,
    /// All distinct response times, in microseconds.
    values: Vec<u64>,
    responses: u64,
}

impl Run {
    fn of(bins: Vec<Bin>) -> Run {
        let mut values: Vec<u64> = bins.iter().flat_map(|b| b.times.keys().copied()).collect();
        values.sort_unstable();
        values.dedup();
        let place = |us: &u64| values.binary_search(us).unwrap_or_default();
        let counts = bins
            .iter()
            .map(|b| b.times.iter().map(|(us, n)| (place(us), *n)).collect());
        Run {
            counts: counts.collect(),
            responses: bins.iter().flat_map(|b| b.times.values()).sum(),
            values,
            bins,
        }
    }

    /// The metrics of a resample; `drawn` is the number of times that each interval was drawn.
    fn measured(&self, drawn: &[u32]) -> [Option<f64>; JUDGED.len()] {
        let mut times = vec![0u64; self.values.len()];
        let mut all = Bin::default();
        let chosen = drawn.iter().enumerate().filter(|(_, often)| **often > 0);
        for (i, often) in chosen {
            let (bin, often) = (&self.bins[i], u64::from(*often));
            all.seconds += bin.seconds * often as f64;
            all.sent += bin.sent * often;
            all.failed += bin.failed * often;
            all.dropped += bin.dropped * often;
            for (place, count) in &self.counts[i] {
                times[*place] += count * often;
            }
        }
        let mut found = [None; JUDGED.len()];
        let count: u64 = times.iter().sum();
        if count > 0 {
            let each = self.values.iter().zip(&times);
            let sum: u128 = each
                .clone()
                .map(|(us, n)| u128::from(*us) * u128::from(*n))
                .sum();
            found[0] = Some(sum as f64 / count as f64 / 1e3);
            let ranks = QUANTILES.map(|q| ((q * count as f64).ceil() as u64).max(1));
            let (mut passed, mut next) = (0, 0);
            for (us, n) in each {
                passed += n;
                while next < ranks.len() && passed >= ranks[next] {
                    found[1 + next] = Some(*us as f64 / 1e3);
                    next += 1;
                }
            }
        }
        let part = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        found[7] = (all.seconds > 0.0).then(|| all.sent as f64 / all.seconds);
        found[8] = part(all.failed, all.sent);
        found[9] = part(all.dropped, all.sent + all.dropped);
        found
    }
}

/// Draws blocks of intervals.
struct Sampler(SplitMix64);

impl Sampler {
    /// The number of times that each of `n` intervals is drawn: `n` in total, in blocks of the cube
    /// root of `n`, the length with the least error as `n` grows.
    fn draw(&mut self, n: usize) -> Vec<u32> {
        let block = (n as f64).cbrt().ceil() as usize;
        let mut drawn = vec![0; n];
        let mut taken = 0;
        while taken < n {
            let from = self.0.below(n as u64) as usize;
            for i in 0..block.min(n - taken) {
                drawn[(from + i) % n] += 1;
            }
            taken += block.min(n - taken);
        }
        drawn
    }
}
