//! The percentile spectrum of a histogram, as HdrHistogram's own tools print and plot it:
//! ever finer steps towards the slowest request.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

/// Steps in each halving of the distance to 100 %; HdrHistogram's and wrk2's own default.
const TICKS_PER_HALF_DISTANCE: u32 = 5;
/// Microseconds in a millisecond, the unit of what is printed.
const US_PER_MS: f64 = 1000.0;

/// One line of a spectrum.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Line {
    /// In milliseconds.
    value_ms: f64,
    /// 0 to 1.
    quantile: f64,
    /// Values up to this one.
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

/// As text: columns `Value` (milliseconds), `Percentile`, `TotalCount`, `1/(1-Percentile)`, and
/// a footer; what HdrHistogram's `outputPercentileDistribution` writes with a ratio of 1000.
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
    // Not as wide as the highest bucket, but as HdrHistogram says it: of a power of two.
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

/// As points of a curve: `1/(1 - quantile)` and milliseconds; the last is the slowest value,
/// one of as many as there are.
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

    fn to_a_thousand() -> Histogram<u64> {
        let mut h = new_histogram();
        (1..=1000).for_each(|us| h.record(us).unwrap());
        h
    }

    #[test]
    fn the_text_has_head_lines_and_foot_as_hdr_histogram_prints_them() {
        let text = hgrm(&to_a_thousand());
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
    fn the_curve_rises_from_the_least_to_the_slowest_value() {
        let curve = curve(&to_a_thousand());
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
    fn of_nothing_there_is_no_curve() {
        assert!(curve(&new_histogram()).is_empty());
    }
}
