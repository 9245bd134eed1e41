//! Queries between nodes before a test: whether a plan would run, and the wall clock's time. They
//! are not part of a test: the driver sends and answers them, and the state machines ignore them.

use std::sync::Arc;

use super::id::Digest;

/// Asks whether a plan would run on the receiver.
#[derive(Clone, PartialEq, Debug)]
pub struct Preflight {
    /// SHA-256 of the plan's canonical bytes at the sender.
    pub digest: Digest,
    /// Canonical bytes of the plan.
    pub plan: Arc<[u8]>,
    /// Share of the load that the receiver would presumably get, in slots.
    pub slots: u32,
}

/// Answer to a pre-flight query.
#[derive(Clone, PartialEq, Debug)]
pub struct PreflightReply {
    /// Whether the node would take part.
    pub able: bool,
    /// Checks in display order.
    pub checks: Vec<Check>,
}

/// Outcome of a check, ordered by severity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Finding {
    /// Not applicable, or not possible.
    Skip,
    /// Passed.
    Pass,
    /// The test can run, but not well, or not on all nodes.
    Warn,
    /// The test would not run, or every request would fail.
    Fail,
}

/// One pre-flight check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// Fixed word: `plan`, `able`, `target`, `descriptors`, `ports`, `memory`, `cpu`, …
    pub name: String,
    /// Subject among several checks of that name, such as the address of a target; empty if there
    /// is only one.
    pub subject: String,
    /// Outcome.
    pub finding: Finding,
    /// Measured value: for a target the connect time in microseconds, otherwise the required
    /// amount.
    pub value: Option<u64>,
    /// Available amount.
    pub limit: Option<u64>,
    /// Description of the outcome.
    pub text: String,
    /// Advice; empty if no action is needed.
    pub hint: String,
}

impl Check {
    /// A check without figures.
    pub fn new(name: &str, finding: Finding, text: impl Into<String>) -> Check {
        Check {
            name: name.into(),
            subject: String::new(),
            finding,
            value: None,
            limit: None,
            text: text.into(),
            hint: String::new(),
        }
    }

    /// Adds advice.
    pub fn hint(self, hint: impl Into<String>) -> Check {
        Check {
            hint: hint.into(),
            ..self
        }
    }

    /// Sets the subject.
    pub fn of(self, subject: impl Into<String>) -> Check {
        Check {
            subject: subject.into(),
            ..self
        }
    }

    /// Sets the required and the available amount.
    pub fn figures(self, value: u64, limit: Option<u64>) -> Check {
        Check {
            value: Some(value),
            limit,
            ..self
        }
    }
}
