//! The periodic broadcast of a coordinator, signed so that electors can relay it: with its vote, an
//! elector passes on the newest beat, and a later coordinator continues from that.

use std::sync::Arc;
use std::time::Duration;

use super::allocation::AllocationName;
use super::certificate::Certificate;
use super::id::{NodeId, TestId};
use super::log::{EntryKind, LoadCommand, LogEntry};
use super::numbers::MAX_INTERVALS;
use super::signature::{Signature, Statement};
use super::test_event::{TestEvent, TestState};
use crate::{Hook, Numbers};

/// Longest duration in a message: longer ones are cut, so that a signature holds for what arrives.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Periodic broadcast of the coordinator.
#[derive(Clone, PartialEq, Debug)]
pub struct Beat {
    /// Test id.
    pub test: TestId,
    /// Term of the coordinator.
    pub term: u64,
    /// The coordinator, its author.
    pub coordinator: NodeId,
    /// Number of the beat in its term.
    pub number: u64,
    /// Longest share lease that this coordinator and its predecessors have granted, or are about to
    /// grant.
    pub share_lease: Duration,
    /// Nanoseconds since the start of the profile, at sending; negative before it. For nodes
    /// without an estimate of the coordinator's clock.
    pub since_start: Option<i64>,
    /// Longest time from sending until the coordinator ends the test. For nodes that have not read
    /// the plan.
    pub ends_within: Option<Duration>,
    /// State of the test.
    pub state: TestState,
    /// All log entries of this and earlier terms.
    pub log: Arc<[LogEntry]>,
    /// Number of entries that a majority has acknowledged.
    pub committed: u32,
    /// Newest allocation.
    pub allocation: Option<AllocationName>,
    /// Latest end of all granted leases in the time of the profile, each by its worker's clock.
    pub leased_until: Duration,
    /// Numbers of requests that are not granted to any worker, if the plan limits them.
    pub free: Option<Arc<Numbers>>,
    /// Recent events, for display on every node and for a successor; at most
    /// [`MAX_EVENTS_PER_BEAT`](super::coordinator::MAX_EVENTS_PER_BEAT).
    pub events: Vec<TestEvent>,
    /// Votes that made its author the coordinator.
    pub certificate: Arc<Certificate>,
    /// Signature of the coordinator.
    pub signature: Signature,
}

impl Beat {
    /// What its coordinator signs: all fields but the certificate, which proves itself, and the
    /// events, which are for display and are not relayed.
    pub fn statement(&self) -> Statement {
        let optional = |s: Statement, n: Option<u64>| match n {
            None => s.number(0),
            Some(n) => s.number(1).number(n),
        };
        let ns = |d: Duration| d.min(LONGEST).as_nanos() as u64;
        let mut s = Statement::about("beat", self.test)
            .number(self.term)
            .node(&self.coordinator)
            .number(self.number)
            .number(ns(self.share_lease));
        s = optional(s, self.since_start.map(i64::cast_unsigned));
        s = optional(s, self.ends_within.map(ns));
        s = s
            .number(self.state as u64)
            .list(self.log.iter(), entry)
            .number(u64::from(self.committed));
        s = match &self.allocation {
            None => s.number(0),
            Some(a) => s.number(1).number(a.number).digest(a.digest),
        };
        s = s.number(ns(self.leased_until));
        match &self.free {
            None => s.number(0),
            Some(free) => s
                .number(1)
                .list(free.intervals().iter().take(MAX_INTERVALS), |s, i| {
                    s.number(i.from).number(i.to)
                }),
        }
    }

    /// The form in which electors relay it: without the events, which are not signed.
    pub fn relayed(&self) -> Beat {
        Beat {
            events: Vec::new(),
            ..self.clone()
        }
    }
}

/// Adds a log entry.
pub(super) fn entry(s: Statement, entry: &LogEntry) -> Statement {
    let hook = |hook: &Hook| match hook {
        Hook::Setup => 0,
        Hook::Teardown => 1,
    };
    let s = s
        .number(entry.id)
        .number(entry.at.as_nanos() as u64)
        .number(entry.max_delay.as_nanos() as u64);
    match &entry.kind {
        EntryKind::LoadChanged(LoadCommand::Load { level_milli }) => {
            s.number(0).number(*level_milli)
        }
        EntryKind::LoadChanged(LoadCommand::Pause) => s.number(1),
        EntryKind::LoadChanged(LoadCommand::Resume) => s.number(2),
        EntryKind::HookStarted(h) => s.number(3).number(hook(h)),
        EntryKind::SetupValues(values) => s.number(4).field(values),
    }
}
