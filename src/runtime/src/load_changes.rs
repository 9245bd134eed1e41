//! Load changes in the form that profiles take.

use std::time::Duration;

use vajra_core::protocol::log::{EntryKind, LoadCommand, LogEntry};
use vajra_plan::{Change, LoadChange};

/// The load changes in log entries.
pub fn load_changes(entries: &[LogEntry], max_pause: Duration) -> Vec<LoadChange> {
    let changes = entries.iter().filter_map(|entry| {
        let EntryKind::LoadChanged(command) = entry.kind else {
            return None;
        };
        Some(LoadChange {
            at: entry.at,
            lag: entry.max_delay,
            what: match command {
                LoadCommand::Load { level_milli } => Change::Level(level_milli as f64 / 1e3),
                LoadCommand::Pause => Change::Pause(max_pause),
                LoadCommand::Resume => Change::Resume,
            },
        })
    });
    changes.collect()
}
