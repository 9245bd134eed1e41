//! The result model: building, merging, verdicts, comparison, files.
#![allow(missing_docs, clippy::unwrap_used)]

mod comparison;
mod labels;
mod merging;
mod recorded;
mod recording;
mod shape;
mod totals;
mod verdicts;
