//! Tests with several real nodes on loopback and a real target.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod basics;
mod data;
mod exactness;
mod history;
mod load_commands;
mod preflight;
mod reports;
mod scenarios;
#[cfg(target_os = "linux")]
mod suites;
mod timeline;
