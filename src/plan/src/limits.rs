//! Limits of a plan: sizes and counts.

use std::time::Duration;

/// Largest plan in bytes, as text and in its canonical form.
pub const MAX_PLAN_BYTES: usize = 1 << 20;

/// Most tags, labels that select nodes, and thresholds.
pub const MAX_PAIRS: usize = 32;

// HTTP

/// Most headers of a request.
pub const MAX_HEADERS: usize = 100;
/// Largest generated body in bytes.
pub const MAX_BODY: u64 = 64 << 20;
/// Most concurrent requests on one HTTP/2 connection.
pub const MAX_STREAMS: u64 = 1000;
/// Most entries of `addresses`.
pub const MAX_ADDRESSES: u64 = 1000;

// Load

/// Most requests of a plan: more than 24 h at the highest rate.
pub const MAX_REQUESTS: u64 = 1_000_000_000_000;
/// Most stages of a plan, and most steps of a stage.
pub const MAX_STAGES: usize = 100;

// Scenarios

/// Most steps of all scenarios together.
pub const MAX_STEPS: usize = 64;
/// Most steps of a setup hook, and of a teardown hook.
pub const MAX_HOOK_STEPS: usize = 16;
/// Most extracted values, and most checks, of a step.
pub const MAX_OF_STEP: usize = 32;
/// Largest weight of a scenario.
pub const MAX_WEIGHT: u32 = 1000;
/// Most labels of a step: a result has an entry for each label of the plan.
pub const MAX_LABELS: usize = 8;
/// Most characters of a scenario's, a step's or a label's name.
pub const MAX_NAME: usize = 50;
/// Most `[vars]`.
pub const MAX_VARS: usize = 64;
/// Most bytes of one of the `[vars]`.
pub const MAX_VAR: usize = 4096;
/// Most bytes of all values that a setup extracts, encoded.
pub const MAX_VALUES_BYTES: usize = 4096;

// Data files

/// Largest data file in bytes.
pub const MAX_FILE: u64 = 64 << 20;
/// Most bytes of all data files of a plan.
pub const MAX_ALL_FILES: u64 = 256 << 20;
/// Most data files of a plan.
pub const MAX_FILES: usize = 16;
/// Most rows of a data file.
pub const MAX_ROWS: u64 = 1_000_000;
/// Most columns of a data file.
pub const MAX_COLUMNS: usize = 100;
/// Most values of a data file, rows times columns. Each takes four bytes besides its text.
pub const MAX_CELLS: usize = 16_000_000;

// Local processes and suites

/// Most processes that a `[local]` table may start.
pub const MAX_LOCAL_NODES: u32 = 50;
/// Most plans of a suite.
pub const MAX_PLANS: usize = 32;
/// Most values that a plan of a suite passes on.
pub const MAX_PASSED: usize = 32;
/// Longest pause between two plans of a suite.
pub const MAX_PAUSE: Duration = Duration::from_secs(3600);
