//! What nodes show of a test while it runs: its state and its events.

use super::event_kind::EventKind;
use super::id::NodeId;

/// How far a test is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum TestState {
    /// No coordinator yet.
    #[default]
    Electing,
    /// Workers register.
    Registering,
    /// Shares are assigned.
    Running,
    /// The profile is over or was stopped; final snapshots are being collected.
    Stopping,
    /// The test has ended.
    Ended,
}

/// An event of a test.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestEvent {
    /// Milliseconds after the start of the profile; negative before it.
    pub at_ms: i64,
    /// Kind.
    pub kind: EventKind,
    /// Node that it is about.
    pub node: Option<NodeId>,
    /// Text for display.
    pub text: String,
}
