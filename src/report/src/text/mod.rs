//! Results as people read them: the summary at the end of a test, tables of nodes and tests,
//! and the line of progress while a test runs.
//!
//! No line is wider than [`WIDTH`] characters, whatever names and messages a test brought
//! along, and nothing from outside reaches the terminal as more than text.

mod bars;
pub mod comparison;
mod layout;
mod lists;
mod preflight;
mod progress;
mod search_summary;
mod suite;
mod summary;

pub use bars::ranges;
pub use comparison::{comparison, regressions};
pub use layout::plain;
pub use lists::{nodes, tests};
pub use preflight::preflight;
pub use progress::{named_progress, progress};
pub use search_summary::{found, tried};
pub use suite::{plan_title, suite};
pub use summary::summary;

/// Longest line in characters.
pub const WIDTH: usize = 100;
