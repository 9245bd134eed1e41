//! Tests with other programs: a browser, Prometheus, OpenAPI validators. Without its program, a
//! test is reported as ignored.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../common/browser.rs"]
mod browser;
#[path = "../common/mod.rs"]
mod common;

mod dashboard;
mod metrics;
mod openapi;
