//! Poisson arrivals that are the same on every node.
//!
//! Given the number of arrivals of a Poisson process in an interval, the arrivals are independent and
//! uniformly distributed. The number is that of the plan; the points come from a tree: the number of
//! points in the left half of an interval is binomial, and each half is split the same way, down to
//! intervals with a few points, which are drawn and sorted. Every draw depends only on the position
//! in the tree, so that any point takes a few hundred hashes, in any order, on any node, without a
//! table. Only exact operations (integers, and IEEE square root, sum and product) are used, so that
//! all machines agree to the bit.

use vajra_core::splitmix::{hash, unit};

/// Most points of an interval that is not split further.
const LEAF: u64 = 16;

/// Most points for an exact binomial draw; larger ones are scaled up from [`SAMPLE`] bits.
const EXACT: u64 = 4096;

/// Random bits whose count approximates the points in the left half of a larger interval: itself a
/// binomial distribution, with tails to 16 standard deviations.
const SAMPLE: u64 = 1024;

/// Sorted, uniformly distributed random points from 0 to 1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Points {
    total: u64,
}

impl Points {
    /// This many points.
    pub fn new(total: u64) -> Points {
        Points { total }
    }

    /// Position of point `k` (from 0), 0 to 1; 1 if there are fewer points.
    pub fn position(self, k: u64) -> f64 {
        if k >= self.total {
            return 1.0;
        }
        let (mut node, mut n, mut k) = (1u64, self.total, k);
        let (mut from, mut width) = (0.0, 1.0);
        while n > LEAF && node < 1 << 62 {
            let left = in_left_half(node, n);
            width /= 2.0;
            if k < left {
                (node, n) = (2 * node, left);
            } else {
                (node, n, k) = (2 * node + 1, n - left, k - left);
                from += width;
            }
        }
        from + width * in_leaf(node, n, k)
    }
}

/// Number of an interval's `n` points in its left half.
fn in_left_half(node: u64, n: u64) -> u64 {
    if n <= EXACT {
        return ones(node, n);
    }
    // In standard deviations, smoothed between the steps of the count.
    let half = SAMPLE as f64 / 2.0;
    let step = unit(hash(node, SAMPLE)) - 0.5;
    let deviation = (ones(node, SAMPLE) as f64 - half + step) / (half / 2.0).sqrt();
    let left = n as f64 / 2.0 + deviation * (n as f64 / 4.0).sqrt();
    (left.max(0.0) as u64).min(n)
}

/// Number of ones among `bits` random bits.
fn ones(node: u64, bits: u64) -> u64 {
    let whole: u64 = (0..bits / 64)
        .map(|i| u64::from(hash(node, i).count_ones()))
        .sum();
    match bits % 64 {
        0 => whole,
        rest => whole + u64::from((hash(node, bits / 64) >> (64 - rest)).count_ones()),
    }
}

/// Point `k` of the `n` in a leaf, 0 to 1.
fn in_leaf(node: u64, n: u64, k: u64) -> f64 {
    let mut points = [u64::MAX; LEAF as usize];
    let n = (n as usize).min(points.len());
    for (i, point) in points[..n].iter_mut().enumerate() {
        *point = hash(node, i as u64);
    }
    points[..n].sort_unstable();
    unit(points[(k as usize).min(n.saturating_sub(1))])
}

#[cfg(test)]
mod tests {

    use super::*;

    fn all(total: u64) -> Vec<f64> {
        let points = Points::new(total);
        (0..total).map(|k| points.position(k)).collect()
    }

    #[test]
    fn points_are_sorted_and_have_the_given_number() {
        for total in [1, 16, 17, 1_000, 100_000] {
            let points = all(total);
            assert!(points.is_sorted(), "{total}");
            assert!(points.iter().all(|p| (0.0..1.0).contains(p)));
            assert_eq!(Points::new(total).position(total), 1.0);
        }
    }

    /// Gaps of a Poisson process are exponential: their mean is 1, their variance 1, and
    /// e⁻ˣ of them are longer than x. Counts in equal windows have their mean as variance.
    #[test]
    fn gaps_are_exponential_and_counts_are_poisson() {
        let total = 200_000;
        let points = all(total);
        let gaps: Vec<f64> = points
            .windows(2)
            .map(|p| (p[1] - p[0]) * total as f64)
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
        for x in [0.1, 0.5, 1.0, 2.0, 4.0] {
            let longer = gaps.iter().filter(|g| **g > x).count() as f64 / gaps.len() as f64;
            assert!((longer - (-x).exp()).abs() < 0.005, "{x}: {longer}");
        }
        for windows in [10_000, 2_000, 100] {
            let mut counts = vec![0f64; windows];
            for p in &points {
                counts[(p * windows as f64) as usize] += 1.0;
            }
            let mean = total as f64 / windows as f64;
            let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / windows as f64;
            let bound = 5.0 * (2.0 / windows as f64).sqrt();
            assert!(
                (variance / mean - 1.0).abs() < bound,
                "{windows}: {variance} {mean}"
            );
        }
    }

    /// Every machine must compute the same positions; these were computed once.
    #[test]
    fn positions_never_change() {
        let points = Points::new(86_400_000_000);
        let at = |k| (points.position(k) * 1e12) as u64;
        assert_eq!(
            [at(0), at(1_000_000), at(86_399_999_999)],
            [17, 11_568_641, 999_999_999_977]
        );
    }
}
