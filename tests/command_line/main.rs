//! The command line: output, exit codes, and processes left running.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod broken_plans;
mod errors;
#[cfg(target_os = "linux")]
mod operating;
#[cfg(target_os = "linux")]
mod processes;
#[cfg(target_os = "linux")]
mod screen;
