//! What an arrival does.
//!
//! A plan's task is prepared ([`prepare`]): its target is resolved and checked against
//! the [`TargetPolicy`], its secrets are read, its request is built. Each engine thread then
//! makes a [`Client`] of it, which opens [`Session`]s, one for each thing that goes on at the
//! same time (for HTTP: a connection, or a stream), and asks them to run one request after the
//! other.
//!
//! A session asks the [`Gate`] immediately before it sends: the lease is checked there, and
//! the clock is read there.

mod data;
mod http;
mod policy;
mod scenario;
mod secrets;
mod simple;

use std::cell::Cell;
use std::future::Future;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub use data::Tables;
pub use http::{HttpClient, HttpPrepared, HttpSession, Probe, Reached};
pub use policy::{AllowTarget, Refusal, TargetPolicy};
pub use scenario::{OnceError, ScenarioPrepared, SetupValues, run_once};
pub use secrets::{SecretError, Secrets};
pub use simple::{BusyTask, FailingTask, SleepTask};

use vajra_plan as plan;

/// The task types that this node can run, as its adverts name them.
pub const TASK_TYPES: [&str; 4] = ["HTTP", "SLEEP", "CPU", "SCENARIO"];

/// Asked by a session immediately before it sends.
pub trait Gate {
    /// Whether a request may be sent now. If so, now is when it is sent. Asked again if the
    /// first attempt found a connection dead and the server has seen nothing of it.
    fn open(&mut self) -> bool;

    /// A check of the response held, or did not.
    fn checked(&mut self, held: bool) {
        let _ = held;
    }
}

/// An arrival that a session carries out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// No other one of the test has this number. In the open model they are numbered in the
    /// order in which they are due.
    pub number: u64,
    /// Whose it is, in the closed model.
    pub user: Option<u32>,
    /// How many that user had before it.
    pub turn: u32,
}

impl Arrival {
    /// What its random numbers come from: the same in every run of a plan.
    pub fn seed(&self) -> u64 {
        match self.user {
            Some(user) => u64::from(self.turn) << 20 | u64::from(user),
            None => self.number,
        }
    }

    /// Its place in what goes round: in the open model arrivals take turns, in the closed one
    /// each user does, from a place of its own on.
    pub fn place(&self) -> u64 {
        match self.user {
            Some(user) => u64::from(user) + u64::from(self.turn),
            None => self.number,
        }
    }
}

/// What follows a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The step.
    pub step: usize,
    /// After so long a pause.
    pub pause: Duration,
}

/// Bytes on the wire of one engine thread.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Written to connections.
    pub sent: Cell<u64>,
    /// Read from connections.
    pub received: Cell<u64>,
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Outcome {
        Outcome::Failed {
            status: None,
            failure,
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Ok {
        /// HTTP status code, if the task has such a thing.
        status: Option<u16>,
    },
    /// Badly.
    Failed {
        /// HTTP status code, if one came.
        status: Option<u16>,
        /// Why.
        failure: Failure,
    },
    /// The gate was closed: nothing was sent.
    Withheld,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `dns`, `policy`, `secret`, `data`, `connect`, `tls`, `timeout`, `reset`, `stream`,
    /// `protocol`, `status`, `template`, `check` or `extract`.
    pub kind: &'static str,
    /// What happened, without anything that varies by request.
    pub message: String,
}

impl Failure {
    /// A failure of a kind.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Failure {
        Failure {
            kind,
            message: message.into(),
        }
    }
}

/// One thing at a time, again and again; for HTTP a connection. Lives on one engine thread.
pub trait Session: 'static {
    /// Turns to an arrival; returns the step that it begins with.
    fn begin(&mut self, arrival: Arrival) -> usize {
        let _ = arrival;
        0
    }

    /// Runs the step's request to its end.
    fn run<G: Gate>(&mut self, gate: &mut G) -> impl Future<Output = Outcome>;

    /// Turns to the next step of the arrival, if there is one.
    fn next(&mut self) -> Option<Next> {
        None
    }

    /// Makes ready what the first request needs, for HTTP a connection. What goes wrong is
    /// left to that request.
    fn prepare(&mut self) -> impl Future<Output = ()> {
        std::future::ready(())
    }

    /// Awaited, and dropped at any moment, while there is nothing to run: notices a
    /// connection that its peer closes. Never completes.
    fn idle(&mut self) -> impl Future<Output = ()>;
}

/// What the sessions of one engine thread have in common.
pub trait Client: 'static {
    /// What runs requests.
    type Session: Session;

    /// A new session; nothing is opened yet.
    fn session(&self) -> Self::Session;

    /// Runs beside the sessions. Never completes.
    fn tend(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }
}

/// A prepared task: makes a client on any thread.
pub trait Task: Send + Sync + 'static {
    /// What runs it there.
    type Client: Client;

    /// The thread's client.
    fn client(self: &Arc<Self>, traffic: Rc<Traffic>) -> Self::Client;
}

/// A plan's task, ready to run.
#[derive(Debug, Clone)]
pub enum Prepared {
    /// HTTP requests.
    Http(Arc<HttpPrepared>),
    /// Waiting.
    Sleep(Arc<SleepTask>),
    /// Keeping a core busy.
    Cpu(Arc<BusyTask>),
    /// Scenarios.
    Scenarios(Arc<ScenarioPrepared>),
    /// Failing: the task could not be prepared.
    Failing(Arc<FailingTask>),
}

impl Prepared {
    /// Where it connects to: one for each scheme, host and port.
    pub fn endpoints(&self) -> Vec<Arc<HttpPrepared>> {
        match self {
            Prepared::Http(http) => vec![http.clone()],
            Prepared::Scenarios(scenarios) => scenarios.endpoints.clone(),
            Prepared::Sleep(_) | Prepared::Cpu(_) | Prepared::Failing(_) => Vec::new(),
        }
    }
}

/// Why a task can't be run here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// The target policy forbids it, or its name does not resolve.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A secret it refers to can't be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The plan's request can't be built.
    #[error("{0}")]
    Request(String),
    /// TLS can't be set up.
    #[error("TLS: {0}")]
    Tls(String),
    /// The rows of this data file are not at hand.
    #[error("the rows of the data {0} are not here")]
    Data(String),
}

impl From<PrepareError> for Failure {
    fn from(e: PrepareError) -> Failure {
        let kind = match &e {
            PrepareError::Refused(Refusal::Forbidden(_)) => "policy",
            PrepareError::Refused(Refusal::Unresolved(_)) => "dns",
            PrepareError::Secret(_) => "secret",
            PrepareError::Request(_) => "protocol",
            PrepareError::Tls(_) => "tls",
            PrepareError::Data(_) => "data",
        };
        Failure::new(kind, e.to_string())
    }
}

/// What a node puts at the disposal of the tasks it runs.
#[derive(Debug, Default)]
pub struct TaskContext {
    /// What it may be aimed at.
    pub policy: TargetPolicy,
    /// What plans may refer to.
    pub secrets: Secrets,
    /// Addresses of its own that connections start from, in turn; if empty, the system's
    /// choice.
    pub sources: Vec<IpAddr>,
    /// Rows of data files; those that a plan names must be here before it is prepared.
    pub data: Tables,
}

/// Makes a plan's task ready: resolves and checks its target, reads its secrets, builds its
/// request. `own` tells that the test was started from this node. A node that can't do so
/// can't take part in the test; the error tells its coordinator why. That rows are not at hand
/// is found last: everything else is in order then.
///
/// # Errors
/// See [`PrepareError`].
pub async fn prepare(
    task: &plan::Task,
    site: &Arc<TaskContext>,
    own: bool,
) -> Result<Prepared, PrepareError> {
    let (task, site) = (task.clone(), site.clone());
    let made = tokio::task::spawn_blocking(move || prepare_blocking(&task, &site, own));
    match made.await {
        Ok(result) => result,
        Err(e) => Err(PrepareError::Request(format!(
            "the request can't be built: {e}"
        ))),
    }
}

/// [`prepare`] for a thread that may block.
///
/// # Errors
/// See [`PrepareError`].
pub fn prepare_blocking(
    task: &plan::Task,
    site: &Arc<TaskContext>,
    own: bool,
) -> Result<Prepared, PrepareError> {
    prepare_with(task, site, own, &SetupValues::default())
}

/// [`prepare_blocking`] for a task that gets a setup's values, now or later.
///
/// # Errors
/// See [`PrepareError`].
pub fn prepare_with(
    task: &plan::Task,
    site: &Arc<TaskContext>,
    own: bool,
    handed: &SetupValues,
) -> Result<Prepared, PrepareError> {
    Ok(match task {
        plan::Task::Http(http) => Prepared::Http(Arc::new(HttpPrepared::new(http, site, own)?)),
        plan::Task::Sleep { ms } => Prepared::Sleep(Arc::new(SleepTask { ms: *ms })),
        plan::Task::Cpu { ms } => Prepared::Cpu(Arc::new(BusyTask { ms: *ms })),
        plan::Task::Scenarios(scenarios) => {
            // Any node that takes part may have to carry these out.
            for phase in [plan::Hook::Setup, plan::Hook::Teardown] {
                if !scenarios.hook_steps(phase).is_empty() {
                    ScenarioPrepared::new(&scenarios.only(phase), site, own, handed)?;
                }
            }
            let prepared = ScenarioPrepared::new(scenarios, site, own, handed)?;
            Prepared::Scenarios(Arc::new(prepared))
        }
    })
}
