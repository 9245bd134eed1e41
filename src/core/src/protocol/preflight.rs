//! What nodes ask each other before a test: would this plan run on you, and what is your time?
//! No part of any test's life: the driver asks and answers, the state machines know nothing of
//! it.

use std::sync::Arc;

use super::id::Digest;

/// Would this plan run on you?
#[derive(Clone, PartialEq, Debug)]
pub struct Preflight {
    /// SHA-256 of the plan's canonical bytes, as the asker has it.
    pub digest: Digest,
    /// The bytes.
    pub plan: Arc<[u8]>,
    /// How much of its load would presumably come to the node asked, in slots.
    pub slots: u32,
}

/// What a node found.
#[derive(Clone, PartialEq, Debug)]
pub struct PreflightReply {
    /// It would take part.
    pub able: bool,
    /// In the order in which they are shown.
    pub checks: Vec<Check>,
}

/// How a check came out. The worst is the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Finding {
    /// There was nothing to look at, or no way to.
    Skip,
    /// As it should be.
    Pass,
    /// The test can run, but not well, or not everywhere.
    Warn,
    /// The test would not run, or would show nothing but that.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// A fixed word: `plan`, `able`, `target`, `descriptors`, `ports`, `memory`, `cpu`, …
    pub name: String,
    /// Which of several of that name, a target's address say; empty if there is but one.
    pub subject: String,
    /// How it came out.
    pub finding: Finding,
    /// What was measured: of a target the time of connecting in microseconds, else what is
    /// needed.
    pub value: Option<u64>,
    /// What there is of it.
    pub limit: Option<u64>,
    /// What was found.
    pub text: String,
    /// What to do about it; empty if nothing is to be done.
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

    /// The same, with what to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Check {
        Check {
            hint: hint.into(),
            ..self
        }
    }

    /// The same about one thing of several.
    pub fn of(self, subject: impl Into<String>) -> Check {
        Check {
            subject: subject.into(),
            ..self
        }
    }

    /// The same with what is needed, and what there is.
    pub fn figures(self, value: u64, limit: Option<u64>) -> Check {
        Check {
            value: Some(value),
            limit,
            ..self
        }
    }
}
