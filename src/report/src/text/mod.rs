//! Results as text for the terminal: the summary at the end of a test, tables of nodes and tests,
//! and the progress line of a running test.
//!
//! No line is wider than [`WIDTH`] columns, regardless of the names and messages in a result, and
//! control characters in them never reach the terminal.

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

/// Width of the widest line, in columns of the terminal.
pub const WIDTH: usize = 100;
