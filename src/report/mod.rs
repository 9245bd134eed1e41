//! Results: made from what workers measured ([`compose`]), judged, and shown as JSON
//! ([`result`]) and [`text`].

pub mod compose;
mod merge;
pub mod result;
pub mod text;
mod verdict;

pub use compose::{ResultInput, WorkerInput, phase_word};
pub use merge::decode;
pub use result::*;

#[cfg(test)]
mod tests;
