//! Topic `nodes`: adverts.

use super::common;
use super::decode;
use super::limits::*;
use super::{Wire, WireError, encode, pb};
use vajra_core::protocol::messages::{Advert, KnownTest, Status};

/// A first check of the text of a multiaddress. It is parsed before it is dialled.
fn is_address(s: &str) -> bool {
    s.starts_with('/') && s.len() <= MAX_ADDRESS && s.bytes().all(|b| b.is_ascii_graphic())
}

fn addresses(list: Vec<String>) -> Result<Vec<String>, WireError> {
    decode::count("addresses", list.len(), MAX_ADDRESSES)?;
    for address in &list {
        decode::length("addresses", address.len(), MAX_ADDRESS)?;
        if !is_address(address) {
            return Err(WireError::Invalid {
                field: "addresses",
                reason: "has an element that is not a multiaddress",
            });
        }
    }
    Ok(list)
}

impl Wire for Advert {
    type Message = pb::v1::Advert;

    fn to_wire(&self) -> Self::Message {
        let addresses = self.addresses.iter().filter(|a| is_address(a));
        pb::v1::Advert {
            node: Some(self.node.to_wire()),
            number: self.number,
            name: encode::text(&self.name, MAX_NAME),
            version: encode::text(&self.version, MAX_VERSION),
            addresses: addresses.take(MAX_ADDRESSES).cloned().collect(),
            capacity: self.capacity.min(MAX_TASKS),
            load: self.load.min(MAX_TASKS),
            task_types: encode::texts(&self.task_types, MAX_TASK_TYPES, MAX_TASK_TYPE),
            labels: encode::map(&self.labels, MAX_LABELS, MAX_KEY, MAX_LABEL),
            status: self.status.to_wire(),
            interval_ns: encode::ns(self.interval),
            tests: self
                .tests
                .iter()
                .take(MAX_KNOWN_TESTS)
                .map(Wire::to_wire)
                .collect(),
            environment: encode::text(&self.environment, MAX_ENVIRONMENT),
        }
    }

    fn from_wire(m: Self::Message) -> Result<Advert, WireError> {
        Ok(Advert {
            node: decode::required("node", m.node)?,
            number: decode::number("number", m.number)?,
            name: decode::text("name", m.name, MAX_NAME)?,
            version: decode::text("version", m.version, MAX_VERSION)?,
            addresses: addresses(m.addresses)?,
            capacity: decode::at_most("capacity", m.capacity, MAX_TASKS)?,
            load: decode::at_most("load", m.load, MAX_TASKS)?,
            task_types: decode::words("task_types", m.task_types, MAX_TASK_TYPES, MAX_TASK_TYPE)?,
            labels: decode::map("labels", m.labels, MAX_LABELS, MAX_LABEL)?,
            status: Status::from_wire(m.status)?,
            interval: decode::nonzero_span("interval_ns", m.interval_ns)?,
            tests: decode::list("tests", m.tests, MAX_KNOWN_TESTS)?,
            environment: decode::text("environment", m.environment, MAX_ENVIRONMENT)?,
        })
    }
}

impl Wire for KnownTest {
    type Message = pb::v1::KnownTest;

    fn to_wire(&self) -> Self::Message {
        pb::v1::KnownTest {
            test: self.test.0.to_vec(),
            term: self.term,
            coordinator: self.coordinator.as_ref().map(Wire::to_wire),
            digest: self.digest.0.to_vec(),
        }
    }

    fn from_wire(m: Self::Message) -> Result<KnownTest, WireError> {
        Ok(KnownTest {
            test: common::test(&m.test)?,
            term: decode::number("term", m.term)?,
            coordinator: decode::optional(m.coordinator)?,
            digest: common::digest(&m.digest)?,
        })
    }
}
