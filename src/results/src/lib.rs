//! The result of a test: the model, and how it is built from what workers measured.
//!
//! | module | contents |
//! |---|---|
//! | [`compose`] | building a result from the workers' snapshots |
//! | [`result`] | the model, as JSON shows it |
//! | [`timeline`] | the test over time |
//! | [`compare`] | comparison of two results, with noise |
//! | [`search`], [`suite`] | several tests: the search for the highest rate, suites of plans |
//! | [`preflight`], [`swarm`] | what pre-flight checks found, and the state of the swarm |
//! | [`recorded`] | a result in a file |
//! | [`units`] | numbers with units, as texts |

pub mod build;
pub mod compare;
mod merge;
mod plan_preview;
pub mod preflight;
pub mod result;
pub mod result_file;
pub mod search;
pub mod suite;
pub mod swarm;
mod threshold;
pub mod timeline;
mod timeline_recorder;
pub mod units;
mod verdict;

pub use build::{ResultInput, WorkerInput, phase_word, rfc3339};
pub use merge::{added, decode, encode, stats};
pub use plan_preview::Outline;
pub use result::*;
pub use suite::{PlanResult, SuiteResult};
pub use swarm::{SwarmEvent, SwarmEvents, SwarmLink, SwarmLinks, SwarmNow};
pub use threshold::{check, measured, shown, shown_value};
pub use timeline::{Point, Timeline, TimelineNode};
pub use timeline_recorder::{Look, Recording};
