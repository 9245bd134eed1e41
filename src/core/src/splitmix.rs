//! SplitMix64 (Steele, Lea and Flood, 2014): a fast generator whose whole state is its seed.
//!
//! For jitter, sampling and simulation, where the same seed must give the same numbers on every
//! machine. Not for secrets.

/// Increment of the state: 2⁶⁴ divided by the golden ratio.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of pseudo-random numbers.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The stream of a seed.
    pub const fn new(seed: u64) -> SplitMix64 {
        SplitMix64(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// A number below `n`, or 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// A number from 0 (included) to 1 (excluded).
    pub fn unit(&mut self) -> f64 {
        unit(self.next_u64())
    }
}

/// The output number `i` of the stream of `seed`, computed without the ones before it.
pub fn hash(seed: u64, i: u64) -> u64 {
    const SALT: u64 = 0x5851_f42d_4c95_7f2d;
    mix(mix(seed ^ SALT)
        .wrapping_add(i.wrapping_mul(GAMMA))
        .wrapping_add(GAMMA))
}

/// 64 random bits as a number from 0 (included) to 1 (excluded).
pub fn unit(bits: u64) -> f64 {
    // The upper 53 bits are what a f64 can hold exactly.
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_matches_the_reference_implementation() {
        let mut stream = SplitMix64::new(1_234_567);
        let first = [stream.next_u64(), stream.next_u64(), stream.next_u64()];
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(first, expected);
    }

    #[test]
    fn unit_values_are_uniform_below_one() {
        let mut stream = SplitMix64::new(1);
        let mut tenths = [0u32; 10];
        for _ in 0..100_000 {
            tenths[(stream.unit() * 10.0) as usize] += 1;
        }
        assert!(
            tenths.iter().all(|n| (9_500..10_500).contains(n)),
            "{tenths:?}"
        );
    }
}
