//! Data files of tests: present before a test is inspected or started, and served to other nodes.
//!
//! | module | contents |
//! |---|---|
//! | [`blobs`] | the files on this node, by SHA-256 |
//! | `fetch` | fetching files from other nodes |
//! | `distribute` | waiting until the other nodes have them |
//! | `retry` | pauses and timeouts of both |

pub mod blobs;
mod distribute;
mod fetch;
mod retry;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::Semaphore;

use self::blobs::{Blobs, Hold, TableError};
pub use self::distribute::NotReady;
use self::fetch::{FetchError, Fetcher};
use self::retry::RetryPolicy;
use crate::answer::{Answer, admit};
use crate::engine::EngineHost;
use crate::peers::calls::Caller;
use vajra_core::protocol::messages::{BlobPart, Reply};
use vajra_core::protocol::{Peer, TestId};
use vajra_plan::{Plan, Sha256, Table};
use vajra_task::TaskContext;
use vajra_tasks::Tables;
use vajra_wire::limits::MAX_CHUNK;

/// Parts of files read for others at once, each of up to 1 MiB. Further requests are refused.
const SERVED_AT_ONCE: usize = 16;
/// Plans of others inspected at once. Further requests are refused.
const INSPECTED_AT_ONCE: usize = 4;

/// The rows of a test's data, and its files on hold.
pub struct PlanData {
    _tables: Vec<Arc<Table>>,
    _files: Hold,
}

/// The data of a test cannot be used on this node.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DataError {
    /// A file could not be fetched.
    #[error("the data {name} could not be fetched: {source}")]
    Fetch {
        /// Name of the data in the plan.
        name: String,
        /// The reason.
        source: FetchError,
    },
    /// A file cannot be read, or differs from the plan.
    #[error("the data {name} {source}")]
    Table {
        /// Name of the data in the plan.
        name: String,
        /// The reason.
        source: TableError,
    },
    /// The task that read the files failed.
    #[error("the data cannot be read: {0}")]
    Failed(String),
}

/// The data files of a node, and what the tests need of them.
pub struct DataFiles {
    blobs: Blobs,
    fetcher: Fetcher,
    caller: Caller,
    /// Data of tests that have not ended.
    in_use: HashMap<TestId, PlanData>,
    serving: Arc<Semaphore>,
    inspecting: Arc<Semaphore>,
}

impl DataFiles {
    /// The files in `blobs`; others are fetched with `caller`.
    pub fn new(blobs: Blobs, caller: Caller) -> DataFiles {
        DataFiles {
            fetcher: Fetcher::new(blobs.clone(), caller.clone()),
            blobs,
            caller,
            in_use: HashMap::new(),
            serving: Arc::new(Semaphore::new(SERVED_AT_ONCE)),
            inspecting: Arc::new(Semaphore::new(INSPECTED_AT_ONCE)),
        }
    }

    /// The store of files.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    // ---- tests ----

    /// Keeps the data of a test until it is released.
    pub fn keep(&mut self, test: TestId, data: PlanData) {
        self.in_use.insert(test, data);
    }

    /// The test has ended.
    pub fn release(&mut self, test: TestId) {
        self.in_use.remove(&test);
    }

    /// Releases the data of all other tests.
    pub fn retain<T>(&mut self, tests: &BTreeMap<TestId, T>) {
        self.in_use.retain(|id, _| tests.contains_key(id));
    }

    /// Reads the rows of a plan's data, all of which must be here.
    pub fn read(
        &self,
        context: &Arc<TaskContext>,
        plan: &Arc<Plan>,
    ) -> impl Future<Output = Result<PlanData, DataError>> + Send + use<> {
        read(self.blobs.clone(), context.clone(), plan.clone())
    }

    /// Fetches the missing files of a plan, and reads all of them.
    pub fn fetch(
        &self,
        context: &Arc<TaskContext>,
        plan: &Arc<Plan>,
        sources: Vec<Peer>,
    ) -> impl Future<Output = Result<PlanData, DataError>> + Send + use<> {
        let (fetcher, blobs) = (self.fetcher.clone(), self.blobs.clone());
        fetch(fetcher, blobs, context.clone(), plan.clone(), sources)
    }

    /// Asks these nodes to fetch the files of a plan, and waits for them. Returns those that are
    /// not ready.
    pub fn distribute(
        &self,
        nodes: Vec<Peer>,
        plan: &Plan,
    ) -> impl Future<Output = Vec<(Peer, NotReady)>> + Send + use<> {
        let caller = self.caller.clone();
        let plan: Arc<[u8]> = plan.to_bytes().into();
        async move {
            let retry = RetryPolicy::distribute(nodes.len(), plan.len());
            distribute::distribute(&caller, &nodes, &plan, retry).await
        }
    }

    // ---- requests of other nodes ----

    /// A part of a file.
    pub fn answer_part(&self, digest: Sha256, offset: u64) -> Answer {
        let Some(permit) = admit(&self.serving) else {
            return Answer::busy();
        };
        let blobs = self.blobs.clone();
        Answer::blocking(move || {
            let _permit = permit;
            part(&blobs, digest, offset)
        })
    }

    /// A node is about to start this plan, whose data should be here then.
    pub fn answer_distribution(
        &self,
        engine: &EngineHost,
        plan: Arc<[u8]>,
        sources: Vec<Peer>,
    ) -> Answer {
        let Some(permit) = admit(&self.inspecting) else {
            return Answer::busy();
        };
        let (fetcher, engine) = (self.fetcher.clone(), engine.clone());
        Answer::task(async move {
            let _permit = permit;
            prefetch(&fetcher, &engine, plan, &sources).await
        })
    }
}

async fn read(
    blobs: Blobs,
    context: Arc<TaskContext>,
    plan: Arc<Plan>,
) -> Result<PlanData, DataError> {
    let reading = tokio::task::spawn_blocking(move || {
        let files = blobs.hold(plan.task.data().map(|(_, data)| data.digest));
        let each = plan.task.data().map(|(name, data)| {
            let table = blobs.table(&context.shared.get::<Tables>(), data);
            table.map_err(|source| DataError::Table {
                name: name.clone(),
                source,
            })
        });
        Ok(PlanData {
            _tables: each.collect::<Result<_, _>>()?,
            _files: files,
        })
    });
    let read = reading.await;
    read.map_err(|e| DataError::Failed(e.to_string()))?
}

async fn fetch(
    fetcher: Fetcher,
    blobs: Blobs,
    context: Arc<TaskContext>,
    plan: Arc<Plan>,
    sources: Vec<Peer>,
) -> Result<PlanData, DataError> {
    let digests = || plan.task.data().map(|(_, data)| data.digest);
    // Files that are here must stay while the others are fetched.
    let _files = blobs.hold(digests());
    let mut retry = true;
    loop {
        let each = plan.task.data().map(|(name, data)| {
            let fetched = fetcher.get(data, &sources);
            async move {
                fetched.await.map_err(|source| DataError::Fetch {
                    name: name.clone(),
                    source,
                })
            }
        });
        futures::future::try_join_all(each).await?;
        match read(blobs.clone(), context.clone(), plan.clone()).await {
            // A file that was damaged on disk has been removed; it is fetched once more.
            Err(_) if retry && digests().any(|d| blobs.has(d).is_none()) => retry = false,
            result => return result,
        }
    }
}

fn part(blobs: &Blobs, digest: Sha256, offset: u64) -> Reply {
    match blobs.part(digest, offset, MAX_CHUNK) {
        Ok(part) => Reply::Blob(part.map(|(total, bytes)| BlobPart {
            total,
            bytes: bytes.into(),
        })),
        Err(e) => Reply::Refused(format!("cannot read the data file: {e}")),
    }
}

/// Starts to fetch the data of a plan that this node could run, and returns how much is missing.
async fn prefetch(
    fetcher: &Fetcher,
    engine: &EngineHost,
    plan: Arc<[u8]>,
    sources: &[Peer],
) -> Reply {
    let unable = |why: String| Reply::Data {
        missing: 0,
        unable: Some(why),
    };
    let parsed = tokio::task::spawn_blocking(move || Plan::from_bytes(&plan));
    let plan = match parsed.await {
        Ok(Ok(plan)) => plan,
        Ok(Err(e)) => return unable(e.to_string()),
        Err(e) => return Reply::Refused(e.to_string()),
    };
    let is_missing = |data| fetcher.missing(data) > 0;
    if plan.task.data().any(|(_, data)| is_missing(data))
        && let Some(why) = engine.unable(&plan, false).await
    {
        return unable(why);
    }
    let mut missing = 0;
    for (_, data) in plan.task.data() {
        // The outcome shows when the node asks again.
        if let Err(e) = fetcher.prefetch(data, sources) {
            return Reply::Refused(e.to_string());
        }
        missing += fetcher.missing(data);
    }
    Reply::Data {
        missing,
        unable: None,
    }
}
