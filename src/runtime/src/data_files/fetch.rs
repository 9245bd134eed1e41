//! Fetches data files from other nodes, in parts.
//!
//! Several parts of a file are in flight at once. When a node fails, the next one continues where
//! it stopped. A node that sends an impossible part is excluded. The complete file is stored only
//! if its SHA-256 matches. If it does not, and several nodes contributed, each of them is asked for
//! the whole file alone, which identifies the one with wrong content.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use futures::StreamExt as _;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use super::blobs::{BlobError, Blobs, Writer};
use super::retry::RetryPolicy;
use crate::peers::calls::Caller;
use vajra_core::protocol::messages::{Reply, Request};
use vajra_core::protocol::{Digest, Peer};
use vajra_core::sync::lock;
use vajra_network::RequestFailed;
use vajra_plan::{Data, Sha256};
use vajra_wire::limits::MAX_CHUNK;

/// Parts of a file in flight at once, so that a long round trip does not limit the throughput.
const WINDOW: usize = 4;
/// Files prefetched at once: with their parts in flight, 16 MiB of memory. Files of announced tests
/// are not subject to this limit.
const PREFETCHED_AT_ONCE: usize = 4;
/// Most files queued for that; more are refused.
const MAX_PREFETCHED: usize = 64;

/// A data file could not be fetched.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no node to ask.
    #[error("no known node could have it")]
    NoSource,
    /// The nodes asked do not have it.
    #[error("no node asked has it")]
    Absent,
    /// A node refused the request.
    #[error("{0}")]
    Refused(String),
    /// A node could not be asked.
    #[error(transparent)]
    Request(RequestFailed),
    /// A node has a file of another length under this digest.
    #[error("a node has {found} bytes under this digest, but the plan says {expected}")]
    Length {
        /// Length on that node in bytes.
        found: u64,
        /// Length in the plan in bytes.
        expected: u64,
    },
    /// A node sent too much or too little.
    #[error("a node sent {found} bytes instead of {expected}")]
    PartLength {
        /// Bytes received.
        found: u64,
        /// Bytes of this part.
        expected: u64,
    },
    /// A node sent the reply to another request.
    #[error("a node sent an unexpected reply")]
    UnexpectedReply,
    /// The parts do not add up to the file.
    #[error("the content received does not match the digest in the plan")]
    DigestMismatch,
    /// The file cannot be stored on this node.
    #[error("{0}")]
    Store(String),
    /// A fetch of this digest with another length is in progress.
    #[error("it is already being fetched with another length")]
    OtherLength,
    /// The queue of prefetched files is full.
    #[error("too many data files are being fetched already")]
    TooMany,
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Gone,
}

/// What an error means for the rest of a fetch.
enum Consequence {
    /// Continue with the next source.
    NextSource,
    /// Exclude this source.
    ExcludeSource,
    /// At least one of the contributors sent wrong content.
    WrongContent,
    /// No source can help.
    Abort,
}

impl FetchError {
    fn consequence(&self) -> Consequence {
        match self {
            FetchError::Absent | FetchError::Refused(_) | FetchError::Request(_) => {
                Consequence::NextSource
            }
            FetchError::Length { .. }
            | FetchError::PartLength { .. }
            | FetchError::UnexpectedReply => Consequence::ExcludeSource,
            FetchError::DigestMismatch => Consequence::WrongContent,
            FetchError::Store(_)
            | FetchError::NoSource
            | FetchError::OtherLength
            | FetchError::TooMany
            | FetchError::Gone => Consequence::Abort,
        }
    }
}

type Outcome = Option<Result<(), FetchError>>;

/// A fetch in progress.
struct Job {
    bytes: u64,
    received: AtomicU64,
    sources: Mutex<Vec<Peer>>,
    /// Notified when a test needs the file now.
    urgent: Notify,
    outcome: watch::Sender<Outcome>,
}

/// Fetches data files. Clones share the fetches in progress.
#[derive(Clone)]
pub struct Fetcher {
    blobs: Blobs,
    caller: Caller,
    jobs: Arc<Mutex<HashMap<Sha256, Arc<Job>>>>,
    prefetches: Arc<Semaphore>,
    retry: RetryPolicy,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fetcher({} in progress)", self.jobs().len())
    }
}

impl Fetcher {
    /// Fetches with `caller` into `blobs`.
    pub fn new(blobs: Blobs, caller: Caller) -> Fetcher {
        Fetcher {
            blobs,
            caller,
            jobs: Arc::default(),
            prefetches: Arc::new(Semaphore::new(PREFETCHED_AT_ONCE)),
            retry: RetryPolicy::FETCH,
        }
    }

    /// Bytes of a file that are not on this node.
    pub fn missing(&self, data: &Data) -> u64 {
        if self.blobs.has(data.digest).is_some() {
            return 0;
        }
        let received = self.jobs().get(&data.digest).map(|job| job.received());
        // At least 1 until the file is stored.
        data.bytes.saturating_sub(received.unwrap_or(0)).max(1)
    }

    /// Fetches a file in the background for a test that is about to start. A fetch in progress
    /// gets these sources in addition.
    ///
    /// # Errors
    /// Too many prefetches, or one of the same digest with another length.
    pub fn prefetch(&self, data: &Data, sources: &[Peer]) -> Result<(), FetchError> {
        let present = self.blobs.has(data.digest).is_some();
        let jobs = self.jobs();
        match jobs.get(&data.digest) {
            Some(job) if job.bytes != data.bytes => return Err(FetchError::OtherLength),
            None if !present && jobs.len() >= MAX_PREFETCHED => return Err(FetchError::TooMany),
            _ => {}
        }
        drop(jobs);
        self.start(data, sources);
        Ok(())
    }

    /// Waits for a file that a test needs now.
    ///
    /// # Errors
    /// The last reason why it could not be fetched.
    pub async fn get(&self, data: &Data, sources: &[Peer]) -> Result<(), FetchError> {
        let Some(job) = self.start(data, sources) else {
            return Ok(());
        };
        job.urgent.notify_one();
        let mut outcome = job.outcome.subscribe();
        let ended = outcome.wait_for(Option::is_some).await;
        let result = ended.ok().and_then(|outcome| outcome.clone());
        result.unwrap_or(Err(FetchError::Gone))
    }

    /// The fetch of a file, started if necessary; none if the file is here.
    fn start(&self, data: &Data, sources: &[Peer]) -> Option<Arc<Job>> {
        let digest = data.digest;
        let mut jobs = self.jobs();
        // Under the lock, so that no fetch can end between this check and the next.
        if self.blobs.has(digest).is_some() {
            return None;
        }
        if let Some(job) = jobs.get(&digest).filter(|job| job.bytes == data.bytes) {
            job.add_sources(sources);
            return Some(job.clone());
        }
        let job = Arc::new(Job {
            bytes: data.bytes,
            received: AtomicU64::new(0),
            sources: Mutex::default(),
            urgent: Notify::new(),
            outcome: watch::Sender::new(None),
        });
        job.add_sources(sources);
        jobs.insert(digest, job.clone());
        drop(jobs);
        let (fetcher, started) = (self.clone(), job.clone());
        tokio::spawn(async move {
            let result = fetcher.run(digest, &started).await;
            let mut jobs = fetcher.jobs();
            if jobs.get(&digest).is_some_and(|j| Arc::ptr_eq(j, &started)) {
                jobs.remove(&digest);
            }
            drop(jobs);
            started.outcome.send_replace(Some(result));
        });
        Some(job)
    }

    async fn run(&self, digest: Sha256, job: &Job) -> Result<(), FetchError> {
        let _permit = tokio::select! {
            // The semaphore is never closed.
            permit = self.prefetches.acquire() => permit.ok(),
            () = job.urgent.notified() => None,
        };
        let mut attempt = Attempt {
            fetcher: self,
            job,
            digest,
            writer: None,
            contributors: BTreeSet::new(),
            excluded: BTreeSet::new(),
            one_source_only: false,
        };
        let retry = self.retry;
        let started = Instant::now();
        let (mut last_part, mut next, mut failures) = (started, 0, 0);
        let mut error = FetchError::NoSource;
        loop {
            let sources = attempt.sources();
            let idle = last_part.elapsed() > retry.max_idle && failures >= sources.len();
            if idle || started.elapsed() > retry.max_total {
                return Err(error);
            }
            let Some(source) = sources.get(next % sources.len().max(1)) else {
                if !attempt.excluded.is_empty() {
                    return Err(error);
                }
                tokio::time::sleep(retry.pause).await;
                continue;
            };
            next += 1;
            let before = job.received();
            let Err(failed) = attempt.fetch_from(source).await else {
                return Ok(());
            };
            match failed.consequence() {
                Consequence::NextSource => {}
                Consequence::ExcludeSource => drop(attempt.excluded.insert(source.clone())),
                Consequence::WrongContent => attempt.blame(),
                Consequence::Abort => return Err(failed),
            }
            error = failed;
            if job.received() > before {
                (last_part, failures) = (Instant::now(), 0);
                continue;
            }
            failures += 1;
            if failures % sources.len() == 0 {
                tokio::time::sleep(retry.pause).await;
            }
        }
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<Sha256, Arc<Job>>> {
        lock(&self.jobs)
    }
}

impl Job {
    fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn add_sources(&self, more: &[Peer]) {
        let mut sources = lock(&self.sources);
        for source in more {
            if !sources.contains(source) {
                sources.push(source.clone());
            }
        }
    }
}

/// A file assembled from one source after the other.
struct Attempt<'a> {
    fetcher: &'a Fetcher,
    job: &'a Job,
    digest: Sha256,
    writer: Option<Writer>,
    /// Sources of the content in the writer.
    contributors: BTreeSet<Peer>,
    /// Sources that sent wrong content.
    excluded: BTreeSet<Peer>,
    /// Each source starts from the beginning.
    one_source_only: bool,
}

impl Attempt<'_> {
    fn sources(&self) -> Vec<Peer> {
        let sources = lock(&self.job.sources);
        let usable = sources.iter().filter(|s| !self.excluded.contains(*s));
        usable.cloned().collect()
    }

    /// The content was wrong: a single contributor is excluded, several are asked one by one.
    fn blame(&mut self) {
        match self.contributors.len() {
            1 => self.excluded.append(&mut self.contributors),
            _ => self.one_source_only = true,
        }
        self.restart();
    }

    fn restart(&mut self) {
        self.writer = None;
        self.contributors.clear();
        self.job.received.store(0, Ordering::Relaxed);
    }

    async fn fetch_from(&mut self, source: &Peer) -> Result<(), FetchError> {
        if self.one_source_only {
            self.restart();
        }
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let created = self.fetcher.blobs.writer(self.digest);
                created.map_err(|e| FetchError::Store(BlobError::from(e).to_string()))?
            }
        };
        let (digest, total) = (self.digest, self.job.bytes);
        let fetcher = self.fetcher;
        let caller = &fetcher.caller;
        let offsets = (writer.written()..total).step_by(MAX_CHUNK);
        let parts = futures::stream::iter(offsets)
            .map(|offset| part(caller, source, digest, offset, total))
            .buffered(WINDOW);
        let mut parts = std::pin::pin!(parts);
        while let Some(part) = parts.next().await {
            let bytes = match part {
                Ok(bytes) => bytes,
                Err(e) => {
                    // The next source continues from here.
                    self.writer = Some(writer);
                    return Err(e);
                }
            };
            let length = bytes.len() as u64;
            writer = in_background(move || writer.write(&bytes).map(|()| writer)).await?;
            self.contributors.insert(source.clone());
            self.job.received.fetch_add(length, Ordering::Relaxed);
        }
        in_background(move || writer.commit()).await
    }
}

/// One part of a file, checked for its length.
async fn part(
    caller: &Caller,
    source: &Peer,
    digest: Sha256,
    offset: u64,
    total: u64,
) -> Result<Arc<[u8]>, FetchError> {
    let request = Request::FetchBlob {
        digest: Digest(digest.0),
        offset,
    };
    let expected = (total - offset).min(MAX_CHUNK as u64);
    match caller.call(source, request).await {
        Ok(Reply::Blob(Some(part))) if part.total != total => Err(FetchError::Length {
            found: part.total,
            expected: total,
        }),
        Ok(Reply::Blob(Some(part))) if part.bytes.len() as u64 != expected => {
            Err(FetchError::PartLength {
                found: part.bytes.len() as u64,
                expected,
            })
        }
        Ok(Reply::Blob(Some(part))) => Ok(part.bytes),
        Ok(Reply::Blob(None)) => Err(FetchError::Absent),
        Ok(Reply::Refused(why)) => Err(FetchError::Refused(why)),
        Ok(_) => Err(FetchError::UnexpectedReply),
        Err(e) => Err(FetchError::Request(e)),
    }
}

/// Runs a write that may block.
async fn in_background<T: Send + 'static>(
    write: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, FetchError> {
    match tokio::task::spawn_blocking(write).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(BlobError::DigestMismatch(_))) => Err(FetchError::DigestMismatch),
        Ok(Err(e)) => Err(FetchError::Store(e.to_string())),
        Err(e) => Err(FetchError::Store(e.to_string())),
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
