//! Records that are handed out, part by part. Each is read and hashed once and then kept for
//! some seconds, so that a large one does not cost its whole length for every part.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::records::Whole;
use super::store::Version;
use vajra_core::protocol::messages::RecordName;
use vajra_wire::limits::MAX_RECORD;

/// How long a record is kept after its last part was asked for.
const KEEP: Duration = Duration::from_secs(5);
/// How long what is in memory is handed out as it was read.
const FRESH: Duration = Duration::from_secs(1);
/// Most records kept: a few fetch different ones at once.
const MAX_KEPT: usize = 8;
/// Most bytes of them: two of the longest.
const MAX_KEPT_BYTES: usize = 2 * MAX_RECORD as usize;

/// The records handed out last. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct TransferCache(Arc<Mutex<VecDeque<Kept>>>);

#[derive(Debug)]
struct Kept {
    record: RecordName,
    /// Of the file that it was read from; none if it was in memory.
    version: Option<Version>,
    whole: Arc<Whole>,
    read: Instant,
    used: Instant,
}

impl TransferCache {
    /// A record of which the part from an offset on is asked for. It is read anew if the file is
    /// another one than before; what is not in a file is read anew for its first part, unless that
    /// was done just now: several who come at once would keep each other from the rest.
    pub fn get(
        &self,
        record: RecordName,
        version: Option<Version>,
        offset: u64,
        now: Instant,
        read: impl FnOnce() -> Option<Arc<[u8]>>,
    ) -> Option<Arc<Whole>> {
        {
            let mut kept = self.lock();
            let found = kept.iter_mut().find(|k| k.record == record);
            let is_good = |k: &&mut Kept| {
                let fresh = now.saturating_duration_since(k.read) < FRESH;
                k.version == version && (version.is_some() || offset > 0 || fresh)
            };
            if let Some(found) = found.filter(is_good) {
                found.used = now;
                return Some(found.whole.clone());
            }
        }
        // Without the lock: others may go on meanwhile.
        let whole = Arc::new(Whole::of(read()?));
        let mut kept = self.lock();
        kept.retain(|k| k.record != record);
        kept.push_back(Kept {
            record,
            version,
            whole: whole.clone(),
            read: now,
            used: now,
        });
        let bytes = |kept: &VecDeque<Kept>| kept.iter().map(|k| k.whole.len()).sum::<usize>();
        while kept.len() > MAX_KEPT || bytes(&kept) > MAX_KEPT_BYTES {
            kept.pop_front();
        }
        Some(whole)
    }

    /// Lets go of what nobody has asked for lately.
    pub fn forget_old(&self, now: Instant) {
        self.lock()
            .retain(|k| now.saturating_duration_since(k.used) < KEEP);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vajra_core::protocol::TestId;

    fn record(i: u8) -> RecordName {
        RecordName::Timeline(TestId([i; 16]))
    }

    fn version(bytes: u64) -> Option<Version> {
        Some(Version {
            bytes,
            written: None,
        })
    }

    /// Asks for a part; returns whether the record was read for it.
    fn reads(
        recent: &TransferCache,
        i: u8,
        version: Option<Version>,
        offset: u64,
        length: usize,
        now: Instant,
    ) -> bool {
        let mut read = false;
        let whole = recent.get(record(i), version, offset, now, || {
            read = true;
            Some(vec![i; length].into())
        });
        assert!(whole.is_some());
        read
    }

    #[test]
    fn a_file_is_read_once_for_all_parts_until_it_is_another() {
        let (recent, now) = (TransferCache::default(), Instant::now());
        assert!(reads(&recent, 1, version(3), 0, 3, now));
        assert!(!reads(&recent, 1, version(3), 0, 3, now));
        assert!(!reads(&recent, 1, version(3), 2, 3, now));
        assert!(reads(&recent, 1, version(4), 2, 4, now));
        assert!(!reads(&recent, 1, version(4), 3, 4, now));
        assert!(reads(&recent, 2, version(4), 3, 4, now));
        assert!(!reads(&recent, 1, version(4), 0, 4, now));
    }

    #[test]
    fn what_is_in_memory_is_read_for_its_first_part() {
        let (recent, now) = (TransferCache::default(), Instant::now());
        assert!(reads(&recent, 1, None, 0, 3, now));
        assert!(!reads(&recent, 1, None, 1, 3, now));
        // Another caller, a moment later, does not change it for the first.
        assert!(!reads(&recent, 1, None, 0, 3, now + FRESH / 2));
        assert!(reads(&recent, 1, None, 0, 3, now + FRESH));
    }

    #[test]
    fn a_record_that_is_not_there_is_looked_for_again() {
        let (recent, now) = (TransferCache::default(), Instant::now());
        assert!(recent.get(record(1), None, 0, now, || None).is_none());
        assert!(reads(&recent, 1, None, 1, 3, now));
    }

    #[test]
    fn records_are_kept_for_some_seconds_after_their_last_part() {
        let (recent, now) = (TransferCache::default(), Instant::now());
        reads(&recent, 1, version(3), 0, 3, now);
        reads(&recent, 2, version(3), 0, 3, now);
        let later = now + KEEP / 2;
        assert!(!reads(&recent, 1, version(3), 1, 3, later));
        recent.forget_old(now + KEEP);
        assert!(!reads(&recent, 1, version(3), 2, 3, later));
        assert!(reads(&recent, 2, version(3), 2, 3, later));
    }

    #[test]
    fn few_records_and_bytes_are_kept() {
        let (recent, now) = (TransferCache::default(), Instant::now());
        for i in 0..=MAX_KEPT as u8 {
            reads(&recent, i, version(3), 0, 3, now);
        }
        assert_eq!(recent.lock().len(), MAX_KEPT);
        for i in 100..103 {
            reads(&recent, i, version(3), 0, MAX_RECORD as usize, now);
        }
        assert_eq!(recent.lock().len(), 2);
    }
}
