//! Scenarios: several requests one after the other, which hand values on.
//!
//! Everything that is known beforehand is made ready once: templates are compiled, the places
//! that steps connect to are resolved and checked, secrets are read. A session is a user on its
//! way through a scenario; each iteration is a new visitor, without cookies and variables, but
//! over connections that are kept. [`run_once`] carries a plan's setup or teardown out.

mod once;
mod ready;
mod row;
mod session;
mod variables;

#[cfg(test)]
mod once_tests;

use std::rc::Rc;
use std::sync::Arc;

pub use once::{OnceError, run_once};
pub use ready::ScenarioPrepared;
use session::{ScenarioSession, Thread};
pub use variables::SetupValues;

use super::{Client, Task, Traffic};

/// An engine thread's client.
pub struct ScenarioClient(Rc<Thread>);

impl Task for ScenarioPrepared {
    type Client = ScenarioClient;

    fn client(self: &Arc<Self>, traffic: Rc<Traffic>) -> ScenarioClient {
        let clients = self.endpoints.iter().map(|e| e.client(traffic.clone()));
        ScenarioClient(Rc::new(Thread {
            clients: clients.collect(),
            ready: self.clone(),
        }))
    }
}

impl Client for ScenarioClient {
    type Session = ScenarioSession;

    fn session(&self) -> ScenarioSession {
        ScenarioSession::new(self.0.clone())
    }

    async fn tend(&self) {
        futures::future::join_all(self.0.clients.iter().map(Client::tend)).await;
    }
}
