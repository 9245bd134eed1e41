//! What the rest of the program may ask of a running node: a cloneable handle whose calls
//! travel to the driver over a bounded channel.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};

use super::blobs::Blobs;
use super::observe::Observation;
use vajra_core::protocol::{Peer, TestId};
use vajra_plan::{Blob, Plan};
use vajra_results::preflight::PreflightReport;
use vajra_results::{NodeList, SwarmEvent, SwarmLinks, TestList, TestResult, Timeline};
pub use vajra_results::{Progress, Update};

/// Commands waiting for the driver. It handles one in well under a millisecond; 64 covers
/// a burst of API calls, and more wait their turn in the callers.
pub const COMMAND_QUEUE: usize = 64;

/// Events a slow listener may fall behind by before it misses some; ten seconds' worth.
pub const EVENT_QUEUE: usize = 64;

/// Pre-flights that are asked for at once; more wait in their callers. Each sends the plan to
/// every node.
const PREFLIGHTS: usize = 2;

/// Why a command was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Gone,
    /// No such test.
    #[error("{0}")]
    NotFound(String),
    /// More than one test has this prefix.
    #[error("{0}")]
    Ambiguous(String),
    /// The plan cannot be run; says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// Data that the plan names is not on this node, or not what the plan says of it.
    #[error("{why}")]
    Data {
        /// The field of the plan.
        field: String,
        /// What is wrong, and what to do.
        why: String,
    },
}

/// How long to wait for the swarm, and where the plan may go, on a start.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// Wait until the swarm has this many nodes; the caller bounds the wait.
    pub wait_for: u32,
}

/// How the load of a running test is to change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LoadRequest {
    /// Full load is so many arrivals a second from now on (0.001 to 1,000,000); open model.
    Rate(f64),
    /// Full load is so many users from now on (1 to 1,000,000); closed model.
    Users(u32),
    /// No arrivals, and the plan's time stands still.
    Pause,
    /// The plan goes on where it was.
    Resume,
}

/// A command for the driver.
#[derive(Debug)]
pub enum Command {
    /// Start a test here.
    Start(
        Arc<Plan>,
        StartOptions,
        oneshot::Sender<Result<TestId, CommandError>>,
    ),
    /// Stop a test everywhere.
    Stop(TestId, bool, oneshot::Sender<Result<(), CommandError>>),
    /// Change the load of a running test.
    LoadCommand(
        TestId,
        LoadRequest,
        oneshot::Sender<Result<Duration, CommandError>>,
    ),
    /// All nodes known.
    Nodes(oneshot::Sender<NodeList>),
    /// All tests known, newest first.
    Tests(oneshot::Sender<TestList>),
    /// A test's result so far.
    Status(
        TestId,
        oneshot::Sender<Result<Arc<TestResult>, CommandError>>,
    ),
    /// A test's life, as it goes on.
    Watch(
        TestId,
        oneshot::Sender<Result<broadcast::Receiver<Arc<Update>>, CommandError>>,
    ),
    /// A test over time, in at most so many points, with histograms or without.
    Timeline(
        TestId,
        usize,
        bool,
        oneshot::Sender<Result<Timeline, CommandError>>,
    ),
    /// The newest so many events of the swarm, newest first.
    SwarmEvents(usize, oneshot::Sender<Vec<SwarmEvent>>),
    /// Who is connected to whom.
    SwarmLinks(oneshot::Sender<SwarmLinks>),
    /// What a monitoring system is shown.
    Observe(oneshot::Sender<Box<Observation>>),
    /// Take no new share: this node, or ask another to.
    Drain(Option<Peer>, oneshot::Sender<Result<(), CommandError>>),
    /// Look on every node whether a plan would run.
    Preflight(Arc<Plan>, oneshot::Sender<PreflightReport>),
    /// Leave the swarm politely and end; answered when everybody has been told.
    Leave(oneshot::Sender<()>),
    /// The node's data files.
    Blobs(oneshot::Sender<Blobs>),
}

/// A running node, from outside.
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

    /// The node's data files. What is put there can be named by plans.
    ///
    /// # Errors
    /// [`CommandError::Gone`] only.
    pub async fn blobs(&self) -> Result<Blobs, CommandError> {
        self.ask(Command::Blobs).await
    }

    /// Hands over a data file, unless it is there.
    ///
    /// # Errors
    /// [`CommandError::Refused`] if there is no room for it, or it can't be written.
    pub async fn put_blob(&self, blob: &Blob) -> Result<(), CommandError> {
        let (blobs, blob) = (self.blobs().await?, blob.clone());
        let put = tokio::task::spawn_blocking(move || blobs.put(blob.digest, &blob.bytes));
        match put.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(CommandError::Refused(e.to_string())),
            Err(_) => Err(CommandError::Gone),
        }
    }

    /// Starts a test from this node. If the plan names data, the other nodes have time to fetch
    /// it first.
    ///
    /// # Errors
    /// [`CommandError::Refused`] if this node's policy forbids the target or the node is
    /// leaving; [`CommandError::Data`] if data that the plan names is not here.
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
    /// [`CommandError::NotFound`] if this node knows no such test.
    pub async fn stop(&self, test: TestId, graceful: bool) -> Result<(), CommandError> {
        self.ask(|tx| Command::Stop(test, graceful, tx)).await?
    }

    /// Changes the load of a running test over the whole swarm. Returns since when it counts,
    /// after the start of the profile, once a majority of electors knows it.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] if this node knows no such test, [`CommandError::Refused`]
    /// if it makes no sense now, or no coordinator took it up.
    pub async fn steer(&self, test: TestId, how: LoadRequest) -> Result<Duration, CommandError> {
        self.ask(|tx| Command::LoadCommand(test, how, tx)).await?
    }

    /// The nodes of the swarm, as this one sees them.
    ///
    /// # Errors
    /// [`CommandError::Gone`] only, as for every call.
    pub async fn nodes(&self) -> Result<NodeList, CommandError> {
        self.ask(Command::Nodes).await
    }

    /// The tests that this node knows, newest first.
    ///
    /// # Errors
    /// [`CommandError::Gone`] only.
    pub async fn tests(&self) -> Result<TestList, CommandError> {
        self.ask(Command::Tests).await
    }

    /// A test's result: so far, or for good.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] if this node knows no such test.
    pub async fn status(&self, test: TestId) -> Result<Arc<TestResult>, CommandError> {
        self.ask(|tx| Command::Status(test, tx)).await?
    }

    /// A test's progress, once a second, and its intervals as they close; the last line has
    /// state `ended`.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] if this node knows no such test.
    pub async fn watch(
        &self,
        test: TestId,
    ) -> Result<broadcast::Receiver<Arc<Update>>, CommandError> {
        self.ask(|tx| Command::Watch(test, tx)).await?
    }

    /// The newest so many events of the swarm, newest first.
    ///
    /// # Errors
    /// [`CommandError::Gone`] only.
    pub async fn swarm_events(&self, limit: usize) -> Result<Vec<SwarmEvent>, CommandError> {
        self.ask(|tx| Command::SwarmEvents(limit, tx)).await
    }

    /// Who is connected to whom, as the nodes themselves say; takes at most some two seconds.
    ///
    /// # Errors
    /// [`CommandError::Gone`] only.
    pub async fn swarm_links(&self) -> Result<SwarmLinks, CommandError> {
        self.ask(Command::SwarmLinks).await
    }

    /// A test over time, in at most so many points: as far as it is, or as it was.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] if this node knows no such test.
    pub async fn timeline(
        &self,
        test: TestId,
        points: usize,
        histograms: bool,
    ) -> Result<Timeline, CommandError> {
        self.ask(|tx| Command::Timeline(test, points, histograms, tx))
            .await?
    }

    /// The node, the swarm and the tests, as a monitoring system is shown them.
    ///
    /// # Errors
    /// [`CommandError::Gone`] only.
    pub async fn observe(&self) -> Result<Box<Observation>, CommandError> {
        self.ask(Command::Observe).await
    }

    /// Takes no new share from now on, here or on another node.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] if that peer is not in the swarm.
    pub async fn drain(&self, peer: Option<Peer>) -> Result<(), CommandError> {
        self.ask(|tx| Command::Drain(peer, tx)).await?
    }

    /// Looks on every node whether a plan would run; takes at most some six seconds.
    ///
    /// # Errors
    /// [`CommandError::Gone`] only.
    pub async fn preflight(&self, plan: Arc<Plan>) -> Result<PreflightReport, CommandError> {
        let _turn = self.preflights.acquire().await;
        self.ask(|tx| Command::Preflight(plan, tx)).await
    }

    /// Leaves the swarm politely.
    pub async fn leave(&self) {
        let _ = self.ask(Command::Leave).await;
    }
}
