//! Scenarios: sequences of requests that pass values from one step to the next.
//!
//! Everything that is the same for all iterations is prepared once: templates are compiled,
//! targets resolved and checked, secrets read. A session runs one iteration at a time. Each
//! iteration starts without cookies and variables, but over connections that are kept.
//! [`run_hook`] runs a plan's setup or teardown.

mod hooks;
mod prepared;
mod row;
mod session;
mod variables;

use std::rc::Rc;
use std::sync::Arc;

use vajra_task::{Client, PrepareError, Task, TaskContext, TestOrigin, Traffic};

pub use hooks::{HookError, run_hook};
pub use prepared::{ScenarioPrepared, ScenarioSpec};
use session::{ScenarioSession, Thread};
pub use variables::SetupValues;

use crate::plan_schema;

/// An engine thread's client.
pub struct ScenarioClient(Rc<Thread>);

impl Task for ScenarioPrepared {
    const NAME: &'static str = "SCENARIO";
    type Spec = ScenarioSpec;
    type Client = ScenarioClient;

    fn schema() -> serde_json::Value {
        plan_schema::of_table("scenario")
    }

    fn prepare(
        spec: &ScenarioSpec,
        context: &Arc<TaskContext>,
        origin: TestOrigin,
    ) -> Result<ScenarioPrepared, PrepareError> {
        ScenarioPrepared::new(spec, context, origin)
    }

    fn client(self: &Arc<Self>, traffic: Rc<Traffic>) -> ScenarioClient {
        ScenarioClient(Rc::new(Thread::new(self.clone(), traffic)))
    }
}

impl Client for ScenarioClient {
    type Session = ScenarioSession;

    fn session(&self) -> ScenarioSession {
        ScenarioSession::new(self.0.clone())
    }

    async fn background(&self) {
        futures::future::join_all(self.0.clients.iter().map(Client::background)).await;
    }
}
