//! What all engines of a test did, by true time.

use std::time::Duration;

use crate::clock::Clock;
use crate::engine::Act;

/// An iteration of a user.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Iteration {
    /// True time of its start.
    pub from: Duration,
    /// True time of its end.
    pub to: Duration,
    /// Machine.
    pub machine: usize,
}

/// An arrival, or a request number, that two machines carried out or one carried out twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repeated {
    /// `arrival` or `request number`.
    pub what: &'static str,
    /// Its number.
    pub number: u64,
    /// The machines.
    pub machines: (usize, usize),
}

/// The record.
#[derive(Debug, Default)]
pub struct Acts {
    /// Machine of each arrival, plus one.
    arrivals: Vec<u16>,
    /// Machine of each request number, plus one.
    numbers: Vec<u16>,
    /// Iterations of each user.
    pub users: Vec<Vec<Iteration>>,
    /// The first repetition.
    pub repeated: Option<Repeated>,
}

fn take(taken: &mut Vec<u16>, number: u64, machine: usize) -> Option<usize> {
    let index = number as usize;
    if taken.len() <= index {
        taken.resize(index + 1 + index / 2, 0);
    }
    let before = std::mem::replace(&mut taken[index], machine as u16 + 1);
    before.checked_sub(1).map(usize::from)
}

impl Acts {
    /// A machine with this clock did something.
    pub fn record(&mut self, machine: usize, clock: Clock, act: Act) {
        let (what, number, other) = match act {
            Act::Arrival(k) => ("arrival", k, take(&mut self.arrivals, k, machine)),
            Act::Number(n) => ("request number", n, take(&mut self.numbers, n, machine)),
            Act::Iteration { user, from, to } => {
                let user = user as usize;
                if self.users.len() <= user {
                    self.users.resize(user + 1, Vec::new());
                }
                let from = clock.truth(from).unwrap_or_default();
                let to = clock.truth(to).unwrap_or(Duration::MAX);
                self.users[user].push(Iteration { from, to, machine });
                return;
            }
        };
        if let Some(other) = other {
            self.repeated.get_or_insert(Repeated {
                what,
                number,
                machines: (other, machine),
            });
        }
    }

    /// Number of different arrivals, or of different request numbers, that were carried out.
    pub fn count(&self) -> (usize, usize) {
        let count = |taken: &[u16]| taken.iter().filter(|m| **m > 0).count();
        (count(&self.arrivals), count(&self.numbers))
    }
}
