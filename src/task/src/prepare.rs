//! Errors of preparing a task.

use crate::outcome::{Failure, FailureKind};
use crate::parameters::ParameterError;
use crate::policy::Refusal;
use crate::secrets::SecretError;

/// Why a node can't run a task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// The target policy forbids the target, or its name does not resolve.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A secret is not allowed or can't be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A parameter is not valid.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// The request can't be built.
    #[error("{0}")]
    Request(String),
    /// TLS can't be configured.
    #[error("TLS: {0}")]
    Tls(String),
    /// The rows of this data file are not loaded on the node.
    #[error("the rows of data {0} are not on this node")]
    Data(String),
}

impl From<PrepareError> for Failure {
    fn from(e: PrepareError) -> Failure {
        let kind = match &e {
            PrepareError::Refused(Refusal::Forbidden(_)) => FailureKind::Policy,
            PrepareError::Refused(Refusal::Unresolved(_)) => FailureKind::Dns,
            PrepareError::Secret(_) => FailureKind::Secret,
            PrepareError::Request(_) | PrepareError::Parameter(_) => FailureKind::Protocol,
            PrepareError::Tls(_) => FailureKind::Tls,
            PrepareError::Data(_) => FailureKind::Data,
        };
        Failure::new(kind, e.to_string())
    }
}
