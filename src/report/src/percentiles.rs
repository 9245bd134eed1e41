//! The percentile distribution of a histogram, in the format of HdrHistogram's own tools: the steps
//! become finer towards the slowest request.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

/// Steps per halving of the distance to 100 %; the default of HdrHistogram and wrk2.
const TICKS_PER_HALF_DISTANCE: u32 = 5;
/// Microseconds per millisecond, the unit of the output.
const US_PER_MS: f64 = 1000.0;

/// A line of the distribution.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Line {
    /// Value, in milliseconds.
    value_ms: f64,
    /// Quantile, 0 to 1.
    quantile: f64,
    /// Number of values up to this one.
    count: u64,
}

fn lines(h: &Histogram<u64>) -> impl Iterator<Item = Line> + '_ {
    let mut count = 0;
    h.iter_quantiles(TICKS_PER_HALF_DISTANCE).map(move |step| {
        count += step.count_since_last_iteration();
        Line {
            value_ms: step.value_iterated_to() as f64 / US_PER_MS,
            quantile: step.quantile_iterated_to(),
            count,
        }
    })
}

/// The distribution as text: columns `Value` (milliseconds), `Percentile`, `TotalCount` and
/// `1/(1-Percentile)`, and a footer; the output of HdrHistogram's `outputPercentileDistribution`
/// with a ratio of 1000.
pub fn hgrm(h: &Histogram<u64>) -> String {
    let mut out = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    for l in lines(h) {
        let _ = match l.quantile < 1.0 {
            true => writeln!(
                out,
                "{:>12.3} {:>14.12} {:>10} {:>14.2}",
                l.value_ms,
                l.quantile,
                l.count,
                1.0 / (1.0 - l.quantile)
            ),
            false => writeln!(
                out,
                "{:>12.3} {:>14.12} {:>10}",
                l.value_ms, l.quantile, l.count
            ),
        };
    }
    // HdrHistogram prints a power of two here, not the width of the highest bucket.
    let sub_buckets = 2 * 10u32.pow(u32::from(h.sigfig()));
    let _ = writeln!(
        out,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]",
        h.mean() / US_PER_MS,
        h.stdev() / US_PER_MS
    );
    let _ = writeln!(
        out,
        "#[Max     = {:>12.3}, Total count    = {:>12}]",
        h.max() as f64 / US_PER_MS,
        h.len()
    );
    let _ = writeln!(
        out,
        "#[Buckets = {:>12}, SubBuckets     = {:>12}]",
        h.buckets(),
        sub_buckets.next_power_of_two()
    );
    out
}

/// The distribution as points of a curve: `1/(1 - quantile)`, and milliseconds. The last point is
/// the slowest value.
pub fn curve(h: &Histogram<u64>) -> Vec<(f64, f64)> {
    let rising = lines(h).filter(|l| l.quantile < 1.0);
    let mut points: Vec<(f64, f64)> = rising
        .map(|l| (1.0 / (1.0 - l.quantile), l.value_ms))
        .collect();
    if let Some((last, _)) = points.last() {
        let all = (h.len() as f64).max(*last);
        points.push((all, h.max() as f64 / US_PER_MS));
    }
    points
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use vajra_core::metrics::new_histogram;

    fn one_to_a_thousand() -> Histogram<u64> {
        let mut h = new_histogram();
        (1..=1000).for_each(|us| h.record(us).unwrap());
        h
    }

    #[test]
    fn the_text_has_the_format_of_hdr_histogram() {
        let text = hgrm(&one_to_a_thousand());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "       Value     Percentile TotalCount 1/(1-Percentile)"
        );
        assert_eq!(lines[1], "");
        assert_eq!(
            lines[2],
            "       0.001 0.000000000000          1           1.00"
        );
        assert!(
            lines.contains(&"       0.500 0.500000000000        500           2.00"),
            "{text}"
        );
        assert_eq!(
            lines[lines.len() - 4],
            "       1.000 1.000000000000       1000"
        );
        assert_eq!(
            lines[lines.len() - 3],
            "#[Mean    =        0.500, StdDeviation   =        0.289]"
        );
        assert_eq!(
            lines[lines.len() - 2],
            "#[Max     =        1.000, Total count    =         1000]"
        );
        assert!(lines[lines.len() - 1].ends_with("SubBuckets     =         2048]"));
    }

    #[test]
    fn the_curve_rises_from_the_smallest_to_the_largest_value() {
        let curve = curve(&one_to_a_thousand());
        assert_eq!(curve[0], (1.0, 0.001));
        assert_eq!(curve.last().unwrap().1, 1.0);
        assert!(
            curve
                .windows(2)
                .all(|w| w[0].0 <= w[1].0 && w[0].1 <= w[1].1)
        );
        assert!(curve.contains(&(2.0, 0.5)));
    }

    #[test]
    fn an_empty_histogram_has_no_curve() {
        assert!(curve(&new_histogram()).is_empty());
    }
}
