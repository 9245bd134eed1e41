//! Setup and teardown hooks: a hook's steps, run once, in order, on one node.
//!
//! They run like the steps of a scenario: with the same client, target policy, secrets, cookies,
//! checks and extraction. Unlike in a scenario, the first failure ends the hook, and its error
//! says what was received and what was expected.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::LocalSet;
use vajra_plan::{Hook, Received, Scalar, Scenarios, Step, Values, encode_values, show_duration};
use vajra_task::{
    Arrival, Failure, FailureKind, Gate, Outcome, Permit, PrepareError, Session as _, TaskContext,
    TestOrigin, Traffic,
};

use super::prepared::{ScenarioPrepared, ScenarioSpec};
use super::session::{ScenarioSession, Thread};
use super::variables::SetupValues;

/// Why a hook failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// This node can't prepare it.
    #[error("{hook}: {error}")]
    Prepare {
        /// The hook.
        hook: Hook,
        /// The reason.
        error: PrepareError,
    },
    /// A step failed.
    #[error("{hook} step {step:?}: {reason}")]
    Step {
        /// The hook.
        hook: Hook,
        /// The step's name.
        step: String,
        /// What was received, and what was expected.
        reason: String,
    },
    /// The node was no longer allowed to send. Earlier steps may have been sent.
    #[error("{hook} step {step:?}: not sent, because this node no longer coordinates the test")]
    NotSent {
        /// The hook.
        hook: Hook,
        /// The step that was not sent.
        step: String,
    },
    /// It took longer than [`Scenarios::limit`].
    #[error("{hook} step {step:?}: the {hook} did not end within {}", show_duration(*limit))]
    TimedOut {
        /// The hook.
        hook: Hook,
        /// The step that was running.
        step: String,
        /// The time limit.
        limit: Duration,
    },
    /// Its thread or runtime could not be started, or ended early.
    #[error("{hook}: it can't run on this node: {reason}")]
    Thread {
        /// The hook.
        hook: Hook,
        /// The reason.
        reason: String,
    },
}

/// Runs a hook's steps once. Returns the values that they extracted.
///
/// `values` are those of the setup, for a teardown. `may_send` is called immediately before each
/// request. The future may be awaited on any thread; the hook runs on a thread of its own, and
/// dropping the future ends it.
///
/// # Errors
/// See [`HookError`].
pub fn run_hook<F: Fn() -> bool + Send + 'static>(
    scenarios: &Scenarios,
    hook: Hook,
    values: Values,
    context: Arc<TaskContext>,
    origin: TestOrigin,
    may_send: F,
) -> impl Future<Output = Result<Values, HookError>> + Send + use<F> {
    let run = HookRun {
        limit: scenarios.limit(hook),
        scenarios: scenarios.only(hook),
        hook,
        values,
        context,
        origin,
    };
    async move {
        if run.steps().is_empty() {
            return Ok(Values::new());
        }
        let thread_error = move |reason: String| HookError::Thread { hook, reason };
        let (result, received) = oneshot::channel();
        let started = std::thread::Builder::new()
            .name(hook.to_string())
            .spawn(move || run.on_this_thread(may_send, result));
        started.map_err(|e| thread_error(e.to_string()))?;
        let ended_early = |_| thread_error("its thread ended early".into());
        received.await.map_err(ended_early)?
    }
}

/// A hook to run.
struct HookRun {
    /// The hook's steps as the only scenario.
    scenarios: Scenarios,
    hook: Hook,
    limit: Duration,
    values: Values,
    context: Arc<TaskContext>,
    origin: TestOrigin,
}

type ResultSender = oneshot::Sender<Result<Values, HookError>>;

impl HookRun {
    fn steps(&self) -> &[Step] {
        self.scenarios.scenarios.first().map_or(&[], |s| &s.steps)
    }

    fn step_name(&self, step: usize) -> String {
        let step = self.steps().get(step);
        step.map(|s| s.name.clone()).unwrap_or_default()
    }

    /// Sessions must stay on the thread that created them.
    fn on_this_thread(self, may_send: impl Fn() -> bool, mut sender: ResultSender) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(e) => {
                let (hook, reason) = (self.hook, e.to_string());
                // The receiver may be gone.
                let _ = sender.send(Err(HookError::Thread { hook, reason }));
                return;
            }
        };
        let local = LocalSet::new();
        let result = local.block_on(&runtime, async {
            tokio::select! {
                result = self.within_limit(may_send) => Some(result),
                () = sender.closed() => None,
            }
        });
        drop(local);
        // A name that is still being resolved must not block the thread.
        runtime.shutdown_background();
        if let Some(result) = result {
            let _ = sender.send(result);
        }
    }

    async fn within_limit(&self, may_send: impl Fn() -> bool) -> Result<Values, HookError> {
        let current = Cell::new(0);
        let steps = self.run_steps(&current, may_send);
        match tokio::time::timeout(self.limit, steps).await {
            Ok(result) => result,
            Err(_) => Err(HookError::TimedOut {
                hook: self.hook,
                step: self.step_name(current.get()),
                limit: self.limit,
            }),
        }
    }

    async fn prepare(&self) -> Result<ScenarioPrepared, PrepareError> {
        let (context, origin) = (self.context.clone(), self.origin);
        let spec = ScenarioSpec {
            scenarios: self.scenarios.clone(),
            setup: SetupValues::default(),
        };
        let preparing =
            tokio::task::spawn_blocking(move || ScenarioPrepared::new(&spec, &context, origin));
        preparing.await.unwrap_or_else(|e| {
            Err(PrepareError::Request(format!(
                "the request can't be built: {e}"
            )))
        })
    }

    async fn run_steps(
        &self,
        current: &Cell<usize>,
        may_send: impl Fn() -> bool,
    ) -> Result<Values, HookError> {
        let hook = self.hook;
        let prepared = self.prepare().await;
        let prepared = prepared.map_err(|error| HookError::Prepare { hook, error })?;
        let thread = Thread::new(Arc::new(prepared), Rc::new(Traffic::default()));
        let mut session = ScenarioSession::new(Rc::new(thread));
        session.start(Arrival {
            number: hook.number(),
            user: None,
            iteration: 0,
        });
        session.set_setup_values(&self.values);
        let (mut found, mut gate) = (Values::new(), HookGate(may_send));
        for step in self.steps() {
            let name = || step.name.clone();
            let failed = |reason: String| HookError::Step {
                hook,
                step: name(),
                reason,
            };
            match session.run(&mut gate).await {
                Outcome::Ok { .. } => {}
                Outcome::NotSent => return Err(HookError::NotSent { hook, step: name() }),
                Outcome::Failed { failure, .. } => {
                    return Err(failed(explain(&failure, step, session.received())));
                }
            }
            found.extend(extracted(step, &session));
            if hook == Hook::Setup {
                encode_values(&found).map_err(|e| failed(e.to_string()))?;
                session.set_setup_values(&found);
            }
            let Some(next) = session.next_step() else {
                break;
            };
            tokio::time::sleep(next.pause).await;
            current.set(current.get() + 1);
        }
        Ok(found)
    }
}

/// Open while the caller allows the node to send.
struct HookGate<F>(F);

impl<F: Fn() -> bool> Gate for HookGate<F> {
    fn open(&mut self) -> Option<Permit> {
        (self.0)().then(Permit::grant)
    }
}

fn extracted(step: &Step, session: &ScenarioSession) -> Values {
    let names = step.extract.keys();
    let found = names.filter_map(|name| Some((name.clone(), session.extracted(name)?)));
    found
        .map(|(name, text)| (name, Scalar::Text(text)))
        .collect()
}

/// What was received, and what was expected. Bodies are left out, since they may be
/// confidential.
fn explain(failure: &Failure, step: &Step, received: &Received) -> String {
    let failed_check = step.check.iter().find(|check| !check.passes(received));
    match (failure.kind, failed_check) {
        (FailureKind::Status, _) => {
            format!("status {}, expected a status below 400", failure.message)
        }
        (FailureKind::Check, Some(check)) => {
            let found = check.found(received);
            format!("the check {:?} failed: {found}", check.to_string())
        }
        (FailureKind::Extract, _) => {
            let media_type = received.header("content-type");
            format!(
                "extract {}: the response has status {} and {} bytes{}",
                failure.message,
                received.status,
                received.body.len(),
                media_type.map(|t| format!(" of {t}")).unwrap_or_default()
            )
        }
        (kind, _) => format!("{kind}: {}", failure.message),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
