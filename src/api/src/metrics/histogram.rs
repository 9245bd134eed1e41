//! Converts an HdrHistogram of microseconds to a Prometheus histogram of seconds.
//!
//! Each bucket counts the values up to its bound, to the resolution of the HdrHistogram (0.1 %).
//! Buckets of several nodes or tests can be summed: a quantile of the sums is a quantile of the merged
//! distribution, to within a bucket.

use hdrhistogram::Histogram;

/// Upper bounds in microseconds: three to five per decade, from 100 µs to one minute. Each bound adds
/// a series per test and node.
const BOUNDS_US: [u64; 24] = [
    100, 250, 500, 1_000, 2_000, 3_000, 5_000, 7_500, 10_000, 20_000, 30_000, 50_000, 75_000,
    100_000, 200_000, 300_000, 500_000, 750_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000,
    30_000_000, 60_000_000,
];

/// A distribution in the form that the encoder takes.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Buckets {
    /// Sum of all values in seconds, to 0.1 %.
    pub sum_s: f64,
    /// Number of values.
    pub count: u64,
    /// Upper bound in seconds, and the number of values between it and the previous bound.
    pub buckets: Vec<(f64, u64)>,
}

impl Buckets {
    /// Converts a histogram of microseconds.
    pub fn of(h: &Histogram<u64>) -> Buckets {
        let mut counts = [0; BOUNDS_US.len() + 1];
        // An integer, so that the sum never decreases while counts increase.
        let mut sum_us: u128 = 0;
        for v in h.iter_recorded() {
            let value = v.value_iterated_to();
            // A value equal to a bound is the lowest of its equivalents and belongs to that bound.
            let lowest = h.lowest_equivalent(value);
            let bucket = BOUNDS_US.partition_point(|bound| *bound < lowest);
            counts[bucket] += v.count_at_value();
            sum_us += u128::from(h.median_equivalent(value)) * u128::from(v.count_at_value());
        }
        let bounds = BOUNDS_US.iter().map(|us| *us as f64 / 1e6);
        Buckets {
            sum_s: sum_us as f64 / 1e6,
            count: h.len(),
            buckets: bounds.chain([f64::INFINITY]).zip(counts).collect(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use vajra_core::metrics::new_histogram;

    fn up_to(b: &Buckets, bound: f64) -> u64 {
        let below = b.buckets.iter().filter(|(le, _)| *le <= bound);
        below.map(|(_, n)| n).sum()
    }

    #[test]
    fn a_bucket_includes_its_upper_bound() {
        let mut h = new_histogram();
        for us in [1, 100, 101, 1_000, 1_001, 10_000, 10_100, 60_000_000] {
            h.record(us).unwrap();
        }
        let b = Buckets::of(&h);
        assert_eq!(b.count, 8);
        assert_eq!(up_to(&b, 0.0001), 2);
        assert_eq!(up_to(&b, 0.001), 4);
        assert_eq!(up_to(&b, 0.01), 6);
        assert_eq!(up_to(&b, 30.0), 7);
        assert_eq!(up_to(&b, 60.0), 8);
        assert_eq!(up_to(&b, f64::INFINITY), b.count);
    }

    #[test]
    fn values_beyond_the_last_bound_are_in_the_last_bucket() {
        let mut h = new_histogram();
        h.record(3_600_000_000).unwrap();
        let b = Buckets::of(&h);
        assert_eq!(up_to(&b, 60.0), 0);
        assert_eq!(up_to(&b, f64::INFINITY), 1);
    }

    #[test]
    fn the_sum_is_exact_to_a_thousandth() {
        let mut h = new_histogram();
        (1..=10_000).for_each(|ms| h.record(ms * 1_000).unwrap());
        let sum = Buckets::of(&h).sum_s;
        let exact = 10_000.0 * 10_001.0 / 2.0 / 1e3;
        assert!((sum - exact).abs() < exact / 1e3, "{sum} {exact}");
    }

    #[test]
    fn buckets_of_merged_histograms_are_the_sum_of_their_buckets() {
        let (mut a, mut b) = (new_histogram(), new_histogram());
        for i in 1..5_000u64 {
            a.record(i * i % 900_000).unwrap();
            b.record(i * 37 % 40_000).unwrap();
        }
        let (of_a, of_b) = (Buckets::of(&a), Buckets::of(&b));
        a.add(&b).unwrap();
        let both = Buckets::of(&a);
        let sums = of_a.buckets.iter().zip(&of_b.buckets);
        let sums: Vec<u64> = sums.map(|((_, a), (_, b))| a + b).collect();
        assert_eq!(
            both.buckets.iter().map(|(_, n)| *n).collect::<Vec<_>>(),
            sums
        );
    }
}
