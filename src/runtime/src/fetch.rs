//! Fetching data files from other nodes, in parts, by whoever has them.
//!
//! A file is asked for part by part, several under way at once. A node that fails is followed
//! by the next, which goes on where that one stopped. Whoever answers with something that
//! cannot be a part of the file is asked no more. What was put together is taken in only if its
//! SHA-256 is right; if it is not, and several nodes had a part in it, each is then asked
//! for the whole alone, so that the one that lies is found out.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use super::blobs::{BlobError, Blobs, Writer};
use super::calls::Caller;
use vajra_core::protocol::messages::{Reply, Request};
use vajra_core::protocol::{Digest, Peer};
use vajra_plan::{Data, Sha256};
use vajra_wire::limits::MAX_CHUNK;

/// Parts under way at once of a file, so that a long round trip is no narrow road.
const WINDOW: usize = 4;
/// Files fetched at the same time because somebody wants it so; with their parts under way,
/// 16 MiB of memory. Those of announced tests do not wait for them.
const WANTED_AT_ONCE: usize = 4;
/// Files that wait for that; more are refused.
const MOST_WANTED: usize = 64;
/// How long a fetch goes on.
#[derive(Clone, Copy, Debug)]
struct RetryPolicy {
    /// Pause after all sources were asked in vain.
    repeat: Duration,
    /// Without any part for so long, a file is given up.
    give_up: Duration,
    /// However it goes, a file that is not here by then is given up.
    longest: Duration,
}

const PATIENCE: RetryPolicy = RetryPolicy {
    repeat: Duration::from_millis(500),
    // More than a part may take.
    give_up: Duration::from_secs(35),
    longest: Duration::from_secs(600),
};

/// Why an attempt came to nothing.
#[derive(Debug)]
enum Failed {
    /// This source can't, or not now.
    Source(String),
    /// This source says what cannot be.
    Lie(String),
    /// What was put together is not the file.
    Whole,
    /// Nothing helps.
    Here(String),
}

type Done = Option<Result<(), String>>;

/// A file that is being fetched.
struct Job {
    bytes: u64,
    received: AtomicU64,
    sources: Mutex<Vec<Peer>>,
    /// A test needs it now.
    urgent: Notify,
    done: watch::Sender<Done>,
}

/// Fetches data files. A clone is the same.
#[derive(Clone)]
pub struct Fetcher {
    blobs: Blobs,
    caller: Caller,
    jobs: Arc<Mutex<HashMap<Sha256, Arc<Job>>>>,
    places: Arc<Semaphore>,
    patience: RetryPolicy,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fetcher({} under way)", self.jobs().len())
    }
}

impl Fetcher {
    /// Into a store, by a caller.
    pub fn new(blobs: Blobs, caller: Caller) -> Fetcher {
        Fetcher {
            blobs,
            caller,
            jobs: Arc::default(),
            places: Arc::new(Semaphore::new(WANTED_AT_ONCE)),
            patience: PATIENCE,
        }
    }

    /// How many bytes of a file are not here.
    pub fn missing(&self, data: &Data) -> u64 {
        if self.blobs.has(data.digest).is_some() {
            return 0;
        }
        let received = self.jobs().get(&data.digest).map(|job| job.received());
        // One that is not committed yet is not here yet.
        data.bytes.saturating_sub(received.unwrap_or(0)).max(1)
    }

    /// Fetches a file that is not here, in the background: somebody is going to start a test
    /// that needs it. If that goes on already, it gets these sources besides.
    ///
    /// # Errors
    /// Too many are wanted already.
    pub fn want(&self, data: &Data, sources: &[Peer]) -> Result<(), String> {
        let known = self.blobs.has(data.digest).is_some();
        let jobs = self.jobs();
        match jobs.get(&data.digest) {
            Some(job) if job.bytes != data.bytes => {
                return Err("it is being fetched there with another length".into());
            }
            None if !known && jobs.len() >= MOST_WANTED => {
                return Err("too many data files are being fetched there already".into());
            }
            _ => {}
        }
        drop(jobs);
        self.begin(data, sources);
        Ok(())
    }

    /// Waits until a file is here that a test needs now.
    ///
    /// # Errors
    /// Why it could not be fetched.
    pub async fn get(&self, data: &Data, sources: &[Peer]) -> Result<(), String> {
        let Some(job) = self.begin(data, sources) else {
            return Ok(());
        };
        job.urgent.notify_one();
        let mut done = job.done.subscribe();
        let ended = done.wait_for(Option::is_some).await;
        let result = ended.ok().and_then(|done| done.clone());
        result.unwrap_or_else(|| Err("the node is shutting down".into()))
    }

    /// The fetch of a file that is not here, begun if need be.
    fn begin(&self, data: &Data, sources: &[Peer]) -> Option<Arc<Job>> {
        let digest = data.digest;
        let mut jobs = self.jobs();
        // While the fetches are locked, none ends and is gone before its file is seen.
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
            done: watch::Sender::new(None),
        });
        job.add_sources(sources);
        jobs.insert(digest, job.clone());
        drop(jobs);
        let (fetcher, begun) = (self.clone(), job.clone());
        tokio::spawn(async move {
            let result = fetcher.fetch(digest, &begun).await;
            let mut jobs = fetcher.jobs();
            if jobs.get(&digest).is_some_and(|j| Arc::ptr_eq(j, &begun)) {
                jobs.remove(&digest);
            }
            drop(jobs);
            begun.done.send_replace(Some(result));
        });
        Some(job)
    }

    async fn fetch(&self, digest: Sha256, job: &Job) -> Result<(), String> {
        let _place = tokio::select! {
            // It is never closed.
            place = self.places.acquire() => place.ok(),
            () = job.urgent.notified() => None,
        };
        let mut attempt = Attempt {
            fetcher: self,
            job,
            digest,
            writer: None,
            contributors: BTreeSet::new(),
            liars: BTreeSet::new(),
            alone: false,
        };
        let patience = self.patience;
        let began = Instant::now();
        let (mut last, mut turn, mut in_vain) = (began, 0, 0);
        let mut why = "no node is known that could have it".to_owned();
        loop {
            let sources = attempt.sources();
            let silent = last.elapsed() > patience.give_up && in_vain >= sources.len();
            if silent || began.elapsed() > patience.longest {
                return Err(why);
            }
            let Some(source) = sources.get(turn % sources.len().max(1)) else {
                if !attempt.liars.is_empty() {
                    return Err(why);
                }
                tokio::time::sleep(patience.repeat).await;
                continue;
            };
            turn += 1;
            let before = job.received();
            match attempt.from(source).await {
                Ok(()) => return Ok(()),
                Err(Failed::Here(text)) => return Err(text),
                Err(Failed::Source(text)) => why = text,
                Err(Failed::Lie(text)) => {
                    attempt.liars.insert(source.clone());
                    why = text;
                }
                Err(Failed::Whole) => {
                    attempt.blame();
                    why = "what came is not the file that the plan names".into();
                }
            }
            if job.received() > before {
                (last, in_vain) = (Instant::now(), 0);
                continue;
            }
            in_vain += 1;
            if in_vain % sources.len() == 0 {
                tokio::time::sleep(patience.repeat).await;
            }
        }
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<Sha256, Arc<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn add_sources(&self, more: &[Peer]) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        for source in more {
            if !sources.contains(source) {
                sources.push(source.clone());
            }
        }
    }
}

/// A file on its way, from one source after the other.
struct Attempt<'a> {
    fetcher: &'a Fetcher,
    job: &'a Job,
    digest: Sha256,
    writer: Option<Writer>,
    /// Who sent what is in the writer.
    contributors: BTreeSet<Peer>,
    liars: BTreeSet<Peer>,
    /// Nobody goes on where another one stopped.
    alone: bool,
}

impl Attempt<'_> {
    fn sources(&self) -> Vec<Peer> {
        let sources = &self.job.sources;
        let sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
        let honest = sources.iter().filter(|s| !self.liars.contains(*s));
        honest.cloned().collect()
    }

    /// What came was not the file: from one source, it lied; from several, one of them did.
    fn blame(&mut self) {
        match self.contributors.len() {
            1 => self.liars.append(&mut self.contributors),
            _ => self.alone = true,
        }
        self.restart();
    }

    fn restart(&mut self) {
        self.writer = None;
        self.contributors.clear();
        self.job.received.store(0, Ordering::Relaxed);
    }

    async fn from(&mut self, source: &Peer) -> Result<(), Failed> {
        if self.alone {
            self.restart();
        }
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let made = self.fetcher.blobs.writer(self.digest);
                made.map_err(|e| Failed::Here(BlobError::from(e).to_string()))?
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
                    // What is here is of use to the next source.
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

/// A part of a file, which is as long as it must be.
async fn part(
    caller: &Caller,
    source: &Peer,
    digest: Sha256,
    offset: u64,
    total: u64,
) -> Result<Arc<[u8]>, Failed> {
    let request = Request::FetchBlob {
        digest: Digest(digest.0),
        offset,
    };
    let expected = (total - offset).min(MAX_CHUNK as u64);
    match caller.call(source, request).await {
        Ok(Reply::Blob(Some(part))) if part.total != total => Err(Failed::Lie(format!(
            "a node has {} bytes under its name, and the plan says {total}",
            part.total
        ))),
        Ok(Reply::Blob(Some(part))) if part.bytes.len() as u64 != expected => {
            let length = part.bytes.len();
            let text = format!("a node sent {length} bytes where {expected} were asked for");
            Err(Failed::Lie(text))
        }
        Ok(Reply::Blob(Some(part))) => Ok(part.bytes),
        Ok(Reply::Blob(None)) => Err(Failed::Source("no node that was asked has it".into())),
        Ok(Reply::Refused(why)) => Err(Failed::Source(why)),
        Ok(_) => Err(Failed::Lie("a node answered something else".into())),
        Err(e) => Err(Failed::Source(e.to_string())),
    }
}

/// Writes, where that may block.
async fn in_background<T: Send + 'static>(
    write: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, Failed> {
    match tokio::task::spawn_blocking(write).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(BlobError::Other(_))) => Err(Failed::Whole),
        Ok(Err(e)) => Err(Failed::Here(e.to_string())),
        Err(e) => Err(Failed::Here(e.to_string())),
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
