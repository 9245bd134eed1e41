//! A captured member of a swarm speaks the real protocol to real nodes, signs with its own key, and
//! tries to change the tests of others.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod attacker;
mod forged;
mod tests;
