//! What a coordinator decides in the course of a test, and every later one must know: changes
//! of the load, and that setup and teardown have run.
//!
//! A term's coordinator keeps a list and only ever appends to it. Each beat carries the whole
//! list, so does each vote; an elector keeps the one of the highest term, and within a term
//! the longest. **Nobody acts on a decision before a majority of electors acknowledged a beat
//! that carried it** (it is *settled* then): whoever is elected later hears of it from one of
//! them. So the settled decisions are a list that only grows, the same for all nodes.

use std::sync::Arc;
use std::time::Duration;

use super::planted::{Bug, planted};
use super::time::{Time, awaited};
use crate::Hook;

/// Most decisions of a test: each beat carries them all.
pub const MAX_DECISIONS: usize = 64;
/// Of these, kept free for what the test itself needs: setup and teardown.
const OWN: usize = 4;
/// Largest values that a setup may hand on, in bytes.
pub const MAX_VALUES: usize = 4 * 1024;

/// How a running test's load is to change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoadCommand {
    /// The level that the plan calls full load becomes this many thousandths: arrivals a
    /// second, or users. All other levels change in proportion.
    Load {
        /// Above 0.
        level_milli: u64,
    },
    /// No arrivals, and the plan's time stands still.
    Pause,
    /// The plan goes on where it was.
    Resume,
}

/// What was decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// The load changes.
    Steered(LoadCommand),
    /// Setup or teardown is run from now on by this term's coordinator, and by nobody else.
    Begun(Hook),
    /// The setup was run; these are the values that it hands on.
    SetUp(Arc<[u8]>),
}

/// A decision, and since when it counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogEntry {
    /// The asker's number for it, by which it is known to have been heard; 0 if nobody asked.
    pub id: u64,
    /// When it counts, after the start of the profile.
    pub at: Duration,
    /// Whoever has not heard of it by then sends on as before for at most this long.
    pub lag: Duration,
    /// What.
    pub what: Decision,
}

/// A list of decisions as it is passed on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Decisions {
    /// The term of the coordinator whose list it is.
    pub term: u64,
    /// In their order.
    pub list: Arc<[LogEntry]>,
}

impl Decisions {
    /// Another list was heard of: the later one is kept.
    pub fn hear(&mut self, other: &Decisions) {
        if (other.term, other.list.len()) > (self.term, self.list.len()) {
            *self = other.clone();
        }
    }
}

/// How much longer than planned a test takes by its pauses: by at most `longest` if it is
/// paused now.
pub fn prolonged(decisions: &[LogEntry], longest: Duration) -> Duration {
    let (mut sum, mut since) = (Duration::ZERO, None);
    for d in decisions {
        match d.what {
            Decision::Steered(LoadCommand::Pause) => since = Some(d.at),
            Decision::Steered(LoadCommand::Resume) => {
                sum += since.take().map_or(Duration::ZERO, |s| d.at - s);
            }
            _ => {}
        }
    }
    sum + since.map_or(Duration::ZERO, |_| longest)
}

/// The load has been changed.
pub fn steered(decisions: &[LogEntry]) -> bool {
    let steers = |d: &LogEntry| matches!(d.what, Decision::Steered(_));
    decisions.iter().any(steers)
}

/// The load stands still after all of these.
pub fn paused(decisions: &[LogEntry]) -> bool {
    let last = decisions.iter().rev().find_map(|d| match d.what {
        Decision::Steered(LoadCommand::Pause) => Some(true),
        Decision::Steered(LoadCommand::Resume) => Some(false),
        _ => None,
    });
    last.unwrap_or(false)
}

/// The values that the setup handed on, once it was run.
pub fn values(decisions: &[LogEntry]) -> Option<&Arc<[u8]>> {
    decisions.iter().find_map(|d| match &d.what {
        Decision::SetUp(values) => Some(values),
        _ => None,
    })
}

/// Why a change of the load makes no sense after these decisions, if so.
pub fn refuse(decisions: &[LogEntry], steer: LoadCommand) -> Option<&'static str> {
    match steer {
        // What was paused can always go on.
        LoadCommand::Resume if paused(decisions) && decisions.len() + OWN <= MAX_DECISIONS => None,
        _ if decisions.len() + OWN >= MAX_DECISIONS => {
            Some("its load has been changed too often; a test takes 60 changes")
        }
        LoadCommand::Pause if paused(decisions) => Some("it is paused already"),
        LoadCommand::Resume if !paused(decisions) => Some("it is not paused"),
        LoadCommand::Load { level_milli: 0 } => Some("a load of 0 is a pause"),
        _ => None,
    }
}

/// A coordinator's list.
#[derive(Debug)]
pub struct Record {
    list: Vec<LogEntry>,
    /// As many were decided before its term.
    inherited: usize,
    /// As many are known to a majority.
    settled: usize,
}

impl Record {
    /// What an earlier coordinator left.
    pub fn of(inherited: &[LogEntry]) -> Record {
        Record {
            list: inherited.to_vec(),
            inherited: inherited.len(),
            settled: 0,
        }
    }

    /// All of it, settled or not.
    pub fn all(&self) -> &[LogEntry] {
        &self.list
    }

    /// What may be acted on.
    pub fn settled(&self) -> &[LogEntry] {
        &self.list[..self.settled]
    }

    /// A majority knows the first so many.
    pub fn acknowledged(&mut self, n: usize) {
        self.settled = self.settled.max(n.min(self.list.len()));
        if planted(Bug::DecisionsUnacknowledged) {
            self.settled = self.list.len();
        }
    }

    /// Whether leases may be renewed, so long after the start of the profile. Until what was
    /// decided before this term is settled they are not, because it could be the lease of
    /// somebody who has not heard of it; nor if a change that counts by now is not settled.
    pub fn renews(&self, since_start: Duration) -> bool {
        let informed = self.settled >= self.inherited;
        let late = |d: &LogEntry| matches!(d.what, Decision::Steered(_)) && d.at <= since_start;
        (informed && !self.list[self.settled..].iter().any(late)) || planted(Bug::RenewedUninformed)
    }

    /// Setup or teardown has been begun.
    pub fn begun(&self, once: Hook) -> bool {
        self.list.iter().any(|d| d.what == Decision::Begun(once))
    }

    /// By a coordinator of an earlier term.
    pub fn begun_before(&self, once: Hook) -> bool {
        let before = &self.list[..self.inherited];
        before.iter().any(|d| d.what == Decision::Begun(once))
    }

    /// The last decision is settled.
    pub fn all_settled(&self) -> bool {
        self.settled == self.list.len()
    }

    /// The setup was run, and a majority knows its values.
    pub fn set_up(&self) -> bool {
        values(self.settled()).is_some()
    }

    /// Decides something of its own. It never counts before an earlier decision does.
    pub fn decide(&mut self, since_start: Duration, what: Decision) {
        let at = since_start.max(self.last_at());
        self.list.push(LogEntry {
            id: 0,
            at,
            lag: Duration::ZERO,
            what,
        });
    }

    fn last_at(&self) -> Duration {
        self.list.last().map_or(Duration::ZERO, |d| d.at)
    }

    /// Decides what somebody asked for, unless it has been before or makes no sense. It counts
    /// from `delay` after now, and never before an earlier decision does.
    pub fn steer(
        &mut self,
        (start, now): (Time, Time),
        delay: Duration,
        lease: Duration,
        (id, steer): (u64, LoadCommand),
    ) -> Option<&LogEntry> {
        let known = self.list.iter().any(|d| d.id == id);
        if known || refuse(&self.list, steer).is_some() {
            return None;
        }
        let at = (now.since(start) + delay).max(self.last_at());
        self.list.push(LogEntry {
            id,
            at,
            lag: awaited(lease),
            what: Decision::Steered(steer),
        });
        self.list.last()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn steer(record: &mut Record, at: u64, id: u64, steer: LoadCommand) -> bool {
        let now = Time(at * 1_000_000_000);
        let lease = 2 * SECOND;
        record
            .steer((Time(0), now), SECOND, lease, (id, steer))
            .is_some()
    }

    #[test]
    fn a_request_is_decided_once_and_counts_a_moment_later() {
        let mut record = Record::of(&[]);
        let load = LoadCommand::Load { level_milli: 5 };
        assert!(steer(&mut record, 10, 1, load));
        assert!(!steer(&mut record, 11, 1, load), "heard again");
        assert_eq!(record.all()[0].at, 11 * SECOND);
        assert_eq!(record.all()[0].lag, Duration::from_millis(2040));
    }

    #[test]
    fn what_makes_no_sense_is_not_decided() {
        let mut record = Record::of(&[]);
        assert!(!steer(&mut record, 1, 1, LoadCommand::Resume));
        assert!(steer(&mut record, 2, 2, LoadCommand::Pause));
        assert!(!steer(&mut record, 3, 3, LoadCommand::Pause));
        assert!(steer(&mut record, 8, 4, LoadCommand::Resume));
        assert_eq!(prolonged(record.all(), SECOND), 6 * SECOND);
        assert!(!steer(
            &mut record,
            9,
            5,
            LoadCommand::Load { level_milli: 0 }
        ));
    }

    #[test]
    fn a_pause_without_an_end_prolongs_by_the_longest() {
        let mut record = Record::of(&[]);
        assert!(steer(&mut record, 2, 2, LoadCommand::Pause));
        assert!(paused(record.all()));
        assert_eq!(prolonged(record.all(), 60 * SECOND), 60 * SECOND);
    }

    #[test]
    fn the_list_of_the_highest_term_counts_and_in_it_the_longest() {
        let mut record = Record::of(&[]);
        steer(&mut record, 1, 1, LoadCommand::Pause);
        let short: Arc<[LogEntry]> = record.all().into();
        steer(&mut record, 5, 2, LoadCommand::Resume);
        let long: Arc<[LogEntry]> = record.all().into();
        let list = |term, list: &Arc<[LogEntry]>| Decisions {
            term,
            list: list.clone(),
        };
        let mut known = list(1, &long);
        known.hear(&list(1, &short));
        assert_eq!(known.list.len(), 2, "an older beat of the same term");
        known.hear(&list(2, &short));
        assert_eq!((known.term, known.list.len()), (2, 1), "a later term");
    }

    #[test]
    fn decisions_are_in_the_order_in_which_they_count() {
        let mut record = Record::of(&[]);
        steer(&mut record, 10, 1, LoadCommand::Load { level_milli: 5 });
        record.decide(10 * SECOND, Decision::Begun(Hook::Teardown));
        assert!(record.all().is_sorted_by_key(|d| d.at), "{record:?}");
    }

    #[test]
    fn nothing_is_renewed_while_a_change_counts_that_is_not_settled() {
        let mut record = Record::of(&[]);
        steer(&mut record, 10, 1, LoadCommand::Pause);
        assert!(record.renews(10 * SECOND), "it does not count yet");
        assert!(!record.renews(11 * SECOND));
        record.acknowledged(1);
        assert!(record.renews(11 * SECOND));
    }

    #[test]
    fn a_list_is_settled_as_far_as_a_majority_knows_it() {
        let mut record = Record::of(&[]);
        steer(&mut record, 1, 1, LoadCommand::Pause);
        let mut next = Record::of(record.all());
        assert!(!next.renews(SECOND) && next.settled().is_empty());
        next.acknowledged(1);
        assert!(next.renews(SECOND) && next.settled().len() == 1);
        assert!(!next.begun(Hook::Setup));
    }
}
