//! Entries of the replicated log, and load commands.

use std::sync::Arc;

use super::decode;
use super::limits::*;
use super::{Wire, WireError, encode, pb};
use vajra_core::Hook;
use vajra_core::protocol::log::{EntryKind, LoadCommand, LogEntry};

fn level(value: u64) -> Result<LoadCommand, WireError> {
    if value == 0 {
        return Err(WireError::Missing("level_milli"));
    }
    let level_milli = decode::at_most("level_milli", value, MAX_RATE_MILLI)?;
    Ok(LoadCommand::Load { level_milli })
}

fn paused(paused: bool) -> LoadCommand {
    match paused {
        true => LoadCommand::Pause,
        false => LoadCommand::Resume,
    }
}

impl Wire for Hook {
    type Message = i32;

    fn to_wire(&self) -> i32 {
        use pb::worker::Hook as W;
        let hook = match self {
            Hook::Setup => W::Setup,
            Hook::Teardown => W::Teardown,
        };
        hook.into()
    }

    fn from_wire(m: i32) -> Result<Hook, WireError> {
        use pb::worker::Hook as W;
        Ok(match W::try_from(m).unwrap_or_default() {
            W::Unknown => return Err(WireError::Unknown("hook")),
            W::Setup => Hook::Setup,
            W::Teardown => Hook::Teardown,
        })
    }
}

impl Wire for LogEntry {
    type Message = pb::worker::LogEntry;

    fn to_wire(&self) -> Self::Message {
        use pb::worker::log_entry::Change;
        let change = match &self.kind {
            EntryKind::LoadChanged(LoadCommand::Load { level_milli }) => {
                Change::LevelMilli(*level_milli)
            }
            EntryKind::LoadChanged(LoadCommand::Pause) => Change::Paused(true),
            EntryKind::LoadChanged(LoadCommand::Resume) => Change::Paused(false),
            EntryKind::HookStarted(hook) => Change::Started(hook.to_wire()),
            EntryKind::SetupValues(values) => Change::Values(values.to_vec()),
        };
        pb::worker::LogEntry {
            id: self.id,
            at_ns: encode::ns(self.at),
            max_delay_ns: encode::ns(self.max_delay),
            change: Some(change),
        }
    }

    fn from_wire(m: Self::Message) -> Result<LogEntry, WireError> {
        use pb::worker::log_entry::Change;
        let kind = match m.change.ok_or(WireError::Unknown("log entry"))? {
            Change::LevelMilli(value) => EntryKind::LoadChanged(level(value)?),
            Change::Paused(p) => EntryKind::LoadChanged(paused(p)),
            Change::Started(hook) => EntryKind::HookStarted(Hook::from_wire(hook)?),
            Change::Values(values) => {
                decode::length("values", values.len(), MAX_VALUES)?;
                EntryKind::SetupValues(values.into())
            }
        };
        Ok(LogEntry {
            id: m.id,
            at: decode::span("at_ns", m.at_ns)?,
            max_delay: decode::span("max_delay_ns", m.max_delay_ns)?,
            kind,
        })
    }
}

/// Encodes a log.
pub fn to_wire(list: &[LogEntry]) -> Vec<pb::worker::LogEntry> {
    list.iter().map(Wire::to_wire).collect()
}

/// Decodes a log, which must be sorted by the time at which entries apply.
pub fn from_wire(list: Vec<pb::worker::LogEntry>) -> Result<Vec<LogEntry>, WireError> {
    let field = "log";
    let log: Vec<LogEntry> = decode::list(field, list, MAX_LOG_ENTRIES)?;
    match log.is_sorted_by_key(|entry| entry.at) {
        true => Ok(log),
        false => Err(WireError::Invalid {
            field,
            reason: "is not sorted by the time at which entries apply",
        }),
    }
}

/// Decodes a log to be shared.
pub fn shared(list: Vec<pb::worker::LogEntry>) -> Result<Arc<[LogEntry]>, WireError> {
    from_wire(list).map(Into::into)
}

/// Encodes a load command.
pub fn command_to_wire(command: LoadCommand) -> pb::v1::load_command::Command {
    use pb::v1::load_command::Command;
    match command {
        LoadCommand::Load { level_milli } => Command::LevelMilli(level_milli),
        LoadCommand::Pause => Command::Paused(true),
        LoadCommand::Resume => Command::Paused(false),
    }
}

/// Decodes a load command.
pub fn command_from_wire(
    command: Option<pb::v1::load_command::Command>,
) -> Result<LoadCommand, WireError> {
    use pb::v1::load_command::Command;
    match command.ok_or(WireError::Unknown("load command"))? {
        Command::LevelMilli(value) => level(value),
        Command::Paused(p) => Ok(paused(p)),
    }
}
