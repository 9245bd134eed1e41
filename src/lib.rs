//! Vajra: a load generator without a master.
//!
//! Every machine runs the same binary, `vajra-node`. Nodes find each other, any of them can
//! start a test, the swarm elects a coordinator for it, splits the load, runs it, and every
//! node can show the merged result.
//!
//! The rooms of the house, from the inside out; dependencies point inwards only:
//!
//! | room | what lives there |
//! |---|---|
//! | [`protocol`] | sans-IO state machines: membership, election, leases, shares, the merge |
//! | [`plan`] | the test plan: parsing, validation, the profile as a pure function of time |
//! | `wire` | generated messages to and from protocol types; every limit on outside bytes |
//! | `network` | libp2p: identity, discovery, gossip, request-response |
//! | `tasks` | what an arrival does: HTTP, SLEEP, CPU; the target policy |
//! | `load` | the engine: a profile and a share become arrivals; the lease gate |
//! | `node` | the driver: real clock, sockets and randomness around `protocol` |
//! | `report` | results as text, JSON, HTML and histogram logs; comparisons |
//! | `assets` | the chart library that pages are drawn with |
//! | `api` | the HTTP API |
//! | `cli` | commands and terminal display |
//!
//! [`version`] says which build this is.
//!
//! Without the default feature `node` only the pure core, `protocol` and `plan`, is built.

pub mod plan;
pub mod protocol;
pub mod version;

#[cfg(feature = "node")]
pub mod api;
#[cfg(feature = "node")]
pub mod assets;
#[cfg(feature = "node")]
pub mod cli;
#[cfg(feature = "node")]
pub mod load;
#[cfg(feature = "node")]
pub mod network;
#[cfg(feature = "node")]
pub mod node;
#[cfg(feature = "node")]
pub mod report;
#[cfg(feature = "node")]
pub mod tasks;
#[cfg(feature = "node")]
pub mod wire;
