//! Allocations of shares, and grants of request numbers.

use super::common;
use super::decode;
use super::limits::MAX_ENTRIES;
use super::test_message::term;
use super::{Wire, WireError, pb};
use vajra_core::protocol::allocation::{Allocation, AllocationEntry, AllocationName};
use vajra_core::protocol::messages::NumbersGrant;

impl Wire for Allocation {
    type Message = pb::worker::Allocation;

    fn to_wire(&self) -> Self::Message {
        pb::worker::Allocation {
            test: self.test.0.to_vec(),
            term: self.term,
            number: self.number,
            coordinator: Some(self.coordinator.to_wire()),
            entries: self.entries.iter().map(Wire::to_wire).collect(),
            signature: self.signature.0.to_vec(),
        }
    }

    /// Whether the entries are in order and disjoint is checked by the receiver.
    fn from_wire(m: Self::Message) -> Result<Allocation, WireError> {
        Ok(Allocation {
            test: common::test(&m.test)?,
            term: term(m.term)?,
            number: decode::number("allocation.number", m.number)?,
            coordinator: decode::required("coordinator", m.coordinator)?,
            entries: decode::list("entries", m.entries, MAX_ENTRIES)?,
            signature: common::signature(&m.signature)?,
        })
    }
}

impl Wire for AllocationEntry {
    type Message = pb::worker::AllocationEntry;

    fn to_wire(&self) -> Self::Message {
        pb::worker::AllocationEntry {
            worker: Some(self.worker.to_wire()),
            slots: common::bounds(self.slots.intervals()),
        }
    }

    fn from_wire(m: Self::Message) -> Result<AllocationEntry, WireError> {
        Ok(AllocationEntry {
            worker: decode::required("worker", m.worker)?,
            slots: common::entry("entry.slots", &m.slots)?,
        })
    }
}

impl Wire for AllocationName {
    type Message = pb::worker::AllocationName;

    fn to_wire(&self) -> Self::Message {
        pb::worker::AllocationName {
            number: self.number,
            digest: self.digest.0.to_vec(),
        }
    }

    fn from_wire(m: Self::Message) -> Result<AllocationName, WireError> {
        Ok(AllocationName {
            number: decode::number("allocation.number", m.number)?,
            digest: common::digest(&m.digest)?,
        })
    }
}

impl Wire for NumbersGrant {
    type Message = pb::worker::NumbersGrant;

    fn to_wire(&self) -> Self::Message {
        pb::worker::NumbersGrant {
            granted: common::number_bounds(&self.granted),
            last: self.last,
        }
    }

    fn from_wire(m: Self::Message) -> Result<NumbersGrant, WireError> {
        Ok(NumbersGrant {
            granted: common::numbers("granted", &m.granted)?,
            last: m.last,
        })
    }
}
