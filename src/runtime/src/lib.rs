//! One node: drives the protocol with real clocks, sockets and randomness. [`Node::builder`] is the
//! entry point.
//!
//! | module | contents |
//! |---|---|
//! | [`builder`], [`config`], [`run`] | configuring, starting and ending a node |
//! | [`handle`] | access to a running node |
//! | `driver` | the loop that routes events, commands and results of tasks |
//! | `plans`, `starts`, `load_commands`, `hooks` | tests: plans, starts, load changes, hooks |
//! | `engine` | the load engine from the protocol's point of view |
//! | [`data_files`] | data files of tests: stored, fetched, distributed |
//! | `results` | results of tests: stored, served, fetched |
//! | `timeline` | tests over time |
//! | `peers` | the other nodes: requests, clocks, links, history |
//! | `preflight` | whether a plan would run |
//! | [`status`] | what the node shows |
//! | `names` | unique names of nodes |
//! | [`host`] | the machine and the process |
//!
//! A subject (`results`, `data_files`, `timeline`, `peers`, `preflight`, …) owns its state. Its
//! methods take what they need and return what is to be done; only the driver sends and starts tasks.

mod answer;
pub mod builder;
pub mod config;
pub mod data_files;
mod driver;
mod engine;
pub mod handle;
mod hooks;
pub mod host;
mod load_changes;
mod load_commands;
mod names;
mod peers;
mod plans;
mod preflight;
mod queries;
mod results;
pub mod run;
mod starts;
pub mod status;
mod thresholds;
mod time;
mod timeline;

pub use builder::Node;
pub use data_files::blobs;
pub use status::observe;
