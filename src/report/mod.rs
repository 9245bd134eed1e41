//! Results: made from what workers measured ([`compose`]), judged, held against others
//! ([`compare`]), and shown as JSON ([`result`]), [`text`], a page ([`html`]) and what other
//! tools read ([`export`]).

pub mod compare;
pub mod compose;
mod csv;
pub mod export;
#[cfg(test)]
mod fixture;
mod hlog;
pub mod html;
mod junit;
mod merge;
mod outline;
pub mod preflight;
pub mod recorded;
mod recording;
pub mod result;
pub mod search;
mod spectrum;
pub mod suite;
pub mod swarm;
pub mod text;
mod threshold;
pub mod timeline;
mod verdict;

pub use compose::{ResultInput, WorkerInput, phase_word, rfc3339};
pub use junit::{junit, junit_of_suite};
pub(crate) use merge::added;
pub use merge::{decode, encode};
pub use outline::Outline;
pub use recording::{Look, Recording};
pub use result::*;
pub use suite::{PlanResult, SuiteResult};
pub use swarm::{SwarmEvent, SwarmEvents, SwarmLink, SwarmLinks, SwarmNow};
pub use threshold::{check, measured, shown, shown_value};
pub use timeline::{Point, Timeline, TimelineNode};

#[cfg(test)]
mod tests;
