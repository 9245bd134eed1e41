//! Arrivals: what the engine asks a session to run.

use std::time::Duration;

/// An arrival that a session runs: a request, or an iteration of several steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Number, unique in the test. In the open model arrivals are numbered in the order in which
    /// they are due.
    pub number: u64,
    /// Virtual user that runs it; only in the closed model.
    pub user: Option<u32>,
    /// Iterations of that user before this one.
    pub iteration: u32,
}

impl Arrival {
    /// Seed of its random numbers: the same in every run of a plan.
    pub fn seed(&self) -> u64 {
        match self.user {
            Some(user) => u64::from(self.iteration) << 20 | u64::from(user),
            None => self.number,
        }
    }

    /// Position in a round-robin sequence. In the open model all arrivals share one sequence; in
    /// the closed model each user starts at its own offset.
    pub fn position(&self) -> u64 {
        match self.user {
            Some(user) => u64::from(user) + u64::from(self.iteration),
            None => self.number,
        }
    }
}

/// The step that follows a request of the same arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextStep {
    /// Index of the step among all steps of the plan.
    pub step: usize,
    /// Pause before it.
    pub pause: Duration,
}
