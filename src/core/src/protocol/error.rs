//! Errors of the protocol's operations. Their texts are shown to users.

use std::time::Duration;

/// Reason why a coordinator cannot start its test.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StartRefusal {
    /// Under `hold`, a later coordinator found no worker with a share.
    #[error(
        "the coordinator was lost before any worker was known to have a share, and \
         on_lost_worker = \"hold\" forbids assigning shares again; start the test again"
    )]
    HoldWithoutShares,
    /// An earlier coordinator was lost while it ran the setup hook.
    #[error(
        "the coordinator was lost while the setup ran, and a setup is not run twice; check what \
         it has left behind, and start the test again"
    )]
    SetupLost,
    /// The test did not start in time.
    #[error(
        "the test did not start within {} s: {ready} able workers are registered, and {required} \
         are required; nodes answer too slowly for this timing profile, or cannot be reached (see \
         `vajra-node nodes`)",
        .limit.as_secs(),
    )]
    TooLate {
        /// Time limit of the start.
        limit: Duration,
        /// Able workers.
        ready: usize,
        /// Required workers.
        required: usize,
    },
    /// Too few able workers registered in time.
    #[error(
        "{}{}",
        if *.ready == 0 { "no able worker".to_owned() }
        else { format!("{ready} able workers of {required} required (--min-workers)") },
        if .refusals.is_empty() {
            " registered; start more nodes, or lower --min-workers".to_owned()
        } else {
            format!("; {}", .refusals.join("; "))
        },
    )]
    TooFewWorkers {
        /// Able workers.
        ready: usize,
        /// Required workers.
        required: usize,
        /// Reasons of nodes that cannot take part, with their names; at most five.
        refusals: Vec<String>,
    },
}

/// Reason why a hook failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HookError {
    /// It exceeded its time limit.
    #[error("it took too long")]
    TimedOut,
    /// Its steps failed, for this reason.
    #[error("{0}")]
    Failed(String),
}

/// Reason why the driver cannot use a plan.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct PlanRejection(pub String);

impl From<String> for HookError {
    fn from(reason: String) -> HookError {
        HookError::Failed(reason)
    }
}

impl From<&str> for HookError {
    fn from(reason: &str) -> HookError {
        HookError::Failed(reason.into())
    }
}

impl From<String> for PlanRejection {
    fn from(reason: String) -> PlanRejection {
        PlanRejection(reason)
    }
}
