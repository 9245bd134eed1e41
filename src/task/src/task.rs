//! The traits of a task.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use crate::arrival::{Arrival, NextStep};
use crate::context::TaskContext;
use crate::gate::Gate;
use crate::metrics::MetricDeclaration;
use crate::origin::TestOrigin;
use crate::outcome::Outcome;
use crate::parameters::Parameters;
use crate::prepare::PrepareError;

/// A task that is prepared to run: what arrivals of a test do.
pub trait Task: Sized + Send + Sync + 'static {
    /// The task type in plans and adverts, in upper case.
    const NAME: &'static str;

    /// What it is prepared from: [`crate::ParameterValues`], or a type of its own.
    type Spec;

    /// The part of it that runs on one engine thread.
    type Client: Client;

    /// The parameters; none by default.
    fn parameters() -> Parameters {
        Parameters::default()
    }

    /// JSON Schema of its part of a plan. Overridden only by a task with a [`Self::Spec`] of its
    /// own.
    fn schema() -> Value {
        Self::parameters().schema()
    }

    /// The custom metrics; none by default.
    fn metrics() -> &'static [MetricDeclaration] {
        &[]
    }

    /// Resolves and checks the target, reads secrets, and builds whatever requests have in
    /// common. May block.
    ///
    /// # Errors
    /// This node can't run the task.
    fn prepare(
        spec: &Self::Spec,
        context: &Arc<TaskContext>,
        origin: TestOrigin,
    ) -> Result<Self, PrepareError>;

    /// Creates the client of an engine thread.
    fn client(self: &Arc<Self>, traffic: Rc<Traffic>) -> Self::Client;
}

/// What the sessions of one engine thread share.
pub trait Client: 'static {
    /// What runs requests.
    type Session: Session;

    /// Creates a session, which is not connected yet.
    fn session(&self) -> Self::Session;

    /// Background work of the thread, such as resolving a name again. Never completes.
    fn background(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }
}

/// Runs one request at a time; for HTTP a connection or a stream. Stays on one engine thread.
pub trait Session: 'static {
    /// Starts an arrival. Returns the index of its first step in the plan; 0 for a task without
    /// steps.
    fn start(&mut self, arrival: Arrival) -> usize {
        let _ = arrival;
        0
    }

    /// Runs the request of the current step. Sends only with the permission of
    /// [`Gate::open`].
    fn run<G: Gate>(&mut self, gate: &mut G) -> impl Future<Output = Outcome>;

    /// Moves to the next step of the arrival, if there is one.
    fn next_step(&mut self) -> Option<NextStep> {
        None
    }

    /// Connects before the first request. The next request reports an error, if it persists.
    fn connect(&mut self) -> impl Future<Output = ()> {
        std::future::ready(())
    }

    /// Polled while there is no request, to notice a connection that its peer closes. Never
    /// completes; dropped when a request is due.
    fn idle(&mut self) -> impl Future<Output = ()>;
}

/// Bytes on the network of one engine thread.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Bytes written to connections.
    pub sent: Cell<u64>,
    /// Bytes read from connections.
    pub received: Cell<u64>,
}

/// What a host of tasks, such as the load engine, makes of a prepared task of any type.
pub trait FromTask: Sized {
    /// Takes a prepared task.
    fn from_task<T: Task>(task: Arc<T>) -> Self;
}
