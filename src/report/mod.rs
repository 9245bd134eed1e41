//! Results: made from what workers measured ([`compose`]), judged, and shown as JSON
//! ([`result`]) and [`text`].

pub mod compose;
mod junit;
mod merge;
pub mod preflight;
pub mod result;
pub mod search;
pub mod text;
mod threshold;
mod verdict;

pub use compose::{ResultInput, WorkerInput, phase_word};
pub use junit::junit;
pub use merge::decode;
pub use result::*;
pub use threshold::{check, shown};

#[cfg(test)]
mod tests;
