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
//! | [`observe`] | what a node shows to a monitoring system |
//! | `store` | results on disk |
//! | [`blobs`] | data files at hand, by their SHA-256 |
//! | `fetch`, `spread`, `calls` | data files from node to node |
//! | [`handle`] | what the rest of the program may ask of a running node |

pub mod blobs;
mod calls;
pub mod config;
mod driver;
mod engine;
mod fetch;
pub mod handle;
pub mod inspect;
pub mod observe;
pub mod preflight;
pub mod run;
mod spread;
mod store;
mod view;
