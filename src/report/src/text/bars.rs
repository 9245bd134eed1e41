//! A distribution as a bar chart.

use hdrhistogram::Histogram;

use vajra_results::units;

/// Length of the longest bar, in columns.
const BAR: usize = 40;

/// Number of ranges up to the 99.9th percentile; one more has the values above it.
const RANGES: u64 = 10;

/// The number of values in each range, by the range's upper bound in microseconds: `count` ranges
/// (at least one) of equal length from `low` to the 99.9th percentile, and one for the values
/// above it. Values below `low` are in the first range. Each value is in exactly one range, even
/// if a bound falls within a bucket of the histogram.
pub fn ranges(h: &Histogram<u64>, low: u64, count: u64) -> Vec<(u64, u64)> {
    let top = h.value_at_quantile(0.999).max(1);
    let length = top.saturating_sub(low).div_ceil(count.max(1));
    let bounds = (1..count).map(|i| low + i * length);
    let bounds = bounds.filter(|bound| *bound > low && *bound < top);
    let mut ranges: Vec<(u64, u64)> = bounds.chain([top]).map(|bound| (bound, 0)).collect();
    let mut beyond = 0;
    for value in h.iter_recorded() {
        let (at, n) = (value.value_iterated_to(), value.count_at_value());
        match ranges.iter_mut().find(|(bound, _)| at <= *bound) {
            Some((_, count)) => *count += n,
            None => beyond += n,
        }
    }
    if beyond > 0 {
        ranges.push((h.max(), beyond));
    }
    ranges
}

/// A line for each range: its upper bound, its number of values, and a bar.
pub(super) fn bars(h: &Histogram<u64>) -> String {
    let ranges = ranges(h, 0, RANGES);
    let most = ranges.iter().map(|(_, n)| *n).max().unwrap_or(0).max(1);
    let mut out = String::new();
    for (bound, n) in ranges {
        let length = (n as f64 / most as f64 * BAR as f64).round() as usize;
        // A range with values has a visible bar.
        let bar = "▇".repeat(length.max(usize::from(n > 0)));
        let (bound, n) = (units::time(bound as f64 / 1e3), units::count(n));
        let line = format!("    ≤ {bound:>10}  {n:>13}  {bar}");
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use vajra_core::metrics::new_histogram;

    /// Above 2 ms the histogram's buckets are wider than a microsecond, and most bounds fall within
    /// one.
    #[test]
    fn every_value_is_in_exactly_one_range() {
        let mut h = new_histogram();
        let mut value = 1_000_003_u64;
        for _ in 0..50_000 {
            value = value
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            h.record(1 + (value >> 33) % 9_876_543).unwrap();
        }
        for low in [0, 1_000, 5_000_000, 9_876_543, 99_999_999] {
            let ranges = ranges(&h, low, RANGES);
            assert_eq!(ranges.iter().map(|(_, n)| n).sum::<u64>(), h.len());
            assert!(ranges.is_sorted_by(|a, b| a.0 < b.0), "{ranges:?}");
        }
    }

    #[test]
    fn one_value_fills_one_bar() {
        let mut h = new_histogram();
        h.record_n(5_000, 7).unwrap();
        let shown = bars(&h);
        assert_eq!(shown.matches('▇').count(), BAR);
        assert!(
            shown.ends_with(&format!("7  {}\n", "▇".repeat(BAR))),
            "{shown}"
        );
    }

    #[test]
    fn values_above_the_999th_permille_have_a_range_of_their_own() {
        let mut h = new_histogram();
        h.record_n(1_000, 99_990).unwrap();
        h.record_n(2_000_000, 10).unwrap();
        let shown = bars(&h);
        assert!(
            shown
                .lines()
                .last()
                .unwrap()
                .contains("2.00 s             10  ▇"),
            "{shown}"
        );
    }
}
