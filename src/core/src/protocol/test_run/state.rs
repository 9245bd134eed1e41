//! The parts of a test's state.

use std::sync::Arc;
use std::time::Duration;

use crate::protocol::id::NodeId;
use crate::protocol::log::{LoadCommand, LogEntry};
use crate::protocol::messages::{Ended, TestEvent, TestState};
use crate::protocol::stop::SignedStop;
use crate::protocol::time::Time;

/// This node's copy of the plan.
#[derive(Debug)]
pub(super) struct PlanCopy {
    pub(super) bytes: Option<Arc<[u8]>>,
    pub(super) next_fetch: Time,
    pub(super) fetches: usize,
    /// Time at which an inspection started that has not finished.
    pub(super) inspecting: Option<Time>,
    /// Time at which the inspection finished.
    pub(super) inspected: Option<Time>,
}

/// A coordinator's tenure, as observed on this node.
#[derive(Clone, PartialEq, Debug)]
pub struct Tenure {
    /// Term of the coordinator.
    pub term: u64,
    /// The coordinator.
    pub node: NodeId,
    /// Time of its election, or of its first beat that arrived.
    pub from: Time,
    /// Time at which it resigned or another coordinator followed.
    pub to: Option<Time>,
}

/// State reported by the coordinators.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) state: TestState,
    pub(super) last_beat: Option<Time>,
    /// Time by which the coordinator ends the test, by its last beat.
    pub(super) ends_by: Option<Time>,
    /// Whether the absence of a coordinator since the last beat has been recorded.
    pub(super) absence_recorded: bool,
    /// Committed log entries.
    pub(super) committed: Arc<[LogEntry]>,
    pub(super) tenures: Vec<Tenure>,
    pub(super) events: Vec<TestEvent>,
}

impl Default for Observed {
    fn default() -> Observed {
        Observed {
            state: TestState::Electing,
            last_beat: None,
            ends_by: None,
            absence_recorded: false,
            committed: Arc::from([]),
            tenures: Vec::new(),
            events: Vec::new(),
        }
    }
}

impl Observed {
    /// A new beat has arrived.
    pub(super) fn beat_arrived(&mut self, now: Time, ends_within: Option<Duration>) {
        self.last_beat = Some(now);
        self.ends_by = ends_within.map(|left| now + left);
        self.absence_recorded = false;
    }
}

/// Load commands requested on this node.
#[derive(Debug)]
pub(super) struct LoadChanges {
    /// Id, command, and end of the repetition of each that is not in the log yet.
    pub(super) pending: Vec<(u64, LoadCommand, Time)>,
    pub(super) next_repeat: Time,
}

impl Default for LoadChanges {
    fn default() -> LoadChanges {
        LoadChanges {
            pending: Vec::new(),
            next_repeat: Time::MAX,
        }
    }
}

/// The request to stop the test, and its repetition.
#[derive(Debug)]
pub(super) struct Stop {
    /// The request, and the time of its arrival.
    pub(super) request: Option<(SignedStop, Time)>,
    /// The stop was requested on this node.
    pub(super) requested_here: bool,
    pub(super) next_repeat: Time,
}

impl Default for Stop {
    fn default() -> Stop {
        Stop {
            request: None,
            requested_here: false,
            next_repeat: Time::MAX,
        }
    }
}

/// The end of the test, and the collection of its result.
#[derive(Debug)]
pub(super) struct End {
    pub(super) ended: Option<Ended>,
    /// Time at which the end became known.
    pub(super) at: Time,
    /// The end was concluded on this node, not received from a coordinator.
    pub(super) concluded: bool,
    pub(super) repeats: u32,
    pub(super) next_repeat: Time,
    /// All snapshots of the result are on this node.
    pub(super) complete: bool,
    pub(super) next_fetch: Time,
    pub(super) fetches: u32,
}

impl Default for End {
    fn default() -> End {
        End {
            ended: None,
            at: Time::MAX,
            concluded: false,
            repeats: 0,
            next_repeat: Time::MAX,
            complete: false,
            next_fetch: Time::MAX,
            fetches: 0,
        }
    }
}
