//! The driver: the only place where the protocol's outputs become I/O.
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | what a node is started with |
//! | [`run`] | starts and ends a node; its control plane has a thread and runtime of its own |
//! | `driver` | the loop: events, commands, measurements and time in; I/O out |
//! | `engine` | the load engine as the protocol sees it |
//! | [`preflight`] | whether a plan would run, on every node |
//! | [`inspect`] | from a plan to what the protocol must know of it |
//! | `view` | nodes, tests, results and progress, as the API shows them |
//! | `store` | results on disk, or the last few in memory |
//! | [`observe`] | what a node shows to a monitoring system |
//! | `history`, `records` | which results other nodes hold; fetching them |
//! | `serving` | what is handed out to other nodes just now |
//! | `clocks`, `swarm_log`, `environment` | other nodes' clocks, comings and goings; what this machine is |
//! | [`blobs`] | data files at hand, by their SHA-256 |
//! | `fetch`, `spread`, `calls` | data files from node to node |
//! | [`handle`] | what the rest of the program may ask of a running node |

pub mod blobs;
mod calls;
mod clocks;
pub mod config;
mod distribute;
mod driver;
mod engine;
mod environment;
mod fetch;
pub mod handle;
mod history;
pub mod inspect;
pub mod observe;
pub mod preflight;
mod records;
pub mod run;
mod serving;
mod store;
mod swarm_log;
mod view;
