//! Splits the load over workers so that the parts add up exactly.

use super::planted::{Bug, planted};
use super::spec::SLOTS;

/// Splits `total` slots in proportion to `weights` by the largest remainder method: each part is
/// its exact quota rounded down or up, and the parts add up to `total`. Of equal remainders the
/// earlier worker's is rounded up, so the result depends on the arguments only.
///
/// All-zero weights count as equal ones; without weights there are no parts.
pub fn split(total: u32, weights: &[u32]) -> Vec<u32> {
    if weights.is_empty() {
        return Vec::new();
    }
    let sum: u64 = weights.iter().map(|w| u64::from(*w)).sum();
    if sum == 0 {
        return split(total, &vec![1; weights.len()]);
    }
    let total = u64::from(total.min(SLOTS));
    let mut parts: Vec<u32> = Vec::with_capacity(weights.len());
    let mut remainders: Vec<(u64, usize)> = Vec::with_capacity(weights.len());
    for (i, w) in weights.iter().enumerate() {
        let scaled = total * u64::from(*w);
        parts.push((scaled / sum) as u32);
        remainders.push((scaled % sum, i));
    }
    if planted(Bug::SplitRoundsUp) {
        return parts.iter().map(|p| p + 1).collect();
    }
    let given: u64 = parts.iter().map(|p| u64::from(*p)).sum();
    remainders.sort_by_key(|(r, i)| (std::cmp::Reverse(*r), *i));
    for (_, i) in remainders.into_iter().take((total - given) as usize) {
        parts[i] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_exactly_and_each_is_its_quota_rounded() {
        for n in 1..60u32 {
            let weights: Vec<u32> = (0..n).map(|i| 1 + i * i % 17).collect();
            let sum: f64 = weights.iter().map(|w| f64::from(*w)).sum();
            let parts = split(SLOTS, &weights);
            assert_eq!(parts.iter().sum::<u32>(), SLOTS);
            for (w, p) in weights.iter().zip(&parts) {
                let quota = f64::from(SLOTS) * f64::from(*w) / sum;
                assert!((f64::from(*p) - quota).abs() < 1.0);
            }
        }
    }

    #[test]
    fn parts_of_equal_weights_differ_by_at_most_one_and_earlier_ones_are_larger() {
        assert_eq!(split(SLOTS, &[7, 7, 7]), [333_334, 333_333, 333_333]);
    }

    #[test]
    fn zero_weights_count_as_equal() {
        assert_eq!(split(10, &[0, 0]), [5, 5]);
        assert!(split(10, &[]).is_empty());
    }

    #[test]
    fn extreme_weights_do_not_overflow() {
        let parts = split(SLOTS, &[u32::MAX; 3]);
        assert_eq!(parts.iter().sum::<u32>(), SLOTS);
    }
}
