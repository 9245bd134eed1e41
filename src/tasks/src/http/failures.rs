//! Failures that both versions of HTTP report.

use vajra_task::{Failure, FailureKind};

/// No connection was open before the time limit.
pub fn connect_timeout() -> Failure {
    Failure::new(FailureKind::Timeout, "while connecting")
}

/// The response was not complete before the time limit.
pub fn response_timeout() -> Failure {
    Failure::new(FailureKind::Timeout, "no full response in time")
}

/// A response with status 400 or above.
pub fn error_status(status: u16) -> Failure {
    let reason = http::StatusCode::from_u16(status)
        .ok()
        .and_then(|s| s.canonical_reason());
    let message = match reason {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    };
    Failure::new(FailureKind::Status, message)
}
