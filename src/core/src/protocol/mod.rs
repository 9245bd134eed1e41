//! The protocol of the swarm as sans-IO state machines.
//!
//! [`Node`] is the whole of it: `handle(now, input)` returns outputs, `next_wake()` says when
//! to come again at the latest. It has no socket, no thread, no clock and no randomness of
//! its own, so a driver can run it on real ones (`vajra_runtime`) and a simulator on made-up
//! ones (the crate `simulations`), and both run the same rules.
//!
//! | module | idea |
//! |---|---|
//! | [`membership`] | who is in the swarm, from adverts |
//! | [`rendezvous`] | who may vote on a test's coordinator |
//! | [`election`] | terms, polls, claims, votes, promises, beats, authority |
//! | [`coordinator`] | registration, shares, heartbeats, the end |
//! | [`decisions`] | what is decided on the way, and known to a majority before it counts |
//! | [`ledger`] | what a worker may be acting on, as its coordinator must assume |
//! | [`split`] | the whole in parts that add up exactly |
//! | [`worker`] | registering, renewing, obeying numbered orders, delivering results |
//! | [`clock`] | another node's clock, estimated |
//! | [`crate::metrics`], [`merge`] | what is measured, and how it becomes one result |
//! | [`budget`] | what metrics may cost a node |
//! | [`mod@test`] | one test's life on one node |
//! | [`node`] | all of it |
//! | [`preflight`] | what nodes ask each other before a test |
//! | [`planted`] | deliberate bugs, to check the simulator by |
//!
//! Two leases carry the promise that the target never sees more than the plan: a
//! coordinator's *authority* to grant shares, and a worker's *share*. Both are counted
//! short by whoever holds them and long by whoever waits for their end ([`time`]).

pub mod budget;
pub mod clock;
pub mod coordinator;
pub mod decisions;
mod effects;
pub mod election;
#[cfg(test)]
pub(crate) mod fakes;
pub mod id;
pub mod ledger;
pub mod membership;
pub mod merge;
pub mod messages;
pub mod node;
pub mod planted;
pub mod preflight;
pub mod rendezvous;
pub mod spec;
pub mod split;
pub mod test_run;
pub mod time;
pub mod worker;

pub use effects::{Acceptance, Effects, EngineOrder, Output};
pub use id::{Digest, Incarnation, NodeId, Peer, TestId};
pub use node::{Input, Node};
pub use test_run::Measurement;
pub use time::{RemoteTime, Time};
