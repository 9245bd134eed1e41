//! The core of Vajra: the swarm protocol and the metrics that it merges, without I/O.
//!
//! | module | contents |
//! |---|---|
//! | [`protocol`] | sans-IO state machines: membership, election, leases, shares, merged metrics |
//! | [`splitmix`] | a seeded generator of pseudo-random numbers |
//! | [`intervals`] | sets of slots and of request numbers |
//! | [`user_slots`] | the slots of virtual users |
//! | [`metrics`] | counters and histograms of a worker |
//! | [`sync`] | locking a mutex |
//! | [`text`] | text cut at a number of bytes |
//!
//! Nothing here has a socket, a thread, a clock or a random number generator of its own. The
//! runtime drives it with real ones, the simulator with simulated ones.

mod hook;
pub mod intervals;
pub mod metrics;
pub mod protocol;
pub mod splitmix;
pub mod sync;
pub mod text;
pub mod user_slots;

pub use hook::Hook;
pub use intervals::{
    Interval, Intervals, MAX_HELD_INTERVALS, MAX_INTERVALS, Numbers, SLOTS, Slots,
};
