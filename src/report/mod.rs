//! Results: made from what workers measured ([`compose`]), judged, and shown as JSON
//! ([`result`]) and [`text`].

pub mod compose;
pub mod result;
pub mod text;
mod verdict;

pub use compose::{ResultInput, WorkerInput, phase_word};
pub use result::*;

#[cfg(test)]
mod tests;
