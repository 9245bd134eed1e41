//! The HTTP task for the engine: clients and sessions of either version.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use vajra_plan::{HttpTask, HttpVersion, Received};
use vajra_task::{
    Client, Gate, Outcome, Permit, PrepareError, Session, Task, TaskContext, TestOrigin, Traffic,
};

use super::message::Message;
use super::prepared::HttpPrepared;
use super::thread::HttpThread;
use super::{http1, http2};
use crate::plan_schema;

/// An engine thread's client.
pub struct HttpClient(Rc<HttpThread>);

impl Task for HttpPrepared {
    const NAME: &'static str = "HTTP";
    type Spec = HttpTask;
    type Client = HttpClient;

    fn schema() -> serde_json::Value {
        plan_schema::of_table("task")
    }

    fn prepare(
        spec: &HttpTask,
        context: &Arc<TaskContext>,
        origin: TestOrigin,
    ) -> Result<HttpPrepared, PrepareError> {
        HttpPrepared::new(spec, context, origin)
    }

    fn client(self: &Arc<Self>, traffic: Rc<Traffic>) -> HttpClient {
        HttpClient(Rc::new(HttpThread::new(self.clone(), traffic)))
    }
}

impl Client for HttpClient {
    type Session = HttpSession;

    fn session(&self) -> HttpSession {
        match self.0.task.version {
            HttpVersion::One => HttpSession::One(http1::Session::new(self.0.clone())),
            HttpVersion::Two => HttpSession::Two(http2::Session::new(self.0.clone())),
        }
    }

    async fn background(&self) {
        self.0.dialer.refresh().await
    }
}

/// Runs one request at a time.
pub enum HttpSession {
    /// On a connection of its own.
    One(http1::Session),
    /// On a connection that it may share.
    Two(http2::Session),
}

impl HttpSession {
    /// Sends a request other than the plan's and keeps the response in `into`.
    ///
    /// # Errors
    /// The outcome, if there is no complete response.
    pub async fn send<G: Gate>(
        &mut self,
        gate: &mut G,
        message: &Message,
        timeout: Duration,
        into: &mut Received,
    ) -> Result<Permit, Outcome> {
        match self {
            HttpSession::One(session) => session.send(gate, message, timeout, into).await,
            HttpSession::Two(session) => session.send(gate, message, timeout, into).await,
        }
    }
}

impl Session for HttpSession {
    async fn run<G: Gate>(&mut self, gate: &mut G) -> Outcome {
        match self {
            HttpSession::One(session) => session.run(gate).await,
            HttpSession::Two(session) => session.run(gate).await,
        }
    }

    async fn connect(&mut self) {
        match self {
            HttpSession::One(session) => session.connect().await,
            HttpSession::Two(session) => session.connect().await,
        }
    }

    async fn idle(&mut self) {
        match self {
            HttpSession::One(session) => session.idle().await,
            HttpSession::Two(session) => session.idle().await,
        }
    }
}
