//! Setup and teardown: a phase's steps, one after the other, once, on one node.
//!
//! They are sent as a scenario's are: with the same client, target policy, secrets, cookies,
//! checks and extraction. Unlike there the first thing that goes wrong ends it, and tells what
//! came in place of what was expected.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::session::ScenarioSession;
use crate::{
    Arrival, Client as _, Failure, Gate, Outcome, PrepareError, Prepared, Session as _, Task as _,
    TaskContext, Traffic,
};
use vajra_plan::{
    Hook, Received, Scalar, Scenarios, Step, Task, Values, encode_values, show_duration,
};

/// Why a phase came to no good end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OnceError {
    /// This node can't send it: the target policy, a secret, the request itself.
    #[error("{phase}: {why}")]
    Unable {
        /// Which.
        phase: Hook,
        /// Why.
        why: PrepareError,
    },
    /// A step went wrong.
    #[error("{phase} step {step:?}: {why}")]
    Failed {
        /// Which.
        phase: Hook,
        /// Its name.
        step: String,
        /// What came, and what was expected.
        why: String,
    },
    /// The node was no longer allowed to send; a step before it may have been sent.
    #[error("{phase} step {step:?}: not sent, as this node no longer coordinates the test")]
    Withheld {
        /// Which.
        phase: Hook,
        /// The step that was not sent.
        step: String,
    },
    /// It took longer than [`Scenarios::limit`].
    #[error("{phase} step {step:?}: the {phase} was not over after {}", show_duration(*limit))]
    Late {
        /// Which.
        phase: Hook,
        /// The step that it had come to.
        step: String,
        /// What it may take.
        limit: Duration,
    },
    /// There is no thread for it.
    #[error("{phase}: it can't be run here: {why}")]
    NoThread {
        /// Which.
        phase: Hook,
        /// Why.
        why: String,
    },
}

/// Carries out a phase's steps, once; returns what they extracted.
///
/// `values` are what the setup found before: of use for a teardown. `own` tells that the test
/// was started from this node. `may_send` is asked immediately before each request. The future
/// may be awaited anywhere; the work is done on a thread of its own, and dropping the future
/// ends it.
pub fn run_once<F: Fn() -> bool + Send + 'static>(
    scenarios: &Scenarios,
    phase: Hook,
    values: Values,
    site: Arc<TaskContext>,
    own: bool,
    may_send: F,
) -> impl Future<Output = Result<Values, OnceError>> + Send + use<F> {
    let once = Once {
        limit: scenarios.limit(phase),
        only: scenarios.only(phase),
        phase,
        values,
        site,
        own,
    };
    async move {
        if once.steps().is_empty() {
            return Ok(Values::new());
        }
        let no_thread = move |why: String| OnceError::NoThread { phase, why };
        let (told, ended) = oneshot::channel();
        let started = std::thread::Builder::new()
            .name(phase.to_string())
            .spawn(move || once.on_this_thread(may_send, told));
        started.map_err(|e| no_thread(e.to_string()))?;
        let lost = |_| no_thread("its thread ended early".into());
        ended.await.map_err(lost)?
    }
}

/// A phase about to be carried out.
struct Once {
    only: Scenarios,
    phase: Hook,
    limit: Duration,
    values: Values,
    site: Arc<TaskContext>,
    own: bool,
}

type Told = oneshot::Sender<Result<Values, OnceError>>;

impl Once {
    fn steps(&self) -> &[Step] {
        self.only.scenarios.first().map_or(&[], |s| &s.steps)
    }

    fn name(&self, step: usize) -> String {
        let step = self.steps().get(step);
        step.map(|s| s.name.clone()).unwrap_or_default()
    }

    /// Sessions stay on the thread that they were made on.
    fn on_this_thread(self, may_send: impl Fn() -> bool, mut told: Told) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(e) => {
                let (phase, why) = (self.phase, e.to_string());
                // Whoever asked may be gone.
                let _ = told.send(Err(OnceError::NoThread { phase, why }));
                return;
            }
        };
        let local = LocalSet::new();
        let ended = local.block_on(&runtime, async {
            tokio::select! {
                ended = self.in_time(may_send) => Some(ended),
                () = told.closed() => None,
            }
        });
        drop(local);
        // A name that is still being resolved must not keep the thread.
        runtime.shutdown_background();
        if let Some(ended) = ended {
            let _ = told.send(ended);
        }
    }

    async fn in_time(&self, may_send: impl Fn() -> bool) -> Result<Values, OnceError> {
        let at = Cell::new(0);
        let all = self.in_order(&at, may_send);
        match tokio::time::timeout(self.limit, all).await {
            Ok(ended) => ended,
            Err(_) => Err(OnceError::Late {
                phase: self.phase,
                step: self.name(at.get()),
                limit: self.limit,
            }),
        }
    }

    async fn in_order(
        &self,
        at: &Cell<usize>,
        may_send: impl Fn() -> bool,
    ) -> Result<Values, OnceError> {
        let phase = self.phase;
        let task = Task::Scenarios(Box::new(self.only.clone()));
        let prepared = crate::prepare(&task, &self.site, self.own).await;
        let ready = match prepared.map_err(|why| OnceError::Unable { phase, why })? {
            Prepared::Scenarios(ready) => ready,
            _ => unreachable!("scenarios are made ready as scenarios"),
        };
        let client = ready.client(Rc::new(Traffic::default()));
        let mut session = client.session();
        session.begin(Arrival {
            number: phase.number(),
            user: None,
            turn: 0,
        });
        session.hand(&self.values);
        let (mut found, mut gate) = (Values::new(), Asking(may_send));
        for step in self.steps() {
            let name = || step.name.clone();
            let failed = |why| OnceError::Failed {
                phase,
                step: name(),
                why,
            };
            match session.run(&mut gate).await {
                Outcome::Ok { .. } => {}
                Outcome::Withheld => {
                    return Err(OnceError::Withheld {
                        phase,
                        step: name(),
                    });
                }
                Outcome::Failed { failure, .. } => {
                    return Err(failed(told(&failure, step, session.received())));
                }
            }
            found.extend(extracted(step, &session));
            if phase == Hook::Setup {
                encode_values(&found).map_err(|e| failed(e.to_string()))?;
                session.hand(&found);
            }
            let Some(next) = session.next() else {
                break;
            };
            tokio::time::sleep(next.pause).await;
            at.set(at.get() + 1);
        }
        Ok(found)
    }
}

/// Asks whoever knows whether a request may still be sent.
struct Asking<F>(F);

impl<F: Fn() -> bool> Gate for Asking<F> {
    fn open(&mut self) -> bool {
        (self.0)()
    }
}

fn extracted(step: &Step, session: &ScenarioSession) -> Values {
    let names = step.extract.keys();
    let found = names.filter_map(|name| Some((name.clone(), session.extracted(name)?)));
    found
        .map(|(name, text)| (name, Scalar::Text(text)))
        .collect()
}

/// What came, and what was expected. Bodies are left out: they may hold what is nobody's
/// business.
fn told(failure: &Failure, step: &Step, received: &Received) -> String {
    let broken = step.check.iter().find(|check| !check.passes(received));
    match (failure.kind, broken) {
        ("status", _) => format!("status {}, and one below 400 was expected", failure.message),
        ("check", Some(check)) => {
            format!(
                "the check {:?} does not hold: {}",
                check.to_string(),
                check.found(received)
            )
        }
        ("extract", _) => {
            let of = received.header("content-type");
            format!(
                "extract {}: the response has status {} and {} bytes{}",
                failure.message,
                received.status,
                received.body.len(),
                of.map(|of| format!(" of {of}")).unwrap_or_default()
            )
        }
        (kind, _) => format!("{kind}: {}", failure.message),
    }
}
