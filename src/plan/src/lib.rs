//! The test plan: what to send, how much of it, and when a result is good.
//!
//! A plan is written in TOML ([`parse_toml`]), sent as JSON ([`parse_json`]) or built from the
//! command line; [`Plan::validate`] checks all of them. Its canonical form is JSON
//! ([`Plan::to_bytes`]), whose SHA-256 identifies it in the swarm. The load over time is a
//! [`Profile`], a pure function of time; [`Slots`] are one worker's share of it.
//!
//! | modules | content |
//! |---|---|
//! | `model`, `http`, `load`, `stage`, `swarm_rules`, `think`, `threshold`, `scenario` | the types of a plan |
//! | `raw`, `source`, `parse`, `plan_file`, `local` | from text to a plan |
//! | `validate`, `ranges`, `limits` | ranges and combinations |
//! | `error`, `path`, `diagnostics`, `suggest` | errors that name the place in the file |
//! | `credentials` | literal credentials, and a plan without them |
//! | `profile`, `curve`, `poisson` | when each arrival is due, and when each user is active |
//! | `slots`, `users` | which worker sends an arrival, and runs a user |
//! | `schema` | JSON Schema and reference page, from the types in `raw` |
//! | `suite` | several plans in one file |

mod credentials;
mod curve;
mod diagnostics;
mod error;
mod http;
mod limits;
mod load;
mod local;
mod model;
mod names;
mod parse;
mod path;
mod plan_file;
mod poisson;
mod profile;
mod ranges;
mod raw;
mod scenario;
mod schema;
mod slots;
mod source;
mod stage;
mod suggest;
mod suite;
mod swarm_rules;
mod text_schema;
mod think;
mod threshold;
mod units;
mod url;
mod users;
mod validate;

#[cfg(test)]
mod tests;

pub use credentials::{REDACTED, is_credential_name};
pub use diagnostics::show as show_plan_error;
pub use error::PlanError;
pub use http::{HttpTask, HttpVersion, RequestError, TlsOptions};
pub use limits::{
    MAX_ALL_FILES as MAX_DATA_OF_PLAN, MAX_FILE as MAX_DATA_FILE, MAX_HOOK_STEPS, MAX_PLAN_BYTES,
    MAX_VALUES_BYTES,
};
pub use load::{Arrivals, Load, Model, Pacing, UnknownWord};
pub use local::{Local, LocalTarget};
pub use model::{Plan, Task};
pub use parse::{parse_json, parse_plan, parse_plan_with, parse_toml};
pub use path::{Path, Segment};
pub use plan_file::{FileError, InSuite, PlanFile, PlanInputs, ReadFile};
pub use profile::{Change, LoadChange, Profile};
pub use scenario::{
    Blob, Body, Check, CheckError, Data, DataError, DigestError, Draws, Extract, ExtractError,
    Format, Mix, Pick, Received, Scalar, Scenario, Scenarios, Sha256, Step, StepUrlError, Table,
    TemplateError, Values, ValuesError, decode_values, encode_values, environment, explain,
    has_placeholders, pause, value_of, variables,
};
pub use schema::{markdown, schema};
pub use slots::{Owned, owns, part, slot_of};
pub use stage::{Line, Stage, StageType};
pub use suite::{
    Mode, Passed, PassedError, StopOn, Suite, SuiteError, SuitePlan, is_suite, parse_suite,
};
pub use swarm_rules::{Balance, Limits, OnLostWorker, SwarmRules};
pub use think::{ThinkTime, ThinkTimeError};
pub use threshold::{Measure, Metric, Point, Scope, Threshold, ThresholdError};
pub use units::{UnitError, parse_bytes, parse_count, parse_duration, show_duration};
pub use url::{TargetUrl, UrlError};
pub use users::{Users, arrival_spread};
pub use vajra_core::splitmix::hash;
pub use vajra_core::{Hook, SLOTS, Slots};
pub use validate::ScopeError;
