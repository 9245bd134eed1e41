//! Records served to other nodes, part by part. Each is read and hashed once and then cached for
//! some seconds, so that a large one is not read as a whole for every part.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::records::Whole;
use super::store::Version;
use vajra_core::protocol::messages::RecordName;
use vajra_core::sync::lock;
use vajra_wire::limits::MAX_RECORD;

/// How long a record stays in the cache after the last request for a part.
const KEEP: Duration = Duration::from_secs(5);
/// How long a copy of a record in memory is served before it is read again.
const FRESH: Duration = Duration::from_secs(1);
/// Most records in the cache, for a few concurrent transfers.
const MAX_CACHED: usize = 8;
/// Most bytes of records in the cache: two of the longest.
const MAX_CACHED_BYTES: usize = 2 * MAX_RECORD as usize;

/// The records served recently. Clones share one cache.
#[derive(Clone, Debug, Default)]
pub struct TransferCache(Arc<Mutex<VecDeque<Cached>>>);

#[derive(Debug)]
struct Cached {
    record: RecordName,
    /// Version of the file; none for a record in memory.
    version: Option<Version>,
    whole: Arc<Whole>,
    read_at: Instant,
    last_use: Instant,
}

impl TransferCache {
    /// The record for a request that starts at `offset`. A file is read again if its version has
    /// changed. A record in memory is read again for its first part, unless the copy is fresh:
    /// otherwise concurrent transfers would keep restarting each other.
    pub fn get(
        &self,
        record: RecordName,
        version: Option<Version>,
        offset: u64,
        now: Instant,
        read: impl FnOnce() -> Option<Arc<[u8]>>,
    ) -> Option<Arc<Whole>> {
        {
            let mut cached = self.lock();
            let found = cached.iter_mut().find(|k| k.record == record);
            let is_usable = |k: &&mut Cached| {
                let fresh = now.saturating_duration_since(k.read_at) < FRESH;
                k.version == version && (version.is_some() || offset > 0 || fresh)
            };
            if let Some(found) = found.filter(is_usable) {
                found.last_use = now;
                return Some(found.whole.clone());
            }
        }
        // Read without the lock, so that other transfers continue.
        let whole = Arc::new(Whole::of(read()?));
        let mut cached = self.lock();
        cached.retain(|k| k.record != record);
        cached.push_back(Cached {
            record,
            version,
            whole: whole.clone(),
            read_at: now,
            last_use: now,
        });
        let bytes = |cached: &VecDeque<Cached>| cached.iter().map(|k| k.whole.len()).sum::<usize>();
        while cached.len() > MAX_CACHED || bytes(&cached) > MAX_CACHED_BYTES {
            cached.pop_front();
        }
        Some(whole)
    }

    /// Removes records without recent requests.
    pub fn remove_old(&self, now: Instant) {
        self.lock()
            .retain(|k| now.saturating_duration_since(k.last_use) < KEEP);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Cached>> {
        lock(&self.0)
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

    /// Requests a part; returns whether the record was read for it.
    fn reads(
        cache: &TransferCache,
        i: u8,
        version: Option<Version>,
        offset: u64,
        length: usize,
        now: Instant,
    ) -> bool {
        let mut read = false;
        let whole = cache.get(record(i), version, offset, now, || {
            read = true;
            Some(vec![i; length].into())
        });
        assert!(whole.is_some());
        read
    }

    #[test]
    fn a_file_is_read_once_for_all_parts_until_its_version_changes() {
        let (cache, now) = (TransferCache::default(), Instant::now());
        assert!(reads(&cache, 1, version(3), 0, 3, now));
        assert!(!reads(&cache, 1, version(3), 0, 3, now));
        assert!(!reads(&cache, 1, version(3), 2, 3, now));
        assert!(reads(&cache, 1, version(4), 2, 4, now));
        assert!(!reads(&cache, 1, version(4), 3, 4, now));
        assert!(reads(&cache, 2, version(4), 3, 4, now));
        assert!(!reads(&cache, 1, version(4), 0, 4, now));
    }

    #[test]
    fn a_record_in_memory_is_read_again_for_its_first_part() {
        let (cache, now) = (TransferCache::default(), Instant::now());
        assert!(reads(&cache, 1, None, 0, 3, now));
        assert!(!reads(&cache, 1, None, 1, 3, now));
        // A second transfer shortly after does not disturb the first.
        assert!(!reads(&cache, 1, None, 0, 3, now + FRESH / 2));
        assert!(reads(&cache, 1, None, 0, 3, now + FRESH));
    }

    #[test]
    fn an_absent_record_is_not_cached() {
        let (cache, now) = (TransferCache::default(), Instant::now());
        assert!(cache.get(record(1), None, 0, now, || None).is_none());
        assert!(reads(&cache, 1, None, 1, 3, now));
    }

    #[test]
    fn records_are_cached_for_some_seconds_after_their_last_part() {
        let (cache, now) = (TransferCache::default(), Instant::now());
        reads(&cache, 1, version(3), 0, 3, now);
        reads(&cache, 2, version(3), 0, 3, now);
        let later = now + KEEP / 2;
        assert!(!reads(&cache, 1, version(3), 1, 3, later));
        cache.remove_old(now + KEEP);
        assert!(!reads(&cache, 1, version(3), 2, 3, later));
        assert!(reads(&cache, 2, version(3), 2, 3, later));
    }

    #[test]
    fn records_and_bytes_in_the_cache_are_limited() {
        let (cache, now) = (TransferCache::default(), Instant::now());
        for i in 0..=MAX_CACHED as u8 {
            reads(&cache, i, version(3), 0, 3, now);
        }
        assert_eq!(cache.lock().len(), MAX_CACHED);
        for i in 100..103 {
            reads(&cache, i, version(3), 0, MAX_RECORD as usize, now);
        }
        assert_eq!(cache.lock().len(), 2);
    }
}
