//! The scenario of each arrival.
//!
//! Scenarios follow a fixed pattern with each as often as its weight, spread evenly (smooth weighted
//! round robin). So every node can compute the scenario of any arrival, and how many arrivals of each
//! scenario precede it, without any state.

/// A fixed, repeating order of scenarios.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    pattern: Vec<u16>,
}

impl Mix {
    /// The order for these weights, of which at least one is above 0.
    pub fn new(weights: &[u32]) -> Mix {
        let divisor = weights.iter().copied().fold(0, gcd).max(1);
        let weights: Vec<i64> = weights.iter().map(|w| i64::from(w / divisor)).collect();
        let total: i64 = weights.iter().sum();
        let mut credit = vec![0i64; weights.len()];
        let pattern = (0..total.max(1)).map(|_| {
            let mut best = 0;
            for (i, weight) in weights.iter().enumerate() {
                credit[i] += weight;
                if credit[i] > credit[best] {
                    best = i;
                }
            }
            credit[best] -= total;
            best as u16
        });
        Mix {
            pattern: pattern.collect(),
        }
    }

    /// The scenario at position `n` of the order.
    pub fn scenario(&self, n: u64) -> usize {
        usize::from(self.pattern[(n % self.pattern.len() as u64) as usize])
    }

    /// Number of positions before `n` with a scenario for which `counts` is true.
    pub fn before(&self, n: u64, counts: impl Fn(usize) -> bool) -> u64 {
        let length = self.pattern.len() as u64;
        let within = |part: &[u16]| part.iter().filter(|s| counts(usize::from(**s))).count();
        let rest = (n % length) as usize;
        n / length * within(&self.pattern) as u64 + within(&self.pattern[..rest]) as u64
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    match b {
        0 => a,
        b => gcd(b, a % b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_spread_evenly_by_weight() {
        let mix = Mix::new(&[60, 30, 10]);
        assert_eq!(mix.pattern.len(), 10);
        for (scenario, times) in [(0, 6), (1, 3), (2, 1)] {
            assert_eq!(mix.before(1_000, |s| s == scenario), times * 100);
        }
        assert!(mix.pattern.windows(3).all(|w| w != [0, 0, 0]));
    }

    #[test]
    fn the_count_before_a_position_agrees_with_counting() {
        let mix = Mix::new(&[3, 2, 0, 4]);
        for n in 0..100 {
            let counted = (0..n).filter(|i| mix.scenario(*i) % 2 == 1).count();
            assert_eq!(mix.before(n, |s| s % 2 == 1), counted as u64, "{n}");
        }
    }
}
