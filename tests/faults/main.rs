//! Faults: killed, stopped and partitioned nodes, in network namespaces where needed.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod chaos;
mod closed_model;
mod closed_partition;
mod namespaces;
mod permit;
