//! Background tasks of the driver, and how their results return to it.

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::data_files::{DataError, PlanData};
use crate::hooks::HookRun;
use crate::peers::ClockReading;
use crate::plans::Inspected;
use crate::results::{Fetched, ResultList, Saved};
use crate::starts::PendingStart;
use crate::thresholds::Judged;
use crate::timeline::{Beginning, Sampled};
use vajra_core::protocol::spec::TestSpec;
use vajra_core::protocol::{Measurement, TestId};

/// Results of tasks waiting for the driver. A tracked test has at most ten tasks in progress, and at
/// most 64 tests are tracked; starts, fetches and clock readings add less than 200. So the queue
/// is hardly ever full; tasks then wait.
const TASK_QUEUE: usize = 1024;

/// A task has completed.
pub enum TaskDone {
    /// The engine measured.
    Measured(TestId, Measurement),
    /// What the engine of a test acts on has changed.
    HeldChanged(TestId),
    /// The load of a test is done.
    LoadFinished(TestId),
    /// The plan of a test was read.
    Inspected(Inspected),
    /// The data of a plan is ready, or unavailable.
    DataReady(TestId, TestSpec, Result<PlanData, DataError>),
    /// A hook has run.
    HookRan(HookRun),
    /// A start can be considered again.
    StartReady(PendingStart),
    /// A sample was added to a timeline.
    Sampled(Sampled),
    /// A result was stored.
    Saved(Saved),
    /// The list of results of a node has arrived.
    ListReceived(ResultList),
    /// A test was fetched, as far as it was found.
    Fetched(Fetched),
    /// The search for the start of a timeline has ended.
    CaughtUp(Beginning),
    /// A stored timeline was replaced by a better one.
    TimelineReplaced(TestId),
    /// Thresholds were judged.
    Judged(Judged),
    /// The clock of a node was read.
    ClockRead(ClockReading),
}

/// Starts tasks whose results return to the driver.
pub struct Tasks {
    done: mpsc::Sender<TaskDone>,
}

impl Tasks {
    /// No tasks, and the channel for their results.
    pub fn new() -> (Tasks, mpsc::Receiver<TaskDone>) {
        let (done, inbox) = mpsc::channel(TASK_QUEUE);
        (Tasks { done }, inbox)
    }

    /// Starts a task. `done` makes the result for the driver, if there is one.
    pub fn spawn<T>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        done: impl FnOnce(T) -> Option<TaskDone> + Send + 'static,
    ) {
        let channel = self.done.clone();
        tokio::spawn(async move {
            if let Some(done) = done(work.await) {
                // The driver may have ended.
                let _ = channel.send(done).await;
            }
        });
    }

    /// Starts work that may block.
    pub fn spawn_blocking<T>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        done: impl FnOnce(T) -> TaskDone + Send + 'static,
    ) {
        let channel = self.done.clone();
        tokio::task::spawn_blocking(move || {
            // The driver may have ended.
            let _ = channel.blocking_send(done(work()));
        });
    }

    /// A callback for engine threads.
    pub fn callback(
        &self,
        done: impl Fn() -> TaskDone + Send + Sync + 'static,
    ) -> Box<dyn Fn() + Send + Sync> {
        let channel = self.done.clone();
        let runtime = tokio::runtime::Handle::current();
        Box::new(move || {
            if let Err(TrySendError::Full(done)) = channel.try_send(done()) {
                // Engine threads cannot wait, and this must not be lost.
                let channel = channel.clone();
                runtime.spawn(async move {
                    // The driver may have ended.
                    let _ = channel.send(done).await;
                });
            }
        })
    }
}
