//! Serves results and timelines to other nodes, in parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::records::{self, Whole};
use super::remote::ResultSummary;
use super::store::{MAX_RESULTS, Part, Store};
use super::transfer::TransferCache;
use crate::answer::{Answer, admit};
use vajra_core::protocol::TestId;
use vajra_core::protocol::messages::{RecordName, Reply};
use vajra_wire::limits::MAX_RECORD;

/// Records read or built for others at once, each of at most 16 MiB. Further requests are refused.
const SERVED_AT_ONCE: usize = 4;

/// Produces the content of a record that is not in a file.
pub type Unsaved = Box<dyn FnOnce() -> Option<Arc<[u8]>> + Send>;

/// Serves the tests of a store.
pub struct RecordServer {
    store: Store,
    permits: Arc<Semaphore>,
    transfers: TransferCache,
}

impl RecordServer {
    /// For the tests of this store.
    pub fn new(store: Store) -> RecordServer {
        RecordServer {
            store,
            permits: Arc::new(Semaphore::new(SERVED_AT_ONCE)),
            transfers: TransferCache::default(),
        }
    }

    /// Removes cached records without recent requests.
    pub fn remove_old(&self) {
        self.transfers.remove_old(Instant::now());
    }

    /// The list of the newest of these tests.
    pub fn list(
        &self,
        tests: impl FnOnce() -> BTreeMap<TestId, ResultSummary>,
        offset: u64,
    ) -> Answer {
        let Some(permit) = admit(&self.permits) else {
            return Answer::busy();
        };
        let (tests, store) = (tests(), self.store.clone());
        Answer::blocking(move || {
            let _permit = permit;
            let newest = tests.into_iter().rev().take(MAX_RESULTS);
            let tests = newest.map(|(id, mut summary)| {
                summary.timeline = store.can_serve(id, Part::Timeline);
                summary
            });
            let whole = Whole::of(records::tests_record(tests).into());
            part_reply(Some(&whole), offset)
        })
    }

    /// A part of a test, from the store or else from `unsaved`.
    pub fn record(
        &self,
        (test, part): (TestId, Part),
        offset: u64,
        unsaved: Option<Unsaved>,
    ) -> Answer {
        let Some(permit) = admit(&self.permits) else {
            return Answer::busy();
        };
        let record = match part {
            Part::Result => RecordName::Result(test),
            Part::Timeline => RecordName::Timeline(test),
        };
        let (store, transfers) = (self.store.clone(), self.transfers.clone());
        Answer::blocking(move || {
            let _permit = permit;
            let version = store.version(test, part);
            // A file over the size limit of a record is not read.
            let whole = match version.is_some_and(|v| v.bytes > MAX_RECORD) {
                true => None,
                false => transfers.get(record, version, offset, Instant::now(), || {
                    let stored = store.bytes(test, part);
                    stored.or_else(|| unsaved?())
                }),
            };
            part_reply(whole.as_deref(), offset)
        })
    }
}

/// The part of a record that starts at `offset`.
pub fn part_reply(whole: Option<&Whole>, offset: u64) -> Reply {
    let whole = whole.filter(|w| w.len() as u64 <= MAX_RECORD);
    Reply::Record(whole.map(|w| w.part(offset)))
}
