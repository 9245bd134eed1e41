//! Follows a test to its end: progress while it runs, Ctrl-C in stages, and the complete result.

use std::time::Duration;

use super::backend::{Backend, Stream};
use super::exit::Failure;
use super::interrupt::Interrupts;
use super::output::note;
use vajra_core::protocol::messages::TestState;
use vajra_results::TestResult;
use vajra_runtime::handle::{Progress, Update};

/// Polling interval of an incomplete result.
const POLL: Duration = Duration::from_millis(100);
/// Maximum wait after the end for the final snapshots. The swarm repeats them for a while; a result
/// that is still incomplete after it is marked as such.
const COMPLETE_WAIT: Duration = Duration::from_secs(5);
/// Attempts to reopen a broken progress stream, with doubling pauses from [`POLL`] on.
const RECONNECTS: u32 = 5;

/// Effect of Ctrl-C while a test is followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnInterrupt {
    /// Stops the test gracefully, the second time at once; the third time exits without waiting.
    StopTest,
    /// Stops following; the test continues.
    Leave,
}

/// How following ended.
#[derive(Debug)]
pub enum Followed {
    /// The test has ended.
    Ended(Box<TestResult>),
    /// The user left; the test continues.
    Left,
}

/// Follows a test to its end and passes every progress report to `show`.
///
/// # Errors
/// The node no longer answers, or the user pressed Ctrl-C a third time.
pub async fn follow(
    backend: &Backend,
    id: &str,
    interrupts: &mut Interrupts,
    on_interrupt: OnInterrupt,
    mut show: impl FnMut(&Progress) -> Result<(), Failure>,
) -> Result<Followed, Failure> {
    follow_all(
        backend,
        id,
        interrupts,
        on_interrupt,
        |update| match update {
            Update::Progress(progress) => show(progress),
            Update::Point(_) => Ok(()),
        },
    )
    .await
}

/// As [`follow`], with all updates.
///
/// # Errors
/// As [`follow`].
pub async fn follow_all(
    backend: &Backend,
    id: &str,
    interrupts: &mut Interrupts,
    on_interrupt: OnInterrupt,
    mut show: impl FnMut(&Update) -> Result<(), Failure>,
) -> Result<Followed, Failure> {
    let mut stream = backend.watch(id).await?;
    let mut interrupted = 0;
    loop {
        tokio::select! {
            update = stream.next() => match update {
                Some(update) => {
                    show(&update)?;
                    if matches!(&update, Update::Progress(p) if p.state == TestState::Ended) {
                        break;
                    }
                }
                None => match reconnect(backend, id).await? {
                    Some(new) => stream = new,
                    None => break,
                },
            },
            () = interrupts.next() => {
                if on_interrupt == OnInterrupt::Leave {
                    return Ok(Followed::Left);
                }
                interrupted += 1;
                stop(backend, id, interrupted).await?;
            }
        }
    }
    complete(backend, id)
        .await
        .map(|result| Followed::Ended(Box::new(result)))
}

async fn stop(backend: &Backend, id: &str, interrupted: u32) -> Result<(), Failure> {
    match interrupted {
        1 => {
            note("stopping: waiting for requests in flight (Ctrl-C again stops at once)");
            backend.stop(id, true).await
        }
        2 => {
            note("stopping at once");
            backend.stop(id, false).await
        }
        _ => Err(Failure::stopped(format_args!(
            "exited before test {id} ended; see `vajra-node status {id}`"
        ))),
    }
}

/// Reopens a broken stream; `None` if the test has ended in the meantime.
async fn reconnect(backend: &Backend, id: &str) -> Result<Option<Stream>, Failure> {
    let mut pause = POLL;
    let mut last = None;
    for _ in 0..RECONNECTS {
        match backend.status(id).await {
            Ok(result) if result.state == TestState::Ended => return Ok(None),
            Ok(_) => match backend.watch(id).await {
                Ok(stream) => return Ok(Some(stream)),
                Err(failure) => last = Some(failure),
            },
            Err(failure) => last = Some(failure),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    let why = last.map(|failure| failure.message).unwrap_or_default();
    Err(Failure::run(format_args!(
        "{why}; the test may continue on other nodes: try `vajra-node status {id} --api \
         ADDR:PORT`"
    )))
}

/// The result with the final snapshots of all workers, or after [`COMPLETE_WAIT`] without some.
async fn complete(backend: &Backend, id: &str) -> Result<TestResult, Failure> {
    let wait = tokio::time::sleep(COMPLETE_WAIT);
    tokio::pin!(wait);
    loop {
        let result = backend.status(id).await?;
        if result.complete || wait.is_elapsed() {
            return Ok(result);
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = &mut wait => {}
        }
    }
}
