//! Results: made from what workers measured ([`compose`]), judged, and shown as JSON
//! ([`result`]) and [`text`].

pub mod compose;
mod junit;
mod merge;
mod outline;
pub mod preflight;
mod recording;
pub mod result;
pub mod search;
pub mod suite;
pub mod text;
mod threshold;
pub mod timeline;
mod verdict;

pub use compose::{ResultInput, WorkerInput, phase_word};
pub use junit::{junit, junit_of_suite};
pub use merge::decode;
pub use outline::Outline;
pub use recording::{Look, Recording};
pub use result::*;
pub use suite::{PlanResult, SuiteResult};
pub use threshold::{check, measured, shown};
pub use timeline::{Point, Timeline, TimelineNode};

#[cfg(test)]
mod tests;
