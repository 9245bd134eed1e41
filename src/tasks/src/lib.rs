//! The tasks that ship with Vajra: HTTP requests, scenarios of several requests, SLEEP and CPU.
//!
//! They implement the traits of `vajra_task`. [`prepare`] makes a plan's task ready to run;
//! [`TaskRegistry`] describes the task types. [`run_hook`] runs a plan's setup or teardown.

mod http;
mod plan_schema;
mod registry;
mod scenario;
mod simple;
mod tables;

pub use http::{HttpPrepared, Probe, Reached};
pub use registry::{
    Prepared, TASK_TYPES, TaskRegistry, TaskType, prepare, prepare_blocking, prepare_with,
};
pub use scenario::{HookError, ScenarioPrepared, ScenarioSpec, SetupValues, run_hook};
pub use simple::{CpuTask, FailingTask, SleepTask};
pub use tables::Tables;
