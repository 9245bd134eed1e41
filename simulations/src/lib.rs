//! A deterministic simulator of a swarm.
//!
//! It runs the very protocol code that the nodes run ([`vajra_node::protocol`]), over a
//! network, clocks, engines and faults of its own making. Time is virtual and jumps from
//! event to event; everything random comes from one seed, so the same seed gives the same
//! run, to the last bit of its trace hash.
//!
//! | module | what it makes up |
//! |---|---|
//! | [`rng`] | randomness, from a seed |
//! | [`clock`] | a node's clock: its own origin, its own speed |
//! | [`links`] | who hears whom, how late, how often |
//! | [`engine`] | a load engine that obeys orders and counts |
//! | [`faults`] | what goes wrong, as a value made from the seed |
//! | [`world`] | all of it together |
//! | [`checks`] | the invariants, each in a file of its own |

pub mod checks;
pub mod clock;
pub mod engine;
pub mod faults;
pub mod links;
pub mod rng;
pub mod world;
