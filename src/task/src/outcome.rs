//! How requests end.

use std::fmt;

use crate::gate::Permit;

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Ok {
        /// Status code, if the protocol has one.
        status: Option<u16>,
        /// The gate's permission to send the request.
        permit: Permit,
    },
    /// It failed.
    Failed {
        /// Status code, if one was received.
        status: Option<u16>,
        /// The reason.
        failure: Failure,
    },
    /// Nothing was sent, because the gate was closed.
    NotSent,
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Outcome {
        Outcome::Failed {
            status: None,
            failure,
        }
    }
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The category under which it is counted.
    pub kind: FailureKind,
    /// What happened. Results list each distinct text, so it contains nothing that varies by
    /// request.
    pub message: String,
}

impl Failure {
    /// A failure of a kind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure {
            kind,
            message: message.into(),
        }
    }
}

/// The category of a failure, as results show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The target's name does not resolve.
    Dns,
    /// The target policy forbids the address.
    Policy,
    /// A secret is not allowed or can't be read.
    Secret,
    /// Rows of a data file are missing.
    Data,
    /// No connection could be opened.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// A time limit passed.
    Timeout,
    /// The connection was lost.
    Reset,
    /// The peer reset one stream of a connection.
    Stream,
    /// The peer violated the protocol.
    Protocol,
    /// The response has an error status.
    Status,
    /// A template can't be rendered, or its result can't be sent.
    Template,
    /// A check of the response failed.
    Check,
    /// A value to extract is not in the response.
    Extract,
    /// A kind of a third party's task: a short lowercase word.
    Custom(&'static str),
}

impl FailureKind {
    /// The word in results and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureKind::Dns => "dns",
            FailureKind::Policy => "policy",
            FailureKind::Secret => "secret",
            FailureKind::Data => "data",
            FailureKind::Connect => "connect",
            FailureKind::Tls => "tls",
            FailureKind::Timeout => "timeout",
            FailureKind::Reset => "reset",
            FailureKind::Stream => "stream",
            FailureKind::Protocol => "protocol",
            FailureKind::Status => "status",
            FailureKind::Template => "template",
            FailureKind::Check => "check",
            FailureKind::Extract => "extract",
            FailureKind::Custom(word) => word,
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
