//! The swarm protocol as sans-IO state machines.
//!
//! [`Node`] is the entry point: `handle(now, input)` returns outputs, and `next_wake()` returns the
//! latest time of the next call. It has no socket, thread, clock or source of randomness, so a
//! driver can run it on real ones (`vajra_runtime`) and a simulator on simulated ones (the crate
//! `simulations`) with the same rules.
//!
//! | module | contents |
//! |---|---|
//! | [`membership`] | the nodes of the swarm, from adverts |
//! | [`announcement`] | the start of a test, and its id |
//! | [`beat`], [`certificate`] | what a coordinator broadcasts, and the proof that it is one |
//! | [`signature`] | signatures of what nodes relay |
//! | [`rendezvous`] | the electorate of a test |
//! | [`election`] | terms, polls, claims, votes, promises, beats, authority |
//! | [`coordinator`] | registration, shares, heartbeats, the end of a test |
//! | [`log`] | entries that count once a majority has acknowledged them: load changes, hooks |
//! | [`allocation`] | all shares as a numbered list that workers check |
//! | [`layout`] | which slots each worker gets |
//! | [`numbers`] | numbers of limited requests |
//! | [`ledger`] | upper bound of what a worker may be acting on |
//! | [`split`] | splits the load into parts that add up exactly |
//! | [`worker`] | registration, lease renewal, numbered orders, delivery of results |
//! | [`clock`] | estimate of another node's clock |
//! | [`crate::metrics`], [`merge`] | measurements, and how they become one result |
//! | [`budget`] | traffic budget of metrics |
//! | [`test_run`] | lifecycle of one test on one node |
//! | [`node`] | all tests of a node |
//! | [`preflight`] | queries between nodes before a test |
//! | [`planted`] | deliberate bugs that check the simulator |
//!
//! Two leases guarantee that the target never receives more than the plan: a coordinator's
//! *authority* to grant shares, and a worker's *share*. The holder of a lease counts less of it,
//! and a node that waits for its end counts more ([`time`]).

pub mod allocation;
pub mod announcement;
pub mod beat;
pub mod budget;
pub mod certificate;
pub mod clock;
pub mod coordinator;
mod effects;
pub mod election;
pub mod error;
pub mod event_kind;
#[cfg(test)]
pub(crate) mod fakes;
pub mod id;
pub mod layout;
pub mod ledger;
pub mod log;
pub mod membership;
pub mod merge;
pub mod messages;
pub mod node;
pub mod numbers;
pub mod planted;
pub mod preflight;
pub mod rendezvous;
pub mod signature;
mod signed_end;
mod signed_snapshot;
pub mod spec;
pub mod split;
pub mod stop;
pub mod test_event;
pub mod test_run;
pub mod time;
pub mod worker;

pub use effects::{Acceptance, Effects, EngineHeld, EngineOrder, Output};
pub use id::{Digest, Incarnation, NodeId, Peer, TestId};
pub use node::{Input, Node};
pub use signature::{Keys, Signature, Statement};
pub use test_run::Measurement;
pub use time::{RemoteTime, Time};
