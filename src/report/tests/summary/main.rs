//! The summary of a result on the terminal.
#![allow(missing_docs, clippy::unwrap_used)]

mod data;
mod summaries;
