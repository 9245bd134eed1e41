//! What was decided, and what somebody wants decided.

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
        let once = match self {
            Hook::Setup => W::Setup,
            Hook::Teardown => W::Teardown,
        };
        once.into()
    }

    fn from_wire(m: i32) -> Result<Hook, WireError> {
        use pb::worker::Hook as W;
        Ok(match W::try_from(m).unwrap_or_default() {
            W::Unknown => return Err(WireError::Unknown("what is run once")),
            W::Setup => Hook::Setup,
            W::Teardown => Hook::Teardown,
        })
    }
}

impl Wire for LogEntry {
    type Message = pb::worker::Decision;

    fn to_wire(&self) -> Self::Message {
        use pb::worker::decision::What;
        let what = match &self.kind {
            EntryKind::LoadChanged(LoadCommand::Load { level_milli }) => {
                What::LevelMilli(*level_milli)
            }
            EntryKind::LoadChanged(LoadCommand::Pause) => What::Paused(true),
            EntryKind::LoadChanged(LoadCommand::Resume) => What::Paused(false),
            EntryKind::HookStarted(once) => What::Begun(once.to_wire()),
            EntryKind::SetupValues(values) => What::Values(values.to_vec()),
        };
        pb::worker::Decision {
            id: self.id,
            at_ns: encode::ns(self.at),
            lag_ns: encode::ns(self.max_delay),
            what: Some(what),
        }
    }

    fn from_wire(m: Self::Message) -> Result<LogEntry, WireError> {
        use pb::worker::decision::What;
        let what = match m.what.ok_or(WireError::Unknown("decision"))? {
            What::LevelMilli(value) => EntryKind::LoadChanged(level(value)?),
            What::Paused(p) => EntryKind::LoadChanged(paused(p)),
            What::Begun(once) => EntryKind::HookStarted(Hook::from_wire(once)?),
            What::Values(values) => {
                decode::length("values", values.len(), MAX_VALUES)?;
                EntryKind::SetupValues(values.into())
            }
        };
        Ok(LogEntry {
            id: m.id,
            at: decode::span("at_ns", m.at_ns)?,
            max_delay: decode::span("lag_ns", m.lag_ns)?,
            kind: what,
        })
    }
}

/// A list of decisions on the way out.
pub fn to_wire(list: &[LogEntry]) -> Vec<pb::worker::Decision> {
    list.iter().map(Wire::to_wire).collect()
}

/// A list on the way in: in the order of when they count.
pub fn from_wire(list: Vec<pb::worker::Decision>) -> Result<Vec<LogEntry>, WireError> {
    let field = "decisions";
    let decided: Vec<LogEntry> = decode::list(field, list, MAX_DECISIONS)?;
    match decided.is_sorted_by_key(|d| d.at) {
        true => Ok(decided),
        false => Err(WireError::Invalid {
            field,
            why: "are not in the order in which they count",
        }),
    }
}

/// The same, shared.
pub fn shared(list: Vec<pb::worker::Decision>) -> Result<Arc<[LogEntry]>, WireError> {
    from_wire(list).map(Into::into)
}

/// A change of the load that is asked for.
pub fn steer_to_wire(steer: LoadCommand) -> pb::v1::load_command::How {
    use pb::v1::load_command::How;
    match steer {
        LoadCommand::Load { level_milli } => How::LevelMilli(level_milli),
        LoadCommand::Pause => How::Paused(true),
        LoadCommand::Resume => How::Paused(false),
    }
}

/// The same on the way in.
pub fn steer_from_wire(how: Option<pb::v1::load_command::How>) -> Result<LoadCommand, WireError> {
    use pb::v1::load_command::How;
    match how.ok_or(WireError::Unknown("steer"))? {
        How::LevelMilli(value) => level(value),
        How::Paused(p) => Ok(paused(p)),
    }
}
