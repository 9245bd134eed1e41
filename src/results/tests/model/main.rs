//! The result model: building, merging, verdicts, comparison, files.
#![allow(missing_docs, clippy::unwrap_used)]

mod comparison;
mod credentials;
mod labels;
mod merging;
mod result_file;
mod shape;
mod timeline_recorder;
mod totals;
mod verdicts;
