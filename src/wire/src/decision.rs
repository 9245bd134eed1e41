//! What was decided, and what somebody wants decided.

use std::sync::Arc;

use super::check;
use super::limits::*;
use super::{Wire, WireError, pb, put};
use vajra_core::protocol::decisions::{Decided, Decision, Once, Steer};

fn level(value: u64) -> Result<Steer, WireError> {
    if value == 0 {
        return Err(WireError::Missing("level_milli"));
    }
    let level_milli = check::at_most("level_milli", value, MAX_RATE_MILLI)?;
    Ok(Steer::Load { level_milli })
}

fn paused(paused: bool) -> Steer {
    match paused {
        true => Steer::Pause,
        false => Steer::Resume,
    }
}

impl Wire for Once {
    type Message = i32;

    fn to_wire(&self) -> i32 {
        use pb::worker::Once as W;
        let once = match self {
            Once::Setup => W::Setup,
            Once::Teardown => W::Teardown,
        };
        once.into()
    }

    fn from_wire(m: i32) -> Result<Once, WireError> {
        use pb::worker::Once as W;
        Ok(match W::try_from(m).unwrap_or_default() {
            W::Unknown => return Err(WireError::Unknown("what is run once")),
            W::Setup => Once::Setup,
            W::Teardown => Once::Teardown,
        })
    }
}

impl Wire for Decided {
    type Message = pb::worker::Decision;

    fn to_wire(&self) -> Self::Message {
        use pb::worker::decision::What;
        let what = match &self.what {
            Decision::Steered(Steer::Load { level_milli }) => What::LevelMilli(*level_milli),
            Decision::Steered(Steer::Pause) => What::Paused(true),
            Decision::Steered(Steer::Resume) => What::Paused(false),
            Decision::Begun(once) => What::Begun(once.to_wire()),
            Decision::SetUp(values) => What::Values(values.to_vec()),
        };
        pb::worker::Decision {
            id: self.id,
            at_ns: put::ns(self.at),
            lag_ns: put::ns(self.lag),
            what: Some(what),
        }
    }

    fn from_wire(m: Self::Message) -> Result<Decided, WireError> {
        use pb::worker::decision::What;
        let what = match m.what.ok_or(WireError::Unknown("decision"))? {
            What::LevelMilli(value) => Decision::Steered(level(value)?),
            What::Paused(p) => Decision::Steered(paused(p)),
            What::Begun(once) => Decision::Begun(Once::from_wire(once)?),
            What::Values(values) => {
                check::length("values", values.len(), MAX_VALUES)?;
                Decision::SetUp(values.into())
            }
        };
        Ok(Decided {
            id: m.id,
            at: check::span("at_ns", m.at_ns)?,
            lag: check::span("lag_ns", m.lag_ns)?,
            what,
        })
    }
}

/// A list of decisions on the way out.
pub fn to_wire(list: &[Decided]) -> Vec<pb::worker::Decision> {
    list.iter().map(Wire::to_wire).collect()
}

/// A list on the way in: in the order of when they count.
pub fn from_wire(list: Vec<pb::worker::Decision>) -> Result<Vec<Decided>, WireError> {
    let field = "decisions";
    let decided: Vec<Decided> = check::list(field, list, MAX_DECISIONS)?;
    match decided.is_sorted_by_key(|d| d.at) {
        true => Ok(decided),
        false => Err(WireError::Invalid {
            field,
            why: "are not in the order in which they count",
        }),
    }
}

/// The same, shared.
pub fn shared(list: Vec<pb::worker::Decision>) -> Result<Arc<[Decided]>, WireError> {
    from_wire(list).map(Into::into)
}

/// A change of the load that is asked for.
pub fn steer_to_wire(steer: Steer) -> pb::v1::steer::How {
    use pb::v1::steer::How;
    match steer {
        Steer::Load { level_milli } => How::LevelMilli(level_milli),
        Steer::Pause => How::Paused(true),
        Steer::Resume => How::Paused(false),
    }
}

/// The same on the way in.
pub fn steer_from_wire(how: Option<pb::v1::steer::How>) -> Result<Steer, WireError> {
    use pb::v1::steer::How;
    match how.ok_or(WireError::Unknown("steer"))? {
        How::LevelMilli(value) => level(value),
        How::Paused(p) => Ok(paused(p)),
    }
}
