//! Pre-flight: the request to check a plan, and the findings.

use super::decode;
use super::limits::*;
use super::{Wire, WireError, common, encode, pb};
use vajra_core::protocol::preflight::{Check, Finding, Preflight, PreflightReply};

impl Wire for Preflight {
    type Message = pb::v1::Preflight;

    fn to_wire(&self) -> Self::Message {
        pb::v1::Preflight {
            digest: self.digest.0.to_vec(),
            plan: self.plan.to_vec(),
            slots: self.slots.min(MAX_SLOTS),
        }
    }

    fn from_wire(m: Self::Message) -> Result<Preflight, WireError> {
        decode::length("plan", m.plan.len(), MAX_PLAN)?;
        Ok(Preflight {
            digest: common::digest(&m.digest)?,
            plan: m.plan.into(),
            slots: decode::at_most("slots", m.slots, MAX_SLOTS)?,
        })
    }
}

impl Wire for PreflightReply {
    type Message = pb::v1::PreflightResult;

    fn to_wire(&self) -> Self::Message {
        let checks = self.checks.iter().take(MAX_CHECKS);
        pb::v1::PreflightResult {
            able: self.able,
            checks: checks.map(Wire::to_wire).collect(),
        }
    }

    fn from_wire(m: Self::Message) -> Result<PreflightReply, WireError> {
        Ok(PreflightReply {
            able: m.able,
            checks: decode::list("checks", m.checks, MAX_CHECKS)?,
        })
    }
}

impl Wire for Check {
    type Message = pb::v1::PreflightCheck;

    fn to_wire(&self) -> Self::Message {
        pb::v1::PreflightCheck {
            name: encode::text(&self.name, MAX_WORD),
            subject: encode::text(&self.subject, MAX_SUBJECT),
            finding: self.finding.to_wire(),
            value: self.value.map(|v| v.min(MAX_COUNT)),
            limit: self.limit.map(|v| v.min(MAX_COUNT)),
            text: encode::text(&self.text, MAX_TEXT),
            hint: encode::text(&self.hint, MAX_TEXT),
        }
    }

    fn from_wire(m: Self::Message) -> Result<Check, WireError> {
        let figure = |field, value: Option<u64>| {
            value
                .map(|v| decode::at_most(field, v, MAX_COUNT))
                .transpose()
        };
        Ok(Check {
            name: decode::word("name", m.name, MAX_WORD)?,
            subject: decode::text("subject", m.subject, MAX_SUBJECT)?,
            finding: Finding::from_wire(m.finding)?,
            value: figure("value", m.value)?,
            limit: figure("limit", m.limit)?,
            text: decode::text("text", m.text, MAX_TEXT)?,
            hint: decode::text("hint", m.hint, MAX_TEXT)?,
        })
    }
}

impl Wire for Finding {
    type Message = i32;

    fn to_wire(&self) -> i32 {
        use pb::v1::PreflightFinding as F;
        let finding = match self {
            Finding::Skip => F::Skip,
            Finding::Pass => F::Pass,
            Finding::Warn => F::Warn,
            Finding::Fail => F::Fail,
        };
        finding.into()
    }

    /// A finding of a newer version is shown as a warning.
    fn from_wire(m: i32) -> Result<Finding, WireError> {
        use pb::v1::PreflightFinding as F;
        Ok(match F::try_from(m).unwrap_or_default() {
            F::Skip => Finding::Skip,
            F::Pass => Finding::Pass,
            F::Unknown | F::Warn => Finding::Warn,
            F::Fail => Finding::Fail,
        })
    }
}
