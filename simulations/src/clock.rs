//! A node's clock: its own origin, and up to 1 % too fast or too slow.

use vajra_node::protocol::Time;

/// True time since the beginning of the world, in nanoseconds.
pub type TrueTime = u64;

/// One millisecond of true time.
pub const MS: TrueTime = 1_000_000;
/// One second of true time.
pub const SECOND: TrueTime = 1_000 * MS;

/// A node's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clock {
    /// What it shows at the beginning of the world.
    pub origin: u64,
    /// Parts per million that it is fast; negative is slow.
    pub drift_ppm: i64,
}

impl Clock {
    /// What it shows at a true time.
    pub fn local(&self, at: TrueTime) -> Time {
        let scaled = i128::from(at) * i128::from(1_000_000 + self.drift_ppm) / 1_000_000;
        Time(self.origin + scaled as u64)
    }

    /// The first true time at which it shows `local` or later.
    pub fn true_time(&self, local: Time) -> TrueTime {
        if local.0 <= self.origin {
            return 0;
        }
        let since = i128::from(local.0 - self.origin);
        let speed = i128::from(1_000_000 + self.drift_ppm);
        let at = (since * 1_000_000 + speed - 1) / speed;
        TrueTime::try_from(at).unwrap_or(TrueTime::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_up_is_never_early() {
        for drift_ppm in [-10_000, -7, 0, 3, 9_999] {
            let clock = Clock {
                origin: 77,
                drift_ppm,
            };
            for local in [78, 1_000, 123_456_789, 99 * SECOND] {
                let at = clock.true_time(Time(local));
                assert!(clock.local(at).0 >= local);
                assert!(at == 0 || clock.local(at - 1).0 <= local);
            }
        }
    }
}
