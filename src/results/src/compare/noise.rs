//! Whether a difference between two tests is more than what each of them varies by itself.
//!
//! A circular block bootstrap: a test is cut into intervals of equal length, and of these new
//! tests are put together, block by block with repetition (Politis and Romano 1992; blocks
//! keep neighbours together, so that slow spells stay slow spells). Of each pair of such tests
//! the difference is read, percentiles from merged histograms as ever; the middle 99 % of the
//! differences are the interval within which the true one lies. If zero is in it, the
//! difference may be noise.
//!
//! Two tests of the same load are drawn *together*: the same intervals of both. What the
//! profile itself does (a ramp, a spike) then is in both and cancels out. Otherwise each is
//! drawn by itself, and a profile that changes much makes the interval wide.
//!
//! What this can't see is what differs from run to run and not within one: a warmer cache,
//! another host. Draws come from a generator with a fixed seed: the same files give the same
//! answer.

use std::collections::BTreeMap;
use vajra_core::splitmix::SplitMix64;

use super::super::merge::decode;
use super::super::timeline::{Point as Interval, Timeline};
use vajra_plan::{Metric, Point};

/// Share of the differences between `low` and `high`. With six metrics that count, one in
/// some twenty comparisons of equals has one that looks like more than noise.
pub const CONFIDENCE: f64 = 0.99;
/// Tests that are put together: five lie beyond each end of the interval.
const RESAMPLES: usize = 1000;
/// Most intervals; more are put together. Keeps a comparison below a second.
const MAX_INTERVALS: usize = 120;
/// Fewest intervals: of fewer a test's own variation can't be known.
const MIN_INTERVALS: usize = 10;
/// Fewest response times above a percentile in each test: its place is known only by them.
const MIN_BEYOND: f64 = 10.0;
/// Lengths of tests that are drawn together may differ by this share.
const SAME_LENGTH: f64 = 0.05;
/// Where the draws begin.
const SEED: u64 = 0x5661_6a72_6121;

/// The metrics that are judged, in the order of the differences.
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
/// Those of [`JUDGED`] that are percentiles come second to seventh.
const QUANTILES: [f64; 6] = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999];

/// What was found.
#[derive(Debug)]
pub(super) struct Judged {
    pub method: &'static str,
    pub intervals: [usize; 2],
    /// Of each of [`JUDGED`]: the interval, or none if there was too little to tell.
    bounds: [Option<(f64, f64)>; JUDGED.len()],
}

impl Judged {
    /// Between which values the difference of a metric lies.
    pub fn of(&self, metric: Metric) -> Option<(f64, f64)> {
        let at = JUDGED.iter().position(|judged| *judged == metric)?;
        self.bounds[at]
    }
}

/// Judges two tests; `alike` if they were to do the same.
///
/// # Errors
/// Why it can't be judged; for people.
pub(super) fn judge(old: &Timeline, new: &Timeline, alike: bool) -> Result<Judged, String> {
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
        return Err(format!(
            "the tests have {} and {} intervals, and fewer than {MIN_INTERVALS} say too little: \
             let them run longer",
            intervals[0], intervals[1]
        ));
    }
    let (a, b) = (Run::of(a), Run::of(b));
    let mut dice = Dice(SplitMix64::new(SEED));
    let mut differences: [Vec<f64>; JUDGED.len()] =
        std::array::from_fn(|_| Vec::with_capacity(RESAMPLES));
    for _ in 0..RESAMPLES {
        let drawn = dice.draw(a.bins.len());
        let was = a.measured(&drawn);
        let is = match paired {
            true => b.measured(&drawn),
            false => b.measured(&dice.draw(b.bins.len())),
        };
        for (i, of) in differences.iter_mut().enumerate() {
            if let (Some(was), Some(is)) = (was[i], is[i]) {
                of.push(is - was);
            }
        }
    }
    let known = |i: usize| match i {
        1..=6 => [&a, &b]
            .iter()
            .all(|run| run.responses as f64 * (1.0 - QUANTILES[i - 1]) >= MIN_BEYOND),
        _ => true,
    };
    let mut bounds = [None; JUDGED.len()];
    for (i, of) in differences.iter_mut().enumerate() {
        // A metric that many draws do not have is not known well enough by the others.
        if known(i) && of.len() * 2 > RESAMPLES {
            of.sort_by(f64::total_cmp);
            let tail = (of.len() as f64 * (1.0 - CONFIDENCE) / 2.0) as usize;
            bounds[i] = Some((of[tail], of[of.len() - 1 - tail]));
        }
    }
    Ok(Judged {
        method: if paired { "paired" } else { "independent" },
        intervals,
        bounds,
    })
}

fn length(timeline: &Timeline) -> f64 {
    timeline.points.last().map_or(0.0, |p| p.to_s)
}

/// What an interval of equal length holds.
#[derive(Clone, Default)]
struct Bin {
    seconds: f64,
    sent: u64,
    failed: u64,
    dropped: u64,
    /// Response times in microseconds, and how often.
    times: BTreeMap<u64, u64>,
}

/// A timeline in `count` intervals of equal length, of which some may be empty.
fn cut(timeline: &Timeline, count: usize, length_s: f64) -> Result<Vec<Bin>, String> {
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

fn times(point: &Interval) -> Result<Vec<(u64, u64)>, String> {
    let Some(text) = &point.histogram else {
        return match point.response_time_ms {
            None => Ok(Vec::new()),
            Some(_) => Err(
                "a timeline has no histograms: write the file with --json FILE --timeline".into(),
            ),
        };
    };
    let histogram = decode(text).ok_or("a histogram of a timeline can't be read")?;
    let recorded = histogram.iter_recorded();
    Ok(recorded
        .map(|v| (v.value_iterated_to(), v.count_since_last_iteration()))
        .collect())
}

/// A test, ready to be drawn from.
struct Run {
    bins: Vec<Bin>,
    /// Each bin's times: place in `values`, and how often.
    counts: Vec<Vec<(usize, u64)>>,
    /// All response times that occur, in microseconds.
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

    /// The metrics of a test that has each interval so many times.
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
            let sum: f64 = each.clone().map(|(us, n)| *us as f64 * *n as f64).sum();
            found[0] = Some(sum / count as f64 / 1e3);
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

/// Draws of blocks.
struct Dice(SplitMix64);

impl Dice {
    /// How often each of `n` intervals is taken: `n` in all, in blocks of the cube root of
    /// `n`, the length that keeps the error least as `n` grows.
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
