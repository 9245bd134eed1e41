//! The replicated log of a test, which every later coordinator continues. Entries are changes of
//! the load, the start of setup and teardown, and the setup's values.
//!
//! The coordinator of a term only appends to its log. Each beat and each vote contains the whole
//! log; an elector keeps the one of the highest term, and within a term the longest. **No node acts
//! on an entry before a majority of electors has acknowledged a beat that contained it** (then the
//! entry is *committed*), so every later coordinator receives it with the votes. The committed
//! entries are a list that only grows, the same on all nodes.

use std::sync::Arc;
use std::time::Duration;

use super::planted::{Bug, planted};
use super::time::{Time, for_waiter};
use crate::Hook;

/// Most entries of a test, since each beat contains all of them.
pub const MAX_ENTRIES: usize = 64;
/// Entries reserved for setup and teardown.
const RESERVED: usize = 4;
/// Most bytes of the values that a setup hook produces.
pub const MAX_VALUES: usize = 4 * 1024;

/// A change of a running test's load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoadCommand {
    /// Scales the load: the level that the plan calls full load becomes this many thousandths of
    /// arrivals per second, or of users. All other levels change in proportion.
    Load {
        /// Greater than 0.
        level_milli: u64,
    },
    /// Stops arrivals and the plan's time.
    Pause,
    /// Continues the plan where it was paused.
    Resume,
}

/// The content of a log entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// The load changes.
    LoadChanged(LoadCommand),
    /// The coordinator of this term, and no other node, runs a hook from now on.
    HookStarted(Hook),
    /// The setup hook has finished; the values that it produced.
    SetupValues(Arc<[u8]>),
}

/// An entry of the log, and the time from which it counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogEntry {
    /// Id of the request that it carries out; 0 for the coordinator's own entries.
    pub id: u64,
    /// Time from which it counts, since the start of the profile.
    pub at: Duration,
    /// A worker that lacks the entry keeps the previous load for at most this long after `at`.
    pub max_delay: Duration,
    /// Content.
    pub kind: EntryKind,
}

/// A copy of a coordinator's log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Log {
    /// Term of the coordinator.
    pub term: u64,
    /// Entries in order.
    pub entries: Arc<[LogEntry]>,
}

impl Log {
    /// Replaces this log with `other` if that is newer.
    pub fn update(&mut self, other: &Log) {
        if (other.term, other.entries.len()) > (self.term, self.entries.len()) {
            *self = other.clone();
        }
    }
}

/// The time that pauses add to a test: `max_pause` for one that has not ended.
pub fn paused_for(log: &[LogEntry], max_pause: Duration) -> Duration {
    let (mut sum, mut since) = (Duration::ZERO, None);
    for entry in log {
        match entry.kind {
            EntryKind::LoadChanged(LoadCommand::Pause) => since = Some(entry.at),
            EntryKind::LoadChanged(LoadCommand::Resume) => {
                sum += since.take().map_or(Duration::ZERO, |s| entry.at - s);
            }
            _ => {}
        }
    }
    sum + since.map_or(Duration::ZERO, |_| max_pause)
}

/// Whether the load has been changed.
pub fn load_changed(log: &[LogEntry]) -> bool {
    log.iter()
        .any(|entry| matches!(entry.kind, EntryKind::LoadChanged(_)))
}

/// Whether the load is paused after these entries.
pub fn paused(log: &[LogEntry]) -> bool {
    let last = log.iter().rev().find_map(|entry| match entry.kind {
        EntryKind::LoadChanged(LoadCommand::Pause) => Some(true),
        EntryKind::LoadChanged(LoadCommand::Resume) => Some(false),
        _ => None,
    });
    last.unwrap_or(false)
}

/// The values of the setup hook, once it has finished.
pub fn setup_values(log: &[LogEntry]) -> Option<&Arc<[u8]>> {
    log.iter().find_map(|entry| match &entry.kind {
        EntryKind::SetupValues(values) => Some(values),
        _ => None,
    })
}

/// Reason why a load command cannot follow these entries, if so.
pub fn refusal(log: &[LogEntry], command: LoadCommand) -> Option<&'static str> {
    match command {
        // A paused test can always be resumed.
        LoadCommand::Resume if paused(log) && log.len() + RESERVED <= MAX_ENTRIES => None,
        _ if log.len() + RESERVED >= MAX_ENTRIES => {
            Some("its load has been changed too often; a test accepts 60 changes")
        }
        LoadCommand::Pause if paused(log) => Some("it is paused already"),
        LoadCommand::Resume if !paused(log) => Some("it is not paused"),
        LoadCommand::Load { level_milli: 0 } => Some("a load of 0 is a pause"),
        _ => None,
    }
}

/// The log of the current coordinator.
#[derive(Debug)]
pub struct CoordinatorLog {
    entries: Vec<LogEntry>,
    /// Number of entries from earlier terms.
    inherited: usize,
    /// Number of entries that a majority has acknowledged.
    committed: usize,
}

impl CoordinatorLog {
    /// A log that continues that of an earlier coordinator.
    pub fn new(inherited: &[LogEntry]) -> CoordinatorLog {
        CoordinatorLog {
            entries: inherited.to_vec(),
            inherited: inherited.len(),
            committed: 0,
        }
    }

    /// All entries, committed or not.
    pub fn entries(&self) -> &[LogEntry] {
        &self.entries
    }

    /// The entries that may be acted on.
    pub fn committed(&self) -> &[LogEntry] {
        &self.entries[..self.committed]
    }

    /// A majority has acknowledged the first `n` entries.
    pub fn acknowledge(&mut self, n: usize) {
        self.committed = self.committed.max(n.min(self.entries.len()));
        if planted(Bug::LogUnacknowledged) {
            self.committed = self.entries.len();
        }
    }

    /// Whether leases may be renewed at this time since the start of the profile. They are not
    /// renewed before all entries of earlier terms are committed, because the worker may lack one
    /// of them, nor while a change that already counts is not committed.
    pub fn may_renew(&self, since_start: Duration) -> bool {
        let informed = self.committed >= self.inherited;
        let counts = |entry: &LogEntry| {
            matches!(entry.kind, EntryKind::LoadChanged(_)) && entry.at <= since_start
        };
        (informed && !self.entries[self.committed..].iter().any(counts))
            || planted(Bug::RenewedUninformed)
    }

    /// Whether a hook has been started.
    pub fn hook_started(&self, hook: Hook) -> bool {
        started(&self.entries, hook)
    }

    /// Whether a coordinator of an earlier term started a hook.
    pub fn hook_started_before(&self, hook: Hook) -> bool {
        started(&self.entries[..self.inherited], hook)
    }

    /// Whether all entries are committed.
    pub fn all_committed(&self) -> bool {
        self.committed == self.entries.len()
    }

    /// Whether the setup has finished and a majority has acknowledged its values.
    pub fn setup_done(&self) -> bool {
        setup_values(self.committed()).is_some()
    }

    /// Appends an entry of the coordinator's own. It never counts before an earlier entry.
    pub fn append(&mut self, since_start: Duration, kind: EntryKind) {
        let at = since_start.max(self.last_at());
        self.entries.push(LogEntry {
            id: 0,
            at,
            max_delay: Duration::ZERO,
            kind,
        });
    }

    fn last_at(&self) -> Duration {
        self.entries.last().map_or(Duration::ZERO, |entry| entry.at)
    }

    /// Appends a requested change of the load, unless it is in the log already or is refused. It
    /// counts from `delay` after now, and never before an earlier entry.
    pub fn append_command(
        &mut self,
        (start, now): (Time, Time),
        delay: Duration,
        lease: Duration,
        (id, command): (u64, LoadCommand),
    ) -> Option<&LogEntry> {
        let known = self.entries.iter().any(|entry| entry.id == id);
        if known || refusal(&self.entries, command).is_some() {
            return None;
        }
        let at = (now.since(start) + delay).max(self.last_at());
        self.entries.push(LogEntry {
            id,
            at,
            max_delay: match planted(Bug::CommandsWithoutLag) {
                true => Duration::ZERO,
                false => for_waiter(lease),
            },
            kind: EntryKind::LoadChanged(command),
        });
        self.entries.last()
    }
}

fn started(log: &[LogEntry], hook: Hook) -> bool {
    log.iter()
        .any(|entry| entry.kind == EntryKind::HookStarted(hook))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn append(log: &mut CoordinatorLog, at: i64, id: u64, command: LoadCommand) -> bool {
        let now = Time(at * 1_000_000_000);
        let lease = 2 * SECOND;
        log.append_command((Time(0), now), SECOND, lease, (id, command))
            .is_some()
    }

    #[test]
    fn a_command_is_appended_once_and_counts_after_the_delay() {
        let mut log = CoordinatorLog::new(&[]);
        let load = LoadCommand::Load { level_milli: 5 };
        assert!(append(&mut log, 10, 1, load));
        assert!(!append(&mut log, 11, 1, load), "received again");
        assert_eq!(log.entries()[0].at, 11 * SECOND);
        assert_eq!(log.entries()[0].max_delay, Duration::from_millis(2040));
    }

    #[test]
    fn refused_commands_are_not_appended() {
        let mut log = CoordinatorLog::new(&[]);
        assert!(!append(&mut log, 1, 1, LoadCommand::Resume));
        assert!(append(&mut log, 2, 2, LoadCommand::Pause));
        assert!(!append(&mut log, 3, 3, LoadCommand::Pause));
        assert!(append(&mut log, 8, 4, LoadCommand::Resume));
        assert_eq!(paused_for(log.entries(), SECOND), 6 * SECOND);
        assert!(!append(
            &mut log,
            9,
            5,
            LoadCommand::Load { level_milli: 0 }
        ));
    }

    #[test]
    fn an_open_pause_adds_the_longest_pause() {
        let mut log = CoordinatorLog::new(&[]);
        assert!(append(&mut log, 2, 2, LoadCommand::Pause));
        assert!(paused(log.entries()));
        assert_eq!(paused_for(log.entries(), 60 * SECOND), 60 * SECOND);
    }

    #[test]
    fn the_log_of_the_highest_term_wins_and_within_it_the_longest() {
        let mut log = CoordinatorLog::new(&[]);
        append(&mut log, 1, 1, LoadCommand::Pause);
        let short: Arc<[LogEntry]> = log.entries().into();
        append(&mut log, 5, 2, LoadCommand::Resume);
        let long: Arc<[LogEntry]> = log.entries().into();
        let copy = |term, entries: &Arc<[LogEntry]>| Log {
            term,
            entries: entries.clone(),
        };
        let mut known = copy(1, &long);
        known.update(&copy(1, &short));
        assert_eq!(known.entries.len(), 2, "an older beat of the same term");
        known.update(&copy(2, &short));
        assert_eq!((known.term, known.entries.len()), (2, 1), "a later term");
    }

    #[test]
    fn entries_are_in_the_order_in_which_they_count() {
        let mut log = CoordinatorLog::new(&[]);
        append(&mut log, 10, 1, LoadCommand::Load { level_milli: 5 });
        log.append(10 * SECOND, EntryKind::HookStarted(Hook::Teardown));
        assert!(log.entries().is_sorted_by_key(|d| d.at), "{log:?}");
    }

    #[test]
    fn no_lease_is_renewed_while_an_uncommitted_change_counts() {
        let mut log = CoordinatorLog::new(&[]);
        append(&mut log, 10, 1, LoadCommand::Pause);
        assert!(log.may_renew(10 * SECOND), "it does not count yet");
        assert!(!log.may_renew(11 * SECOND));
        log.acknowledge(1);
        assert!(log.may_renew(11 * SECOND));
    }

    #[test]
    fn entries_are_committed_once_a_majority_acknowledged_them() {
        let mut log = CoordinatorLog::new(&[]);
        append(&mut log, 1, 1, LoadCommand::Pause);
        let mut next = CoordinatorLog::new(log.entries());
        assert!(!next.may_renew(SECOND) && next.committed().is_empty());
        next.acknowledge(1);
        assert!(next.may_renew(SECOND) && next.committed().len() == 1);
        assert!(!next.hook_started(Hook::Setup));
    }
}
