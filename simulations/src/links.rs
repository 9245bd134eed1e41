//! Who hears whom, how late, and how often.

use crate::clock::{MS, TrueTime};
use crate::rng::Rng;

/// How messages travel, when nothing is cut.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Weather {
    /// Shortest delay.
    pub min: TrueTime,
    /// Longest usual delay.
    pub max: TrueTime,
    /// Messages lost, in percent.
    pub loss: f64,
    /// Messages doubled, in percent.
    pub doubled: f64,
    /// Messages delayed by up to six seconds, in percent.
    pub straggling: f64,
}

impl Weather {
    /// A quiet LAN.
    pub const CALM: Weather = Weather {
        min: MS / 5,
        max: 2 * MS,
        loss: 0.0,
        doubled: 0.0,
        straggling: 0.0,
    };

    /// The delays of each copy of a message that arrives.
    pub fn copies(&self, rng: &mut Rng) -> Vec<TrueTime> {
        let copies = if rng.chance(self.loss) {
            0
        } else {
            1 + usize::from(rng.chance(self.doubled))
        };
        let delay = |rng: &mut Rng| {
            let usual = rng.between(self.min, self.max);
            if rng.chance(self.straggling) {
                usual + rng.between(0, 6_000 * MS)
            } else {
                usual
            }
        };
        (0..copies).map(|_| delay(rng)).collect()
    }
}

/// The cuts between nodes: `cut[a][b]` means that b does not hear a.
#[derive(Clone, Debug)]
pub struct Cuts(Vec<Vec<bool>>);

impl Cuts {
    /// None, between `nodes` nodes.
    pub fn none(nodes: usize) -> Cuts {
        Cuts(vec![vec![false; nodes]; nodes])
    }

    /// Whether `to` hears `from`.
    pub fn hears(&self, from: usize, to: usize) -> bool {
        !self.0[from][to]
    }

    /// Cuts the nodes of `side` (a bit each) off from the others: both ways, or so that the
    /// side hears the others and is not heard.
    pub fn cut(&mut self, side: u64, one_way: bool) {
        let inside = |i: usize| side >> i & 1 == 1;
        for a in 0..self.0.len() {
            for b in 0..self.0.len() {
                let leaves = inside(a) && !inside(b);
                let enters = !inside(a) && inside(b);
                self.0[a][b] |= leaves || (enters && !one_way);
            }
        }
    }

    /// Heals everything.
    pub fn heal(&mut self) {
        self.0.iter_mut().flatten().for_each(|c| *c = false);
    }
}
