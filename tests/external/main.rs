//! Other programs as judges: a browser, Prometheus, validators of OpenAPI. Where a program is
//! missing, the test reports itself ignored.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../common/browser.rs"]
mod browser;
#[path = "../common/mod.rs"]
mod common;

mod dashboard;
mod metrics;
mod openapi;
