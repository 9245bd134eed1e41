//! Random numbers for the target: good enough to spread latencies, and repeatable.

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// Evenly spread over 0 (included) to 1 (not included).
    pub(super) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // The upper 53 bits are what a f64 can hold exactly.
        (z >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_even_and_stays_below_one() {
        let mut dice = Dice::new(1);
        let mut tenths = [0u32; 10];
        for _ in 0..100_000 {
            tenths[(dice.unit() * 10.0) as usize] += 1;
        }
        assert!(
            tenths.iter().all(|n| (9_500..10_500).contains(n)),
            "{tenths:?}"
        );
    }
}
