//! Access to a running node: a cloneable handle, whose calls reach the driver over a bounded channel.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};

use crate::data_files::blobs::Blobs;
use crate::status::observe::Observation;
use vajra_core::protocol::{Peer, TestId};
use vajra_plan::{Blob, Plan};
use vajra_results::preflight::PreflightReport;
use vajra_results::{NodeList, SwarmEvent, SwarmLinks, TestList, TestResult, Timeline};
pub use vajra_results::{Progress, Update};

/// Commands waiting for the driver, which handles one in well under a millisecond. 64 covers a burst
/// of API calls; when the queue is full, callers wait.
pub const COMMAND_QUEUE: usize = 64;

/// Updates that a slow watcher may fall behind before it misses some; about ten seconds.
pub const EVENT_QUEUE: usize = 64;

/// Pre-flight checks at once; callers wait for a free one. Each sends the plan to every node.
const PREFLIGHTS: usize = 2;

/// A command was not executed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Gone,
    /// No such test.
    #[error("{0}")]
    NotFound(String),
    /// More than one test id starts with the given text.
    #[error("{0}")]
    Ambiguous(String),
    /// The command is not possible; the text says why, and what to do.
    #[error("{0}")]
    Refused(String),
    /// Data of the plan is not on this node, or differs from the plan.
    #[error("{why}")]
    Data {
        /// The field of the plan.
        field: String,
        /// The reason, and what to do.
        why: String,
    },
}

impl CommandError {
    /// This node does not know the test.
    pub(crate) fn unknown_test(test: TestId) -> CommandError {
        CommandError::NotFound(format!("test {test} is not known on this node"))
    }
}

/// Options of a start.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// Number of nodes to wait for, including this one. The wait ends when the caller drops the
    /// call.
    pub wait_for: u32,
}

/// A change of the load of a running test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LoadRequest {
    /// Full load in arrivals per second, 0.001 to 1,000,000; open model.
    Rate(f64),
    /// Full load in users, 1 to 1,000,000; closed model.
    Users(u32),
    /// No arrivals; the plan's time is suspended.
    Pause,
    /// The plan continues where it was paused.
    Resume,
}

/// A command for the driver.
#[derive(Debug)]
pub enum Command {
    /// Start a test from this node.
    Start(
        Arc<Plan>,
        StartOptions,
        oneshot::Sender<Result<TestId, CommandError>>,
    ),
    /// Stop a test on all nodes, gracefully or at once.
    Stop(TestId, bool, oneshot::Sender<Result<(), CommandError>>),
    /// Change the load of a running test.
    ChangeLoad(
        TestId,
        LoadRequest,
        oneshot::Sender<Result<Duration, CommandError>>,
    ),
    /// All known nodes.
    Nodes(oneshot::Sender<NodeList>),
    /// All known tests, newest first.
    Tests(oneshot::Sender<TestList>),
    /// The result of a test, preliminary until it has ended.
    Status(
        TestId,
        oneshot::Sender<Result<Arc<TestResult>, CommandError>>,
    ),
    /// Updates of a test.
    Watch(
        TestId,
        oneshot::Sender<Result<broadcast::Receiver<Arc<Update>>, CommandError>>,
    ),
    /// The timeline of a test: largest number of points, and whether to include histograms.
    Timeline(
        TestId,
        usize,
        bool,
        oneshot::Sender<Result<Timeline, CommandError>>,
    ),
    /// Up to this number of events of the swarm, newest first.
    SwarmEvents(usize, oneshot::Sender<Vec<SwarmEvent>>),
    /// The connections between the nodes.
    SwarmLinks(oneshot::Sender<SwarmLinks>),
    /// All figures for a monitoring system.
    Observe(oneshot::Sender<Box<Observation>>),
    /// Drain this node, or the given one.
    Drain(Option<Peer>, oneshot::Sender<Result<(), CommandError>>),
    /// Check on every node whether a plan would run.
    Preflight(Arc<Plan>, oneshot::Sender<PreflightReport>),
    /// Leave the swarm and end; answered when the other nodes were notified.
    Leave(oneshot::Sender<()>),
    /// The node's data files.
    Blobs(oneshot::Sender<Blobs>),
}

/// Access to a running node.
#[derive(Debug, Clone)]
pub struct NodeHandle {
    commands: mpsc::Sender<Command>,
    preflights: Arc<Semaphore>,
}

impl NodeHandle {
    /// A handle, and the driver's end of its channel.
    pub fn new() -> (NodeHandle, mpsc::Receiver<Command>) {
        let (commands, inbox) = mpsc::channel(COMMAND_QUEUE);
        let preflights = Arc::new(Semaphore::new(PREFLIGHTS));
        let handle = NodeHandle {
            commands,
            preflights,
        };
        (handle, inbox)
    }

    async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, CommandError> {
        let (tx, rx) = oneshot::channel();
        self.commands
            .send(make(tx))
            .await
            .map_err(|_| CommandError::Gone)?;
        rx.await.map_err(|_| CommandError::Gone)
    }

    /// The node's data files, which plans can refer to.
    ///
    /// # Errors
    /// [`CommandError::Gone`] only.
    pub async fn blobs(&self) -> Result<Blobs, CommandError> {
        self.ask(Command::Blobs).await
    }

    /// Stores a data file, unless it is there already.
    ///
    /// # Errors
    /// [`CommandError::Refused`] if there is no space, or it cannot be written.
    pub async fn put_blob(&self, blob: &Blob) -> Result<(), CommandError> {
        let (blobs, blob) = (self.blobs().await?, blob.clone());
        let put = tokio::task::spawn_blocking(move || blobs.put(blob.digest, &blob.bytes));
        match put.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(CommandError::Refused(e.to_string())),
            Err(_) => Err(CommandError::Gone),
        }
    }

    /// Starts a test from this node. If the plan has data files, the other nodes have time to fetch
    /// them first.
    ///
    /// # Errors
    /// [`CommandError::Refused`] if too many tests are running; [`CommandError::Data`] if data of
    /// the plan is not on this node.
    pub async fn start(
        &self,
        plan: Arc<Plan>,
        options: StartOptions,
    ) -> Result<TestId, CommandError> {
        self.ask(|tx| Command::Start(plan, options, tx)).await?
    }

    /// Stops a test on every node.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] if this node has no such test.
    pub async fn stop(&self, test: TestId, graceful: bool) -> Result<(), CommandError> {
        self.ask(|tx| Command::Stop(test, graceful, tx)).await?
    }

    /// Changes the load of a running test on all nodes. Returns, once a majority of electors has
    /// stored the change, the time after the start of the profile at which it takes effect.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] if this node has no such test, [`CommandError::Refused`] if the
    /// change is not possible now, or no coordinator has accepted it.
    pub async fn change_load(
        &self,
        test: TestId,
        how: LoadRequest,
    ) -> Result<Duration, CommandError> {
        self.ask(|tx| Command::ChangeLoad(test, how, tx)).await?
    }

    /// The nodes of the swarm, as this one sees them.
    ///
    /// # Errors
    /// [`CommandError::Gone`] only, as for every call.
    pub async fn nodes(&self) -> Result<NodeList, CommandError> {
        self.ask(Command::Nodes).await
    }

    /// The tests of all nodes, newest first.
    ///
    /// # Errors
    /// [`CommandError::Gone`] only.
    pub async fn tests(&self) -> Result<TestList, CommandError> {
        self.ask(Command::Tests).await
    }

    /// The result of a test, preliminary until it has ended.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] if this node has no such test.
    pub async fn status(&self, test: TestId) -> Result<Arc<TestResult>, CommandError> {
        self.ask(|tx| Command::Status(test, tx)).await?
    }

    /// The progress of a test, once per second, and its intervals as they close. The last update has
    /// the state `ended`.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] if this node has no such test.
    pub async fn watch(
        &self,
        test: TestId,
    ) -> Result<broadcast::Receiver<Arc<Update>>, CommandError> {
        self.ask(|tx| Command::Watch(test, tx)).await?
    }

    /// Up to `limit` events of the swarm, newest first.
    ///
    /// # Errors
    /// [`CommandError::Gone`] only.
    pub async fn swarm_events(&self, limit: usize) -> Result<Vec<SwarmEvent>, CommandError> {
        self.ask(|tx| Command::SwarmEvents(limit, tx)).await
    }

    /// The connections between the nodes, as reported by them; takes at most about two seconds.
    ///
    /// # Errors
    /// [`CommandError::Gone`] only.
    pub async fn swarm_links(&self) -> Result<SwarmLinks, CommandError> {
        self.ask(Command::SwarmLinks).await
    }

    /// The timeline of a test, until now or complete, with at most `points` points.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] if this node has no such test.
    pub async fn timeline(
        &self,
        test: TestId,
        points: usize,
        histograms: bool,
    ) -> Result<Timeline, CommandError> {
        self.ask(|tx| Command::Timeline(test, points, histograms, tx))
            .await?
    }

    /// Figures of the node, the swarm and the tests for a monitoring system.
    ///
    /// # Errors
    /// [`CommandError::Gone`] only.
    pub async fn observe(&self) -> Result<Box<Observation>, CommandError> {
        self.ask(Command::Observe).await
    }

    /// Drains this node, or the given one: it takes no new shares.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] if that peer is not in the swarm.
    pub async fn drain(&self, peer: Option<Peer>) -> Result<(), CommandError> {
        self.ask(|tx| Command::Drain(peer, tx)).await?
    }

    /// Checks on every node whether a plan would run; takes at most about six seconds.
    ///
    /// # Errors
    /// [`CommandError::Gone`] only.
    pub async fn preflight(&self, plan: Arc<Plan>) -> Result<PreflightReport, CommandError> {
        let _permit = self.preflights.acquire().await;
        self.ask(|tx| Command::Preflight(plan, tx)).await
    }

    /// Leaves the swarm and ends the node.
    pub async fn leave(&self) {
        let _ = self.ask(Command::Leave).await;
    }
}
