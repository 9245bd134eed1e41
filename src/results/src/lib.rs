//! The result of a test: the model, and how it is built from the workers' measurements.
//!
//! | module | contents |
//! |---|---|
//! | `result`, `kinds` | the model of a result, as in its JSON, and its enums |
//! | `input`, `build`, `planned`, `redacted_plan` | building a result from the workers' snapshots |
//! | `merge` | merged histograms, and the statistics read from them |
//! | `verdict`, `threshold` | evaluation of a result |
//! | `progress` | progress events of a running test |
//! | [`timeline`], `timeline_recorder`, `heat_map` | the test over time, and how it is recorded |
//! | `comparison`, [`compare`] | comparison of two results, and how it is computed |
//! | [`search`], [`suite`] | several tests: the rate search, suites of plans |
//! | `lists`, `find_node` | lists of nodes and tests; a node by name or peer id |
//! | `swarm`, [`preflight`] | state of the swarm, pre-flight checks |
//! | [`result_file`], `plan_preview` | a result in a file, and a plan before it runs |
//! | [`units`] | numbers with units, as text |
//!
//! Results are exchanged between nodes and must be the same on each of them, bit for bit: every
//! number depends only on the merged snapshots, never on the order in which they arrived.

mod build;
pub mod compare;
mod comparison;
mod find_node;
mod heat_map;
mod input;
mod kinds;
mod lists;
mod merge;
mod plan_preview;
mod planned;
pub mod preflight;
mod progress;
mod redacted_plan;
mod result;
pub mod result_file;
pub mod search;
pub mod suite;
mod swarm;
mod threshold;
pub mod timeline;
mod timeline_recorder;
pub mod units;
mod verdict;

pub use build::rfc3339;
pub use find_node::{FindNodeError, find_node};
pub use input::{Absence, ResultInput, WorkerInput};
pub use kinds::{
    ChangeKind, DataPick, EndKind, NodeHealth, NodeStatus, PlanOutcome, SuiteMode, SwarmEventKind,
    Verdict, state_name,
};
pub use lists::{NodeEntry, NodeList, Pool, TestEntry, TestList, TestPage};
pub use merge::{decode, encode, merged, stats};
pub use plan_preview::PlanPreview;
pub use progress::{Progress, Update};
pub use redacted_plan::RedactedPlan;
pub use result::{
    ChangeResult, DataResult, ErrorEntry, Event, Histograms, NoCoordinator, NodeResult, Rate,
    Stats, StepResult, Tenure, TestResult, ThresholdResult, Totals,
};
pub use suite::{PlanResult, SuiteResult};
pub use swarm::{SwarmEvent, SwarmEvents, SwarmLink, SwarmLinks, SwarmNow};
pub use threshold::{check, format_measured, format_value, measured};
pub use timeline::{Point, Timeline, TimelineNode};
pub use timeline_recorder::{Recording, Sample};
