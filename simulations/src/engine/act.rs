//! What engines do, and what all engines of a test have in common.

use std::time::Duration;

use vajra_core::protocol::Time;

use crate::scenario::Plan;

/// Step from the slot of one arrival or user to that of the next.
pub const STEP: u64 = 618_033;
/// What an engine did, by its own clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// It sent an arrival.
    Arrival(u64),
    /// It used a request number.
    Number(u64),
    /// A user had an iteration.
    Iteration {
        /// The user.
        user: u32,
        /// Start.
        from: Time,
        /// End, or interruption.
        to: Time,
    },
}

/// A fixed property of all engines of a test.
#[derive(Clone, Debug)]
pub struct EngineSpec {
    /// Plan.
    pub plan: Plan,
    /// Most time that a pause adds.
    pub max_pause: Duration,
    /// Seed of the response times.
    pub seed: u64,
    /// Recorded response time.
    pub response_us: u64,
}
