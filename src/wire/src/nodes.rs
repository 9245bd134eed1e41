//! Topic `nodes`: adverts.

use super::check;
use super::limits::*;
use super::parts;
use super::{Wire, WireError, pb, put};
use vajra_core::protocol::messages::{Advert, KnownTest, Status};

/// A multiaddress as text, as far as it can be told without parsing: dialling does that.
fn is_address(s: &str) -> bool {
    s.starts_with('/') && s.len() <= MAX_ADDRESS && s.bytes().all(|b| b.is_ascii_graphic())
}

fn addresses(list: Vec<String>) -> Result<Vec<String>, WireError> {
    check::count("addresses", list.len(), MAX_ADDRESSES)?;
    for address in &list {
        check::length("addresses", address.len(), MAX_ADDRESS)?;
        if !is_address(address) {
            return Err(WireError::Invalid {
                field: "addresses",
                why: "has an element that is not a multiaddress",
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
            name: put::text(&self.name, MAX_NAME),
            version: put::text(&self.version, MAX_VERSION),
            addresses: addresses.take(MAX_ADDRESSES).cloned().collect(),
            capacity: self.capacity.min(MAX_TASKS),
            load: self.load.min(MAX_TASKS),
            task_types: put::texts(&self.task_types, MAX_TASK_TYPES, MAX_TASK_TYPE),
            labels: put::map(&self.labels, MAX_LABELS, MAX_KEY, MAX_LABEL),
            status: self.status.to_wire(),
            interval_ns: put::ns(self.interval),
            tests: self
                .tests
                .iter()
                .take(MAX_KNOWN_TESTS)
                .map(Wire::to_wire)
                .collect(),
            environment: put::text(&self.environment, MAX_ENVIRONMENT),
        }
    }

    fn from_wire(m: Self::Message) -> Result<Advert, WireError> {
        Ok(Advert {
            node: check::required("node", m.node)?,
            number: check::number("number", m.number)?,
            name: check::text("name", m.name, MAX_NAME)?,
            version: check::text("version", m.version, MAX_VERSION)?,
            addresses: addresses(m.addresses)?,
            capacity: check::at_most("capacity", m.capacity, MAX_TASKS)?,
            load: check::at_most("load", m.load, MAX_TASKS)?,
            task_types: check::words("task_types", m.task_types, MAX_TASK_TYPES, MAX_TASK_TYPE)?,
            labels: check::map("labels", m.labels, MAX_LABELS, MAX_LABEL)?,
            status: Status::from_wire(m.status)?,
            interval: check::some_span("interval_ns", m.interval_ns)?,
            tests: check::list("tests", m.tests, MAX_KNOWN_TESTS)?,
            environment: check::text("environment", m.environment, MAX_ENVIRONMENT)?,
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
            test: parts::test(&m.test)?,
            term: check::number("term", m.term)?,
            coordinator: check::optional(m.coordinator)?,
            digest: parts::digest(&m.digest)?,
        })
    }
}
